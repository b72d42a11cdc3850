# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Piano Hands" in the sidebars of the 3D viewport and the sequencer."""

import textwrap

import bpy

from ..errors import UserError
from ..job import knows_styles
from . import growing, job, style
from .orders import absolute
from .preferences import preferences
from .source import source_name
from .translations import filled

CATEGORY = "Piano Hands"
MAIN = "piano_hands"  # name of the panel that all others are below
SPACES = ("VIEW_3D", "SEQUENCE_EDITOR")
_LETTER = 7.0  # px, width of an average letter at resolution scale 1


def sentence(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """A sentence over as many lines as the sidebar's width asks for."""
    scale = context.preferences.system.ui_scale
    letters = int((context.region.width / scale - 70) / _LETTER)
    column = layout.column(align=True)
    for i, line in enumerate(textwrap.wrap(text, max(letters, 20))):
        column.label(text=line, icon=icon if i == 0 else "BLANK1" if icon != "NONE" else "NONE")


class Sidebar:
    """What all panels share; `in_sidebars` makes classes of them that Blender can register."""

    bl_region_type = "UI"
    bl_category = CATEGORY

    def split_layout(self) -> bpy.types.UILayout:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = job.state.run is None
        return layout


class _Main(Sidebar):
    bl_label = "Generate Piano Hands"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        self._draw_source(layout, context)
        row = layout.row()
        row.scale_y = 1.5
        if job.state.run:
            # A label, because a button under the mouse would lend its state to what takes its place at the end.
            row.label(text=job.STAGES.get(job.state.run.stage, job.state.run.stage), icon="TIME")
            _draw_progress(layout, job.state.run)
            return
        row.operator("piano_hands.generate", icon="PLAY")
        if job.state.trouble:
            _draw_trouble(layout, context, job.state.trouble)

    def _draw_source(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        settings = context.scene.piano_hands
        column = layout.column()
        column.enabled = job.state.run is None
        column.row().prop(settings, "source", expand=True)
        try:
            name, problem = source_name(context), ""
        except UserError as error:
            name, problem = "", str(error)
        if settings.source == "FILE":
            column.prop(settings, "filepath", text="")
        if name:
            column.label(text=name, icon="SOUND")
        elif problem:
            sentence(column, context, problem, "INFO")
            column.operator("piano_hands.choose_file", icon="FILEBROWSER")
        row = column.row(align=True)
        row.prop(settings, "rig", text="", icon="ARMATURE_DATA")
        row.operator("piano_hands.add_rig", text="Add Rig", icon="ADD")
        column.row().prop(settings, "generator", expand=True)


def _draw_progress(layout: bpy.types.UILayout, run: job.Run) -> None:
    column = layout.column()
    left = job.time_left(run.seconds_left())
    column.progress(factor=run.fraction, text=f"{run.fraction:.0%}  {left}".strip(), type="BAR")
    column.operator("piano_hands.cancel", icon="CANCEL")
    if run.settings() and growing.current and growing.current.parts:  # below, so that Cancel stays under the mouse
        watch = filled("Watch the first {} s", round(growing.current.seconds))
        column.prop(run.settings(), "watch", text=watch, translate=False, toggle=True, icon="HIDE_OFF")


def _draw_trouble(layout: bpy.types.UILayout, context: bpy.types.Context, trouble: job.Trouble) -> None:
    box = layout.box()
    box.alert = bool(trouble.cure) or not trouble.sentence.startswith("Cancelled")
    sentence(box, context, trouble.sentence, "ERROR" if box.alert else "INFO")
    if trouble.cure:
        box.alert = False
        box.operator(trouble.cure)


class _Performer(Sidebar):
    bl_label = "Performer"
    bl_order = 3
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        modelled = context.scene.piano_hands.generator == "MODEL"
        if modelled and not knows_styles(absolute(preferences(context).model_folder)):
            sentence(
                self.layout, context, "This gesture model knows no performers: it moves in a way of its own.", "INFO"
            )
            return
        layout, performer = self.split_layout(), context.scene.piano_hands.performer
        column = layout.column()
        column.prop(performer, "name_of")
        column.prop(performer, "blended")
        if performer.blended != "NONE":
            column.prop(performer, "blend")
        column.prop(performer, "intensity")
        column.prop(performer, "expression")
        if modelled:
            column.prop(performer, "weight")
        column.prop(performer, "by_part")
        for side, label in style.SIDES.items() if performer.by_part else ():
            column = layout.column(heading=label, align=True)
            for part in style.PARTS:
                column.prop(performer, f"{side}_{part}")
        row = layout.row(align=True)
        row.prop(performer, "action", text="Like")
        row.operator("piano_hands.copy_style", text="", icon="EYEDROPPER")


class _Options(Sidebar):
    bl_label = "Options"
    bl_order = 4
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.split_layout()
        settings = context.scene.piano_hands
        layout.prop(settings, "range")
        if settings.range == "CUSTOM":
            column = layout.column(align=True)
            column.prop(settings, "frame_start", text="Frame Start")
            column.prop(settings, "frame_end", text="End")
        if settings.source == "FILE":
            layout.prop(settings, "file_frame")
            layout.prop(settings, "add_sound")
        layout.prop(settings, "hands")
        layout.prop(settings, "animate_keys")
        layout.prop(settings, "output")
        layout.prop(settings, "density")
        if settings.density == "STEP":
            layout.prop(settings, "key_step")
        elif settings.density == "REDUCED":
            layout.prop(settings, "tolerance")
        layout.prop(settings, "push_down")
        layout.prop(settings, "seed")
        layout.prop(settings, "creativity")
        layout.prop(settings, "device")


def in_sidebars(name: str, base: type[Sidebar]) -> tuple[type, ...]:
    """A panel's classes, one for the sidebar of each editor; all but `MAIN` are below that one."""
    classes = []
    for space in SPACES:
        identifier = f"{space}_PT_{name}"
        fields = {"bl_space_type": space, "bl_idname": identifier}
        if name != MAIN:
            fields["bl_parent_id"] = f"{space}_PT_{MAIN}"
        classes.append(type(identifier, (base, bpy.types.Panel), fields))
    return tuple(classes)


CLASSES = (
    *in_sidebars(MAIN, _Main),
    *in_sidebars(f"{MAIN}_performer", _Performer),
    *in_sidebars(f"{MAIN}_options", _Options),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
