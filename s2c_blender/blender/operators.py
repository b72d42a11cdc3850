# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons beside Generate; the work is done by plain functions."""

import bpy
from bpy.props import StringProperty

from ..errors import UserError
from . import apply, job, takes
from .button import Button, look_at, redraw
from .preferences import EXTENSION


class PIANO_HANDS_OT_add_rig(Button, bpy.types.Operator):
    """Add two hands and a piano with 88 keys to the scene; the next generation moves them"""

    bl_idname = "piano_hands.add_rig"
    bl_label = "Add Rig"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            look_at(context, apply.add_rig(context.scene).piano)
        except UserError as error:
            return self.refuse(error)
        job.state.trouble = None
        return {"FINISHED"}


class PIANO_HANDS_OT_choose_file(Button, bpy.types.Operator):
    """Choose an audio or MIDI file; the hands will play it instead of a sound strip"""

    bl_idname = "piano_hands.choose_file"
    bl_label = "Choose File"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(
        default="*.wav;*.flac;*.mp3;*.ogg;*.oga;*.opus;*.m4a;*.aac;*.aif;*.aiff;*.mp4;*.mov;*.mkv;*.mid;*.midi",
        options={"HIDDEN"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.piano_hands
        settings.source, settings.filepath = "FILE", self.filepath
        job.state.trouble = None
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_fit_range(Button, bpy.types.Operator):
    """Extend the scene's frame range so that playback and export reach the end of the music"""

    bl_idname = "piano_hands.fit_range"
    bl_label = "Extend Scene Range"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        if take := takes.active(scene):
            scene.frame_end = max(scene.frame_end, takes.range_of(take, scene)[1])
        return {"FINISHED"}


class PIANO_HANDS_OT_show_preferences(bpy.types.Operator):
    """Open this extension's preferences, where the Python with PyTorch is chosen"""

    bl_idname = "piano_hands.show_preferences"
    bl_label = "Open Preferences"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        bpy.ops.preferences.addon_show(module=EXTENSION)
        return {"FINISHED"}


CLASSES = (
    PIANO_HANDS_OT_add_rig,
    PIANO_HANDS_OT_choose_file,
    PIANO_HANDS_OT_fit_range,
    PIANO_HANDS_OT_show_preferences,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
