# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate, its sisters that change a take, and Cancel: modal operators that follow the worker."""

import bpy

from ..errors import UserError
from . import apply, background, job, orders
from .button import Button, NeedsTake, look_at, redraw
from .orders import Plan
from .source import source_name
from .translations import filled

_timers: list[bpy.types.Timer] = []  # of the operator that runs, for unregister to remove


class Generating(Button):
    """What all operators share that let the worker work."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return super().disabled_reason(context) or background.worker_waits()

    def plan(self) -> Plan | None:
        """What to order; None: the panel's music."""
        return None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            job.start(context, self.plan())
        except UserError as error:
            return self.refuse(error)
        manager = context.window_manager
        manager.progress_begin(0, 100)
        _timers.append(manager.event_timer_add(0.1, window=context.window))
        manager.modal_handler_add(self)
        context.workspace.status_text_set(filled("Piano hands are being made    [Esc] Cancel"))
        redraw()
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        run = job.state.run
        if not run:  # the Cancel button, or the extension was disabled
            return self._end({"CANCELLED"})
        # While something is played back, which watching invites to, Esc is Blender's key to stop that.
        playing = any(window.screen.is_animation_playing for window in context.window_manager.windows)
        if event.type == "ESC" and event.value == "PRESS" and not playing:
            self.report({"WARNING"}, job.cancel())
            return self._end({"CANCELLED"})
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            had_rig = self._rig_name(run)
            report = run.poll()
            if report is None:
                self._look_at_new_rig(context, run, had_rig)
                context.window_manager.progress_update(int(run.fraction * 100))
                redraw()
                return {"PASS_THROUGH"}
            self.report({"INFO"}, job.finish(report))
            if job.state.waiting:
                bpy.ops.ed.undo_push(message=self.bl_label)  # each take can be undone, and only it
            more = job.go_on(context, run.order.scene_uid)
        except UserError as error:
            self._end(set())
            return self.refuse(error)
        except BaseException:
            job.stop()
            self._end(set())
            raise
        self._look_at_new_rig(context, run, had_rig)
        if more:
            redraw()
            return {"PASS_THROUGH"}
        return self._end({"FINISHED"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Scripts and background mode: blocks until the hands are there."""
        try:
            self.report({"INFO"}, job.blocking(context, self.plan()))
        except UserError as error:
            return self.refuse(error)
        return {"FINISHED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: a file is loaded, or the window closed."""
        job.stop()
        self._end(set())

    @staticmethod
    def _rig_name(run: job.Run) -> str:
        piano = apply.find_scene(run.order.scene_uid).piano_hands.rig
        return piano.name if piano else ""

    @classmethod
    def _look_at_new_rig(cls, context: bpy.types.Context, run: job.Run, before: str) -> None:
        if context.scene.session_uid == run.order.scene_uid and before != cls._rig_name(run):
            look_at(context, context.scene.piano_hands.rig)

    @staticmethod
    def _end(result: set[str]) -> set[str]:
        tidy_up()
        return result


def tidy_up() -> None:
    """Stop the clock of a running generation, if there is one, and take its words out of the window."""
    if not _timers:
        return
    manager = bpy.context.window_manager
    while _timers:
        manager.event_timer_remove(_timers.pop())
    manager.progress_end()
    for workspace in bpy.data.workspaces:
        workspace.status_text_set(None)
    redraw()


class PIANO_HANDS_OT_generate(Generating, bpy.types.Operator):
    """Make both hands play the music; earlier keyframes of the hands stay in the file as actions"""

    bl_idname = "piano_hands.generate"
    bl_label = "Generate"
    bl_options = {"UNDO"}  # no REGISTER: "adjust last operation" would run it all again

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        if context.scene.library:
            return "The scene is linked from another file and cannot be changed"
        try:
            source_name(context)
        except UserError as error:
            return str(error).rstrip(".")
        return ""


class PIANO_HANDS_OT_regenerate(Generating, NeedsTake, bpy.types.Operator):
    """Make a new take with another seed in the frames of Options > Range; other frames and keys set by hand stay"""

    bl_idname = "piano_hands.regenerate"
    bl_label = "New Version"
    bl_options = {"UNDO"}

    def plan(self) -> Plan:
        return orders.anew(keep=False)


class PIANO_HANDS_OT_solve_keys(Generating, NeedsTake, bpy.types.Operator):
    """Make a new take that goes through the keys you changed by hand on the hands, and plays around them"""

    bl_idname = "piano_hands.solve_keys"
    bl_label = "Play around My Keys"
    bl_options = {"UNDO"}

    def plan(self) -> Plan:
        return orders.anew(keep=True)


class PIANO_HANDS_OT_cancel(bpy.types.Operator):
    """Stop making the hands; takes that are finished stay"""

    bl_idname = "piano_hands.cancel"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not job.state.run:
            cls.poll_message_set("Nothing is being made")
        return job.state.run is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        job.cancel()
        redraw()
        return {"FINISHED"}


CLASSES = (
    PIANO_HANDS_OT_generate,
    PIANO_HANDS_OT_regenerate,
    PIANO_HANDS_OT_solve_keys,
    PIANO_HANDS_OT_cancel,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    tidy_up()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
