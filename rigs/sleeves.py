# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shirt cuff and jacket sleeve: they hide the end of the mesh at the wrist."""

import bmesh
import bpy
import numpy as np
from looks import Looks
from meshes import add_object, finish

SIDES = 28
# (y, half width in x, half height in z) from the opening over the outside to the far end, metres; wrist at y = 0.
CUFF = [(-0.014, 0.0285, 0.0215), (-0.0075, 0.029, 0.022), (-0.006, 0.0300, 0.0230), (-0.0072, 0.0312, 0.0242)]
CUFF += [(-0.012, 0.0318, 0.0248), (-0.030, 0.0325, 0.0255), (-0.045, 0.0325, 0.0255)]
SLEEVE = [(-0.034, 0.0335, 0.0270), (-0.0195, 0.0350, 0.0285), (-0.018, 0.0365, 0.0300), (-0.0195, 0.0380, 0.0312)]
SLEEVE += [(-0.030, 0.0388, 0.0322), (-0.070, 0.0405, 0.0350), (-0.120, 0.0440, 0.0390), (-0.158, 0.0460, 0.0410)]
SLEEVE += [(-0.166, 0.0430, 0.0380), (-0.169, 0.0340, 0.0300)]


def add_sleeve(armature: bpy.types.Object, collection: bpy.types.Collection, looks: Looks, left: bool) -> None:
    """A cuff and a short sleeve that follow the wrist bone."""
    for kind, rings, material in (("Cuff", CUFF, looks.shirt), ("Sleeve", SLEEVE, looks.jacket)):
        bm = bmesh.new()
        _tube(bm, rings)
        obj = add_object(f"{armature.name}.{kind}", finish(bm, f"{armature.name}.{kind}", material), collection, armature)
        obj.parent_type, obj.parent_bone = "BONE", "wrist"
        bone = armature.data.bones["wrist"]
        # A bone's children hang on its tail: undo that, so that the sleeve's origin is the wrist joint.
        obj.matrix_parent_inverse = (bone.matrix_local @ _translation(bone.length)).inverted()
        obj.modifiers.new("Subdivision", "SUBSURF").levels = 1


def _translation(length: float):
    from mathutils import Matrix

    return Matrix.Translation((0.0, length, 0.0))


def _tube(bm: bmesh.types.BMesh, rings: list[tuple[float, float, float]]) -> None:
    """A closed surface of revolution-like rings around the forearm, caps at both ends."""
    loops = []
    for y, wide, high in rings:
        angles = np.arange(SIDES) * 2 * np.pi / SIDES
        loops.append([bm.verts.new((wide * np.cos(t), y, 0.0 + high * np.sin(t))) for t in angles])
    for near, far in zip(loops, loops[1:], strict=False):
        for i in range(SIDES):
            j = (i + 1) % SIDES
            bm.faces.new((near[i], near[j], far[j], far[i]))
    bm.faces.new(loops[0])
    bm.faces.new(list(reversed(loops[-1])))
