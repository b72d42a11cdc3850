# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 88 keys as geometry in the piano frame (metres): x to the treble, y away from the player, z up.

Origin: the middle of the keyboard, the front edge of the white keys, the top of an unpressed white key.
The tails between the black keys are equally wide within C-E and within F-B, the usual layout of a modern piano.
"""

import numpy as np

LOWEST, HIGHEST = 21, 108  # MIDI numbers of A0 and C8
WHITE_PITCH = 0.0235  # distance between neighbouring white keys
WHITE_LENGTH = 0.150
WHITE_GAP = 0.0008  # air between two white keys
BLACK_WIDTH = 0.010  # at the top; the base is wider
BLACK_BASE_WIDTH = 0.0127
BLACK_FRONT = 0.050  # y of its front edge
BLACK_LENGTH = 0.095
BLACK_HEIGHT = 0.012  # its top above the white keys
KEY_DIP = 0.010  # travel at the front edge of a white key
HINGE_Y = WHITE_LENGTH  # every key turns about its back edge
DIP_ANGLE = float(np.arctan2(KEY_DIP, WHITE_LENGTH))  # radians at full dip

_BLACK_CLASSES = np.array([0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0], bool)  # C, C#, D, ...
_TAIL_LOW = 3 * WHITE_PITCH / 5  # five equal tails from C to E
_TAIL_HIGH = 4 * WHITE_PITCH / 7  # seven equal tails from F to B
_IN_OCTAVE = np.array([0.5, 0, 1.5, 0, 2.5, 3.5, 0, 4.5, 0, 5.5, 0, 6.5]) * WHITE_PITCH
_IN_OCTAVE[[1, 3]] = np.array([1.5, 3.5]) * _TAIL_LOW
_IN_OCTAVE[[6, 8, 10]] = 3 * WHITE_PITCH + np.array([1.5, 3.5, 5.5]) * _TAIL_HIGH
_A0_LEFT = 5 * WHITE_PITCH  # A0's left edge, counted from the C below it
_HALF_WIDTH = 26 * WHITE_PITCH  # 52 white keys


def is_black(pitch: np.ndarray | int) -> np.ndarray:
    """Whether each MIDI pitch is a black key; same shape as `pitch`, bool."""
    return _BLACK_CLASSES[np.asarray(pitch) % 12]


def key_x(pitch: np.ndarray | int) -> np.ndarray:
    """Centre of each key in x, metres; same shape as `pitch` (MIDI numbers, fractions not allowed)."""
    pitch = np.asarray(pitch)
    octave = pitch // 12 - 1  # C0 is MIDI 12
    return octave * 7 * WHITE_PITCH + _IN_OCTAVE[pitch % 12] - _A0_LEFT - _HALF_WIDTH


def key_top(pitch: np.ndarray | int) -> np.ndarray:
    """Height of each unpressed key's top, metres; same shape as `pitch`."""
    return np.where(is_black(pitch), BLACK_HEIGHT, 0.0)


def tail_edges(pitch: int) -> tuple[float, float]:
    """Left and right x edge of a white key's narrow part between its black neighbours, metres."""
    left, right = key_x(pitch) - WHITE_PITCH / 2, key_x(pitch) + WHITE_PITCH / 2
    if pitch - 1 >= LOWEST and is_black(pitch - 1):
        left = key_x(pitch - 1) + BLACK_BASE_WIDTH / 2
    if pitch + 1 <= HIGHEST and is_black(pitch + 1):
        right = key_x(pitch + 1) - BLACK_BASE_WIDTH / 2
    return float(left), float(right)


def drop_at(y: np.ndarray | float, angle: np.ndarray | float) -> np.ndarray:
    """How far a key turned down by `angle` (radians) has sunk at depth `y` (metres), metres."""
    return np.maximum(HINGE_Y - np.asarray(y), 0.0) * np.tan(angle)
