# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`generate` in a process of its own, so that Blender stays responsive and never loads PyTorch.

The parent writes one JSON line, {"job": {...}, "result": "motion.npz"}, and keeps the pipe open: when it closes,
because Blender quit or crashed, the worker ends too. The worker answers in JSON lines: {"stage", "fraction"} many
times, then either {"report"} (the motion is in the result file) or {"error", "exit_code"}.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import CANCELLED, ENVIRONMENT, INPUT_FAILED, Cancelled, UserError

PACKAGE_ROOT = Path(__file__).parents[1]
GRACE = 2.0  # s between asking the worker to end and killing it
_START = (
    "import sys, json; first, last = json.loads(sys.argv[1]); sys.path[:0] = first; sys.path += last; "
    "from s2c_blender.worker import main; main()"
)


@dataclass(frozen=True)
class Told:
    """Progress: the stage's name and the fraction of the whole job done."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Done:
    """The motion file is written; `report` is generate's."""

    report: dict


@dataclass(frozen=True)
class Failed:
    """One sentence for the user; `log` is the end of what the worker printed."""

    sentence: str
    exit_code: int = INPUT_FAILED
    log: str = ""


Message = Told | Done | Failed


class Worker:
    """The parent's side: starts the process, hands over its messages without blocking, ends it.

    `interpreter` is a Python with the needed packages (default: this one); `search_paths` are folders of packages it
    may fall back on, such as an extension's wheels, which a new process does not see by itself.
    """

    def __init__(
        self,
        job,
        result: str | Path,
        *,
        interpreter: str | None = None,
        python_args: Iterable[str] = (),
        search_paths: Iterable[str] = (),
    ):
        self.finished = False
        self._messages: queue.Queue[Message | None] = queue.Queue()
        self._log: list[str] = []
        paths = json.dumps([[str(PACKAGE_ROOT)], list(search_paths)])
        command = [interpreter or sys.executable, *python_args, "-u", "-c", _START, paths]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise UserError(
                f"The Python interpreter {command[0]} cannot be started ({error.strerror}): "
                "correct it in the extension's preferences.",
                ENVIRONMENT,
            ) from error
        self._readers = [
            threading.Thread(target=self._read_messages, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._send({"job": asdict(job), "result": str(result)})

    def poll(self) -> list[Message]:
        """Messages since the last call; the last one of all is Done or Failed. Never blocks."""
        messages = []
        while not self.finished:
            try:
                messages.append(self._next(block=False))
            except queue.Empty:
                break
        return messages

    def wait(self, on_progress: Callable[[str, float], None] | None = None) -> dict:
        """Block until the end and return the report; UserError when it failed. An exception here ends the worker."""
        try:
            while True:
                message = self._next(block=True)
                if isinstance(message, Done):
                    return message.report
                if isinstance(message, Failed):
                    if message.exit_code == CANCELLED:
                        raise Cancelled
                    raise UserError(message.sentence, message.exit_code)
                if on_progress:
                    on_progress(message.stage, message.fraction)
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """End the worker now; returns within GRACE seconds. Harmless when it has ended already."""
        self.finished = True
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._close()

    @property
    def log(self) -> str:
        """The end of what the worker printed."""
        return "".join(self._log[-50:])

    def _next(self, block: bool) -> Message:
        message = self._messages.get(block)
        if message is None:
            message = self._died()
        if not isinstance(message, Told):
            self.finished = True
            self._process.wait()
            self._close()
        return message

    def _died(self) -> Failed:
        code = self._process.wait()
        self._readers[1].join(1.0)
        why = f"killed by signal {-code}, often because the memory ran out" if code < 0 else f"exit code {code}"
        last = next((line.strip() for line in reversed(self._log) if line.strip()), "")
        detail = f"{why}; {last}" if code > 0 and last else why
        return Failed(
            f"The worker process ended unexpectedly ({detail}): try again with a shorter part.", ENVIRONMENT, self.log
        )

    def _send(self, message: dict) -> None:
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:  # it ended at once; the reader tells why
            return

    def _read_messages(self) -> None:
        for line in self._process.stdout:
            told = json.loads(line)
            if "report" in told:
                self._messages.put(Done(told["report"]))
            elif "error" in told:
                self._messages.put(Failed(told["error"], told["exit_code"], self.log))
            else:
                self._messages.put(Told(told["stage"], told["fraction"]))
        self._messages.put(None)

    def _read_log(self) -> None:
        for line in self._process.stderr:
            self._log.append(line)
            del self._log[:-200]

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                pipe.close()
            except (OSError, ValueError):  # the other end is gone, or a reader holds it for its last line
                continue


def main() -> None:
    """The child's side."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answers

    def answer(message: dict) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        from .generate import Job, generate

        result = generate(Job(**order["job"]), lambda stage, fraction: answer({"stage": stage, "fraction": fraction}))
        result.motion.save(order["result"])
    except UserError as error:
        answer({"error": str(error), "exit_code": error.exit_code})
    except ImportError as error:
        sentence = f"The Python package {error.name} is missing in {sys.executable}: install it, or choose another one."
        answer({"error": sentence, "exit_code": ENVIRONMENT})
    except OSError as error:
        answer({"error": f"{error.filename or 'A file'} could not be written ({error.strerror}).", "exit_code": 1})
    else:
        answer({"report": result.report})


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(CANCELLED)
