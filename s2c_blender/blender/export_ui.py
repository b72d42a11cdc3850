# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel "Export" and its buttons. The panel's settings are what the file browser begins with."""

from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT, Score
from ..errors import UserError
from ..outputs import one_sentence
from . import apply, export, preview, takes
from .button import Button, NeedsTake, shown_rig
from .export_sample import RANGE, TAKE, TIMELINE
from .panel import MAIN, Sidebar, in_sidebars
from .translations import OURS

_HANDS = {"BOTH": (LEFT, RIGHT), "LEFT": (LEFT,), "RIGHT": (RIGHT,)}
_NAMES = {LEFT: "left", RIGHT: "right"}


class ExportOptions:
    """Properties of both the panel and the buttons."""

    preset: EnumProperty(
        name="Preset",
        items=(
            ("GENERIC", "Generic", "Metres, Y up, an armature for each hand: for Blender, Maya and the like"),
            ("UNREAL", "Unreal", "Centimetres, Z up, X forward, one skeleton with a root bone"),
            ("UNITY", "Unity", "Metres, Y up, one skeleton with a root bone"),
        ),
        description="Axes and unit of FBX files, and what skeletons there are",
        translation_context=OURS,
    )
    skeleton: EnumProperty(
        name="Skeleton",
        items=(
            ("PRESET", "As Preset", "What the preset's program expects"),
            ("ONE", "One for All", "Hands and keys are bones of one skeleton"),
            ("EACH", "One a Hand", "An armature for each hand; keys are objects"),
        ),
        description="Whether both hands belong to one skeleton",
    )
    hands: EnumProperty(
        name="Hands",
        items=(
            ("BOTH", "Both", "Both hands in one file"),
            ("LEFT", "Left", "Only the left hand"),
            ("RIGHT", "Right", "Only the right hand"),
            ("EACH", "A File Each", "Two files, with _left and _right added to the name"),
        ),
        description="Which hands to write",
        translation_context=OURS,
    )
    time: EnumProperty(
        name="Time 0",
        items=(
            (TIMELINE, "Frame 0", "Times are those of the scene's timeline, over the scene's frame range"),
            (RANGE, "First Frame", "The scene's frame range, beginning at time 0"),
            (TAKE, "Music", "The active take, time 0 being where its music begins, wherever it is on the timeline"),
        ),
        description="What time 0 of the file is",
    )
    rate: FloatProperty(
        name="Frame Rate",
        description="Frames a second of the file; 0 for those of the scene",
        default=0.0,
        min=0.0,
        soft_max=120.0,
        max=1000.0,
    )
    mesh: BoolProperty(
        name="Meshes",
        description="Also export skin and sleeves, not only the bones",
        default=True,
        translation_context=OURS,
    )
    piano: BoolProperty(
        name="Keys and Pedal", description="Also export the keyboard and the pedal, which makes the file larger"
    )


class PianoHandsExport(ExportOptions, bpy.types.PropertyGroup):
    """What the panel has set for the next export."""


class _ExportHands(Button, ExportHelper, ExportOptions):
    """Writes the keyed or previewed hands, with one of Blender's exporters."""

    write: Callable[..., None]

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        piano = context.scene.piano_hands.rig
        if not piano:
            return "There is no rig to export: generate hands first"
        moving = preview.is_shown(piano) or any(_is_keyed(o) for o in piano.children if o.type == "ARMATURE")
        return "" if moving else "The hands have no keyframes yet: press Insert Keyframes or Generate first"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        for name in ExportOptions.__annotations__:
            setattr(self, name, getattr(context.scene.piano_hands_export, name))
        return super().invoke(context, event)

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        _draw_options(self.layout, self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            found = shown_rig(context) or apply.wanted_rig(context.scene)
            written = []
            for target, hands in self._files(path):
                type(self).write(found, context.scene, target, self._options(context, hands))
                written.append(target.name)
        except UserError as error:
            return self.refuse(error)
        self.report({"INFO"}, f"Exported {' and '.join(written)}")
        return {"FINISHED"}

    def _files(self, path: Path) -> list[tuple[Path, tuple[int, ...]]]:
        if self.hands != "EACH":
            return [(path, _HANDS[self.hands])]
        return [(path.with_stem(f"{path.stem}_{name}"), (side,)) for side, name in _NAMES.items()]

    def _options(self, context: bpy.types.Context, hands: tuple[int, ...]) -> export.Options:
        take, span = takes.active(context.scene), None
        if self.time == TAKE:
            if not take:
                raise UserError("Nothing was generated in this scene: choose Frame 0 or First Frame as time 0.")
            span = (take.frame, takes.motion_of(take).duration)
        single = None if self.skeleton == "PRESET" else self.skeleton == "ONE"
        return export.Options(self.preset, hands, single, self.mesh, self.piano, self.rate or None, self.time, span)


def _is_keyed(obj: bpy.types.Object) -> bool:
    data = obj.animation_data
    return bool(data and (data.action or any(track.strips for track in data.nla_tracks)))


class PIANO_HANDS_OT_export_fbx(_ExportHands, bpy.types.Operator):
    """Write the hands to an FBX file for a game engine or another program"""

    bl_idname = "piano_hands.export_fbx"
    bl_label = "Export FBX"
    write = export.export_fbx
    filename_ext = ".fbx"
    filter_glob: StringProperty(default="*.fbx", options={"HIDDEN"})


class PIANO_HANDS_OT_export_gltf(_ExportHands, bpy.types.Operator):
    """Write the hands to a binary glTF file"""

    bl_idname = "piano_hands.export_gltf"
    bl_label = "Export glTF"
    write = export.export_gltf
    filename_ext = ".glb"
    filter_glob: StringProperty(default="*.glb", options={"HIDDEN"})


class PIANO_HANDS_OT_export_usd(_ExportHands, bpy.types.Operator):
    """Write the hands to a USD file"""

    bl_idname = "piano_hands.export_usd"
    bl_label = "Export USD"
    write = export.export_usd
    filename_ext = ".usdc"
    filter_glob: StringProperty(default="*.usdc", options={"HIDDEN"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if not export.has_usd():
            return "This build of Blender cannot write USD: use the one from blender.org"
        return super().disabled_reason(context)


class PIANO_HANDS_OT_export_bvh(_ExportHands, bpy.types.Operator):
    """Write the bones to a BVH motion file, without meshes"""

    bl_idname = "piano_hands.export_bvh"
    bl_label = "Export BVH"
    write = export.export_bvh
    filename_ext = ".bvh"
    filter_glob: StringProperty(default="*.bvh", options={"HIDDEN"})


class _ExportTake(NeedsTake, ExportHelper):
    """Writes the active take's data; the scene has no part in it."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            with one_sentence(path):
                self.save(takes.motion_of(takes.active(context.scene)), path)
        except UserError as error:
            return self.refuse(error)
        self.report({"INFO"}, f"Exported {path.name}")
        return {"FINISHED"}


class PIANO_HANDS_OT_export_motion(_ExportTake, bpy.types.Operator):
    """Write the active take's motion as arrays for NumPy: both hands, notes, keys and pedal"""

    bl_idname = "piano_hands.export_motion"
    bl_label = "Export Motion"
    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})

    def save(self, motion: HandMotion, path: Path) -> None:
        motion.save(path)


class PIANO_HANDS_OT_export_midi(_ExportTake, bpy.types.Operator):
    """Write the notes that the active take plays as a MIDI file, with a track for each hand"""

    bl_idname = "piano_hands.export_midi"
    bl_label = "Export MIDI"
    filename_ext = ".mid"
    filter_glob: StringProperty(default="*.mid;*.midi", options={"HIDDEN"})

    def save(self, motion: HandMotion, path: Path) -> None:
        from ..audio.midi import write_midi  # brings mido, which start-up can do without

        write_midi(Score(motion.notes, motion.pedal), path)


def _draw_options(layout: bpy.types.UILayout, options: ExportOptions) -> None:
    for name in ExportOptions.__annotations__:
        layout.prop(options, name)


class _Export(Sidebar):
    bl_label = "Export"
    bl_translation_context = OURS
    bl_order = 6
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.split_layout()
        _draw_options(layout, context.scene.piano_hands_export)
        column = layout.column(align=True)
        for names in (("fbx", "gltf"), ("usd", "bvh"), ("motion", "midi")):
            row = column.row(align=True)
            for name in names:
                row.operator(f"piano_hands.export_{name}")


CLASSES = (
    PianoHandsExport,
    PIANO_HANDS_OT_export_fbx,
    PIANO_HANDS_OT_export_gltf,
    PIANO_HANDS_OT_export_usd,
    PIANO_HANDS_OT_export_bvh,
    PIANO_HANDS_OT_export_motion,
    PIANO_HANDS_OT_export_midi,
    *in_sidebars(f"{MAIN}_export", _Export),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.piano_hands_export = PointerProperty(type=PianoHandsExport)


def unregister() -> None:
    del bpy.types.Scene.piano_hands_export
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
