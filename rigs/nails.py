# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finger nails: small closed plates laid on the skin of the right hand's last segments."""

from dataclasses import dataclass

import bmesh
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from s2c_blender.core.hand import FINGER_JOINTS, HEADS, HINGE_AXES, HINGE_JOINTS, TIPS

SIZE = 9  # points across and along
THICKNESS = 0.0007
NAIL_MATERIAL = 1
# Thumb .. little: length, half opening angle around the finger (degrees), metres from the fingertip's end to the edge.
LENGTHS = (0.0135, 0.0115, 0.0120, 0.0115, 0.0095)
OPENINGS = (58.0, 56.0, 56.0, 56.0, 56.0)


@dataclass(frozen=True)
class FingerEnd:
    """Frame of a last finger segment: from `joint` along `along`, `dorsal` up, `side` across."""

    origin: np.ndarray
    along: np.ndarray
    dorsal: np.ndarray
    side: np.ndarray


def finger_end(finger: int) -> FingerEnd:
    """The frame of finger 0 (thumb) .. 4 (little) of the right hand at rest."""
    joint = FINGER_JOINTS[finger, 2]
    along = (TIPS[finger] - HEADS[joint]) / np.linalg.norm(TIPS[finger] - HEADS[joint])
    flex = HINGE_AXES[np.flatnonzero(HINGE_JOINTS == joint)[-1]]
    dorsal = np.cross(along, flex)
    dorsal /= np.linalg.norm(dorsal)
    return FingerEnd(HEADS[joint], along, dorsal, np.cross(dorsal, along))


def add_nails(bm: bmesh.types.BMesh) -> None:
    """Add five nail plates to the hand in `bm`; each follows its last joint alone."""
    skin = BVHTree.FromBMesh(bm)
    points = np.array([v.co for v in bm.verts])
    layer = bm.verts.layers.deform.verify()
    for finger in range(5):
        top, bottom = _plate(skin, points, finger)
        joint = int(FINGER_JOINTS[finger, 2])
        grids = [[[bm.verts.new(p) for p in row] for row in grid] for grid in (top, bottom)]
        for vert in (v for grid in grids for row in grid for v in row):
            vert[layer][joint] = 1.0
        for face in _close(bm, *grids):
            face.material_index = NAIL_MATERIAL
    bm.normal_update()


def _plate(skin: BVHTree, points: np.ndarray, finger: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower surface [SIZE, SIZE, 3] of a nail: rows run from the cuticle to the free edge."""
    end = finger_end(finger)
    offset = points - end.origin
    reach = float(((offset @ end.along)[np.linalg.norm(points - TIPS[finger], axis=1) < 0.02]).max())
    last = reach - 0.0006
    top = np.empty((SIZE, SIZE, 3))
    down = np.empty((SIZE, SIZE, 3))
    for i, b in enumerate(np.linspace(-1, 1, SIZE)):
        for k, a in enumerate(np.linspace(-1, 1, SIZE)):
            # The cuticle and the free edge are rounded, and the plate narrows towards the cuticle.
            s = last - LENGTHS[finger] * (1 - b) / 2
            s += 0.0030 * a * a * max(-b, 0.0) - 0.0026 * a * a * max(b, 0.0)
            angle = np.radians(OPENINGS[finger]) * a * (1.0 - 0.14 * max(-b, 0.0) ** 2)
            out = np.cos(angle) * end.dorsal + np.sin(angle) * end.side
            core = end.origin + end.along * min(s, reach - 0.0045)
            hit = skin.ray_cast(Vector(core + out * 0.03), Vector(-out))[0]
            radius = float((np.array(hit) - core) @ out)
            top[i, k] = core + out * radius + end.along * (s - min(s, reach - 0.0045))
            edge = max(abs(a), -b) ** 4
            top[i, k] += out * (0.00045 * (1 - edge) - 0.00040 * edge)
            down[i, k] = -out
    return top, top + down * THICKNESS


def _close(bm: bmesh.types.BMesh, top: list, bottom: list) -> list[bmesh.types.BMFace]:
    """Faces of a closed plate between two vertex grids."""
    faces = []
    for i in range(SIZE - 1):
        for k in range(SIZE - 1):
            quad = [(i, k), (i, k + 1), (i + 1, k + 1), (i + 1, k)]
            faces.append(bm.faces.new([top[r][c] for r, c in quad]))
            faces.append(bm.faces.new([bottom[r][c] for r, c in reversed(quad)]))
    rim = [(0, k) for k in range(SIZE)] + [(i, SIZE - 1) for i in range(1, SIZE)]
    rim += [(SIZE - 1, k) for k in range(SIZE - 2, -1, -1)] + [(i, 0) for i in range(SIZE - 2, 0, -1)]
    for (r, c), (r2, c2) in zip(rim, rim[1:] + rim[:1], strict=True):
        faces.append(bm.faces.new((bottom[r][c], bottom[r2][c2], top[r2][c2], top[r][c])))
    bmesh.ops.recalc_face_normals(bm, faces=faces)
    return faces
