# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far fingertips may move without pressing a key that was not pressed, or letting go: for thinned-out curves."""

import numpy as np

from . import keyboard, metrics

_ROOMS = (1.0, 0.4, 0.2, 0.1)  # of the tolerance, tried at a fingertip that could press another key or none
_EDGE = 0.05  # of the tolerance, where even the least of these could
_SHORT = 4  # quarter frames; who holds a key for less has hardly pressed it
_STROKE = 1  # frames around those moments in which a finger is on its way through its key

_PITCHES = np.arange(keyboard.LOWEST, keyboard.HIGHEST + 1)
_BLACK_KEYS = keyboard.key_x(_PITCHES[keyboard.is_black(_PITCHES)])  # m


def room(pads: np.ndarray, exact: np.ndarray, tolerance: float) -> np.ndarray:
    """Which share of the tolerance changes no key press, [5, H]; pads [3, 5, H] in the piano frame.

    That is less than all of it where a pad so moved along an axis presses another key or none, and around a key that
    is pressed so shortly that a moment decides whether it is heard. A finger that plays goes through the edge of its
    own key in no time. Looked at four times a frame.
    """
    wide = np.pad(pads, ((0, 0), (0, 0), (1, 1)), mode="edge")
    fine = np.empty((3, 5, 2 * pads.shape[2] - 1), np.float32)
    fine[..., ::2] = pads
    fine[..., 1::2] = (9 * (pads[..., 1:] + pads[..., :-1]) - wide[..., 3:] - wide[..., :-3]) / 16
    low = _may_press(fine, tolerance)
    playing = np.zeros(low.shape, bool)
    playing[:, ::4] = exact.T
    points, strokes = fine[:, low].T, _around(playing, 4 * _STROKE)[low]
    pitch = metrics.key_under(points)
    before = _pressed(points, pitch)
    left, near = np.ones(len(points), np.float32), np.arange(len(points))
    for share, less in zip(_ROOMS, (*_ROOMS[1:], _EDGE), strict=True):
        there, changes = points[near], np.zeros(len(near), bool)
        for move in share * tolerance * np.concatenate([np.eye(3), -np.eye(3)]):
            aside = move[:2].any()
            under = metrics.key_under(there + move) if aside else pitch[near]
            other = _pressed(there + move, under) != before[near]
            changes |= other if aside else other & ~strokes[near]
        near = near[changes]
        left[near] = less
    room, pressed = np.ones(low.shape, np.float32), np.zeros(low.shape, int)
    room[low], pressed[low] = left, before
    tight = np.zeros(low.shape, bool)
    tight[low] = (left < 1.0) & ~strokes
    room[_around(_short_runs(pressed), 2) | _around(tight, 2)] = _EDGE
    room = np.pad(room, ((0, 0), (1, 1)), constant_values=1.0)
    return np.minimum(room[:, 1:-1:2], np.minimum(room[:, :-2:2], room[:, 2::2]))


def _may_press(pads: np.ndarray, margin: float) -> np.ndarray:
    """Which of the pads [3, ...] are so low that with a move of `margin` m they may hold a key down: quickly said."""
    x, y, z = pads
    floor = 1.1 * margin - keyboard.drop_at(y, np.float32(keyboard.DIP_ANGLE / 2))
    side = keyboard.BLACK_WIDTH / 2 + margin
    edges = np.sort(np.concatenate([_BLACK_KEYS - side, _BLACK_KEYS + side]).astype(np.float32))
    above_black = np.searchsorted(edges, x) % 2 == 1
    return z < np.where(above_black, floor + np.float32(keyboard.BLACK_HEIGHT), floor)


def _short_runs(pressed: np.ndarray) -> np.ndarray:
    """Where a finger holds a key (pitch, 0 for none: [5, Q]) for less than _SHORT quarter frames."""
    short = np.zeros(pressed.shape, bool)
    for finger, row in enumerate(pressed):
        edges = np.flatnonzero(np.diff(row, prepend=-1, append=-1))
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            short[finger, first:last] = row[first] and last - first < _SHORT
    return short


def _around(mask: np.ndarray, reach: int) -> np.ndarray:
    """`mask` [5, H] and what lies within `reach` of it."""
    sums = np.cumsum(np.pad(mask, ((0, 0), (reach + 1, reach))), axis=1)
    return sums[:, 2 * reach + 1 :] > sums[:, : -2 * reach - 1]


def _pressed(points: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Which points [n, 3] hold down the key `pitch` [n] that is under them: that pitch, else 0; as metrics hears it."""
    floor = keyboard.key_top(pitch) - keyboard.drop_at(points[:, 1], keyboard.DIP_ANGLE / 2)
    return np.where(points[:, 2] < floor, pitch, 0)
