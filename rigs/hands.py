# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hands: an MIT mesh re-rigged to the 16 joints of `s2c_blender.core.hand`."""

from dataclasses import dataclass
from pathlib import Path

import bmesh
import bpy
import numpy as np
from looks import Looks
from mathutils import Matrix, Vector
from meshes import add_object
from nails import add_nails
from sculpt import knuckles
from sleeves import add_sleeve
from tint import TINT, paint

from s2c_blender.core.hand import FINGER_JOINTS, HEADS, HINGE_AXES, HINGE_JOINTS, JOINTS, PADS, PARENTS

MIRROR = Matrix.Diagonal((-1.0, 1.0, 1.0, 1.0))
# From the imported file's axes (fingers -z, thumb +y, palm -x) to the piano frame.
TO_PIANO = Matrix(((0, -1, 0), (0, 0, -1), (1, 0, 0)))
# The file's joints, by ours: four metacarpals belong to the wrist, a tip to the joint before it.
SOURCE_JOINTS = {"wrist": ["wrist", *(f"{f}-finger-metacarpal" for f in ("index", "middle", "ring", "pinky"))]}
for _finger in ("index", "middle", "ring", "pinky"):
    for _i, _part in enumerate(("proximal", "intermediate", "distal"), 1):
        SOURCE_JOINTS[f"{_finger}{_i}"] = [f"{_finger}-finger-phalanx-{_part}"]
    SOURCE_JOINTS[f"{_finger}3"].append(f"{_finger}-finger-tip")
SOURCE_JOINTS["thumb1"] = ["thumb-metacarpal"]
SOURCE_JOINTS["thumb2"] = ["thumb-phalanx-proximal"]
SOURCE_JOINTS["thumb3"] = ["thumb-phalanx-distal", "thumb-tip"]


@dataclass(frozen=True)
class HandMesh:
    """The file's right hand: vertices [V, 3] in the piano frame from the wrist, weights [V, 16] by our joints."""

    points: np.ndarray
    normals: np.ndarray
    uv: np.ndarray  # [V, 2]
    weights: np.ndarray
    faces: list[list[int]]


def build_hands(source: HandMesh, piano: bpy.types.Object, collection: bpy.types.Collection, looks: Looks) -> None:
    """Hand.R and Hand.L with their meshes and sleeves, under `piano` without any offset."""
    right_mesh = _right_mesh(source, looks)
    left_mesh = right_mesh.copy()
    left_mesh.transform(MIRROR)
    left_mesh.flip_normals()
    for name, mesh, left in (("Hand.R", right_mesh, False), ("Hand.L", left_mesh, True)):
        armature = _armature(name, piano, collection, left)
        mesh.name = f"{name}.Mesh"
        _skin(mesh, armature, collection)
        add_sleeve(armature, piano, collection, looks)


def _right_mesh(source: HandMesh, looks: Looks) -> bpy.types.Mesh:
    """The right hand's mesh in the piano frame, wrist at the origin: welded, quads where possible, weights by joint."""
    bm = bmesh.new()
    layer = bm.verts.layers.deform.verify()
    for point, row in zip(source.points, source.weights, strict=True):
        vert = bm.verts.new(point)
        for j in np.flatnonzero(row > 1e-4):
            vert[layer][int(j)] = float(row[j])
    bm.verts.ensure_lookup_table()
    uv = bm.loops.layers.uv.new("UVMap")
    for corners in source.faces:
        face = bm.faces.new([bm.verts[i] for i in corners])
        for loop, corner in zip(face.loops, corners, strict=True):
            loop[uv].uv = source.uv[corner]
    bmesh.ops.remove_doubles(bm, verts=bm.verts, dist=1e-6)
    # Quads subdivide to a smoother skin than the file's triangles.
    bmesh.ops.join_triangles(bm, faces=bm.faces, cmp_uvs=True, angle_face_threshold=0.6, angle_shape_threshold=0.8)
    bmesh.ops.recalc_face_normals(bm, faces=bm.faces)
    paint(bm)
    add_nails(bm)
    for face in bm.faces:
        face.smooth = True
    mesh = bpy.data.meshes.new("Hand.R.Mesh")
    bm.to_mesh(mesh)
    bm.free()
    mesh.materials.append(looks.skin)
    mesh.materials.append(looks.nail)
    mesh.color_attributes.active_color = mesh.color_attributes[TINT]
    return mesh


def read_glb(glb: Path) -> HandMesh:
    """Read the right hand through an empty file, which is left empty again."""
    bpy.ops.import_scene.gltf(filepath=str(glb))
    new = list(bpy.data.objects)
    armature = next(o for o in new if o.type == "ARMATURE")
    mesh = next(o for o in new if o.type == "MESH" and o.vertex_groups)
    wrist = armature.matrix_world @ armature.data.bones["wrist"].head_local
    points = np.array([TO_PIANO @ (mesh.matrix_world @ v.co - wrist) for v in mesh.data.vertices])
    turn = TO_PIANO @ mesh.matrix_world.to_3x3()
    normals = _smooth_normals(points, np.array([turn @ v.normal for v in mesh.data.vertices]))
    uv = np.empty((len(points), 2))
    for loop, place in zip(mesh.data.loops, mesh.data.uv_layers[0].data, strict=True):
        uv[loop.vertex_index] = place.uv
    joint_of = {name: j for j, joint in enumerate(JOINTS) for name in SOURCE_JOINTS[joint]}
    weights = np.zeros((len(points), len(JOINTS)))
    for vert in mesh.data.vertices:
        for group in vert.groups:
            weights[vert.index, joint_of[mesh.vertex_groups[group.group].name]] += group.weight
    weights /= weights.sum(1, keepdims=True)
    faces = [list(p.vertices) for p in mesh.data.polygons]
    for obj in new:
        bpy.data.objects.remove(obj)
    bpy.data.orphans_purge(do_recursive=True)
    return HandMesh(knuckles(points, normals, weights), normals, uv, weights, faces)


def _smooth_normals(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3], the same for vertices that share a place: the file splits them along texture seams."""
    _, place = np.unique(np.round(points, 6), axis=0, return_inverse=True)
    total = np.zeros_like(normals)
    np.add.at(total, place.ravel(), normals)
    total = total[place.ravel()]
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def flexion_axis(joint: int) -> np.ndarray:
    """Unit axis [3] about which a positive angle flexes a joint of the right hand; the wrist bends like its middle."""
    if joint == 0:
        return np.array([-1.0, 0.0, 0.0])
    return HINGE_AXES[np.flatnonzero(HINGE_JOINTS == joint)[-1]]


def tail(joint: int) -> np.ndarray:
    """End [3] of a joint's bone: the next joint, or the pad; the wrist's points at the middle knuckle."""
    if joint == 0:
        return HEADS[JOINTS.index("middle1")]
    finger, segment = np.argwhere(FINGER_JOINTS == joint)[0]
    return PADS[finger] if segment == 2 else HEADS[FINGER_JOINTS[finger, segment + 1]]


def _armature(name: str, piano: bpy.types.Object, collection: bpy.types.Collection, left: bool) -> bpy.types.Object:
    """The armature: bone x axes are flexion axes, so that +x flexes and z is palmar, on both hands."""
    data = bpy.data.armatures.new(name)
    data.display_type = "STICK"
    armature = add_object(name, data, collection, piano)
    armature.show_in_front = True
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    flip = np.array([-1.0 if left else 1.0, 1.0, 1.0])
    for j, joint in enumerate(JOINTS):
        bone = data.edit_bones.new(joint)
        bone.head, bone.tail = HEADS[j] * flip, tail(j) * flip
        bone.align_roll(Vector(np.cross(flexion_axis(j), tail(j) - HEADS[j]) * flip))
        if PARENTS[j] >= 0:
            bone.parent = data.edit_bones[JOINTS[PARENTS[j]]]
    bpy.ops.object.mode_set(mode="OBJECT")
    for bone in armature.pose.bones:
        bone.rotation_mode = "XYZ"
        bone.lock_scale = (True, True, True)
    return armature


def _skin(mesh: bpy.types.Mesh, armature: bpy.types.Object, collection: bpy.types.Collection) -> None:
    """Bind the mesh, whose weights are numbered by joint, to its armature."""
    obj = add_object(mesh.name, mesh, collection, armature)
    for joint in JOINTS:
        obj.vertex_groups.new(name=joint)
    bind = obj.modifiers.new("Armature", "ARMATURE")
    bind.object = armature
    bind.use_deform_preserve_volume = True
    smooth = obj.modifiers.new("Subdivision", "SUBSURF")
    # None in the viewport: Blender 4.2 without GPU subdivision would need 30 ms a frame for both hands while scrubbing.
    smooth.levels, smooth.render_levels = 0, 2
