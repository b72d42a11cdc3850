# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of takes in the sidebar, and the buttons that look at, key, compare and delete them."""

import bpy
from bpy.props import IntProperty

from ..core.key_names import note_name
from ..errors import UserError
from . import apply, ghost, job, nla, preview, resync, takes
from .button import NeedsTake, redraw, shown_rig
from .panel import MAIN, Sidebar, in_sidebars, sentence
from .source import chosen_frames
from .style import summary
from .translations import OURS, filled

_ROWS = 8  # dropped notes listed before "and more"


class PIANO_HANDS_UL_takes(bpy.types.UIList):
    """A row a take: its name, its seed, and how well it plays."""

    def draw_item(self, context, layout, data, take, icon, active_data, active_property, index=0, flt_flag=0) -> None:
        row = layout.row(align=True)
        row.prop(take, "name", text="", emboss=False, icon="ACTION" if take.data else "ERROR")
        row = row.row()
        row.alignment = "RIGHT"
        row.label(text=f"{filled('seed {}', take.seed)}   {take.accuracy:.1%}", translate=False)


class PIANO_HANDS_OT_preview(NeedsTake, bpy.types.Operator):
    """Pose the hands at every frame without keyframes; while this is on, their keyframes are not seen"""

    bl_idname = "piano_hands.preview"
    bl_label = "Scrub Preview"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            found = shown_rig(context) or apply.wanted_rig(context.scene)
            if preview.is_shown(found.piano):
                preview.hide(found.piano)
                apply.refresh(context.scene)
            else:
                context.scene.piano_hands.rig = found.piano
                preview.show(found, takes.active(context.scene), context.scene)
        except UserError as error:
            return self.refuse(error)
        job.state.trouble = None
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_compare_takes(NeedsTake, bpy.types.Operator):
    """Go back to the take that was active before, and with another press forth again; Scrub Preview follows"""

    bl_idname = "piano_hands.compare_takes"
    bl_label = "Compare with Previous"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if reason := super().disabled_reason(context):
            return reason
        known = takes.index_of(context.scene, context.scene.piano_hands.compared) is not None
        return "" if known else "Choose another take in the list first; then this goes back and forth between the two"

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.piano_hands
        settings.take_index = takes.index_of(context.scene, settings.compared)
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_insert_keys(NeedsTake, bpy.types.Operator):
    """Give the hands keyframes of the active take; keyframes they have now stay in the file as actions"""

    bl_idname = "piano_hands.insert_keys"
    bl_label = "Insert Keyframes"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            found = shown_rig(context) or apply.wanted_rig(context.scene)
            context.scene.piano_hands.rig = found.piano
            take, settings = takes.active(context.scene), context.scene.piano_hands
            keyed = apply.insert_keys(context.scene, found, take, settings.push_down)
        except UserError as error:
            return self.refuse(error)
        job.state.trouble = None
        self.report({"INFO"}, f"{keyed.name}: frames {keyed.first} to {keyed.last}")
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_remove_take(NeedsTake, bpy.types.Operator):
    """Delete the active take and its motion; keyframes made of it stay"""

    bl_idname = "piano_hands.remove_take"
    bl_label = "Remove Take"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        takes.remove(scene, scene.piano_hands.take_index)
        apply.refresh(scene)
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_resync(NeedsTake, bpy.types.Operator):
    """Move the takes, and the keyframes made of them, to where their sound strips are now, at the strips' speed"""

    bl_idname = "piano_hands.resync"
    bl_label = "Re-Sync with Strips"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            moved, told = resync.resync(context)
        except UserError as error:
            return self.refuse(error)
        apply.refresh(context.scene)
        job.state.trouble = None
        if told:
            job.fail(UserError(" ".join(told)))
            if any("generate again" in sentence for sentence in told):
                job.state.trouble = job.Trouble(" ".join(told), "piano_hands.generate")
            self.report({"WARNING"}, " ".join(told))
        self.report({"INFO"}, "Moved " + ", ".join(dict.fromkeys(moved)) if moved else "Nothing has moved")
        redraw()
        return {"FINISHED"}


class PIANO_HANDS_OT_uncover_tracks(NeedsTake, bpy.types.Operator):
    """Take the actions off the hands that hide the takes on their NLA tracks; the actions stay in the file"""

    bl_idname = "piano_hands.uncover_tracks"
    bl_label = "Unlink Actions"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return super().disabled_reason(context) or ("" if _covered(context) else "Nothing hides a take on NLA tracks")

    def execute(self, context: bpy.types.Context) -> set[str]:
        nla.uncover(context.scene.piano_hands.rig)
        apply.refresh(context.scene)
        redraw()
        return {"FINISHED"}


def _covered(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The hands on which an action hides takes."""
    piano = context.scene.piano_hands.rig
    return nla.covered(piano) if piano else []


class PIANO_HANDS_OT_jump_to_frame(bpy.types.Operator):
    """Go to the frame at which this happens"""

    bl_idname = "piano_hands.jump_to_frame"
    bl_label = "Jump to Frame"
    bl_translation_context = OURS
    bl_options = {"INTERNAL"}

    frame: IntProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.frame_set(self.frame)
        return {"FINISHED"}


class _Takes(Sidebar):
    bl_label = "Takes"
    bl_order = 1

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return len(context.scene.piano_hands.takes) > 0

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.enabled = job.state.run is None
        settings, take = scene.piano_hands, takes.active(scene)
        row = layout.row()
        row.template_list("PIANO_HANDS_UL_takes", "", settings, "takes", settings, "take_index", rows=3)
        column = row.column(align=True)
        column.operator("piano_hands.remove_take", text="", icon="REMOVE")
        column.operator("piano_hands.compare_takes", text="", icon="ARROW_LEFTRIGHT")
        column.operator("piano_hands.resync", text="", icon="FILE_REFRESH")
        if not take:
            return
        _draw_told(layout, context, take)
        column = layout.column(align=True)
        shown = bool(settings.rig) and preview.is_shown(settings.rig)
        column.operator("piano_hands.preview", icon="HIDE_OFF" if shown else "HIDE_ON", depress=shown)
        column.operator("piano_hands.insert_keys", icon="KEYFRAME_HLT")
        ghost.draw_settings(layout, context)
        column = layout.column(align=True)
        column.operator("piano_hands.regenerate", text=_frames_anew(scene), translate=False, icon="DUPLICATE")
        column.operator("piano_hands.solve_keys", icon="CON_KINEMATIC")


def _frames_anew(scene: bpy.types.Scene) -> str:
    """What a new version would change."""
    frames = chosen_frames(scene)
    return filled("New Version of {} - {}", *frames) if frames else filled("New Version")


def _draw_told(layout: bpy.types.UILayout, context: bpy.types.Context, take: takes.PianoHandsTake) -> None:
    """What the take is, and how it went."""
    scene, told = context.scene, take.told()
    first, last = takes.range_of(take, scene)
    column = layout.column(align=True)
    played = filled("{} of {} notes played", told["notes_played"], told["notes_found"])
    column.label(text=played, translate=False, icon="CHECKMARK")
    covers = filled("Frames {} - {},  {}", first, last, filled(take.generator))
    column.label(text=covers, translate=False, icon="BLANK1")
    column.label(text=take.made, icon="BLANK1")
    if style := told.get("style"):
        column.label(text=filled("Performer: {}", summary(style)), translate=False, icon="BLANK1")
    for warning in told["warnings"]:
        _draw_warning(column, context, take, warning)
    if hands := _covered(context):
        names = f" {filled('and')} ".join(hand.name for hand in hands)
        sentence(column, context, filled("An action on {} hides the takes on NLA tracks.", names), "INFO")
        column.operator("piano_hands.uncover_tracks", icon="UNLINKED")
    if last > scene.frame_end:
        told_end = filled("The hands play until frame {}, the scene ends at {}.", last, scene.frame_end)
        sentence(column, context, told_end, "INFO")
        column.operator("piano_hands.fit_range", icon="PREVIEW_RANGE")


def _draw_warning(column, context: bpy.types.Context, take: takes.PianoHandsTake, warning: str | dict) -> None:
    """A warning's sentence; of one that has a time ({"sentence", "onset" s}) also the button that goes there."""
    if isinstance(warning, str):
        sentence(column, context, warning, "ERROR")
        return
    sentence(column, context, warning["sentence"], "ERROR")
    _draw_jump(column.row(align=True), context.scene, take, warning["onset"])


def _draw_jump(row: bpy.types.UILayout, scene: bpy.types.Scene, take: takes.PianoHandsTake, onset: float) -> None:
    """The button that goes to second `onset` of a take."""
    frame = round(take.frame + onset * takes.rate_of(scene))
    row.operator("piano_hands.jump_to_frame", text=str(frame), icon="TIME", translate=False).frame = frame


class _Dropped(Sidebar):
    bl_label = "Notes Left Out"
    bl_order = 2
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        take = takes.active(context.scene)
        return bool(take and take.told().get("dropped"))

    def draw(self, context: bpy.types.Context) -> None:
        take = takes.active(context.scene)
        dropped = take.told()["dropped"]
        column = self.layout.column(align=True)
        for note in dropped[:_ROWS]:
            row = column.row(align=True)
            row.label(text=f"{note_name(note['pitch'])}: {note['reason']}")
            _draw_jump(row, context.scene, take, note["onset"])
        if len(dropped) > _ROWS:
            column.label(text=filled("and {} more", len(dropped) - _ROWS), translate=False)


CLASSES = (
    PIANO_HANDS_UL_takes,
    PIANO_HANDS_OT_preview,
    PIANO_HANDS_OT_compare_takes,
    PIANO_HANDS_OT_insert_keys,
    PIANO_HANDS_OT_remove_take,
    PIANO_HANDS_OT_resync,
    PIANO_HANDS_OT_uncover_tracks,
    PIANO_HANDS_OT_jump_to_frame,
    *in_sidebars(f"{MAIN}_takes", _Takes),
    *in_sidebars(f"{MAIN}_dropped", _Dropped),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
