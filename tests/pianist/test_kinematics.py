# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Analytic derivatives and the way between q and joint rotations."""

import numpy as np
import pytest

from s2c_blender.core import hand
from s2c_blender.pianist import banded, kinematics


@pytest.fixture
def q():
    return np.random.default_rng(0).normal(0, 0.3, (7, kinematics.DOF))


def test_points_agree_with_the_hand_model(q):
    _, pads, _ = hand.forward_kinematics(*kinematics.to_motion(q))
    assert np.abs(pads - kinematics.pose(q).world[:, :, 4]).max() < 1e-12


@pytest.mark.parametrize("point", range(5))
def test_jacobian_is_the_difference_quotient(q, point):
    pose = kinematics.pose(q)
    jacobian = kinematics.point_jacobian(pose, q[:, :3], point)
    for column in range(kinematics.DOF):
        moved = q.copy()
        moved[:, column] += 1e-6
        numeric = (kinematics.pose(moved).world[:, :, point] - pose.world[:, :, point]) / 1e-6
        analytic = np.zeros_like(numeric)
        if column < 6:
            analytic = jacobian[..., column]
        for finger, k in np.argwhere(kinematics.FINGER_DOFS == column):
            analytic[:, finger] += jacobian[:, finger, :, 6 + k]
        assert np.abs(numeric - analytic).max() < 1e-5


def test_motion_and_back(q):
    offset = np.random.default_rng(1).normal(0, 0.1, (7, 4))
    again, off = kinematics.from_motion(*kinematics.to_motion(q, offset))
    assert np.abs(again - q).max() < 1e-9 and np.abs(off - offset).max() < 1e-9


def test_ties_gradient_belongs_to_their_matrix():
    frames, rng = 6, np.random.default_rng(0)
    band = np.zeros((banded.BAND + 1, frames, kinematics.DOF))
    banded.add_ties(band, 2.0, 0, 0)
    flat = band.reshape(banded.BAND + 1, -1)
    size = flat.shape[1]
    matrix = np.zeros((size, size))
    for lag in range(banded.BAND + 1):
        for i in range(size - lag):
            matrix[i + lag, i] = matrix[i, i + lag] = flat[lag, i]
    q = rng.normal(size=(frames, kinematics.DOF))
    assert np.abs((matrix @ q.ravel()).reshape(q.shape) - banded.tie_gradient(q, 2.0)).max() < 1e-12
