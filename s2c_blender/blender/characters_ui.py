# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Character": which bones of the selected armature are which joints, and the button that keys it."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..core.bone_names import ARM, PARTS
from ..core.notes import LEFT, RIGHT
from ..errors import UserError
from . import apply, character_mapping, characters, takes
from .button import Button, NeedsTake, redraw, shown_rig
from .panel import MAIN, Sidebar, in_sidebars, sentence
from .properties import is_piano

_items: list[tuple[str, str, str]] = []  # Blender does not keep the strings of items made while drawing


def _armature(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active armature; the one that a chosen mesh belongs to will do."""
    obj = context.object
    if obj and obj.type == "MESH":
        obj = obj.find_armature()
    return obj if obj and obj.type == "ARMATURE" else None


class _NeedsArmature(Button):
    """For a character."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        armature = _armature(context)
        if not armature:
            return "Select the armature of your character first"
        if armature.parent and is_piano(armature.parent):
            return "This is a hand of the rig itself: select your own character"
        if armature.library and not armature.override_library:
            return "The character is linked: make a library override of it (Object > Library Override > Make)"
        return ""


class PIANO_HANDS_OT_detect_bones(_NeedsArmature, bpy.types.Operator):
    """Find the bones of the character's hands by their names: Rigify, Mixamo, Unreal, VRM, SMPL-X and MANO"""

    bl_idname = "piano_hands.detect_bones"
    bl_label = "Detect Bones"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            found = character_mapping.detect(context.scene, _armature(context))
        except UserError as error:
            return self.refuse(error)
        joints = sum(part not in ARM for parts in found.bones.values() for part in parts)
        self.report({"INFO"}, f"{found.convention}: {joints} of {16 * max(len(found.bones), 1)} joints found")
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_key_character(_NeedsArmature, NeedsTake, bpy.types.Operator):
    """Key the active take on the character, fingertips on the keys; its own action goes on below, on an NLA track"""

    bl_idname = "piano_hands.key_character"
    bl_label = "Key Character"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        armature, scene = _armature(context), context.scene
        take = takes.active(scene)
        try:
            rig = shown_rig(context) or apply.wanted_rig(scene)
            if not any(character_mapping.mapping(scene, armature).values()):
                character_mapping.detect(scene, armature)
            keyed = characters.key_character(
                armature,
                character_mapping.mapping(scene, armature),
                rig.piano,
                takes.motion_of(take),
                scene,
                take.frame,
                name=take.name,
                uid=take.uid,
            )
        except UserError as error:
            return self.refuse(error)
        character_mapping.kept(scene, armature).told = "\n".join(keyed.remarks)
        level = "WARNING" if keyed.off else "INFO"
        self.report(
            {level},
            f"{keyed.action}: {keyed.notes - keyed.off} of {keyed.notes} notes meet their keys, "
            f"{keyed.mean * 1e3:.1f} mm off on average",
        )
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_save_mapping(_NeedsArmature, bpy.types.Operator):
    """Save the chosen bones for other characters with the same names"""

    bl_idname = "piano_hands.save_mapping"
    bl_label = "Save Mapping"

    name: StringProperty(name="Name", description="Name of the preset; one with the same name is replaced")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        armature = _armature(context)
        kept = character_mapping.kept(context.scene, armature)
        self.name = self.name or (kept.convention if kept else "") or armature.name
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            path = character_mapping.save_preset(
                self.name, character_mapping.mapping(context.scene, _armature(context))
            )
        except UserError as error:
            return self.refuse(error)
        self.report({"INFO"}, f"Saved {path.stem}")
        return {"FINISHED"}


def _presets(self, context: bpy.types.Context) -> list[tuple[str, str, str]]:
    _items[:] = [(name, name, "") for name in character_mapping.presets()]
    return _items


class _NeedsPreset(_NeedsArmature):
    """For a saved mapping."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        return "" if character_mapping.presets() else "No mapping was saved yet"


class PIANO_HANDS_OT_load_mapping(_NeedsPreset, bpy.types.Operator):
    """Choose the bones as a saved mapping has them"""

    bl_idname = "piano_hands.load_mapping"
    bl_label = "Load Mapping"
    bl_options = {"REGISTER", "UNDO"}
    bl_property = "preset"

    preset: EnumProperty(name="Mapping", items=_presets)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.invoke_search_popup(self)
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            gone = character_mapping.load_preset(self.preset, context.scene, _armature(context))
        except UserError as error:
            return self.refuse(error)
        if gone:
            self.report({"WARNING"}, f"{len(gone)} bones of the mapping are not there: {', '.join(gone)}")
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_remove_mapping(_NeedsPreset, bpy.types.Operator):
    """Delete a saved mapping; characters keep their bones"""

    bl_idname = "piano_hands.remove_mapping"
    bl_label = "Delete Saved Mapping"
    bl_property = "preset"

    preset: EnumProperty(name="Mapping", items=_presets)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.invoke_search_popup(self)
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            character_mapping.remove_preset(self.preset)
        except UserError as error:
            return self.refuse(error)
        return {"FINISHED"}


class _Character(Sidebar):
    bl_label = "Character"
    bl_order = 8
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.split_layout()
        armature = _armature(context)
        if not armature:
            sentence(layout, context, "Select the armature of your own character to have its hands play.", "INFO")
            return
        kept = character_mapping.kept(context.scene, armature)
        found = (kept.convention or "bones chosen by hand") if kept else "no bones yet"
        layout.label(text=f"{armature.name}: {found}", icon="ARMATURE_DATA")
        row = layout.row(align=True)
        row.operator("piano_hands.detect_bones", icon="VIEWZOOM")
        row.operator("piano_hands.load_mapping", text="", icon="FILE_FOLDER")
        row.operator("piano_hands.save_mapping", text="", icon="FILE_TICK")
        row.operator("piano_hands.remove_mapping", text="", icon="TRASH")
        row = layout.row()
        row.scale_y = 1.3
        row.operator("piano_hands.key_character", icon="KEYINGSET")
        if not kept:
            return
        if kept.told:
            box = layout.box()
            for line in kept.told.splitlines():
                sentence(box, context, line, "INFO")
        for side in (LEFT, RIGHT):
            _draw_bones(layout, kept, armature, side)


def _draw_bones(layout: bpy.types.UILayout, kept, armature: bpy.types.Object, side: int) -> None:
    header, body = layout.panel(f"piano_hands_bones_{side}", default_closed=True)
    header.label(text=f"{characters.SIDES[side].capitalize()} Hand")
    if body:
        column = body.column(align=True)
        for part in PARTS:
            name = character_mapping.field(side, part)
            column.prop_search(kept, name, armature.data, "bones", icon="BONE_DATA")


CLASSES = (
    PIANO_HANDS_OT_detect_bones,
    PIANO_HANDS_OT_key_character,
    PIANO_HANDS_OT_save_mapping,
    PIANO_HANDS_OT_load_mapping,
    PIANO_HANDS_OT_remove_mapping,
    *in_sidebars(f"{MAIN}_character", _Character),
)


def register() -> None:
    character_mapping.register()
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    character_mapping.unregister()
