# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""FBX of the keyed hands, with settings checked by round trips (Unity and Unreal conventions, metres)."""

from pathlib import Path

import bpy

from ..outputs import blender_failed, whole_file
from .rig import Rig

_SETTINGS = {
    "use_selection": True,
    "object_types": {"ARMATURE", "MESH", "EMPTY"},
    "apply_scale_options": "FBX_SCALE_ALL",
    "axis_forward": "-Z",
    "axis_up": "Y",
    "add_leaf_bones": False,
    "primary_bone_axis": "Y",
    "secondary_bone_axis": "X",
    "armature_nodetype": "NULL",
    "use_armature_deform_only": False,
    "mesh_smooth_type": "FACE",
    "bake_anim": True,
    "bake_anim_use_all_bones": True,
    "bake_anim_use_nla_strips": False,
    "bake_anim_use_all_actions": False,  # it would give each hand the other's take as well
    "bake_anim_force_startend_keying": True,
    "bake_anim_step": 1.0,
    "bake_anim_simplify_factor": 0.0,
}


def export_fbx(rig: Rig, scene: bpy.types.Scene, path: Path, *, piano: bool = False) -> None:
    """Write the rig's hands over the scene's frame range; with `piano` also the keyboard. Times are frame / fps."""
    objects = _with_meshes(rig.hands.values())
    if piano:
        objects = [rig.piano, *objects, *rig.keys.values(), *([rig.pedal] if rig.pedal else [])]
    layer = scene.view_layers[0]
    with (
        whole_file(path) as part,
        bpy.context.temp_override(
            scene=scene, view_layer=layer, selected_objects=objects, active_object=objects[0], object=objects[0]
        ),
    ):
        try:
            _write(str(part), **_SETTINGS)
        except RuntimeError as error:
            raise blender_failed(path, error) from error


def _write(filepath: str, **settings) -> None:
    bpy.ops.export_scene.fbx(filepath=filepath, check_existing=False, **settings)


def _with_meshes(armatures) -> list[bpy.types.Object]:
    found = []
    for armature in armatures:
        found += [armature, *(child for child in armature.children if child.type == "MESH")]
    return found
