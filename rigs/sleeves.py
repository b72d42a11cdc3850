# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shirt cuff and jacket sleeve: they hide the end of the mesh at the wrist and show where the forearm goes."""

import bmesh
import bpy
import numpy as np
from looks import Looks
from mathutils import Matrix
from meshes import add_object, finish

SIDES = 28
# Rings (y, half width in x, half height in z) in metres from inside the opening to the far end; wrist at the origin.
CUFF = [(-0.030, 0.0270, 0.0200), (-0.012, 0.0285, 0.0215), (-0.0075, 0.0292, 0.0222), (-0.006, 0.0302, 0.0232)]
CUFF += [(-0.0072, 0.0312, 0.0242), (-0.012, 0.0318, 0.0248), (-0.030, 0.0322, 0.0252), (-0.042, 0.0300, 0.0240)]
SLEEVE = [(-0.045, 0.0330, 0.0270), (-0.0205, 0.0358, 0.0300), (-0.018, 0.0368, 0.0310), (-0.0170, 0.0382, 0.0324)]
SLEEVE += [(-0.0195, 0.0394, 0.0334), (-0.030, 0.0400, 0.0342), (-0.070, 0.0418, 0.0366), (-0.120, 0.0448, 0.0402)]
SLEEVE += [(-0.170, 0.0470, 0.0430), (-0.190, 0.0468, 0.0428), (-0.198, 0.0440, 0.0400), (-0.201, 0.0340, 0.0300)]
# The elbow keeps this share of the wrist's place; the rest is the place of its own, for the right arm.
ELBOW_FOLLOWS = 0.8
ELBOW_PLACE = (0.45, -1.30, -0.10)


def add_sleeve(
    armature: bpy.types.Object, piano: bpy.types.Object, collection: bpy.types.Collection, looks: Looks
) -> None:
    """A cuff that moves with the hand and a sleeve that points from the wrist to the elbow."""
    elbow = _elbow(armature, piano, collection)
    # The rest of each turn goes with the hand, so that a bent wrist stays inside cuff and sleeve.
    for kind, rings, material, share in (("Cuff", CUFF, looks.shirt, 0.5), ("Sleeve", SLEEVE, looks.jacket, 0.85)):
        aim = _on_wrist(armature, kind, rings, material, collection).constraints.new("DAMPED_TRACK")
        aim.target, aim.track_axis, aim.influence = elbow, "TRACK_NEGATIVE_Y", share


def _elbow(armature: bpy.types.Object, piano: bpy.types.Object, collection: bpy.types.Collection) -> bpy.types.Object:
    """An empty that follows the wrist as an elbow does: nearly as far."""
    side = -1.0 if armature.name.endswith(".L") else 1.0
    place = (side * ELBOW_PLACE[0], *ELBOW_PLACE[1:])
    elbow = add_object(armature.name.replace("Hand", "Elbow"), None, collection, piano, place)
    elbow.empty_display_size = 0.02
    follow = elbow.constraints.new("COPY_LOCATION")
    follow.target, follow.subtarget = armature, "wrist"
    follow.owner_space = follow.target_space = "CUSTOM"
    follow.space_object = piano
    follow.influence = ELBOW_FOLLOWS
    return elbow


def _on_wrist(
    armature: bpy.types.Object,
    kind: str,
    rings: list[tuple[float, float, float]],
    material: bpy.types.Material,
    collection: bpy.types.Collection,
) -> bpy.types.Object:
    """A tube whose origin is the wrist joint, parented to the wrist bone."""
    bm = bmesh.new()
    _tube(bm, rings)
    name = f"{armature.name}.{kind}"
    obj = add_object(name, finish(bm, name, material, smooth_angle=3.0), collection, armature)
    obj.parent_type, obj.parent_bone = "BONE", "wrist"
    bone = armature.data.bones["wrist"]
    # A bone's children hang on its tail: undo that, so that the object's origin is the wrist joint.
    obj.matrix_parent_inverse = (bone.matrix_local @ Matrix.Translation((0.0, bone.length, 0.0))).inverted()
    smooth = obj.modifiers.new("Subdivision", "SUBSURF")
    smooth.levels, smooth.render_levels = 0, 1
    return obj


def _tube(bm: bmesh.types.BMesh, rings: list[tuple[float, float, float]]) -> None:
    """Rings of an elliptic tube, closed at both ends."""
    angles = np.arange(SIDES) * 2 * np.pi / SIDES
    loops = [[bm.verts.new((w * np.cos(t), y, h * np.sin(t))) for t in angles] for y, w, h in rings]
    for near, far in zip(loops, loops[1:], strict=False):
        for i in range(SIDES):
            j = (i + 1) % SIDES
            bm.faces.new((near[i], near[j], far[j], far[i]))
    bm.faces.new(loops[0])
    bm.faces.new(list(reversed(loops[-1])))
