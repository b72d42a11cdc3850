# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand's tables and kinematics."""

import numpy as np
import pytest

from s2c_blender.core import hand


@pytest.fixture
def angles():
    return np.random.default_rng(1).uniform(hand.HINGE_LOW, hand.HINGE_HIGH, (40, 20))


def test_rest_pose_is_the_table():
    heads, pads, frames = hand.forward_kinematics(np.zeros((1, 3)), np.zeros((1, 16, 3)))
    assert np.allclose(heads[0], hand.HEADS) and np.allclose(pads[0], hand.PADS)
    assert np.allclose(frames, np.eye(3))


def test_hinges_survive_the_way_to_axis_angles_and_back(angles):
    assert np.abs(hand.hinges_from_rotations(hand.rotations_from_hinges(angles)) - angles).max() < 1e-9


def test_twist_that_no_hinge_makes_is_left_out(angles):
    rotation = hand.rotations_from_hinges(angles)
    about_its_length = hand.Rotation.from_rotvec([0, 0.2, 0])
    rotation[:, 2] = (hand.Rotation.from_rotvec(rotation[:, 2]) * about_its_length).as_rotvec()
    assert np.abs(hand.hinges_from_rotations(rotation) - angles).max() < 0.05


def test_flexion_brings_every_pad_towards_the_palm():
    for finger in range(1, 5):
        bent = np.zeros((1, 20))
        bent[0, 4 * finger + 1 : 4 * finger + 4] = 0.3
        _, pads, _ = hand.forward_kinematics(np.zeros((1, 3)), hand.rotations_from_hinges(bent))
        assert pads[0, finger, 2] < hand.PADS[finger, 2] - 0.02


def test_bone_lengths_never_change(angles):
    position = np.random.default_rng(2).normal(size=(40, 3))
    heads, _, _ = hand.forward_kinematics(position, hand.rotations_from_hinges(angles))
    for joint in range(1, 16):
        length = np.linalg.norm(heads[:, joint] - heads[:, hand.PARENTS[joint]], axis=1)
        assert np.allclose(length, np.linalg.norm(hand.HEADS[joint] - hand.HEADS[hand.PARENTS[joint]]))


def test_left_hand_is_the_right_hand_in_a_mirror(angles):
    position = np.random.default_rng(3).normal(size=(40, 3))
    rotation = hand.rotations_from_hinges(angles)
    rotation[:, 0] = np.random.default_rng(4).normal(size=(40, 3))
    _, right, _ = hand.forward_kinematics(position, rotation)
    _, left, _ = hand.forward_kinematics(*hand.mirror(position, rotation), left=True)
    assert np.allclose(left, right * [-1, 1, 1])


def test_spread_shrinks_as_a_finger_bends():
    limits = np.degrees(hand.spread_limit(np.radians([-20, 0, 45, 90])))
    assert limits[0] == limits[1] == pytest.approx(20) and limits[1] > limits[2] > limits[3] > 0
