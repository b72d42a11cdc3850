# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The button that looks whether everything works here, and tells in a list what to do where it does not."""

import textwrap
import threading
from dataclasses import dataclass, field

import bpy

from ..errors import Cancelled, UserError
from ..self_check import Finding, check
from ..worker import end_idle
from . import background
from .batch import worker_options
from .button import Button, redraw
from .orders import absolute
from .preferences import cache_folder, preferences

WIDTH = 100  # characters in a line of the pop-up
OPENS = "Self-check: looking at"


def options(context: bpy.types.Context) -> dict:
    """What `check` is told of this Blender and its preferences; UserError where these do not add up."""
    chosen = preferences(context)
    return worker_options(absolute(chosen.interpreter)) | {
        "blender": bpy.app.version,
        "cache": cache_folder(context),
        "model": absolute(chosen.model_folder),
        "device": chosen.device.lower(),
        "backend": chosen.backend.lower(),
    }


@dataclass
class Looking:
    """A check that runs in a thread."""

    how: dict
    name: str = ""
    fraction: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    error: BaseException | None = None
    unwanted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it; returns when its worker has ended."""
        self.unwanted.set()
        self._thread.join()

    def _look(self) -> None:
        try:
            self.findings = check(**self.how, on_progress=self._told)
        except BaseException as error:  # told in the main thread
            self.error = error

    def _told(self, name: str, fraction: float) -> None:
        if self.unwanted.is_set():
            raise Cancelled
        self.name, self.fraction = name, fraction


_looking: Looking | None = None
_timers: list[bpy.types.Timer] = []  # of the operator that runs, for unregister to remove


def running() -> str:
    """Why nothing may change what a worker loads, "" when it may."""
    return "The self-check is running: wait, or cancel with Esc" if _looking else ""


class PIANO_HANDS_OT_self_check(Button, bpy.types.Operator):
    """Look whether everything works: versions, PyTorch, device, model, cache, and two seconds of music are played"""

    bl_idname = "piano_hands.self_check"
    bl_label = "Self-Check"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return running() or super().disabled_reason(context) or background.worker_waits()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        global _looking
        try:
            _looking = Looking(options(context))
        except UserError as error:
            self.report({"WARNING"}, str(error))
            return {"CANCELLED"}
        manager = context.window_manager
        manager.progress_begin(0, 100)
        _timers.append(manager.event_timer_add(0.1, window=context.window))
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not _looking:  # the extension was disabled
            return {"CANCELLED"}
        if event.type == "ESC" and event.value == "PRESS":
            tidy_up()
            self.report({"WARNING"}, "The self-check was cancelled")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if _looking.running:
            context.workspace.status_text_set(f"{OPENS} {_looking.name}    [Esc] Cancel")
            context.window_manager.progress_update(int(_looking.fraction * 100))
            return {"PASS_THROUGH"}
        done = _looking
        tidy_up()
        redraw()
        if done.error:
            raise done.error
        self._tell(done.findings)
        found = done.findings
        context.window_manager.popup_menu(lambda menu, _: _list(menu.layout, found), title=summary(found))
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Scripts and background mode: blocks, and tells in the log."""
        try:
            self._tell(check(**options(context)))
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: a file is loaded, or the window closed."""
        tidy_up()

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.report({"INFO" if finding.ok else "WARNING"}, str(finding))
        self.report({"INFO" if all(finding.ok for finding in findings) else "WARNING"}, summary(findings))


def summary(findings: list[Finding]) -> str:
    """All findings in a few words."""
    bad = sum(not finding.ok for finding in findings)
    return f"Self-check: {bad} problem{'s' * (bad > 1)}" if bad else "Self-check: everything works"


def _list(layout: bpy.types.UILayout, findings: list[Finding]) -> None:
    """Problems first, each with what to do."""
    for finding in sorted(findings, key=lambda finding: finding.ok):
        icon = "CHECKMARK" if finding.ok else "ERROR"
        for line in textwrap.wrap(f"{finding.name}: {finding.told} {finding.cure}", WIDTH):
            layout.label(text=line, icon=icon)
            icon = "BLANK1"


def tidy_up() -> None:
    """End a running check, and take its words out of the window."""
    global _looking
    looking, _looking = _looking, None
    if looking:
        looking.stop()
    if not _timers:
        return
    manager = bpy.context.window_manager
    while _timers:
        manager.event_timer_remove(_timers.pop())
    manager.progress_end()
    for workspace in bpy.data.workspaces:
        workspace.status_text_set(None)


def register() -> None:
    bpy.utils.register_class(PIANO_HANDS_OT_self_check)


def unregister() -> None:
    tidy_up()
    end_idle()  # on Windows an extension whose files are in use cannot be updated or removed
    bpy.utils.unregister_class(PIANO_HANDS_OT_self_check)
