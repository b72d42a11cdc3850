# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upper arm and forearm that bring a hand to its place: two bones, the elbow hanging down and outwards."""

from dataclasses import dataclass

import numpy as np

from . import curves, hand

_STRAIGHT = 0.999  # of the arm's length: an elbow that is never quite straight keeps its direction
_TWIST = 0.5  # share of the wrist's turn about the forearm that the forearm takes over


@dataclass(frozen=True)
class Arm:
    """An arm at rest in some space: its joints [3] and the axis [3] about which the elbow bends."""

    shoulder: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    hinge: np.ndarray


def arm(shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray, thumb: np.ndarray) -> Arm:
    """An arm from its joints at rest; one that is straight bends towards the `thumb` side [3] of the hand."""
    upper, lower = _unit(elbow - shoulder), _unit(wrist - elbow)
    hinge = np.cross(upper, lower)
    if np.linalg.norm(hinge) < 0.1:
        hinge = np.cross(upper, thumb)
    return Arm(shoulder, elbow, wrist, _unit(hinge))


def reach(
    rest: Arm, shoulder: np.ndarray, wrist: np.ndarray, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turns [T, 3, 3] of upper arm and forearm from rest, and how far the wrist [T, 3] then still is, [T, 3].

    shoulder [T, 3] where the upper arm hangs, pole [3] the direction in which the elbow would rather be.
    """
    a, b = np.linalg.norm(rest.elbow - rest.shoulder), np.linalg.norm(rest.wrist - rest.elbow)
    way = wrist - shoulder
    far = np.linalg.norm(way, axis=-1, keepdims=True)
    along = way / np.maximum(far, 1e-9)
    d = np.clip(far, abs(a - b) + 0.02 * (a + b), _STRAIGHT * (a + b))
    cos = (a * a + d * d - b * b) / (2 * a * d)
    aside = _unit(pole - along * (along @ pole)[:, None])
    upper = along * cos + aside * np.sqrt(np.maximum(1 - cos * cos, 0.0))
    lower = _unit(along * d - upper * a)
    hinge = _unit(np.cross(aside, along))
    turns = [
        _axes(now, hinge) @ _axes(bone[None], rest.hinge[None]).swapaxes(1, 2)
        for now, bone in ((upper, rest.elbow - rest.shoulder), (lower, rest.wrist - rest.elbow))
    ]
    return turns[0], turns[1], way - along * d


def share_twist(rest: Arm, forearm: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """The forearm's turns [T, 3, 3] with a share of the wrist's [T, 3, 3], so that the skin does not wring."""
    axis = _unit(rest.wrist - rest.elbow)
    q = curves.quaternions(hand.Rotation.from_matrix(forearm.swapaxes(1, 2) @ wrist).as_rotvec())
    angle = np.unwrap(2 * np.arctan2(q[:, 1:] @ axis, q[:, 0]))
    angle -= 2 * np.pi * np.round(angle.mean() / (2 * np.pi))
    return forearm @ hand.axis_rotation(axis, _TWIST * angle)


def _axes(bone: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Matrices [T, 3, 3] with the bone's direction and the hinge, made square to it, as columns."""
    y = _unit(bone)
    x = _unit(hinge - y * (y * hinge).sum(axis=-1, keepdims=True))
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
