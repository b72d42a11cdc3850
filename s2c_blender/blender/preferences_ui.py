# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences page and its buttons: PyTorch, the Python the worker runs in, the published model, the cache."""

import shutil
from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..errors import ENVIRONMENT, UserError
from ..pytorch import folder, interpreters
from ..pytorch.flavours import Flavour, flavours
from ..worker import end_idle
from . import background, self_check
from .batch import online, worker_options
from .button import Button
from .orders import absolute
from .panel import sentence
from .preferences import PianoHandsPreferences, cache_bytes, clear_cache, preferences, user_folder
from .translations import OURS

OFFLINE = "Blender is set to be offline: allow online access in Preferences > System > Network"
PUBLISHED = "published"  # folder of the converted model
NEEDS_TORCH = "The published model needs PyTorch with safetensors and transformers: install PyTorch first."

Tell = Callable[[str, float], None]


class PreferencesButton(Button):
    """Waits for the hands, and for other buttons like it."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if background.state.task:
            return f"{background.state.task.label}: wait, or cancel it"
        return super().disabled_reason(context) or self_check.running()

    def run(self, topic: str, action: background.Action, then: Callable[[object], str]) -> set[str]:
        """Do it beside Blender; scripts get its end."""
        try:
            background.run(topic, self.bl_label, action, then)
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def launch(context: bpy.types.Context) -> dict:
    """How the worker's Python is started: interpreter, python_args and search_paths."""
    return worker_options(absolute(preferences(context).interpreter))


def chosen_flavour(context: bpy.types.Context) -> Flavour | None:
    """What the button would install, None where there is nothing for this platform."""
    kind = getattr(preferences(context), "kind", "").lower()
    there = flavours()
    return next((one for one in there if one.kind == kind), there[0] if there else None)


class PIANO_HANDS_OT_install_pytorch(PreferencesButton, bpy.types.Operator):
    """Download PyTorch into the extension's own folder, going on where it was cancelled; nothing else is changed"""

    bl_idname = "piano_hands.install_pytorch"
    bl_label = "Installing PyTorch"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        if not flavours():
            return "There is no PyTorch for this platform and Python to install: choose a Python that has one"
        return super().disabled_reason(context) or ("" if online() else OFFLINE)

    def execute(self, context: bpy.types.Context) -> set[str]:
        from ..pytorch.install import install  # brings what downloads need, which start-up can do without

        flavour, place, allowed = chosen_flavour(context), user_folder("pytorch"), online()
        options = worker_options(None)

        def action(tell: Tell) -> interpreters.Found:
            end_idle()  # it would not see what is new, and on Windows hold the files of an older one
            there = install(flavour, place, online=allowed, on_progress=tell)
            tell("trying it", 1.0)
            return interpreters.find(None, there, options["python_args"], options["search_paths"])

        def then(found: interpreters.Found) -> str:
            if not found.usable:
                raise UserError(f"PyTorch was installed, but {found.sentence()}", ENVIRONMENT)
            return f"Installed: {found.sentence()}"

        return self.run(background.PYTORCH, action, then)


class PIANO_HANDS_OT_remove_pytorch(PreferencesButton, bpy.types.Operator):
    """Delete the PyTorch that was installed here, and what was downloaded of one"""

    bl_idname = "piano_hands.remove_pytorch"
    bl_label = "Remove PyTorch"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        nothing = "" if folder.remainder(user_folder("pytorch")) else "No PyTorch was installed here"
        return super().disabled_reason(context) or nothing

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        place = user_folder("pytorch")

        def action(tell: Tell) -> None:
            end_idle()  # on Windows it holds the files it uses
            folder.remove(place)

        return self.run(background.PYTORCH, action, lambda _: "PyTorch was removed.")


class PIANO_HANDS_OT_check_interpreter(PreferencesButton, bpy.types.Operator):
    """Start the Python that the worker will use, and say what it has"""

    bl_idname = "piano_hands.check_interpreter"
    bl_label = "Check"

    def execute(self, context: bpy.types.Context) -> set[str]:
        options = launch(context)
        return self.run("interpreter", lambda tell: interpreters.look(**options), interpreters.Found.sentence)


class PIANO_HANDS_OT_download_model(PreferencesButton, bpy.types.Operator):
    """Download the published gesture model (about 6 GB), convert it and use it; it goes on where it was cancelled"""

    bl_idname = "piano_hands.download_model"
    bl_label = "Download Published Model"

    half: BoolProperty(
        name="Store in 16 Bit",
        description="Keep 2.7 instead of 5.4 GB on the disk, computed just as exactly otherwise",
    )

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return super().disabled_reason(context) or ("" if online() else OFFLINE)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        from ..pytorch import released

        release, allowed = user_folder("release"), online()
        action = converting(context, release, user_folder("models") / PUBLISHED, self.half)

        def fetched(tell: Tell) -> Path:
            need_packages(launch_options)
            released.download(release, online=allowed, on_progress=lambda stage, done: tell(stage, 0.8 * done))
            model = action(lambda stage, done: tell(stage, 0.8 + 0.2 * done))
            shutil.rmtree(release, ignore_errors=True)
            return model

        launch_options = launch(context)
        return self.run("model", fetched, use_model)


class PIANO_HANDS_OT_import_model(PreferencesButton, bpy.types.Operator):
    """Convert published checkpoints that are on this computer already, and use them"""

    bl_idname = "piano_hands.import_model"
    bl_label = "Import Checkpoints"

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    half: BoolProperty(
        name="Store in 16 Bit",
        description="Keep 2.7 instead of 5.4 GB on the disk, computed just as exactly otherwise",
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        release = Path(bpy.path.abspath(self.directory))
        action = converting(context, release, user_folder("models") / PUBLISHED, self.half)
        return self.run("model", action, use_model)


def converting(context: bpy.types.Context, release: Path, model: Path, half: bool) -> Callable[[Tell], Path]:
    """What converts checkpoints to a model folder, for a task."""
    from ..pytorch import released

    options = launch(context)

    def action(tell: Tell) -> Path:
        need_packages(options)
        released.convert(release, model, half=half, on_progress=tell, **options)
        return model

    return action


def need_packages(options: dict) -> None:
    """UserError where the worker's Python cannot convert models: found out before 6 GB are downloaded."""
    found = interpreters.look(**options)
    if not found.usable or {"safetensors", "transformers"} & set(found.missing):
        raise UserError(f"{NEEDS_TORCH} Found: {found.sentence()}", ENVIRONMENT)


def use_model(model: Path) -> str:
    """Choose a model folder in the preferences."""
    chosen = preferences(bpy.context)
    if isinstance(chosen, PianoHandsPreferences):
        chosen.model_folder = str(model)
        bpy.context.preferences.is_dirty = True  # so that it is saved
    return f"The model is in {model} and is used with the generator Gesture Model."


class PIANO_HANDS_OT_clear_cache(PreferencesButton, bpy.types.Operator):
    """Delete all notes kept from earlier generations; they are found again when they are needed"""

    bl_idname = "piano_hands.clear_cache"
    bl_label = "Clear"
    bl_translation_context = OURS

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        try:
            return super().disabled_reason(context) or ("" if cache_bytes(context) else "The cache is empty")
        except UserError as error:  # its folder cannot be made
            return str(error).rstrip(".")

    def execute(self, context: bpy.types.Context) -> set[str]:
        clear_cache(context)
        return {"FINISHED"}


class PIANO_HANDS_OT_cancel_task(Button, bpy.types.Operator):
    """Stop it; a download goes on from here the next time"""

    bl_idname = "piano_hands.cancel_task"
    bl_label = "Cancel"

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        return "" if background.state.task else "Nothing is under way"

    def execute(self, context: bpy.types.Context) -> set[str]:
        background.state.task.cancel()
        return {"FINISHED"}


def draw(chosen: PianoHandsPreferences, context: bpy.types.Context) -> None:
    """The page under Preferences > Add-ons."""
    layout = chosen.layout
    layout.use_property_split = True
    layout.use_property_decorate = False
    box = _section(layout, "Networks")
    box.prop(chosen, "backend")
    box.prop(chosen, "device")
    row = box.row(align=True)
    row.prop(chosen, "interpreter")
    row.operator("piano_hands.check_interpreter", text="", icon="VIEWZOOM")
    _draw_told(box, context, "interpreter")
    _buttons(box).operator("piano_hands.self_check", icon="CHECKMARK")
    _draw_pytorch(_section(layout, "PyTorch in Blender's Python"), context, chosen)
    box = _section(layout, "Gesture Model")
    box.prop(chosen, "model_folder")
    box.prop(chosen, "mano_file")
    row = _buttons(box)
    row.operator("piano_hands.download_model", text="Download Published (6 GB)", icon="IMPORT")
    row.operator("piano_hands.import_model", text="Import Checkpoints...", icon="FILE_FOLDER")
    _draw_told(box, context, "model")
    box = _section(layout, "Cache and Log")
    box.prop(chosen, "cache_folder")
    box.prop(chosen, "cache_limit")
    try:
        size = f"Clear Cache ({cache_bytes(context) / 1e6:.1f} MB)"
    except (UserError, OSError) as error:
        size = "Clear Cache"
        sentence(box, context, str(error), "ERROR")
    _buttons(box).operator("piano_hands.clear_cache", text=size, icon="TRASH")
    box.prop(chosen, "log_level")
    told = "Removing the extension deletes its cache, the PyTorch installed here and the downloaded model."
    sentence(layout, context, told, "INFO")


def _draw_pytorch(box: bpy.types.UILayout, context: bpy.types.Context, chosen: PianoHandsPreferences) -> None:
    place = user_folder("pytorch")
    there = folder.installed(place)
    if there:
        titles = {one.key: one.title for one in flavours()}
        box.label(text=f"Installed: {titles.get(there.name, there.name)}", icon="CHECKMARK")
        if chosen.interpreter:
            sentence(box, context, "Not used, because another Python is chosen above.", "INFO")
        _buttons(box).operator("piano_hands.remove_pytorch", icon="TRASH")
    else:
        box.prop(chosen, "kind")
        flavour = chosen_flavour(context)
        size = f" ({flavour.size / 1e6:.0f} MB)" if flavour else ""
        row = _buttons(box)
        row.operator("piano_hands.install_pytorch", text=f"Install PyTorch{size}", icon="IMPORT")
        if folder.remainder(place):
            row.operator("piano_hands.remove_pytorch", text="", icon="TRASH")
    _draw_told(box, context, "pytorch")


def _section(layout: bpy.types.UILayout, title: str) -> bpy.types.UILayout:
    box = layout.box()
    box.label(text=title)
    return box.column()


def _buttons(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A row below the values of properties."""
    split = layout.split(factor=0.4)
    split.column()
    return split.row(align=True)


def _draw_told(layout: bpy.types.UILayout, context: bpy.types.Context, topic: str) -> None:
    """The task of these buttons, or how the last one ended."""
    task, told = background.state.task, background.state.told
    if task and task.topic == topic:
        row = layout.row(align=True)
        row.progress(factor=task.fraction, text=f"{task.stage or 'starting'}  {task.fraction:.0%}", type="BAR")
        row.operator("piano_hands.cancel_task", text="", icon="X")
    elif told and told.topic == topic:
        sentence(layout, context, told.sentence, "INFO" if told.good else "ERROR")


CLASSES = (
    PIANO_HANDS_OT_install_pytorch,
    PIANO_HANDS_OT_remove_pytorch,
    PIANO_HANDS_OT_check_interpreter,
    PIANO_HANDS_OT_download_model,
    PIANO_HANDS_OT_import_model,
    PIANO_HANDS_OT_clear_cache,
    PIANO_HANDS_OT_cancel_task,
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    background.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
