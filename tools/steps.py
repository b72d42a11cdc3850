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


class StepFailed(Exception):
    """A step did not work; the message is one sentence for the person at the terminal."""


def say(text: str) -> None:
    """Print one line of progress with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)


def succeeds(command: Sequence[str | Path], env: Mapping[str, str] | None = None, timeout: float | None = None) -> bool:
    """Run in the repository with its output shown. False when it fails or takes longer than `timeout` seconds."""
    try:
        done = subprocess.run(
            [str(c) for c in command],
            cwd=REPO,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        say(f"took longer than {timeout:.0f} s and was stopped: {shlex.join(str(c) for c in command)}")
        return False
    return done.returncode == 0


def quietly(command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run in the repository with the output appended to `log`; on failure show its end and raise StepFailed."""
    words = [str(c) for c in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(f"$ {shlex.join(words)}\n".encode())
        stream.flush()
        done = subprocess.run(
            words,
            cwd=REPO,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-20:]
        print("\n".join(f"    {line}" for line in tail), file=sys.stderr, flush=True)
        raise StepFailed(f"`{shlex.join(words)}` failed (exit code {done.returncode}); everything it said is in {log}.")
