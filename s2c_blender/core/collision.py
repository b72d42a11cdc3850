# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances between fingers, as capsules around the phalanges."""

import numpy as np

from . import hand

# (finger, segment) against (finger, segment); segment k runs from joint k+1 to the next joint or the tip.
_NEIGHBOURS = [
    ((a, i), (a + 1, j)) for a in (1, 2, 3) for i, j in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2))
]
_THUMB = [((0, i), (f, j)) for i in (1, 2) for f, js in ((1, (0, 1, 2)), (2, (0, 1, 2)), (3, (1, 2))) for j in js]
_THUMB += [((0, 2), (4, 1)), ((0, 2), (4, 2))]
PAIRS = np.array(_NEIGHBOURS + _THUMB)  # [P, 2, (finger, segment)]
REACH = hand.RADII[PAIRS[:, 0, 0], PAIRS[:, 0, 1]] + hand.RADII[PAIRS[:, 1, 0], PAIRS[:, 1, 1]]  # [P] m
# Neighbouring proximal phalanges share a web of skin and touch at rest.
REACH[[k for k, ((a, i), (_, j)) in enumerate(_NEIGHBOURS) if i == 0 and j == 0]] -= 0.003


def closest(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Closest approach of the capsule axes.

    points [N, 5, >=4, 3]: joint1, joint2, joint3, tip of every finger -> distance [N, P] m, direction from the second
    to the first [N, P, 3], and where on each segment the closest points lie, 0..1 [N, P] twice.
    Ericson, Real-Time Collision Detection, section 5.1.9.
    """
    (fa, sa), (fb, sb) = PAIRS[:, 0].T, PAIRS[:, 1].T
    joints = np.ascontiguousarray(points[:, :, :4].T)  # [3, 4, 5, N]: numpy loops over frames, not over triples
    bones = np.diff(joints, axis=1)
    d1, d2 = bones[:, sa, fa], bones[:, sb, fb]  # [3, P, N]
    r = joints[:, sa, fa] - joints[:, sb, fb]
    square = _dot(bones, bones)
    a, e, b = square[sa, fa], square[sb, fb], _dot(d1, d2)
    c, f = _dot(d1, r), _dot(d2, r)
    s = np.clip((b * f - c * e) / np.maximum(a * e - b * b, 1e-12), 0, 1)
    t = np.clip((b * s + f) / e, 0, 1)
    s = np.clip((b * t - c) / a, 0, 1)
    apart = r + s * d1 - t * d2
    distance = np.sqrt(_dot(apart, apart) + 1e-12)
    return distance.T, (apart / distance).T, s.T, t.T


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products [...] of vectors [3, ...]."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
