# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel "Piano Model": the user's own piano under the hands."""

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty

from ..core.key_names import note_name, spans
from ..core.keyboard import HIGHEST, LOWEST
from ..errors import UserError
from . import apply, piano_model
from .button import Button, redraw, shown_rig
from .panel import MAIN, Sidebar, in_sidebars, sentence
from .properties import is_piano
from .rig import Rig
from .translations import OF_PIANOS, OURS

WAYS = [
    (
        "NAMES",
        "Names",
        "By note names such as C#4 or Db4 where objects have them, else by numbers in their names",
    ),
    ("NUMBERS", "Numbers", "By the numbers in their names: 1 to 88, 0 to 87, or MIDI's 21 to 108"),
    ("ORDER", "Order", "By their places along the keyboard, beginning with the key that you pick"),
]
MOVES = [
    ("TURN", "Turn", "Keys turn about their back edge, their front goes down by a key's dip"),
    ("DOWN", "Sink", "Keys go straight down by a key's dip"),
]


class PianoHandsModel(bpy.types.PropertyGroup):
    """Settings for the user's own piano: `scene.piano_hands_model`."""

    collection: PointerProperty(
        type=bpy.types.Collection,
        name="Keys In",
        description="Collection with the key objects; empty: the selected objects",
    )
    by: EnumProperty(name="Assign by", description="How key objects are matched to notes", items=WAYS)
    low: PointerProperty(
        type=bpy.types.Object,
        name="First Key",
        description="A low key of your piano, or an empty at the middle of its upper front edge. "
        "Left empty, the lowest assigned key",
    )
    low_pitch: IntProperty(
        name="Note",
        description="MIDI number of the first key: 21 is A0",
        default=LOWEST,
        min=LOWEST,
        max=HIGHEST,
        translation_context=OURS,
    )
    high: PointerProperty(
        type=bpy.types.Object,
        name="Last Key",
        description="A high key of your piano, or an empty at the middle of its upper front edge. "
        "Left empty, the highest assigned key",
    )
    high_pitch: IntProperty(
        name="Note",
        description="MIDI number of the last key: 108 is C8",
        default=HIGHEST,
        min=LOWEST,
        max=HIGHEST,
        translation_context=OURS,
    )
    move: EnumProperty(name="Keys", description="How your keys go down", items=MOVES, translation_context=OF_PIANOS)
    scale: BoolProperty(
        name="Scale Hands to Fit",
        description="When your keyboard is longer or shorter than a real one, scale the rig to it. "
        "The hands become larger or smaller too: better scale your piano if it can be scaled",
        default=False,
    )


def _rig(context: bpy.types.Context) -> Rig:
    return shown_rig(context) or apply.wanted_rig(context.scene)


class _NeedsRig(Button):
    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        return "" if _piano(context) else "There is no rig in this scene: press Add Rig first"


def _piano(context: bpy.types.Context) -> bpy.types.Object | None:
    """The Piano object that the buttons act on, without a check of its rig."""
    return context.scene.piano_hands.rig or next((obj for obj in context.scene.objects if is_piano(obj)), None)


class PIANO_HANDS_OT_assign_keys(_NeedsRig, bpy.types.Operator):
    """Have the keys of your own piano go down under the hands; replaces what was assigned before"""

    bl_idname = "piano_hands.assign_keys"
    bl_label = "Assign Keys"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.piano_hands_model
        try:
            rig = _rig(context)
            keys = _chosen_keys(context, rig)
            piano_model.attach(rig, keys, turn=settings.move == "TURN")
        except UserError as error:
            return self.refuse(error)
        missing = piano_model.missing(keys)
        rest = f", none for {spans(missing)}" if missing else ""
        self.report({"WARNING" if missing else "INFO"}, f"{len(keys)} of 88 keys assigned{rest}")
        redraw()
        return {"FINISHED"}


def _chosen_keys(context: bpy.types.Context, rig: Rig) -> dict[int, bpy.types.Object]:
    settings = context.scene.piano_hands_model
    objects = settings.collection.all_objects if settings.collection else context.selected_objects
    objects = [obj for obj in objects if obj.type == "MESH" and obj not in rig.keys.values()]
    if not objects:
        raise UserError("There are no key objects: choose their collection, or select them all.")
    if settings.by == "ORDER":
        first = settings.low or (context.object if context.object in objects else None)
        if not first:
            raise UserError("The first key is not known: pick it under First Key.")
        keys = piano_model.keys_in_order(objects, first, settings.low_pitch)
    else:
        keys = piano_model.find_keys(objects, settings.by)
    if not keys:
        raise UserError("No object's name means a key: assign them by Order, beginning with the first key.")
    return keys


class PIANO_HANDS_OT_align_piano(_NeedsRig, bpy.types.Operator):
    """Move and turn the rig so that its keys lie on those of your own piano"""

    bl_idname = "piano_hands.align_piano"
    bl_label = "Align Hands to Piano"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.piano_hands_model
        try:
            rig = _rig(context)
            keys = piano_model.attached_keys(rig.piano)
            low, high = _references(settings, keys)
            piano_model.detach(rig)  # keys that are down now would be measured there
            context.view_layer.update()
            try:
                fit = piano_model.align(rig, low, high, scale=settings.scale, keys=keys)
            finally:
                if keys:
                    piano_model.attach(rig, keys, turn=settings.move == "TURN")
        except UserError as error:
            return self.refuse(error)
        self.report({"INFO"}, _told(fit, settings.scale, bool(keys)))
        redraw()
        return {"FINISHED"}


def _references(settings: PianoHandsModel, keys: dict[int, bpy.types.Object]):
    ends = []
    for obj, pitch, pick in (
        (settings.low, settings.low_pitch, min),
        (settings.high, settings.high_pitch, max),
    ):
        if not obj and not keys:
            raise UserError("Two keys of your piano are needed: pick First Key and Last Key, or assign keys first.")
        ends.append((pitch, obj) if obj else (pick(keys), keys[pick(keys)]))
    return ends


def _told(fit: piano_model.Fit, scaled: bool, measured: bool) -> str:
    text = f"Aligned; keys differ by at most {fit.worst * 1e3:.1f} mm" if measured else "Aligned"
    if scaled and abs(fit.scale - 1) > 0.002:
        return f"{text}; the rig, and with it the hands, is now {fit.scale:.3f} times its size"
    if abs(fit.ratio - 1) > 0.002:
        return f"{text}. Your keyboard is {fit.ratio:.3f} times as long as ours: scale it, or use Scale Hands to Fit"
    return text


class PIANO_HANDS_OT_release_keys(_NeedsRig, bpy.types.Operator):
    """Let the keys of your own piano rest again; they keep their place"""

    bl_idname = "piano_hands.release_keys"
    bl_label = "Release Keys"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            count = piano_model.detach(_rig(context))
        except UserError as error:
            return self.refuse(error)
        self.report({"INFO"}, f"{count} keys released")
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_show_own_piano(_NeedsRig, bpy.types.Operator):
    """Show or hide the rig's own keys, case, pedals and floor in viewports and renders; hands and lights stay"""

    bl_idname = "piano_hands.show_own_piano"
    bl_label = "Hide Rig's Piano"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            rig = _rig(context)
            piano_model.show_own_piano(rig, piano_model.is_hidden(rig.piano))
        except UserError as error:
            return self.refuse(error)
        redraw()
        return {"FINISHED"}


class _Model(Sidebar):
    bl_label = "Piano Model"
    bl_order = 7
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.split_layout()
        settings = context.scene.piano_hands_model
        column = layout.column(align=True)
        column.prop(settings, "collection")
        column.prop(settings, "by")
        column.prop(settings, "move")
        for name in ("low", "high"):
            column = layout.column(align=True)
            column.prop(settings, name)
            column.prop(settings, f"{name}_pitch", text=f"Note {note_name(getattr(settings, f'{name}_pitch'))}")
        row = layout.row(align=True)
        row.operator("piano_hands.assign_keys", icon="LINKED")
        row.operator("piano_hands.release_keys", text="", icon="UNLINKED")
        piano = _piano(context)
        keys = piano_model.attached_keys(piano) if piano else {}
        if keys:
            layout.label(text=f"{len(keys)} of 88 keys assigned", icon="CHECKMARK")
            if missing := piano_model.missing(keys):
                sentence(layout, context, f"None for {spans(missing)}", "INFO")
        layout.prop(settings, "scale")
        layout.operator("piano_hands.align_piano", icon="CON_LOCLIKE")
        hidden = bool(piano) and piano_model.is_hidden(piano)
        layout.operator("piano_hands.show_own_piano", icon="HIDE_ON" if hidden else "HIDE_OFF", depress=hidden)


CLASSES = (
    PianoHandsModel,
    PIANO_HANDS_OT_assign_keys,
    PIANO_HANDS_OT_align_piano,
    PIANO_HANDS_OT_release_keys,
    PIANO_HANDS_OT_show_own_piano,
    *in_sidebars(f"{MAIN}_piano_model", _Model),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.piano_hands_model = PointerProperty(type=PianoHandsModel)


def unregister() -> None:
    del bpy.types.Scene.piano_hands_model
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
