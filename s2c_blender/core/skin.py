# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin over a posed hand, as Blender's armature modifier bends it with Preserve Volume: dual quaternions, blended.

Quaternions are (w, x, y, z). Arrays of many points have their axes first, [3, V], which is quicker here.
"""

from dataclasses import dataclass

import numpy as np

from .hand import FINGER_JOINTS

_TABLE = np.zeros((4, 4, 4))  # of the quaternions' product: quicker than curves.multiply for a few of them
for _c, _row in enumerate(("0 0+ 1 1- 2 2- 3 3-", "0 1+ 1 0+ 2 3+ 3 2-", "0 2+ 1 3- 2 0+ 3 1+", "0 3+ 1 2+ 2 1- 3 0+")):
    for _a, _b in zip(*[iter(_row.split())] * 2, strict=True):
        _TABLE[int(_a), int(_b[0]), _c] = 1.0 if _b[1] == "+" else -1.0


@dataclass(frozen=True)
class Skin:
    """A hand's surface at rest, in the armature's space."""

    points: np.ndarray  # float32 [3, V] m
    normals: np.ndarray  # float32 [3, V]
    weights: np.ndarray  # float32 [V, 16] of the joints; a row's sum is 1
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
        rotations[which] = _multiply(rotations[parent], rotations[which])
        parent = which
    return rotations, places


def bend(skin: Skin, rotations: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [3, V] m and normals [3, V] (of any length) of the skin; bones as `stand` has them."""
    real = np.array(rotations, float)
    parent = np.zeros(5, int)
    for level in range(3):  # a rotation has two quaternions: blend the one that lies on the parent's side
        which = FINGER_JOINTS[:, level]
        real[which] *= np.where((real[which] * real[parent]).sum(1, keepdims=True) < 0, -1.0, 1.0)
        parent = which
    shifts = places - _rotate(real.T, skin.heads.T).T
    dual = 0.5 * _multiply(np.concatenate([np.zeros((16, 1)), shifts], axis=1), real)
    blended = np.concatenate([real, dual], axis=1).T.astype(np.float32) @ skin.weights.T  # [8, V]
    blended /= np.sqrt(np.einsum("iv,iv->v", blended[:4], blended[:4]))
    (w, x, y, z), (dw, dx, dy, dz) = blended[:4], 2 * blended[4:]
    xx, yy, zz, xy, xz, yz, wx, wy, wz = x * x, y * y, z * z, x * y, x * z, y * z, w * x, w * y, w * z
    half = np.float32(0.5)
    turn = (  # half of each vertex's matrix
        (half - yy - zz, xy - wz, xz + wy),
        (xy + wz, half - xx - zz, yz - wx),
        (xz - wy, yz + wx, half - xx - yy),
    )
    shift = (w * dx - dw * x + y * dz - z * dy, w * dy - dw * y + z * dx - x * dz, w * dz - dw * z + x * dy - y * dx)
    points, normals = np.empty_like(skin.points), np.empty_like(skin.normals)
    for axis, (a, b, c) in enumerate(turn):
        points[axis] = 2 * (a * skin.points[0] + b * skin.points[1] + c * skin.points[2]) + shift[axis]
        normals[axis] = a * skin.normals[0] + b * skin.normals[1] + c * skin.normals[2]
    return points, normals


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions [n, 4]."""
    return np.einsum("na,nb,abc->nc", a, b, _TABLE)


def _rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors [3, V] turned by unit quaternions [4, V]."""
    w, x, y, z = q
    a, b, c = v
    i, j, k = y * c - z * b + w * a, z * a - x * c + w * b, x * b - y * a + w * c
    return np.stack([a + 2 * (y * k - z * j), b + 2 * (z * i - x * k), c + 2 * (x * j - y * i)])
