# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders, one line of progress a step, and running programs."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BUILD = REPO / "build"
STARTED = time.monotonic()
TIMED_OUT = 124  # exit code, as timeout(1) gives

# Everything the project's commands keep stays inside the clone.
INSIDE_CLONE = {
    "BLENDER_USER_RESOURCES": str(BUILD / "blender-user"),
    "XDG_CACHE_HOME": str(BUILD / "cache"),
}


class StepFailed(Exception):
    """A step did not work; the message is one sentence for the person at the terminal."""


def say(text: str) -> None:
    """Print one line of progress with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)


def shown(path: Path) -> str:
    """A path as people like to read it: relative to the repository where possible."""
    return str(path.relative_to(REPO)) if path.is_relative_to(REPO) else str(path)


def exit_code(command: Sequence[str | Path], timeout: float | None = None, stdout: Path | None = None) -> int:
    """Run in the repository with its output shown (standard output to the file `stdout` if given); its exit code."""
    words = [str(c) for c in command]
    stream = stdout.open("wb") if stdout else None
    try:
        environment = {**os.environ, **INSIDE_CLONE}
        done = subprocess.run(
            words, cwd=REPO, env=environment, stdin=subprocess.DEVNULL, stdout=stream, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        say(f"took longer than {timeout:.0f} s and was stopped: {shlex.join(words)}")
        return TIMED_OUT
    finally:
        if stream:
            stream.close()
    return done.returncode


def quietly(command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run in the repository with the output appended to `log`; on failure show its end and raise StepFailed."""
    words = [str(c) for c in command]
    environment = {**os.environ, **(env or {})}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(f"$ {shlex.join(words)}\n".encode())
        stream.flush()
        done = subprocess.run(
            words, cwd=REPO, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-20:]
        print("\n".join(f"    {line}" for line in tail), file=sys.stderr, flush=True)
        raise StepFailed(f"A step failed (exit code {done.returncode}); everything it said is in {shown(log)}.")
