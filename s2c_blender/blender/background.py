# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work that is not the worker's, in a thread beside Blender: downloads, unpacking, looking at a Python.

One at a time. What it does must not touch Blender's data; what follows on that does, in the main thread.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import bpy

from ..errors import Cancelled, UserError

INTERVAL_S = 0.2

Tell = Callable[[str, float], None]  # stage, 0 to 1; raises Cancelled
Action = Callable[[Tell], object]


@dataclass
class Told:
    """The last sentence, shown below the buttons of `topic` until the next task begins there."""

    topic: str
    sentence: str
    good: bool


class Task:
    """Work in a thread."""

    def __init__(self, topic: str, label: str, action: Action, then: Callable[[object], str]):
        self.topic, self.label = topic, label
        self.stage, self.fraction = "", 0.0
        self._action, self._then = action, then
        self._stopped = threading.Event()
        self._result: object = None
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)  # Blender may quit meanwhile

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Stop it soon; harmless when it has ended."""
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended within that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def finish(self) -> Told:
        """In the main thread, after the end: what follows, and the sentence for people."""
        try:
            if self._problem:
                raise self._problem
            return Told(self.topic, self._then(self._result), True)
        except UserError as error:
            return Told(self.topic, str(error), False)
        except Cancelled:
            return Told(self.topic, "Cancelled. What was downloaded so far is kept for the next time.", False)

    def _tell(self, stage: str, fraction: float) -> None:
        if self._stopped.is_set():
            raise Cancelled
        self.stage, self.fraction = stage, fraction

    def _run(self) -> None:
        try:
            self._result = self._action(self._tell)
        except BaseException as problem:  # told, or raised again, in the main thread
            self._problem = problem


@dataclass
class State:
    """What the preferences show."""

    task: Task | None = None
    told: Told | None = None


state = State()
PYTORCH = "pytorch"  # the topic of tasks that change the packages a worker loads


def worker_waits() -> str:
    """Why no worker may start now, "" when one may."""
    if state.task and state.task.topic == PYTORCH:
        return "PyTorch is being installed or removed: wait, or cancel that in the preferences"
    return ""


def run(topic: str, label: str, action: Action, then: Callable[[object], str]) -> None:
    """Do `action` beside Blender, then call `then` with its result, which returns a sentence for people.

    Without windows it is done when this returns; UserError when it failed.
    """
    state.task, state.told = Task(topic, label, action, then), None
    state.task.start()
    if bpy.app.background:
        state.task.wait()
        _end()
        if not state.told.good:
            raise UserError(state.told.sentence)
        return
    bpy.app.timers.register(_follow, first_interval=INTERVAL_S, persistent=True)
    redraw()


def _follow() -> float | None:
    if not state.task:  # the extension was disabled
        return None
    if state.task.wait(0.0):
        _end()
    redraw()
    return INTERVAL_S if state.task else None


def _end() -> None:
    task, state.task = state.task, None
    state.told = task.finish()


def redraw() -> None:
    """Have the preferences drawn again, wherever they are shown."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


def unregister() -> None:
    """End what runs."""
    if state.task:
        state.task.cancel()
        state.task.wait(2.0)
    state.task = state.told = None
    if bpy.app.timers.is_registered(_follow):
        bpy.app.timers.unregister(_follow)
