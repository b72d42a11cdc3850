# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses: from hinge angles to bones, and the relaxed playing pose that the file opens with."""

import bpy
import numpy as np
from mathutils import Matrix, Vector
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from s2c_blender.core import hand, keyboard

# Comfortable angles, degrees: spread and three flexions of thumb .. little.
RELAXED = np.radians([[0, 5, 10, 15], [4, 22, 38, 24], [1, 24, 42, 26], [-2, 24, 40, 26], [-5, 24, 34, 22]]).ravel()
FIVE_FINGERS = (60, 62, 64, 65, 67)  # the right hand rests on C D E F G; the left one mirrored, an octave lower


def pose_hand(armature: bpy.types.Object, position: np.ndarray, rotation: np.ndarray) -> None:
    """Put an armature into a pose: wrist position [3] m and axis-angle [16, 3] rad in the piano frame."""
    for j, name in enumerate(hand.JOINTS):
        bone = armature.pose.bones[name]
        frame = bone.bone.matrix_local.to_3x3()
        turn = Matrix(Rotation.from_rotvec(rotation[j]).as_matrix().tolist())
        bone.rotation_euler = (frame.inverted() @ turn @ frame).to_euler("XYZ")
        if j == 0:
            bone.location = frame.inverted() @ Vector(position)


def hinge_pose(angles: np.ndarray, wrist: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Joint rotations [16, 3] from 20 hinge angles and a wrist rotation vector, radians, of a right hand."""
    rotation = hand.rotations_from_hinges(np.asarray(angles)[None])[0]
    rotation[0] = wrist
    return rotation


def playing_pose(pitches: tuple[int, ...] = FIVE_FINGERS, lift: float = 0.0005) -> tuple[np.ndarray, np.ndarray]:
    """Wrist position [3] and rotations [16, 3] of a right hand whose pads rest on five white keys, thumb .. little."""
    targets = np.zeros((5, 3))
    targets[:, 0] = keyboard.key_x(np.array(pitches))
    targets[:, 1] = (0.020, 0.040, 0.046, 0.043, 0.028)
    targets[:, 2] = lift

    def residual(x: np.ndarray) -> np.ndarray:
        pads = hand.forward_kinematics(x[None, :3], hinge_pose(x[6:], x[3:6])[None])[1][0]
        effort = (x[6:] - RELAXED) * 0.01
        return np.concatenate(
            [(pads - targets).ravel(), effort, (x[3:6] - [0.08, 0.08, -0.06]) * 0.02, (x[2:3] - 0.060) * 0.5]
        )

    start = np.concatenate([targets[2] + [0, -0.14, 0.06], [0, 0, 0], RELAXED])
    margin = 1e-6
    low = np.concatenate([np.full(6, -2.0), hand.HINGE_LOW + margin])
    high = np.concatenate([np.full(6, 2.0), hand.HINGE_HIGH - margin])
    best = least_squares(residual, np.clip(start, low, high), bounds=(low, high)).x
    return best[:3], hinge_pose(best[6:], best[3:6])


def open_in_playing_pose() -> None:
    """Pose both hands, relaxed, on the middle of the keyboard."""
    position, rotation = playing_pose()
    pose_hand(bpy.data.objects["Hand.R"], position, rotation)
    mirrored, turned = hand.mirror(position, rotation)
    mirrored = mirrored + [keyboard.key_x(55) + keyboard.key_x(60), 0, 0]  # its thumb on G, where the right's is on C
    pose_hand(bpy.data.objects["Hand.L"], mirrored, turned)
