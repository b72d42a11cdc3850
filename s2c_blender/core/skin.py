# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin over a posed hand, as Blender's armature modifier bends it with Preserve Volume: dual quaternions, blended.

Quaternions are (w, x, y, z). Arrays of many points have their axes first, [3, V], which is quicker here.
"""

from dataclasses import dataclass

import numpy as np

from .curves import multiply
from .hand import FINGER_JOINTS


@dataclass(frozen=True)
class Skin:
    """A hand's surface at rest, in the armature's space."""

    points: np.ndarray  # [3, V] m
    normals: np.ndarray  # [3, V]
    weights: np.ndarray  # [V, 16] of the joints; a row's sum is 1
    triangles: np.ndarray  # int32 [F, 3]
    heads: np.ndarray  # [16, 3] m, joints


def stand(heads: np.ndarray, position: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a hand's bones are: rotations [16, 4] and heads [16, 3] m in the armature's space.

    heads [16, 3] at rest, position [3] m of the wrist, turns [16, 4] of each joint relative to its parent.
    """
    rotations, places = np.array(turns, float), np.empty((16, 3))
    places[0] = position
    parent = np.zeros(5, int)
    for level in range(3):
        which = FINGER_JOINTS[:, level]
        places[which] = places[parent] + _rotate(rotations[parent].T, (heads[which] - heads[parent]).T).T
        rotations[which] = multiply(rotations[parent], rotations[which])
        parent = which
    return rotations, places


def bend(skin: Skin, rotations: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals [3, V] of the skin on bones with rotations [16, 4] and heads `places` [16, 3]."""
    real = np.array(rotations, float)
    for chain in FINGER_JOINTS:  # a rotation has two quaternions: blend the one that lies on the parent's side
        parent = real[0]
        for joint in chain:
            if real[joint] @ parent < 0:
                real[joint] = -real[joint]
            parent = real[joint]
    shifts = places - _rotate(real.T, skin.heads.T).T
    dual = 0.5 * multiply(np.concatenate([np.zeros((16, 1)), shifts], axis=1), real)
    blended = (skin.weights @ np.concatenate([real, dual], axis=1)).T  # [8, V]
    blended /= np.sqrt(np.square(blended[:4]).sum(0))
    w, x, y, z, dw, dx, dy, dz = blended
    moved = 2 * np.stack(
        [
            w * dx - dw * x + y * dz - z * dy,
            w * dy - dw * y + z * dx - x * dz,
            w * dz - dw * z + x * dy - y * dx,
        ]
    )
    return _rotate(blended[:4], skin.points) + moved, _rotate(blended[:4], skin.normals)


def _rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors [3, V] turned by unit quaternions [4, V]."""
    w, x, y, z = q
    a, b, c = v
    i, j, k = y * c - z * b + w * a, z * a - x * c + w * b, x * b - y * a + w * c
    return np.stack([a + 2 * (y * k - z * j), b + 2 * (z * i - x * k), c + 2 * (x * j - y * i)])
