# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyed hands as FBX, glTF, USD and BVH, with settings checked by round trips."""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path

import bpy
from bpy_extras.io_utils import axis_conversion
from mathutils import Matrix

from ..core.notes import LEFT, RIGHT
from ..errors import ENVIRONMENT, UserError
from ..outputs import blender_failed, whole_file
from .export_sample import TIMELINE, file_times
from .export_stage import Stage, Wanted, staged
from .rig import Rig


@dataclass(frozen=True)
class Preset:
    """What a program expects: axes and unit of an FBX file, and whether everything is in one skeleton."""

    forward: str  # the axis of the file along which the pianist looks
    up: str
    unit: float  # file units a metre
    single: bool


PRESETS = {
    "GENERIC": Preset("-Z", "Y", 1.0, False),
    "UNREAL": Preset("X", "Z", 100.0, True),
    "UNITY": Preset("-Z", "Y", 1.0, True),
}


@dataclass(frozen=True)
class Options:
    """What to write. `single` None: as the preset has it; `rate` None: the scene's; for `zero` see `file_times`."""

    preset: str = "GENERIC"
    hands: tuple[int, ...] = (LEFT, RIGHT)
    single: bool | None = None
    mesh: bool = True
    piano: bool = False
    rate: float | None = None
    zero: str = TIMELINE
    span: tuple[float, float] | None = None  # frame and seconds of the music, for zero "TAKE"


_FBX = {
    "object_types": {"ARMATURE", "MESH", "EMPTY"},
    "apply_scale_options": "FBX_SCALE_ALL",
    "add_leaf_bones": False,
    "primary_bone_axis": "Y",
    "secondary_bone_axis": "X",
    "armature_nodetype": "NULL",
    "use_armature_deform_only": False,  # only deforming bones, and the root, are on the stage
    "mesh_smooth_type": "FACE",
    "bake_anim": True,
    "bake_anim_use_all_bones": True,
    "bake_anim_use_nla_strips": False,
    "bake_anim_use_all_actions": False,  # it would give each hand the other's take as well
    "bake_anim_force_startend_keying": True,
    "bake_anim_step": 1.0,
    "bake_anim_simplify_factor": 0.0,
    "path_mode": "COPY",
    "embed_textures": True,
}
_GLTF = {
    "export_format": "GLB",
    "use_active_scene": True,
    "export_apply": True,
    "export_animation_mode": "ACTIVE_ACTIONS",  # the others write an animation a hand, of which readers play one
    "export_anim_single_armature": False,  # else a lone armature gets all actions of the file
    "export_frame_range": True,
    "export_force_sampling": True,
    "export_optimize_animation_size": False,  # every frame
}
_USD = {"export_animation": True, "export_armatures": True}


def export_fbx(rig: Rig, scene: bpy.types.Scene, path: Path, options: Options | None = None) -> None:
    """Write what the hands do as FBX, in the preset's axes; the preset Unreal in centimetres, the others in metres."""
    options = options or Options()
    preset = PRESETS[options.preset]
    upright = axis_conversion(to_forward=preset.forward, to_up=preset.up).to_4x4()
    with _ready(rig, scene, path, options, preset.unit, upright.inverted()) as (stage, part):
        stage.scene.unit_settings.scale_length = 1.0 / preset.unit
        _write(bpy.ops.export_scene.fbx, part, axis_forward=preset.forward, axis_up=preset.up, **_FBX)


def export_gltf(rig: Rig, scene: bpy.types.Scene, path: Path, options: Options | None = None) -> None:
    """Write what the hands do as binary glTF, in metres."""
    with _ready(rig, scene, path, options or Options()) as (stage, part), _in_window(stage.scene):
        render = stage.scene.render
        rate = render.fps / render.fps_base
        # Blender up to 5.2 takes frames for frame / (fps * base) seconds, which is wrong at 23.976 and its like.
        for base in (1.0 / render.fps_base, render.fps_base):
            render.fps_base = base
            _write(bpy.ops.export_scene.gltf, part, **_GLTF)
            if isclose(_gltf_end(part), stage.scene.frame_end / rate, rel_tol=1e-5, abs_tol=1e-5):
                break


def export_usd(rig: Rig, scene: bpy.types.Scene, path: Path, options: Options | None = None) -> None:
    """Write what the hands do as USD, in metres; UserError on a Blender built without it."""
    if not has_usd():
        raise UserError("This build of Blender cannot write USD: use the one from blender.org.", ENVIRONMENT)
    with _ready(rig, scene, path, options or Options()) as (_, part):
        _write(bpy.ops.wm.usd_export, part, **_USD)


def export_bvh(rig: Rig, scene: bpy.types.Scene, path: Path, options: Options | None = None) -> None:
    """Write the bones as BVH, one skeleton of both hands, in metres and Blender's axes."""
    options = replace(options or Options(), single=True, mesh=False)
    with _ready(rig, scene, path, options) as (stage, part):
        skeleton = stage.skeletons[0]
        with bpy.context.temp_override(active_object=skeleton, object=skeleton):
            _write(bpy.ops.export_anim.bvh, part, frame_start=stage.scene.frame_start, frame_end=stage.scene.frame_end)


def has_usd() -> bool:
    """Whether this Blender can write USD; Debian's cannot."""
    return bpy.app.build_options.usd


@contextmanager
def _ready(
    rig: Rig, scene: bpy.types.Scene, path: Path, options: Options, unit: float = 1.0, root: Matrix | None = None
) -> Iterator[tuple[Stage, Path]]:
    """The stage, as the context's scene, and the file to write, which then takes its place at `path`."""
    single = PRESETS[options.preset].single if options.single is None else options.single
    metre = scene.unit_settings.scale_length
    wanted = Wanted(options.hands, single, options.mesh, options.piano, metre * unit, root or Matrix())
    times = file_times(scene, options.rate, options.zero, options.span)
    with (
        whole_file(path) as part,
        staged(rig, scene, wanted, times, path.stem) as stage,
        bpy.context.temp_override(scene=stage.scene, view_layer=stage.scene.view_layers[0]),
    ):
        try:
            yield stage, part
        except RuntimeError as error:
            raise blender_failed(path, error) from error


@contextmanager
def _in_window(scene: bpy.types.Scene) -> Iterator[None]:
    """The scene in the window, where the exporter of glTF wants it."""
    window = bpy.context.window or bpy.context.window_manager.windows[0]
    before, layer = window.scene, window.view_layer
    window.scene = scene
    try:
        yield
    finally:
        window.scene = before
        window.view_layer = layer


def _write(operator: Callable, path: Path, **settings) -> None:
    operator(filepath=str(path), check_existing=False, **settings)


def _gltf_end(path: Path) -> float:
    """Time of the last keyframe (s) of a .glb file, 0 without animation."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    told = json.loads(data[20 : 20 + length])
    samplers = [sampler for animation in told.get("animations", ()) for sampler in animation["samplers"]]
    return max((told["accessors"][sampler["input"]]["max"][0] for sampler in samplers), default=0.0)
