# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The right hand as 22 numbers a frame, its points in the piano frame, and their analytic derivatives.

q = wrist position (3, metres), yaw, pitch, roll of the wrist (R = Rz Rx Ry, radians), thumb spread and three flexions
(4), then spread, MCP and PIP flexion of index, middle, ring and little finger (3 each). A finger's DIP joint follows
its PIP joint (DESIGN section 3: about two thirds) plus an offset that a prior may bring.
"""

from dataclasses import dataclass

import numpy as np

from ..core import hand

DOF = 22
DIP_COUPLING = 2.0 / 3.0
# Columns of the hinge table (core.hand.HINGES) that q drives directly, and their place in q.
HINGE_OF_DOF = np.array([0, 1, 2, 3] + [4 * f + k for f in range(1, 5) for k in range(3)])
# For finger f: where its spread, flex1, flex2 (and the thumb's flex3) stand in q; a finger's third entry repeats.
FINGER_DOFS = np.array([[6, 7, 8, 9]] + [[10 + 3 * i, 11 + 3 * i, 12 + 3 * i, 12 + 3 * i] for i in range(4)])
_COUPLING = np.array([[1.0], *[[DIP_COUPLING]] * 4])  # [5, 1] d flex3 / d its entry in q

_JOINT1, _JOINT2, _JOINT3 = hand.HEADS[hand.FINGER_JOINTS].transpose(1, 2, 0)[..., None]  # [3, 5, 1] each, at rest
_TO_JOINT2, _TO_JOINT3 = _JOINT2 - _JOINT1, _JOINT3 - _JOINT2
_TO_TIP, _TO_PAD = (points.T[..., None] - _JOINT3 for points in (hand.TIPS, hand.PADS))
_AXES = hand.HINGE_AXES.reshape(5, 4, 3).transpose(1, 2, 0)[..., None]  # [4, 3, 5, 1]
# A turn by an angle about a fixed axis (Rodrigues) is 1 + sin * _TURN + (1 - cos) * _TURN_TWICE, [4, 3, 3, 5, 1] each.
_turn = np.cross(np.eye(3), hand.HINGE_AXES[:, None])  # [20, 3, 3]
_TURN, _TURN_TWICE = (k.reshape(5, 4, 3, 3).transpose(1, 2, 3, 0)[..., None] for k in (_turn, _turn @ _turn))
_EYE = np.eye(3)[..., None, None]


@dataclass
class Pose:
    """Points of N frames of a right hand: everything the optimisation needs of the kinematics.

    In memory the frames of each number lie together: what is computed from `.T`, frames last, is several times as fast.
    """

    rotation: np.ndarray  # [N, 3, 3] wrist frame -> piano frame
    local: np.ndarray  # [N, 5, 5, 3] joint1, joint2, joint3, tip, pad of each finger in the wrist frame
    world: np.ndarray  # [N, 5, 5, 3] the same in the piano frame
    jacobian: np.ndarray  # [N, 5, 5, 3, 4] d local / d (spread, flex1, flex2, the thumb's flex3), coupling folded in
    wrist_axes: np.ndarray  # [N, 3, 3] world axes of yaw, pitch, roll in rows


def hinge_angles(q: np.ndarray, dip_offset: np.ndarray | float = 0.0) -> np.ndarray:
    """q [N, 22] -> all 20 hinge angles [N, 20]; `dip_offset` [N, 4] is added to the coupled DIP joints."""
    angles = np.zeros((len(q), 20))
    angles[:, HINGE_OF_DOF] = q[:, 6:]
    angles[:, [7, 11, 15, 19]] = DIP_COUPLING * angles[:, [6, 10, 14, 18]] + dip_offset
    return angles


def wrist_rotation(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wrist frame [N, 3, 3] and the world axes [N, 3, 3] (rows) that yaw, pitch and roll turn about."""
    (sz, sx, sy), (cz, cx, cy) = np.sin(q[:, 3:6].T), np.cos(q[:, 3:6].T)
    rotation, axes = np.empty((2, 3, 3, len(q)))
    rotation[0] = cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy
    rotation[1] = sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy
    rotation[2] = -cx * sy, sx, cx * cy
    axes[0] = np.array([[0], [0], [1.0]])
    axes[1] = cz, sz, np.zeros_like(cz)  # x of Rz
    axes[2] = rotation[:, 1]  # y of Rz Rx, which Ry leaves in place
    return rotation.transpose(2, 0, 1), axes.transpose(2, 0, 1)


# Below, frames run along the last axis and x, y, z along the first: numpy then loops over long rows, not over triples.


def _turned(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """rotation [3, 3, ...] applied to vector [3, ...] -> [3, ...]."""
    return rotation[:, 0] * vector[0] + rotation[:, 1] * vector[1] + rotation[:, 2] * vector[2]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of a [3, ...] and b [3, ...] -> [3, ...]."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def pose(q: np.ndarray, dip_offset: np.ndarray | float = 0.0) -> Pose:
    """Forward kinematics with derivatives for q [N, 22]."""
    n = len(q)
    angles = np.ascontiguousarray(hinge_angles(q, dip_offset).reshape(n, 5, 4).T)  # [4, 5, N]
    axes, turned = [], []  # [3, 5, N] each hinge's axis, [3, 3, 5, N] what it and those before it make
    for axis, turn, twice, sin, cos in zip(_AXES, _TURN, _TURN_TWICE, np.sin(angles), np.cos(angles), strict=True):
        hinge = _EYE + sin * turn + (1 - cos) * twice
        axes.append(_turned(turned[-1], axis) if turned else axis)
        turned.append(_turned(turned[-1][:, :, None], hinge) if turned else hinge)
    axes[3] = axes[3] * _COUPLING
    local = np.empty((3, 5, 5, n))  # x y z, point, finger, frame
    local[:, 0] = _JOINT1
    local[:, 1] = local[:, 0] + _turned(turned[1], _TO_JOINT2)
    local[:, 2] = local[:, 1] + _turned(turned[2], _TO_JOINT3)
    local[:, 3] = local[:, 2] + _turned(turned[3], _TO_TIP)
    local[:, 4] = local[:, 2] + _turned(turned[3], _TO_PAD)
    jacobian = np.zeros((4, 3, 5, 5, n))  # hinge, x y z, point, finger, frame
    for hinge, (axis, pivot) in enumerate(zip(axes, (0, 0, 1, 2), strict=True)):
        arms = local[:, pivot + 1 :] - local[:, pivot, None]  # to the points beyond the hinge
        jacobian[hinge, :, pivot + 1 :] = _cross(axis[:, None], arms)
    jacobian[2, ..., 1:, :] += jacobian[3, ..., 1:, :]  # fingers but the thumb: flex3 follows flex2
    jacobian[3, ..., 1:, :] = 0.0
    rotation, wrist_axes = wrist_rotation(q)
    world = _turned(rotation.transpose(1, 2, 0)[:, :, None, None], local) + q[:, :3].T[:, None, None]
    return Pose(rotation, local.T, world.T, jacobian.T, wrist_axes)


def point_jacobian(pose_: Pose, position: np.ndarray, point: int) -> np.ndarray:
    """d world / d (wrist 6, finger 4) of point 0..4 (joint1, joint2, joint3, tip, pad) of every finger.

    position [N, 3] m -> [N, 5, 3, 10]; the last finger column is the thumb's only.
    """
    out = np.empty((10, 3, 5, len(position)))
    out[:3] = np.eye(3)[:, :, None, None]
    arm = (pose_.world[:, :, point] - position[:, None]).T  # [3, 5, N]
    for axis in range(3):
        out[3 + axis] = _cross(pose_.wrist_axes[:, axis].T[:, None], arm)
    rotation = pose_.rotation.transpose(1, 2, 0)[:, :, None]  # [3, 3, 1, N]
    for column in range(4):
        out[6 + column] = _turned(rotation, pose_.jacobian[:, :, point, :, column].T)
    return out.T


def to_motion(q: np.ndarray, dip_offset: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """q [N, 22] -> position [N, 3] and axis-angle rotations [N, 16, 3] of a right hand."""
    rotation = hand.rotations_from_hinges(hinge_angles(q, dip_offset))
    frame, _ = wrist_rotation(q)
    rotation[:, 0] = hand.Rotation.from_matrix(frame).as_rotvec()
    return q[:, :3].copy(), rotation


def from_motion(position: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A right hand's motion -> q [N, 22] and DIP offsets [N, 4]; twists that no hinge can make are left out."""
    angles = hand.hinges_from_rotations(rotation)
    frame = hand.Rotation.from_rotvec(rotation[:, 0]).as_matrix()
    q = np.zeros((len(position), DOF))
    q[:, :3] = position
    q[:, 3] = np.unwrap(np.arctan2(-frame[:, 0, 1], frame[:, 1, 1]))  # R = Rz Rx Ry
    q[:, 4] = np.arcsin(np.clip(frame[:, 2, 1], -1, 1))
    q[:, 5] = np.unwrap(np.arctan2(-frame[:, 2, 0], frame[:, 2, 2]))
    q[:, 6:] = angles[:, HINGE_OF_DOF]
    offset = angles[:, [7, 11, 15, 19]] - DIP_COUPLING * angles[:, [6, 10, 14, 18]]
    return q, offset
