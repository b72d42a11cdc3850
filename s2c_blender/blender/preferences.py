# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every file of one user: the Python that listens, the model, the cache, the device, the log."""

import logging
from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..errors import ENVIRONMENT, UserError

EXTENSION = __package__.rsplit(".", 2)[0]  # bl_ext.<repository>.s2c_piano_hands
DEVICES = [
    ("AUTO", "Automatic", "The graphics card where PyTorch can use it, else the processor"),
    ("CPU", "Processor", "Always works; a minute of music takes some tens of seconds"),
    ("CUDA", "NVIDIA Graphics Card", "Fastest; PyTorch must be installed with CUDA"),
    ("MPS", "Apple Graphics", "Fast on Apple computers"),
]
LOG_LEVELS = [
    ("WARNING", "Warnings", "Only what went wrong"),
    ("INFO", "Steps", "Each generation and how long it took"),
    ("DEBUG", "Everything", "Also what the worker process prints, for a report of a problem"),
]
_LOGGER = logging.getLogger(__package__.rpartition(".")[0])


@dataclass(frozen=True)
class Defaults:
    interpreter: str = ""
    model_folder: str = ""
    mano_file: str = ""
    cache_folder: str = ""
    cache_limit: int = 2000
    device: str = "AUTO"
    log_level: str = "WARNING"


class PianoHandsPreferences(bpy.types.AddonPreferences):
    """Shown under Preferences > Add-ons."""

    bl_idname = EXTENSION

    interpreter: StringProperty(
        name="Python with PyTorch",
        description="Python program that listens to recordings and runs the gesture model; PyTorch must be installed "
        "for it. Left empty, Blender's own Python is used. MIDI files played by the pianist need none of this",
        subtype="FILE_PATH",
    )
    model_folder: StringProperty(
        name="Gesture Model",
        description="Folder of another model whose idea of the motion the hands follow, as `model import` makes it "
        "(see the documentation). Left empty, the extension's own is used",
        subtype="DIR_PATH",
    )
    mano_file: StringProperty(
        name="MANO Hand",
        description="Your own MANO_RIGHT.pkl, for the exact hand that the published model speaks of. "
        "Left empty, a neutral hand is used",
        subtype="FILE_PATH",
    )
    cache_folder: StringProperty(
        name="Cache Folder",
        description="Where notes already found are kept, so that a second run is quick. "
        "Left empty, the extension's own folder is used",
        subtype="DIR_PATH",
    )
    cache_limit: IntProperty(
        name="Cache Limit (MB)",
        description="The oldest files are deleted when the cache grows larger than this",
        default=Defaults.cache_limit,
        min=10,
        soft_max=20000,
    )
    device: EnumProperty(name="Device", description="What PyTorch computes on", items=DEVICES, default="AUTO")
    log_level: EnumProperty(
        name="Log",
        description="How much is written to the system console",
        items=LOG_LEVELS,
        default="WARNING",
        update=lambda self, context: _LOGGER.setLevel(self.log_level),
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("interpreter", "device", "model_folder", "mano_file", "cache_folder", "cache_limit", "log_level"):
            layout.prop(self, name)


def preferences(context: bpy.types.Context) -> "PianoHandsPreferences | Defaults":
    """The user's preferences; the defaults where the package runs without being installed as an extension."""
    addon = context.preferences.addons.get(EXTENSION)
    return addon.preferences if addon and addon.preferences else Defaults()


def cache_folder(context: bpy.types.Context) -> Path:
    """The folder of the cache, made when it is not there."""
    chosen = preferences(context).cache_folder
    if chosen:  # a folder in it, because trim_cache deletes what it finds
        folder = Path(bpy.path.abspath(chosen)) / "s2c_piano_hands"
    elif EXTENSION.startswith("bl_ext."):
        folder = Path(bpy.utils.extension_path_user(EXTENSION, path="cache", create=True))
    else:
        folder = Path(bpy.utils.user_resource("DATAFILES", path="s2c_piano_hands", create=True))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache folder {folder} cannot be made ({error.strerror}): choose another one in the preferences.",
            ENVIRONMENT,
        ) from error
    return folder


def trim_cache(folder: Path, limit_mb: int) -> None:
    """Delete the files used longest ago until the rest fits `limit_mb` (10^6 bytes)."""
    files = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    total = sum(stat.st_size for _, stat in files)
    for path, stat in sorted(files, key=lambda item: max(item[1].st_atime, item[1].st_mtime)):
        if total <= limit_mb * 1e6:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size


def register() -> None:
    bpy.utils.register_class(PianoHandsPreferences)
    _LOGGER.setLevel(preferences(bpy.context).log_level)


def unregister() -> None:
    bpy.utils.unregister_class(PianoHandsPreferences)
