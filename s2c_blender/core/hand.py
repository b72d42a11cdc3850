# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand: 16 joints in MANO order, its hinges with their limits, and forward kinematics.

All tables describe the right hand at rest, palm down, fingers along +y, wrist joint at the origin, metres. They were
measured from the MIT hand mesh of `@webxr-input-profiles/assets` (see rigs/): joint heads from the skeleton, hinge axes
from the joints' own frames, pads from the surface. Every joint's frame is aligned with the axes at rest. The left hand
is the right hand mirrored in x.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

JOINTS = (
    "wrist index1 index2 index3 middle1 middle2 middle3 pinky1 pinky2 pinky3 ring1 ring2 ring3 thumb1 thumb2 thumb3"
).split()
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])
FINGERS = ("thumb", "index", "middle", "ring", "little")
FINGER_JOINTS = np.array([[13, 14, 15], [1, 2, 3], [4, 5, 6], [10, 11, 12], [7, 8, 9]])  # thumb .. little

# Joint heads at rest, millimetres -> metres.
HEADS = 1e-3 * np.array(
    [
        [0.00, 0.00, 0.00],
        [-23.55, 88.55, -7.32],
        [-22.02, 133.75, -10.55],
        [-20.69, 157.92, -12.77],
        [-1.73, 91.65, -2.54],
        [2.64, 138.12, -7.02],
        [5.69, 165.36, -9.79],
        [35.05, 73.90, -13.69],
        [42.37, 107.40, -18.12],
        [48.95, 126.40, -20.97],
        [17.47, 84.69, -6.53],
        [26.76, 126.31, -10.88],
        [33.19, 151.89, -14.17],
        [-28.03, 35.96, -19.16],
        [-44.96, 59.22, -34.31],
        [-66.91, 83.12, -43.71],
    ]
)
# The points that touch the keys, thumb .. little: on the skin, 45 degrees between the finger's direction and its palmar
# side; the thumb's on the outer (down-facing) side of its tip.
PADS = 1e-3 * np.array(
    [[-82.6, 95.5, -55.7], [-18.9, 177.0, -15.9], [8.4, 186.4, -12.5], [36.7, 171.9, -19.5], [52.8, 143.8, -25.7]]
)
# Ends of the fingers' skeleton, thumb .. little; they lie inside the fingertips.
TIPS = 1e-3 * np.array(
    [[-77.9, 91.7, -48.9], [-19.4, 169.4, -12.2], [7.3, 177.4, -8.8], [35.5, 163.6, -14.9], [51.9, 137.9, -21.8]]
)
# Half thickness of each finger's three segments (thumb: metacarpal, proximal, distal), metres.
RADII = 1e-3 * np.array([[14.0, 10.5, 9.5], [9.9, 8.2, 7.2], [9.4, 8.3, 7.5], [8.7, 7.8, 7.0], [8.0, 6.9, 6.3]])


@dataclass(frozen=True)
class Hinge:
    """One degree of freedom: a rotation of `joint` by an angle about `axis`, limited to [low, high] radians."""

    name: str
    joint: int
    axis: tuple[float, float, float]
    low: float
    high: float


def _hinges() -> tuple[Hinge, ...]:
    """Four hinges a finger, thumb .. little; where a joint has two, spread comes before flexion (DESIGN section 3).

    Angles are measured from the rest pose. The resting thumb already stands 27 degrees below the palm, so its
    abduction of 0..60 degrees is -27..33 here.
    """
    # -x axes of the joints' own frames flex; the dorsal axes spread towards the thumb side.
    axes = {
        "thumb": [(-0.85, -0.48, 0.21), (0.07, -0.50, -0.86), (-0.15, -0.48, -0.87), (0.05, -0.45, -0.89)],
        "index": [(-0.06, 0.09, 0.99), (-1.00, 0.01, -0.06), (-1.00, 0.05, -0.01), (-0.99, 0.10, 0.02)],
        "middle": [(0.02, 0.10, 0.99), (-0.99, 0.10, 0.01), (-0.99, 0.14, 0.03), (-0.99, 0.13, 0.10)],
        "ring": [(0.11, 0.09, 0.99), (-0.97, 0.24, 0.09), (-0.95, 0.28, 0.15), (-0.97, 0.20, 0.17)],
        "little": [(0.25, 0.09, 0.96), (-0.94, 0.24, 0.22), (-0.90, 0.34, 0.28), (-0.92, 0.25, 0.29)],
    }
    kinds = ("spread", "flex1", "flex2", "flex3")
    limits = {finger: [(-20, 20), (-30, 90), (0, 110), (0, 80)] for finger in FINGERS}
    limits["thumb"] = [(-27, 33), (-20, 45), (0, 60), (-15, 80)]
    hinges = []
    for f, finger in enumerate(FINGERS):
        joints = FINGER_JOINTS[f][[0, 0, 1, 2]]
        for kind, joint, axis, (low, high) in zip(kinds, joints, axes[finger], limits[finger], strict=True):
            unit = tuple(np.array(axis) / np.linalg.norm(axis))
            hinges.append(Hinge(f"{finger}_{kind}", int(joint), unit, np.radians(low), np.radians(high)))
    return tuple(hinges)


HINGES = _hinges()  # 20
HINGE_JOINTS = np.array([h.joint for h in HINGES])
HINGE_AXES = np.array([h.axis for h in HINGES])  # [20, 3]
HINGE_LOW = np.array([h.low for h in HINGES])
HINGE_HIGH = np.array([h.high for h in HINGES])


def spread_limit(flex1: np.ndarray) -> np.ndarray:
    """Largest sideways angle of a finger at MCP flexion `flex1` (radians): 20 degrees straight, 5 at a right angle."""
    bend = np.clip(np.asarray(flex1) / np.radians(90.0), 0.0, 1.0)
    return np.radians(20.0 - 15.0 * bend)


def axis_rotation(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices [..., 3, 3] about a fixed unit `axis` [3] by `angle` [...] radians (Rodrigues)."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0.0]])
    angle = np.asarray(angle)[..., None, None]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def rotations_from_hinges(angles: np.ndarray) -> np.ndarray:
    """Hinge angles [N, 20] -> axis-angle of the finger joints [N, 16, 3]; the wrist's entry is zero."""
    rotation = np.zeros((len(angles), 16, 3))
    for joint in np.unique(HINGE_JOINTS):
        matrix = np.eye(3)
        for i in np.flatnonzero(HINGE_JOINTS == joint):
            matrix = matrix @ axis_rotation(HINGE_AXES[i], angles[:, i])
        rotation[:, joint] = Rotation.from_matrix(matrix).as_rotvec()
    return rotation


def hinges_from_rotations(rotation: np.ndarray) -> np.ndarray:
    """Nearest hinge angles [N, 20] of joint rotations [N, 16, 3]; twist that no hinge can make is left out.

    Exact for rotations that hinges made: a joint with two hinges is solved as spread, then flexion.
    """
    angles = np.zeros((len(rotation), 20))
    for joint in np.unique(HINGE_JOINTS):
        which = np.flatnonzero(HINGE_JOINTS == joint)
        matrix = Rotation.from_rotvec(rotation[:, joint]).as_matrix()  # [N, 3, 3]
        flex = HINGE_AXES[which[-1]]
        if len(which) == 2:
            # R = S(spread) F(flex), and F leaves its own axis in place: the image of `flex` shows the spread alone.
            spread = HINGE_AXES[which[0]]
            angles[:, which[0]] = _angle_about(spread, flex, matrix @ flex)
            undo = axis_rotation(spread, -angles[:, which[0]])
            matrix = undo @ matrix
        probe = np.cross(flex, [0.36, 0.48, 0.8])
        angles[:, which[-1]] = _angle_about(flex, probe, matrix @ probe)
    return angles


def _angle_about(axis: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Signed angle [N] about `axis` that turns `before` [3] towards `after` [N, 3]."""
    before = before - axis * (before @ axis)
    after = after - axis * (after @ axis)[:, None]
    return np.arctan2(np.cross(np.broadcast_to(before, after.shape), after) @ axis, after @ before)


def forward_kinematics(
    position: np.ndarray, rotation: np.ndarray, left: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints, pads and joint frames of a hand.

    position [N, 3] m, rotation [N, 16, 3] axis-angle rad -> joint heads [N, 16, 3], pads [N, 5, 3] thumb .. little,
    global joint rotations [N, 16, 3, 3].
    """
    flip = np.array([-1.0, 1.0, 1.0]) if left else np.ones(3)
    local = Rotation.from_rotvec(rotation.reshape(-1, 3)).as_matrix().reshape(-1, 16, 3, 3)
    frames = np.empty_like(local)
    heads = np.empty((len(position), 16, 3))
    frames[:, 0], heads[:, 0] = local[:, 0], position
    for j in range(1, 16):
        p = PARENTS[j]
        frames[:, j] = frames[:, p] @ local[:, j]
        heads[:, j] = heads[:, p] + frames[:, p] @ ((HEADS[j] - HEADS[p]) * flip)
    last = FINGER_JOINTS[:, 2]
    pads = heads[:, last] + np.einsum("nfij,fj->nfi", frames[:, last], (PADS - HEADS[last]) * flip)
    return heads, pads, frames


def mirror(position: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same motion of the other hand, mirrored in the plane x = 0; shapes unchanged."""
    return position * [-1, 1, 1], rotation * [1, -1, -1]
