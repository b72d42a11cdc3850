# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the published model's overhead camera and the piano frame, both ways (parity fact 7).

The camera sits at the origin and looks along +z, x to the right and y down in the picture; a hand is MANO's right hand
(48 axis-angle values and `transl`), the left one stored mirrored in x. Where the piano stands in front of the camera is
a `Camera`; calibration.py finds it.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..core.hand import mirror
from ..core.notes import LEFT
from .mano import AXES, Mano

CENTRE = np.array([0.0, 0.0, 25.0])  # the middle of the picture at the published depth
# Camera axes -> piano axes when the player sits at the bottom of the picture, or at its top.
_PLAYER_BELOW = np.diag([1.0, -1.0, -1.0])
_PLAYER_ABOVE = np.diag([-1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Camera:
    """How the piano stands in the camera's frame: piano point = scale * rotation @ (camera point - CENTRE) + offset.

    yaw, roll and pitch (rad) are small turns about the piano's z, y and x axes, in this order, which put right a camera
    that does not look straight down.
    """

    scale: float = 1.0  # metres a camera unit
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))  # [3] m: the middle of the picture on the piano
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    upside_down: bool = False  # the player sits at the top of the picture

    @property
    def rotation(self) -> np.ndarray:
        """Camera axes -> piano axes, [3, 3]."""
        turn = Rotation.from_euler("ZYX", [self.yaw, self.roll, self.pitch]).as_matrix()
        return turn @ (_PLAYER_ABOVE if self.upside_down else _PLAYER_BELOW)

    def to_piano(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] from the camera's frame to the piano's, metres."""
        return self.scale * (points - CENTRE) @ self.rotation.T + self.offset

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] from the piano's frame, metres, to the camera's."""
        return (points - self.offset) @ self.rotation / self.scale + CENTRE

    def mirrored(self) -> "Camera":
        """The camera seen in a mirror at x = 0, in which the piano's treble is on the left."""
        return replace(self, offset=self.offset * [-1.0, 1.0, 1.0], yaw=-self.yaw, roll=-self.roll)


def to_piano(
    translation: np.ndarray, pose: np.ndarray, camera: Camera, side: int, mano: Mano
) -> tuple[np.ndarray, np.ndarray]:
    """Published values of the hand LEFT or RIGHT to our motion.

    translation [N, 3] (MANO's `transl`, camera units) and pose [N, 48] (axis-angle rad, global orientation first, mean
    hand pose not in it) -> wrist position [N, 3] m and rotations [N, 16, 3] in the piano frame.
    """
    if side == LEFT:  # stored as a right hand in a mirror: seen by a camera in that mirror it is one
        return mirror(*_right_to_piano(translation, pose, camera.mirrored(), mano))
    return _right_to_piano(translation, pose, camera, mano)


def to_camera(
    position: np.ndarray, rotation: np.ndarray, camera: Camera, side: int, mano: Mano
) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `to_piano`: wrist position [N, 3] and rotations [N, 16, 3] -> translation [N, 3], pose [N, 48].

    Turns of more than half a circle in the global orientation come out as the equal turn of less than half.
    """
    if side == LEFT:
        return _right_to_camera(*mirror(position, rotation), camera.mirrored(), mano)
    return _right_to_camera(position, rotation, camera, mano)


def _right_to_piano(translation, pose, camera: Camera, mano: Mano) -> tuple[np.ndarray, np.ndarray]:
    pose = pose.reshape(-1, 16, 3)
    world = camera.rotation @ Rotation.from_rotvec(pose[:, 0]).as_matrix() @ AXES.T
    fingers = (pose[:, 1:] + mano.mean_pose) @ AXES.T  # vectors are added, as MANO does, not rotations composed
    rotation = np.concatenate([Rotation.from_matrix(world).as_rotvec()[:, None], fingers], axis=1)
    return camera.to_piano(translation + mano.root), rotation


def _right_to_camera(position, rotation, camera: Camera, mano: Mano) -> tuple[np.ndarray, np.ndarray]:
    seen = camera.rotation.T @ Rotation.from_rotvec(rotation[:, 0]).as_matrix() @ AXES
    fingers = rotation[:, 1:] @ AXES - mano.mean_pose
    pose = np.concatenate([Rotation.from_matrix(seen).as_rotvec()[:, None], fingers], axis=1)
    return camera.to_camera(position) - mano.root, pose.reshape(-1, 48)
