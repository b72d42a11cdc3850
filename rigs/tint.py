# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vertex colours of the hand: redder knuckles and fingertips, a lighter palm, nails with moon and free edge."""

import bpy
import numpy as np
from nails import LENGTHS, NAIL_MATERIAL, finger_end

from s2c_blender.core.hand import FINGER_JOINTS, HEADS, TIPS

SKIN = np.array([0.62, 0.335, 0.235])
PALM = np.array([0.70, 0.385, 0.29])
KNUCKLE = np.array([0.52, 0.225, 0.155])
TIP = np.array([0.66, 0.29, 0.22])
NAIL = np.array([0.70, 0.40, 0.33])
MOON = np.array([0.80, 0.56, 0.48])
EDGE = np.array([0.86, 0.78, 0.68])


def paint_skin(mesh: bpy.types.Mesh) -> None:
    """Write the colour attribute `tint` of the right hand's mesh (linear RGB, by vertex)."""
    points = np.array([v.co for v in mesh.vertices])
    normals = np.array([v.normal for v in mesh.vertices])
    colour = _skin(points, normals)
    for face in mesh.polygons:
        if face.material_index == NAIL_MATERIAL:
            for v in face.vertices:
                colour[v] = _nail(points[v])
    layer = mesh.color_attributes.new("tint", "FLOAT_COLOR", "POINT")
    rgba = np.ones((len(points), 4), np.float32)
    rgba[:, :3] = colour
    layer.data.foreach_set("color", rgba.ravel())
    mesh.color_attributes.active_color = layer


def _skin(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Linear RGB [V, 3] of skin at rest positions [V, 3] with normals [V, 3]."""
    palm = np.clip(-normals[:, 2] * 1.2, 0, 1)[:, None]
    colour = SKIN + (PALM - SKIN) * palm
    back = np.clip(normals[:, 2] * 1.5 + 0.2, 0, 1)
    for finger in range(5):
        for segment, size, strength in ((0, 0.012, 0.55), (1, 0.009, 0.75), (2, 0.006, 0.6)):
            distance = np.linalg.norm(points - HEADS[FINGER_JOINTS[finger, segment]] - [0, 0, 0.008], axis=1)
            amount = strength * back * np.exp(-((distance / size) ** 2) / 2)
            colour += (KNUCKLE - colour) * amount[:, None]
        distance = np.linalg.norm(points - TIPS[finger], axis=1)
        amount = 0.7 * np.exp(-((distance / 0.010) ** 2))
        colour += (TIP - colour) * amount[:, None]
    return colour


def _nail(point: np.ndarray) -> np.ndarray:
    finger = int(np.argmin(np.linalg.norm(TIPS - point, axis=1)))
    end = finger_end(finger)
    place = (point - TIPS[finger]) @ end.along
    side = abs((point - TIPS[finger]) @ end.side) / 0.006
    from_cuticle = place / LENGTHS[finger] + 0.35 + 0.10 * side**2
    moon = np.clip((0.12 - from_cuticle) / 0.12, 0, 1)
    return NAIL + (MOON - NAIL) * 0.6 * moon
