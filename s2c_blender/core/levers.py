# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a small change of a bone's channel does to a hand's fingertips, over time.

Arrays have time last: [axis, channel, finger, moment]. Single precision is enough: levers are used on small errors.
"""

from dataclasses import dataclass

import numpy as np

from .hand import FINGER_JOINTS


@dataclass(frozen=True)
class Bones:
    """A hand's bones at rest, in the armature's space, JOINTS' order."""

    axes: np.ndarray  # [16, 3, 3] a bone's local axes are the columns
    heads: np.ndarray  # [16, 3] m
    pads: np.ndarray  # [5, 3] m, fingertips thumb .. little: tails of the last bones

    def reach(self) -> np.ndarray:
        """How far a joint's turn can reach at most, m [5 fingers, 3 joints]: to the pad along the finger."""
        points = np.concatenate([self.heads[FINGER_JOINTS], self.pads[:, None]], axis=1)
        lengths = np.linalg.norm(np.diff(points, axis=1), axis=2)
        return lengths[:, ::-1].cumsum(axis=1)[:, ::-1]


def levers(values: np.ndarray, bones: Bones) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """What a unit of each channel does to the fingertips, in the wrist's frame, arrays [3, 3 channels, F, H]; the pads.

    values [17, 3, H] (wrist location, then XYZ Euler angles of each joint) -> levers of the location (the same for all
    fingertips, F = 1), of the wrist, of a finger's three joints; pads [3, 5, H] in the armature's space.
    """
    axes, heads, pads = (np.asarray(a, np.float32) for a in (bones.axes, bones.heads, bones.pads))
    sin, cos, halves = np.sin(values[1:]), np.cos(values[1:]), values.shape[2]
    joints, origins, befores = [], [], []
    frames, origin = None, np.broadcast_to((heads[FINGER_JOINTS[:, 0]] - heads[0]).T[:, :, None], (3, 5, halves))
    for level in range(3):
        which = FINGER_JOINTS[:, level]
        rest = np.broadcast_to(axes[which].transpose(1, 2, 0)[..., None], (3, 3, 5, halves))
        if level:
            step = (heads[which] - heads[FINGER_JOINTS[:, level - 1]]).T[None, :, :, None]
            origin = origin + (frames * step).sum(1)
        before = _product(frames, rest) if level else rest
        frames = _product(_product(before, _turned(sin[which], cos[which])), rest.swapaxes(0, 1))
        befores.append(before)
        origins.append(origin)
    last = FINGER_JOINTS[:, 2]
    tips = origin + (frames * (pads - heads[last]).T[None, :, :, None]).sum(1)
    for level in range(3):
        which = FINGER_JOINTS[:, level]
        hinges = _product(befores[level], _hinges(sin[which], cos[which]))
        joints.append(_cross(hinges, (tips - origins[level])[:, None]))
    rest = np.broadcast_to(axes[0][..., None, None], (3, 3, 1, halves))
    wrist = _turned(sin[:1], cos[:1]).swapaxes(0, 1)  # back into the wrist's own frame
    turn = _cross(_product(_product(rest, wrist), _hinges(sin[:1], cos[:1])), tips[:, None])
    forth = _product(_product(rest, wrist.swapaxes(0, 1)), rest.swapaxes(0, 1))
    places = heads[0][:, None, None] + (rest * values[0][None, :, None]).sum(1)
    return _product(rest, wrist), turn, joints, places + (forth * tips[None]).sum(1)


def apply(levers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What values [K, F or 1, H] do through levers [3, K, F, H]: [3, F, H]."""
    moved = levers[:, 0] * values[0]
    for channel in range(1, len(values)):
        moved += levers[:, channel] * values[channel]
    return moved


def _turned(sin: np.ndarray, cos: np.ndarray) -> np.ndarray:
    """Rotations [3, 3, F, H] by XYZ Euler angles, from their sines and cosines [F, 3, H]."""
    (sx, sy, sz), (cx, cy, cz) = sin.swapaxes(0, 1), cos.swapaxes(0, 1)
    return np.stack(
        [
            np.stack([cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz]),
            np.stack([cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz]),
            np.stack([-sy, sx * cy, cx * cy]),
        ]
    )


def _hinges(sin: np.ndarray, cos: np.ndarray) -> np.ndarray:
    """Axes [3, 3 angles, F, H] about which the three Euler angles turn, before the rotation itself."""
    (_, sy, sz), (_, cy, cz) = sin.swapaxes(0, 1), cos.swapaxes(0, 1)
    none, one = np.zeros_like(sy), np.ones_like(sy)
    return np.stack([np.stack([cy * cz, -sz, none]), np.stack([cy * sz, cz, none]), np.stack([-sy, none, one])])


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrices [3, 3, ...] times matrices [3, 3, ...]."""
    return sum(a[:, k, None] * b[None, k] for k in range(3))


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of vectors [3, ...]."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
