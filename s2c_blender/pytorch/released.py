# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published model for Blender's buttons: the `model` commands, converting in a process that has PyTorch."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import CANCELLED, ENVIRONMENT, Cancelled, UserError
from ..model import commands

PACKAGE_ROOT = Path(__file__).parents[2]
GRACE_S = 10.0  # for tidying up after a cancellation
# As in worker.py.
_START = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; import json; from pathlib import PurePath; "
    "first, last = json.loads(sys.argv[1]); mine = 'python%d.%d' % sys.version_info[:2]; sys.path[:0] = first; "
    "sys.path += [p for p in last if not any(w[:8] == 'python3.' and w != mine for w in PurePath(p).parts)]; "
    "from s2c_blender.pytorch.released import main; main(sys.argv[2:])"
)

Tell = Callable[[str, float], None]  # stage, 0 to 1


class Progress:
    """What the `model` commands tell, as progress only."""

    def __init__(self, on_progress: Tell):
        self._on_progress = on_progress

    def __call__(self, stage: str, fraction: float) -> None:
        self._on_progress(stage, fraction)

    def line(self, text: str) -> None:
        """Lines are the report's, which callers have anyway."""


def download(folder: Path, *, online: bool, on_progress: Tell) -> None:
    """Fetch the published checkpoints into `folder`, as `model download` does; on_progress may raise Cancelled."""
    arguments = commands.parser().parse_args(["download", str(folder)])
    commands.run(arguments, {}, Progress(on_progress), online=online)


def convert(
    release: Path,
    model: Path,
    *,
    half: bool,
    on_progress: Tell,
    interpreter: str | None = None,
    python_args: Iterable[str] = (),
    search_paths: Iterable[str] = (),
) -> dict:
    """Make the folder `model` of the checkpoints in `release`, as `model import` does, in a process of its own.

    Returns the command's report. on_progress is called several times a second and may raise Cancelled. UserError.
    """
    paths = json.dumps([[str(PACKAGE_ROOT)], list(search_paths)])
    words = ["import", str(release), str(model), *(["--half"] if half else [])]
    command = [interpreter or sys.executable, *python_args, "-u", "-c", _START, paths, *words]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise UserError(f"The Python {command[0]} cannot be started ({error.strerror}).", ENVIRONMENT) from error
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    try:
        return _follow(process, lines, on_progress)
    finally:
        _end(process)
        for left in model.absolute().parent.glob(f".{model.name}.*.part"):
            shutil.rmtree(left, ignore_errors=True)


def _follow(process: subprocess.Popen, lines: queue.Queue, on_progress: Tell) -> dict:
    stage, fraction = "starting", 0.0
    while True:
        on_progress(stage, fraction)
        try:
            line = lines.get(timeout=0.25)
        except queue.Empty:
            continue
        if line is None:
            raise UserError(
                f"The process that converts the model ended unexpectedly (exit code {process.wait()}), often because "
                "the memory ran out: close other programs and try again.",
                ENVIRONMENT,
            )
        try:
            told = json.loads(line)
        except ValueError:  # not the process's own words
            continue
        if "report" in told:
            return told["report"]
        if "error" in told:
            raise UserError(told["error"], told["exit_code"])
        stage, fraction = told["stage"], told["fraction"]


def _read(stream, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen) -> None:
    process.stdin.close()  # asks it to end
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(words: list[str]) -> None:
    """The child's side: one `model` command, told in JSON lines; ends, tidied up, when the parent closes the pipe."""
    import _thread

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answers

    def answer(message: dict) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    def watch() -> None:
        sys.stdin.read()
        _thread.interrupt_main()

    report: dict = {}
    try:
        threading.Thread(target=watch, daemon=True).start()
        tell = Progress(lambda stage, fraction: answer({"stage": stage, "fraction": fraction}))
        commands.run(commands.parser().parse_args(words), report, tell, online=False)
    except UserError as error:
        answer({"error": str(error), "exit_code": error.exit_code})
    except (KeyboardInterrupt, Cancelled, BrokenPipeError):
        os._exit(CANCELLED)
    else:
        answer({"report": report})
