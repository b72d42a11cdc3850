# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bones under the skin: the file's smooth hand gets knuckles, the hollows between them and wider finger joints."""

import numpy as np
from nails import segment_frame

from s2c_blender.core.hand import FINGER_JOINTS, HEADS

KNUCKLE, HOLLOW, MIDDLE, END = 0.0016, -0.0012, 0.0008, 0.0004  # how far the skin moves out, metres


def knuckles(points: np.ndarray, normals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Points [V, 3] of the right hand at rest, moved along their normals [V, 3]; weights [V, 16] tell the fingers."""
    out = np.zeros(len(points))
    tops = HEADS[FINGER_JOINTS[1:, 0]] + [0, 0, 0.010]
    back = np.clip(normals[:, 2] * 1.4, 0, 1)
    for top in tops:
        out += KNUCKLE * back * _near(points, top, 0.0075)
    for a, b in zip(tops, tops[1:], strict=False):
        out += HOLLOW * back * _near(points, (a + b) / 2 + [0, 0.003, 0], 0.006)
    for finger in range(5):
        own = np.clip(weights[:, FINGER_JOINTS[finger]].sum(1), 0, 1)
        for segment, amount in ((1, MIDDLE), (2, END)):
            frame = segment_frame(finger, segment)
            # The palmar side keeps its place: pads and creases are measured there.
            facing = np.clip(normals @ frame.dorsal + 0.6, 0, 1)
            out += amount * own * facing * _near(points, frame.origin, 0.0085)
    return points + normals * out[:, None]


def _near(points: np.ndarray, centre: np.ndarray, size: float) -> np.ndarray:
    return np.exp(-np.sum((points - centre) ** 2, axis=1) / (2 * size * size))
