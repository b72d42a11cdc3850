# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finger nails: small closed plates laid on the skin of the right hand's last segments."""

from dataclasses import dataclass

import bmesh
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from tint import TINT, nail_colour

from s2c_blender.core.hand import FINGER_JOINTS, HEADS, HINGE_AXES, HINGE_JOINTS, TIPS

SIZE = 7  # points across and along
THICKNESS = 0.0007
NAIL_MATERIAL = 1
FREE_SKIN = 0.0026  # short nails, as pianists wear them: this much fingertip shows beyond the plate
# Thumb .. little: length (metres), half opening angle around the finger (degrees).
LENGTHS = (0.0130, 0.0108, 0.0114, 0.0108, 0.0090)
OPENINGS = (58.0, 56.0, 56.0, 56.0, 56.0)


@dataclass(frozen=True)
class FingerEnd:
    """Frame of a finger segment: from `joint` along `along`, `dorsal` up, `side` across."""

    origin: np.ndarray
    along: np.ndarray
    dorsal: np.ndarray
    side: np.ndarray


def finger_end(finger: int) -> FingerEnd:
    """The frame of the last segment of finger 0 (thumb) .. 4 (little) of the right hand at rest."""
    return segment_frame(finger, 2)


def segment_frame(finger: int, segment: int) -> FingerEnd:
    """The frame of one of a finger's three segments of the right hand at rest."""
    joint = FINGER_JOINTS[finger, segment]
    end = TIPS[finger] if segment == 2 else HEADS[FINGER_JOINTS[finger, segment + 1]]
    along = (end - HEADS[joint]) / np.linalg.norm(end - HEADS[joint])
    flex = HINGE_AXES[np.flatnonzero(HINGE_JOINTS == joint)[-1]]
    dorsal = np.cross(along, flex)
    dorsal /= np.linalg.norm(dorsal)
    return FingerEnd(HEADS[joint], along, dorsal, np.cross(dorsal, along))


def add_nails(bm: bmesh.types.BMesh) -> None:
    """Add five nail plates to the hand in `bm`; each follows its last joint alone."""
    skin = BVHTree.FromBMesh(bm)
    points = np.array([v.co for v in bm.verts])
    layer, tint = bm.verts.layers.deform.verify(), bm.verts.layers.float_color[TINT]
    for finger in range(5):
        top, bottom = _plate(skin, points, finger)
        joint = int(FINGER_JOINTS[finger, 2])
        grids = [[[bm.verts.new(p) for p in row] for row in grid] for grid in (top, bottom)]
        steps = np.linspace(-1, 1, SIZE)
        for grid in grids:
            for (i, k), b, a in ((at, steps[at[0]], steps[at[1]]) for at in np.ndindex(SIZE, SIZE)):
                grid[i][k][layer][joint] = 1.0
                grid[i][k][tint] = nail_colour(a, b)
        for face in _close(bm, *grids):
            face.material_index = NAIL_MATERIAL
    bm.normal_update()


def _plate(skin: BVHTree, points: np.ndarray, finger: int) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower surface [SIZE, SIZE, 3] of a nail: rows run from the cuticle to the free edge."""
    end = finger_end(finger)
    offset = points - end.origin
    reach = float(((offset @ end.along)[np.linalg.norm(points - TIPS[finger], axis=1) < 0.02]).max())
    last = reach - FREE_SKIN
    level = reach - 0.0065  # from here on the plate leaves the skin, which rounds off faster
    top = np.empty((SIZE, SIZE, 3))
    down = np.empty((SIZE, SIZE, 3))
    for i, b in enumerate(np.linspace(-1, 1, SIZE)):
        for k, a in enumerate(np.linspace(-1, 1, SIZE)):
            # The cuticle and the free edge are rounded, and the plate narrows towards the cuticle.
            s = last - LENGTHS[finger] * (1 - b) / 2
            s += 0.0034 * abs(a) ** 2.6 * max(-b, 0.0) - 0.0024 * abs(a) ** 2.6 * max(b, 0.0)
            angle = np.radians(OPENINGS[finger]) * a * (1.0 - 0.14 * max(-b, 0.0) ** 2)
            out = np.cos(angle) * end.dorsal + np.sin(angle) * end.side
            radius = _radius(skin, end, min(s, level), out)
            if s > level:
                radius = max(radius - 0.30 * (s - level), _radius(skin, end, s, out) - 0.0002)
            edge = max(abs(a), -b) ** 4
            lift = 0.00020 * (1 - edge) - 0.00055 * edge
            top[i, k] = end.origin + end.along * s + out * (radius + lift)
            down[i, k] = -out
    return top, top + down * THICKNESS


def _radius(skin: BVHTree, end: FingerEnd, s: float, out: np.ndarray) -> float:
    """Distance of the skin from the finger's axis at `s` along it, in direction `out`."""
    core = end.origin + end.along * s
    hit = skin.ray_cast(Vector(core + out * 0.03), Vector(-out))[0]
    return float((np.array(hit) - core) @ out)


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
