# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line tells, and how it is told to stop: progress, reports, signals."""

import json
import os
import signal
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ..errors import CANCELLED

GRACE = 5.0  # s between asking a process to end and ending it


class Teller:
    """Progress as lines on stderr (each stage, and its percentages as they come, at most one line a second).

    `level` is how much of it, of arguments.LOG_LEVELS. On `stream`, the report's, go JSON lines and, with `openjd`,
    what Open Job Description runners read: openjd_progress in percent, openjd_status, openjd_fail.
    """

    def __init__(self, level: str, stream: TextIO, openjd: bool = False):
        self.level = level
        self.span = (0.0, 1.0)  # which part of the whole the coming stages are
        self._stream = stream
        self._openjd = openjd
        self._lock = threading.Lock()
        self._last = ("", "", 0.0)  # stage, percentage, when

    def __call__(self, stage: str, fraction: float) -> None:
        now, percent = time.monotonic(), f"{fraction:.0%}"
        stage_before, percent_before, when = self._last
        if stage != stage_before or (percent != percent_before and now - when >= 1.0):
            first, last = self.span
            self.farm(progress=first + (last - first) * fraction, status=stage if stage != stage_before else None)
            self._last = (stage, percent, now)
            self.line(f"{stage} ... {percent}")

    def line(self, text: str) -> None:
        """A line of progress on stderr."""
        if self.level in ("info", "debug"):
            print(text, file=sys.stderr, flush=True)

    def warning(self, text: str) -> None:
        """A warning on stderr."""
        if self.level != "error":
            print(f"Warning: {text}", file=sys.stderr, flush=True)

    def result(self, result: dict) -> None:
        """A JSON line on stdout."""
        with self._lock:
            print(json.dumps(result), file=self._stream, flush=True)

    def farm(self, *, progress: float | None = None, status: str | None = None, fail: str | None = None) -> None:
        """The same for an Open Job Description runner, when asked for; progress from 0 to 1."""
        if not self._openjd:
            return
        told = {"progress": None if progress is None else f"{100 * progress:.1f}", "status": status, "fail": fail}
        with self._lock:
            for kind, text in told.items():
                if text is not None:
                    print(f"openjd_{kind}: {text}", file=self._stream, flush=True)


@contextmanager
def report_stream() -> Iterator[TextIO]:
    """The real stdout, for the report; meanwhile all else printed there goes to stderr (Blender prints a lot)."""
    sys.stdout.flush()
    if sys.stdout is not sys.__stdout__:  # a caller replaced it, as test runners do
        yield sys.stdout
        return
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM cancels as Ctrl-C does, so that half-written files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal, _frame) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def end_with_parent() -> None:
    """Cancel when stdin closes, because the process that started this one is gone or wants it to end."""

    def watch() -> None:
        while os.read(0, 1):  # sys.stdin must not be held by a thread when Python ends
            continue
        if hasattr(signal, "pthread_kill"):  # wakes it from waiting, too
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        else:
            interrupt_main(signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(CANCELLED)

    threading.Thread(target=watch, daemon=True).start()
