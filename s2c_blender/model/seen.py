# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a style is seen in: a hand's motion and what it plays, as if it were a right hand's. NumPy only."""

import numpy as np

from ..core.hand import mirror
from ..core.notes import LEFT, Score
from .config import FPS
from .features import NOTE_FEATURES, OF_FINGER, finger_roll
from .parts import CHANNELS

MOTION = 51  # rotations 48, the wrist's speed along the keyboard (m/s), its depth and height (m)
PLAYED = 5 * OF_FINGER
SEEN = 2 * MOTION + PLAYED  # the motion, its change a second, what is played
SEGMENT = 120  # frames in which a style is looked for at once; codes of longer motions are means
_PLACES = [2, 5, 7]  # of a finger's numbers in the roll: those that grow with the key's x
_WRIST = [0, 1, 2, 48, 49, 50]  # of the motion: the wrist's own channels


def part_channels(part: str) -> list[int]:
    """Channels of the motion that show a part's style: its own, and for fingers how the wrist holds them."""
    return _WRIST if part == "wrist" else [*CHANNELS[part], 0, 1, 2, 50]


def own_channels(part: str) -> list[int]:
    """Channels of the motion that a part moves."""
    return _WRIST if part == "wrist" else CHANNELS[part]


def seen_in(position: np.ndarray, rotation: np.ndarray, score: Score, side: int, first: int = 0) -> np.ndarray:
    """A hand's motion at 30 fps, wrist [N, 3] m and rotations [N, 48] in the piano's frame, and what it plays.

    `score` with hands and fingers; the motion's first frame is frame `first` of it. [N, SEEN] float32.
    """
    roll = finger_roll(score, first, len(position))[:, : NOTE_FEATURES - 1].reshape(len(position), 2, 5, OF_FINGER)
    played = roll[:, side].copy()
    if side == LEFT:
        position, turned = mirror(position, rotation.reshape(-1, 16, 3))
        rotation = turned.reshape(-1, 48)
        played[..., _PLACES] *= -1
    speed = np.gradient(position[:, 0]) * FPS
    motion = np.concatenate([rotation, speed[:, None], position[:, 1:]], axis=1)
    change = np.gradient(motion, axis=0) * FPS
    return np.concatenate([motion, change, played.reshape(len(played), -1)], axis=1, dtype=np.float32)


def begins(frames: int) -> np.ndarray:
    """Where the pieces begin into which so many frames are cut [K]; they overlap where the length asks for that."""
    if frames <= SEGMENT:
        return np.zeros(1, int)
    return np.linspace(0, frames - SEGMENT, -(-frames // SEGMENT)).round().astype(int)


def segments(seen: np.ndarray) -> np.ndarray:
    """What is seen [N, SEEN], cut into pieces [K, SEGMENT, SEEN]; a shorter one stays as it is, [1, N, SEEN]."""
    return np.stack([seen[first : first + SEGMENT] for first in begins(len(seen))])
