# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons beside Generate; the work is done by plain functions."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..errors import UserError
from . import apply, job, takes
from .button import Button, look_at, redraw, shown_rig
from .export import export_fbx
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


class PIANO_HANDS_OT_export_fbx(Button, ExportHelper, bpy.types.Operator):
    """Write the keyed hands to an FBX file for a game engine or another program, over the scene's frame range"""

    bl_idname = "piano_hands.export_fbx"
    bl_label = "Export FBX"

    filename_ext = ".fbx"
    filter_glob: StringProperty(default="*.fbx", options={"HIDDEN"})
    piano: BoolProperty(
        name="Piano", description="Also export the keyboard and the pedal, which makes the file larger", default=False
    )

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        piano = context.scene.piano_hands.rig
        if not piano:
            return "There is no rig to export: generate hands first"
        hands = [child for child in piano.children if child.type == "ARMATURE"]
        keyed = any(hand.animation_data and hand.animation_data.action for hand in hands)
        return "" if keyed else "The hands have no keyframes yet: press Insert Keyframes or Generate first"

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            found = shown_rig(context) or apply.wanted_rig(context.scene)
            export_fbx(found, context.scene, path, piano=self.piano)
        except UserError as error:
            return self.refuse(error)
        self.report({"INFO"}, f"Exported {path.name}")
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
    PIANO_HANDS_OT_export_fbx,
    PIANO_HANDS_OT_show_preferences,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
