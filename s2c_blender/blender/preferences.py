# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every file of one user: what the worker runs on, the model, the cache, the log."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..errors import ENVIRONMENT, UserError
from ..pytorch.flavours import flavours
from ..pytorch.folder import installed
from ..pytorch.interpreters import program

EXTENSION = __package__.rsplit(".", 2)[0]  # bl_ext.<repository>.s2c_piano_hands
BACKENDS = [
    (
        "AUTO",
        "Automatic",
        "PyTorch where it has a graphics card, else ONNX Runtime, which comes with the extension",
    ),
    ("ONNX", "ONNX Runtime", "Computes on the processor and needs nothing installed"),
    ("TORCH", "PyTorch", "Computes on the graphics card, too, and runs the published gesture model"),
]
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
KINDS = [
    (one.kind.upper(), one.title, f"{one.size / 1e6:.0f} MB to download, for Blender's Python {one.python}")
    for one in flavours()
] or [("NONE", "None", "There is no PyTorch for this platform")]
CACHE_SEEN_S = 10.0  # for which the size of the cache is not measured again
_LOGGER = logging.getLogger(__package__.rpartition(".")[0])
_console = logging.StreamHandler()  # without a handler Python shows warnings only
_console.setFormatter(logging.Formatter("Piano Hands: %(message)s"))
_cache_seen: tuple[float, Path, int] | None = None  # when, which folder, its bytes


@dataclass(frozen=True)
class Defaults:
    backend: str = "AUTO"
    interpreter: str = ""
    model_folder: str = ""
    mano_file: str = ""
    cache_folder: str = ""
    cache_limit: int = 2000
    device: str = "AUTO"
    log_level: str = "WARNING"


def _point_into_folder(self: "PianoHandsPreferences", context: bpy.types.Context) -> None:
    """A virtual environment's folder stands for the Python in it."""
    chosen = bpy.path.abspath(self.interpreter) if self.interpreter else ""
    if chosen and (inside := str(program(chosen))) != chosen:
        self.interpreter = inside


class PianoHandsPreferences(bpy.types.AddonPreferences):
    """Shown under Preferences > Add-ons."""

    bl_idname = EXTENSION

    backend: EnumProperty(name="Backend", description="What runs the networks", items=BACKENDS, default="AUTO")
    interpreter: StringProperty(
        name="Python with PyTorch",
        description="Python program, or folder of a virtual or conda environment, that has PyTorch, "
        "safetensors and transkun. "
        "Left empty, Blender's own Python is used, with the PyTorch installed below",
        subtype="FILE_PATH",
        update=_point_into_folder,
    )
    kind: EnumProperty(
        name="PyTorch for",
        description="Which PyTorch is installed; other graphics cards need a Python of your own",
        items=KINDS,
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
    device: EnumProperty(name="Device", description="What the networks compute on", items=DEVICES, default="AUTO")
    log_level: EnumProperty(
        name="Log",
        description="How much is written to the system console",
        items=LOG_LEVELS,
        default="WARNING",
        update=lambda self, context: _LOGGER.setLevel(self.log_level),
    )

    def draw(self, context: bpy.types.Context) -> None:
        from . import preferences_ui  # which needs this module

        preferences_ui.draw(self, context)


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


def user_folder(name: str) -> Path:
    """Where the extension keeps things of that name for the user; not made here, and deleted with the extension."""
    if EXTENSION.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(EXTENSION, path=name))
    return Path(bpy.utils.user_resource("DATAFILES", path=f"s2c_piano_hands_{name}"))


def packages() -> list[str]:
    """Folders of the PyTorch that was installed for Blender's own Python, for a worker that runs in it."""
    found = installed(user_folder("pytorch"))
    return [str(found)] if found else []


def cache_bytes(context: bpy.types.Context) -> int:
    """How large the cache is; measured again after some seconds only, because panels are drawn often."""
    global _cache_seen
    folder, now = cache_folder(context), time.monotonic()
    if not _cache_seen or _cache_seen[1] != folder or now - _cache_seen[0] > CACHE_SEEN_S:
        _cache_seen = now, folder, sum(stat.st_size for _, stat in _files(folder))
    return _cache_seen[2]


def clear_cache(context: bpy.types.Context) -> None:
    """Delete everything in the cache."""
    global _cache_seen
    trim_cache(cache_folder(context), 0)
    _cache_seen = None


def trim_cache(folder: Path, limit_mb: int) -> None:
    """Delete the files used longest ago until the rest fits `limit_mb` (10^6 bytes)."""
    files = list(_files(folder))
    total = sum(stat.st_size for _, stat in files)
    for path, stat in sorted(files, key=lambda item: max(item[1].st_atime, item[1].st_mtime)):
        if total <= limit_mb * 1e6:
            return
        with contextlib.suppress(OSError):  # in use
            path.unlink(missing_ok=True)
            total -= stat.st_size


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The cache's finished files; another Blender may be writing or deleting there, too."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.name.endswith(".part"):
                yield path, path.stat()


def register() -> None:
    from . import preferences_ui

    bpy.utils.register_class(PianoHandsPreferences)
    preferences_ui.register()
    _LOGGER.addHandler(_console)
    _LOGGER.setLevel(preferences(bpy.context).log_level)


def unregister() -> None:
    from . import preferences_ui

    _LOGGER.removeHandler(_console)
    preferences_ui.unregister()
    bpy.utils.unregister_class(PianoHandsPreferences)
