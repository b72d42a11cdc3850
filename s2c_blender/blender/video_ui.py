# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Video": the falling-note roll and the cameras of the active take."""

import math

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, FloatVectorProperty, PointerProperty

from ..core.notes import LEFT, RIGHT
from ..errors import UserError
from . import apply, cameras, keying, roll, takes
from .button import Button, NeedsTake, redraw, shown_rig
from .panel import MAIN, Sidebar, in_sidebars
from .rig import Rig

_DEFAULT = roll.Style()
VIEWS = [
    ("OVERHEAD", "Overhead", "Straight from above, without perspective: bars stand exactly over their keys"),
    ("THREE_QUARTER", "Three-Quarter", "From the player's right shoulder"),
]


def _recolour(settings: "PianoHandsVideo", context: bpy.types.Context) -> None:
    for uid in roll.find(settings.id_data):
        roll.recolour(uid, settings.colours())


class PianoHandsVideo(bpy.types.PropertyGroup):
    """Settings of the roll and the cameras: `scene.piano_hands_video`."""

    seconds: FloatProperty(
        name="Seconds Ahead",
        description="How long before its key goes down a note comes into view",
        default=_DEFAULT.seconds,
        min=0.2,
        soft_max=8.0,
        step=10,
    )
    height: FloatProperty(
        name="Height",
        description="Length of the roll",
        subtype="DISTANCE",
        default=_DEFAULT.height,
        min=0.05,
        soft_max=2,
    )
    lean: FloatProperty(
        name="Lean",
        description="How far the roll leans back: 0° stands upright before the fallboard for views from the front, "
        "90° lies on the piano for views from above",
        subtype="ANGLE",
        default=_DEFAULT.lean,
        min=0.0,
        max=math.pi / 2,
    )
    width: FloatProperty(
        name="Width",
        description="Width of a bar, as a part of its key's",
        subtype="FACTOR",
        default=0.86,
        min=0.1,
        max=1,
    )
    left_colour: FloatVectorProperty(
        name="Left Hand",
        description="Colour of the left hand's notes",
        subtype="COLOR",
        default=_DEFAULT.colours[LEFT],
        min=0,
        max=1,
        update=_recolour,
    )
    right_colour: FloatVectorProperty(
        name="Right Hand",
        description="Colour of the right hand's notes",
        subtype="COLOR",
        default=_DEFAULT.colours[RIGHT],
        min=0,
        max=1,
        update=_recolour,
    )
    fingers: BoolProperty(
        name="Finger Numbers", description="Write on each note which finger plays it, 1 for the thumb", default=False
    )
    lines: BoolProperty(
        name="Guide Lines", description="Draw the strike line, and a line up the roll at every C", default=True
    )
    cut: BoolProperty(
        name="Cut at the Keys",
        description="Show only what lies between the strike line and the roll's upper edge, by a modifier. "
        "Off for exports that leave modifiers out, such as FBX: bars then go on through the piano",
        default=True,
    )
    scene_range: BoolProperty(
        name="Only Scene Range", description="Leave out notes that begin outside the scene's frame range", default=False
    )
    margin: FloatProperty(
        name="Margin",
        description="Part of the picture's width and height that stays free at each edge",
        subtype="FACTOR",
        default=0.04,
        min=0.0,
        max=0.4,
    )
    follow: BoolProperty(
        name="Follow Slowly",
        description="The camera moves along the keyboard with the music, and comes closer when the piece is wide",
        default=False,
    )

    def colours(self) -> dict[int, tuple[float, float, float]]:
        """Colours by hand."""
        return {LEFT: tuple(self.left_colour), RIGHT: tuple(self.right_colour)}

    def style(self) -> roll.Style:
        """The roll as it is chosen."""
        return roll.Style(
            seconds=self.seconds,
            height=self.height,
            lean=self.lean,
            width=self.width,
            colours=self.colours(),
            fingers=self.fingers,
            lines=self.lines,
            cut=self.cut,
        )


class _OnRig(NeedsTake):
    def rig(self, context: bpy.types.Context) -> Rig:
        """The rig that shows the take; UserError when it is broken."""
        return shown_rig(context) or apply.wanted_rig(context.scene)


class PIANO_HANDS_OT_build_roll(_OnRig, bpy.types.Operator):
    """Build the active take's falling notes over the keys, anew when it has some; repeat when the take was moved"""

    bl_idname = "piano_hands.build_roll"
    bl_label = "Build Note Roll"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        settings, take = scene.piano_hands_video, takes.active(scene)
        clock = keying.scene_clock(scene, take.frame)
        between = None
        if settings.scene_range:
            between = (clock.seconds(scene.frame_start), clock.seconds(scene.frame_end + 1))
        try:
            piano, motion = self.rig(context).piano, takes.motion_of(take)
            roll.build(piano, motion, clock, take.name, settings.style(), uid=take.uid, between=between)
        except UserError as error:
            return self.refuse(error)
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_remove_roll(Button, bpy.types.Operator):
    """Delete the falling notes of the active take, or the last ones when that take has none"""

    bl_idname = "piano_hands.remove_roll"
    bl_label = "Remove Note Roll"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return super().disabled_reason(context) or ("" if roll.find(context.scene) else "There is no note roll")

    def execute(self, context: bpy.types.Context) -> set[str]:
        rolls, take = roll.find(context.scene), takes.active(context.scene)
        roll.remove(take.uid if take and take.uid in rolls else [*rolls][-1], context.scene)
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_add_camera(_OnRig, bpy.types.Operator):
    """Frame all keys played, both hands and the roll with a camera for the render's proportions"""

    bl_idname = "piano_hands.add_camera"
    bl_label = "Add Camera"
    bl_options = {"REGISTER", "UNDO"}

    view: EnumProperty(name="View", items=VIEWS)
    make_active: BoolProperty(
        name="Render Through It", description="Make it the scene's active camera", default=False, options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, context: bpy.types.Context, properties) -> str:
        what = next(text for kind, _, text in VIEWS if kind == properties.view)
        active = ", and render through it" if properties.make_active else ""
        return f"{cls.__doc__}{active}. {what}"

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        settings, take = scene.piano_hands_video, takes.active(scene)
        try:
            camera = cameras.add_camera(
                scene,
                self.rig(context).piano,
                takes.motion_of(take),
                keying.scene_clock(scene, take.frame),
                self.view,
                roll=roll.find(scene).get(take.uid),
                margin=settings.margin,
                follow=settings.follow,
            )
        except UserError as error:
            return self.refuse(error)
        if self.make_active:
            scene.camera = camera
        return {"FINISHED"}


class _Video(Sidebar):
    bl_label = "Video"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.split_layout()
        settings = context.scene.piano_hands_video
        column = layout.column(align=True)
        column.prop(settings, "seconds")
        column.prop(settings, "height")
        column.prop(settings, "lean")
        column.prop(settings, "width")
        column = layout.column(align=True)
        column.prop(settings, "left_colour")
        column.prop(settings, "right_colour")
        column = layout.column(heading="Show")
        for name in ("fingers", "lines", "cut", "scene_range"):
            column.prop(settings, name)
        row = layout.row(align=True)
        row.operator("piano_hands.build_roll", icon="ALIGN_BOTTOM")
        row.operator("piano_hands.remove_roll", text="", icon="TRASH")
        layout.separator()
        layout.prop(settings, "margin")
        layout.prop(settings, "follow")
        column = layout.column(align=True)
        for view, label, _ in VIEWS:
            row = column.row(align=True)
            row.operator("piano_hands.add_camera", text=f"{label} Camera", icon="CAMERA_DATA").view = view
            through = row.operator("piano_hands.add_camera", text="", icon="VIEW_CAMERA")
            through.view, through.make_active = view, True


CLASSES = (
    PianoHandsVideo,
    PIANO_HANDS_OT_build_roll,
    PIANO_HANDS_OT_remove_roll,
    PIANO_HANDS_OT_add_camera,
    *in_sidebars(f"{MAIN}_video", _Video),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.piano_hands_video = PointerProperty(type=PianoHandsVideo)


def unregister() -> None:
    del bpy.types.Scene.piano_hands_video
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
