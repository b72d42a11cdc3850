# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from the published camera frame to the piano frame and back."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from s2c_blender.core import hand
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.model import camera as cameras
from s2c_blender.model.camera import Camera
from s2c_blender.model.mano import AXES, Mano, neutral

SLANTED = Camera(scale=1.3, offset=np.array([0.1, -0.05, 0.2]), yaw=0.08, pitch=-0.05, roll=0.03)
CAMERAS = [Camera(), Camera(upside_down=True), SLANTED, cameras.replace(SLANTED, upside_down=True, scale=0.7)]


@pytest.fixture
def mano() -> Mano:
    random = np.random.default_rng(0)
    return Mano(random.normal(0, 0.3, (15, 3)), np.array([0.09, 0.007, 0.006]))


@pytest.fixture
def published():
    """Translations and poses as the model gives them."""
    random = np.random.default_rng(1)
    return random.normal(0, 0.2, (50, 3)) + [0, 0, 25], random.normal(0, 0.5, (50, 48))


def mano_points(translation, pose, mano: Mano) -> np.ndarray:
    """Joints and pads [N, 21, 3] as MANO computes them, for a MANO hand that has our hand's bones."""
    rest = hand.HEADS @ AXES + mano.root
    pads = hand.PADS @ AXES + mano.root
    vectors = pose.reshape(-1, 16, 3).copy()
    vectors[:, 1:] += mano.mean_pose
    found = np.empty((len(pose), 21, 3))
    for n, local in enumerate(Rotation.from_rotvec(v).as_matrix() for v in vectors):
        turn, place = [None] * 16, [None] * 16
        for j in range(16):
            parent = hand.PARENTS[j]
            turn[j] = local[j] if parent < 0 else turn[parent] @ local[j]
            place[j] = rest[0] if parent < 0 else place[parent] + turn[parent] @ (rest[j] - rest[parent])
        ends = [place[j] + turn[j] @ (pad - rest[j]) for j, pad in zip(hand.FINGER_JOINTS[:, 2], pads, strict=True)]
        found[n] = np.array(place + ends) + translation[n]
    return found


@pytest.mark.parametrize("side", [LEFT, RIGHT])
@pytest.mark.parametrize("camera", CAMERAS)
def test_fingers_are_where_mano_puts_them(side, camera, mano, published):
    points = mano_points(*published, mano)
    if side == LEFT:
        points = points * [-1, 1, 1]  # the published renderer turns the right hand into a left one like this
    position, rotation = cameras.to_piano(*published, camera, side, mano)
    heads, pads, _ = hand.forward_kinematics(position, rotation, left=side == LEFT)
    ours = np.concatenate([heads, pads], axis=1)
    # Our hand keeps its own size, whatever a camera unit is: only the wrist's place is scaled.
    wrist = position[:, None]
    assert np.abs(wrist + (ours - wrist) * camera.scale - camera.to_piano(points)).max() < 1e-9


@pytest.mark.parametrize("side", [LEFT, RIGHT])
@pytest.mark.parametrize("camera", CAMERAS)
def test_both_ways_undo_each_other(side, camera, mano, published):
    translation, pose = cameras.to_camera(*cameras.to_piano(*published, camera, side, mano), camera, side, mano)
    assert translation.shape == (50, 3) and pose.shape == (50, 48)
    assert np.abs(translation - published[0]).max() < 1e-9 and np.abs(pose - published[1]).max() < 1e-9
    points = np.random.default_rng(2).normal(size=(7, 4, 3))
    assert np.abs(camera.to_piano(camera.to_camera(points)) - points).max() < 1e-9


def test_a_resting_hand_seen_from_above():
    """MANO's flat hand held palm down before the camera, fingers up in the picture, is our hand at rest."""
    mano = Mano(np.zeros((15, 3)), np.zeros(3))
    pose = np.zeros((1, 48))
    # fingers (-x) up in the picture (-y), palm (-y) away from the camera (+z), thumb (+z) to the left (-x)
    pose[0, :3] = Rotation.from_matrix([[0, 0, -1], [1, 0, 0], [0, -1, 0]]).as_rotvec()
    translation = np.array([[0.3, 0.1, 24.9]])
    for side, x in ((RIGHT, 0.3), (LEFT, -0.3)):
        position, rotation = cameras.to_piano(translation, pose, Camera(), side, mano)
        assert np.allclose(position, [[x, -0.1, 0.1]]) and np.allclose(rotation, 0)


def test_upside_down_is_half_a_turn_of_the_picture():
    points = np.random.default_rng(3).normal(size=(5, 3)) + cameras.CENTRE
    turned = Camera(upside_down=True).to_piano(points * [-1, -1, 1])
    assert np.allclose(turned, Camera().to_piano(points))


def test_the_mean_pose_is_added_to_the_values_not_composed():
    mano = Mano(np.tile([0.3, 0.2, -0.1], (15, 1)), np.zeros(3))
    pose = np.zeros((1, 16, 3))
    pose[0, 4] = [0.1, -0.4, 0.6]
    _, rotation = cameras.to_piano(np.zeros((1, 3)), pose.reshape(1, 48), Camera(), RIGHT, mano)
    assert np.allclose(rotation[0, 4], AXES @ [0.4, -0.2, 0.5])


def test_neutral_hand_is_a_gentle_curl():
    position, rotation = cameras.to_piano(np.zeros((1, 3)), np.zeros((1, 48)), Camera(), RIGHT, neutral())
    angles = np.degrees(hand.hinges_from_rotations(rotation))[0].reshape(5, 4)
    assert (angles[1:, 1:] > 10).all() and (angles[1:, 1:] < 40).all() and np.abs(angles[:, 0]).max() < 1e-6
    assert np.allclose(position, Camera().to_piano(neutral().root))
