# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all buttons share: one method that says why a button cannot be pressed now, and how a refusal is shown."""

from math import radians

import bpy
from mathutils import Euler

from ..errors import UserError
from . import job, takes
from .rig import Rig, rig_of

FROM_THE_PLAYER = Euler((radians(48), 0.0, radians(-20))).to_quaternion()


class Button:
    """Greyed out with a reason."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = cls.disabled_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Why the button cannot be pressed, "" when it can."""
        return "The hands are being made: wait, or cancel with Esc" if job.state.run else ""

    def refuse(self, error: UserError) -> set[str]:
        """Report the sentence; the panel shows it too."""
        job.fail(error)
        redraw()
        # Scripts get an exception. A pressed button gets no pop-up, which would cover the panel's sentence and cure.
        pressed = self.options.is_invoke and not bpy.app.background
        self.report({"WARNING" if pressed else "ERROR"}, str(error))
        return {"CANCELLED"}


class NeedsTake(Button):
    """For what is done with the active take."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        if not takes.active(context.scene):
            return "Nothing was generated in this scene yet"
        return "The scene is linked from another file and cannot be changed" if context.scene.library else ""


def redraw() -> None:
    """Have every sidebar drawn again, in all windows; the viewports themselves may be slow to draw."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type in {"VIEW_3D", "SEQUENCE_EDITOR"} else ():
                if region.type == "UI":
                    region.tag_redraw()


def shown_rig(context: bpy.types.Context) -> Rig | None:
    """The rig last generated on or chosen, None when it was deleted; UserError when it is broken."""
    piano = context.scene.piano_hands.rig
    return rig_of(piano) if piano and context.scene.objects.get(piano.name) == piano else None


def look_at(context: bpy.types.Context, piano: bpy.types.Object) -> None:
    """Bring the rig into view and select it, so that nobody has to search for it."""
    if context.mode == "OBJECT" and piano.name in context.view_layer.objects:
        for obj in context.selected_objects:
            obj.select_set(False)
        piano.select_set(True)
        context.view_layer.objects.active = piano
    for area in context.screen.areas if context.screen else ():
        if area.type == "VIEW_3D" and area.spaces.active.region_3d.view_perspective != "CAMERA":
            view = area.spaces.active.region_3d
            view.view_location = piano.location
            view.view_rotation = FROM_THE_PLAYER
            view.view_distance = 1.2  # m: the middle of the keyboard
            area.spaces.active.overlay.show_relationship_lines = False  # 88 of them would cover the keys
