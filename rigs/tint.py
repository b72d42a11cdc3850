# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vertex colours of the hand: redder knuckles and fingertips, a lighter palm, nails with moon and free edge."""

import bmesh
import numpy as np

from s2c_blender.core.hand import FINGER_JOINTS, HEADS, TIPS

TINT = "tint"
SKIN = np.array([0.62, 0.335, 0.235])
PALM = np.array([0.70, 0.385, 0.29])
KNUCKLE = np.array([0.52, 0.225, 0.155])
TIP = np.array([0.66, 0.29, 0.22])
NAIL = np.array([0.68, 0.37, 0.295])
MOON = np.array([0.74, 0.48, 0.41])
EDGE = np.array([0.86, 0.78, 0.68])


def paint(bm: bmesh.types.BMesh) -> None:
    """Write the colour attribute `tint` of the right hand's skin (linear RGB, by vertex)."""
    points = np.array([v.co for v in bm.verts])
    normals = np.array([v.normal for v in bm.verts])
    layer = bm.verts.layers.float_color.new(TINT)
    for vert, colour in zip(bm.verts, skin_colour(points, normals), strict=True):
        vert[layer] = (*colour, 1.0)


def skin_colour(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
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


def nail_colour(a: float, b: float) -> tuple[float, float, float, float]:
    """RGBA of a nail at a (-1..1 across) and b (-1 cuticle .. 1 tip): a pale moon and a paler free edge."""
    moon = np.clip((-0.55 - b - 0.35 * a * a) / 0.3, 0, 1)
    edge = np.clip((b - 0.72 + 0.15 * a * a) / 0.12, 0, 1)
    colour = NAIL + (MOON - NAIL) * 0.7 * moon
    return (*(colour + (EDGE - colour) * 0.75 * edge), 1.0)
