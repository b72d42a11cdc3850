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
_COUPLING = np.array([1.0, DIP_COUPLING, DIP_COUPLING, DIP_COUPLING, DIP_COUPLING])  # d flex3 / d its entry in q

_HEADS = hand.HEADS[hand.FINGER_JOINTS]  # [5, 3, 3]
_POINTS = np.stack([_HEADS[:, 1], _HEADS[:, 2], hand.TIPS, hand.PADS], 1)  # rest joint2, joint3, tip, pad
_AXES = hand.HINGE_AXES.reshape(5, 4, 3)


@dataclass
class Pose:
    """Points of N frames of a right hand: everything the optimisation needs of the kinematics."""

    rotation: np.ndarray  # [N, 3, 3] wrist frame -> piano frame
    local: np.ndarray  # [N, 5, 5, 3] joint1, joint2, joint3, tip, pad of each finger in the wrist frame
    world: np.ndarray  # [N, 5, 5, 3] the same in the piano frame
    jacobian: np.ndarray  # [N, 5, 5, 3, 4] d local / d (spread, flex1, flex2, flex3 entry of q), coupling folded in
    wrist_axes: np.ndarray  # [N, 3, 3] world axes of yaw, pitch, roll in rows


def hinge_angles(q: np.ndarray, dip_offset: np.ndarray | float = 0.0) -> np.ndarray:
    """q [N, 22] -> all 20 hinge angles [N, 20]; `dip_offset` [N, 4] is added to the coupled DIP joints."""
    angles = np.zeros((len(q), 20))
    angles[:, HINGE_OF_DOF] = q[:, 6:]
    angles[:, [7, 11, 15, 19]] = DIP_COUPLING * angles[:, [6, 10, 14, 18]] + dip_offset
    return angles


def wrist_rotation(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wrist frame [N, 3, 3] and the world axes [N, 3, 3] (rows) that yaw, pitch and roll turn about."""
    rz = hand.axis_rotation(np.array([0, 0, 1.0]), q[:, 3])
    rx = hand.axis_rotation(np.array([1.0, 0, 0]), q[:, 4])
    ry = hand.axis_rotation(np.array([0, 1.0, 0]), q[:, 5])
    rzx = rz @ rx
    axes = np.stack([np.broadcast_to([0, 0, 1.0], (len(q), 3)), rz[:, :, 0], rzx[:, :, 1]], 1)
    return rzx @ ry, axes


def _rotations(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, F, 3, 3] about one fixed axis a finger [F, 3] by [N, F] radians."""
    k = np.zeros((len(axes), 3, 3))
    k[:, [2, 0, 1], [1, 2, 0]] = axes
    k[:, [1, 2, 0], [2, 0, 1]] = -axes
    sin, cos = np.sin(angles)[..., None, None], np.cos(angles)[..., None, None]
    return np.eye(3) + sin * k + (1 - cos) * (k @ k)


def _turned(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """rotation [N, F, 3, 3] applied to vector [F, 3] -> [N, F, 3]."""
    return np.einsum("nfij,fj->nfi", rotation, vector)


def pose(q: np.ndarray, dip_offset: np.ndarray | float = 0.0) -> Pose:
    """Forward kinematics with derivatives for q [N, 22]."""
    n = len(q)
    angles = hinge_angles(q, dip_offset).reshape(n, 5, 4)
    spread = _rotations(_AXES[:, 0], angles[..., 0])
    r1 = spread @ _rotations(_AXES[:, 1], angles[..., 1])
    r2 = r1 @ _rotations(_AXES[:, 2], angles[..., 2])
    r3 = r2 @ _rotations(_AXES[:, 3], angles[..., 3])
    axes = np.stack(
        [
            np.broadcast_to(_AXES[:, 0], (n, 5, 3)),
            _turned(spread, _AXES[:, 1]),
            _turned(r1, _AXES[:, 2]),
            _turned(r2, _AXES[:, 3]),
        ],
        2,
    )  # [N, 5, 4, 3]
    joint1 = np.broadcast_to(_HEADS[:, 0], (n, 5, 3))
    joint2 = joint1 + _turned(r1, _POINTS[:, 0] - _HEADS[:, 0])
    joint3 = joint2 + _turned(r2, _POINTS[:, 1] - _HEADS[:, 1])
    tip = joint3 + _turned(r3, _POINTS[:, 2] - _HEADS[:, 2])
    pad = joint3 + _turned(r3, _POINTS[:, 3] - _HEADS[:, 2])
    local = np.stack([joint1, joint2, joint3, tip, pad], 2)  # [N, 5, 5, 3]
    pivots = np.stack([joint1, joint1, joint2, joint3], 2)  # [N, 5, 4, 3]
    arms = local[:, :, :, None] - pivots[:, :, None]  # [N, 5, point, hinge, 3]
    jacobian = np.cross(axes[:, :, None], arms)
    jacobian[:, :, 0] = 0.0  # the knuckle itself does not move in the wrist frame
    jacobian[:, :, 1, 2:] = 0.0  # joint2 only with spread and flex1
    jacobian[:, :, 2, 3] = 0.0
    jacobian[..., 3, :] *= _COUPLING[None, :, None, None]
    rotation, wrist_axes = wrist_rotation(q)
    world = np.einsum("nij,nfpj->nfpi", rotation, local) + q[:, None, None, :3]
    return Pose(rotation, local, world, jacobian.swapaxes(-1, -2), wrist_axes)


def point_jacobian(pose_: Pose, position: np.ndarray, point: int) -> np.ndarray:
    """d world / d (wrist 6, finger 4) of point 0..4 (joint1, joint2, joint3, tip, pad) of every finger.

    position [N, 3] m -> [N, 5, 3, 10]; the last two finger columns both belong to flex2 for all but the thumb.
    """
    n = len(position)
    out = np.zeros((n, 5, 3, 10))
    out[..., :3] = np.eye(3)
    arm = pose_.world[:, :, point] - position[:, None]  # [N, 5, 3]
    out[..., 3:6] = np.cross(pose_.wrist_axes[:, None], arm[:, :, None]).swapaxes(-1, -2)
    out[..., 6:] = pose_.rotation[:, None] @ pose_.jacobian[:, :, point]
    return out


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
