# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Piecewise cubics between keys (values and slopes a frame), at half frames: read, and fitted to a motion.

Arrays have time last, in half frames [H] where nothing else is said; several columns [C] have keys of their own, a
column's K channels share theirs.
"""

import numpy as np

_SLOPE = 0.05  # weight of the motion's own slopes: they decide where keys are too dense for half frames to do so
_PIN = 1e8  # weight of what must not move


def cubic(u, span):
    """Weights at u (0..1) of the value and slope a frame at a span's begin, and at its end."""
    v = 1 - u
    return (1 + 2 * u) * v * v, u * v * v * span, u * u * (3 - 2 * u), -u * u * v * span


def halves(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Curves keyed at every frame, values and slopes [..., T], at half frames [..., 2 T - 1]."""
    found = np.empty((*values.shape[:-1], 2 * values.shape[-1] - 1))
    found[..., ::2] = values
    found[..., 1::2] = (values[..., 1:] + values[..., :-1]) / 2 - np.diff(slopes, axis=-1) / 8
    return found


def at_frames(index: np.ndarray, values: np.ndarray, slopes: np.ndarray, frames: np.ndarray) -> tuple:
    """Values and slopes [P, K] at `frames` [P] of curves with keys at `index` [N], values and slopes [N, K]."""
    left = np.clip(np.searchsorted(index, frames, "right") - 1, 0, len(index) - 2)
    span = np.diff(index)[left][:, None]
    u = (frames - index[left])[:, None] / span
    ends = (values[left], slopes[left], values[left + 1], slopes[left + 1])
    steep = (6 * u * (u - 1) / span, (1 - u) * (1 - 3 * u), 6 * u * (1 - u) / span, u * (3 * u - 2))
    return tuple(
        sum(weight * end for weight, end in zip(weights, ends, strict=True)) for weights in (cubic(u, span), steep)
    )


class Places:
    """Where each half frame of several columns lies between its column's keys; the columns' keys follow each other."""

    def __init__(self, knots: list[np.ndarray], halves: int):
        self.knots, self.shape = np.concatenate(knots), (len(knots), halves)
        counts = np.array([len(k) for k in knots])
        self.ends = np.cumsum(counts) - 1
        self.firsts = self.ends - counts + 1
        self.left = np.delete(np.arange(len(self.knots)), self.ends)  # [S] the key that begins each span
        column = np.repeat(np.arange(len(knots)), counts - 1)
        self.starts = 2 * self.knots[self.left] + column * halves  # [S] first half frame of each span
        lengths = np.diff(self.starts, append=len(knots) * halves)
        spans = (self.knots[self.left + 1] - self.knots[self.left]).astype(float)
        spread = np.repeat(np.stack([self.starts, spans]), lengths, axis=1)
        self.weights = cubic((np.arange(len(knots) * halves) - spread[0]) / (2 * spread[1]), spread[1])
        self.key = np.repeat(self.left, lengths)

    def curves(self, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """The columns' curves [K, C, H] with values and slopes [K, all keys]."""
        curve = np.zeros((len(values), len(self.key)))
        for weight, array, key in zip(
            self.weights, (values, slopes) * 2, (self.key,) * 2 + (self.key + 1,) * 2, strict=True
        ):
            curve += weight * np.take(array, key, axis=1, mode="clip")  # "raise" is much slower
        return curve.reshape(len(values), *self.shape)

    def fit(self, truth: np.ndarray, weight, slopes: np.ndarray, all_values: bool = False):
        """Values and slopes [K, all keys] that come nearest to truth [K, C, H], weighed by [C, H].

        slopes [K, C, T] of the motion. Kept as they are: the first and last key of each column, and with `all_values`
        the value of every key.
        """
        from scipy.linalg import solveh_banded

        flat = truth.reshape(len(truth), -1)
        column = np.searchsorted(self.ends, np.arange(len(self.knots)))
        given = np.stack([truth[:, column, 2 * self.knots], slopes[:, column, self.knots]], axis=2)  # [K, keys, 2]
        weighed = [w * np.broadcast_to(weight, self.shape).ravel() for w in self.weights]
        band, right = np.zeros((4, 2 * len(self.knots))), np.zeros((2 * len(self.knots), len(truth)))
        for p in range(4):
            place = 2 * self.left + p
            for q in range(p, 4):
                band[q - p, place] += np.add.reduceat(weighed[p] * self.weights[q], self.starts)
            right[place] += np.add.reduceat(weighed[p] * flat, self.starts, axis=1).T
        given = given.reshape(len(truth), -1).T
        known = 2 * np.arange(len(self.knots)) + 1
        sure = _SLOPE * np.broadcast_to(weight, self.shape)[column, 2 * self.knots]
        band[0, known] += sure
        right[known] += sure[:, None] * given[known]
        edges = np.concatenate([self.firsts, self.ends])
        pinned = np.concatenate(
            [2 * edges, 2 * edges + 1, 2 * np.arange(len(self.knots)) if all_values else []]
        ).astype(int)
        band[0, pinned] += _PIN
        right[pinned] += _PIN * given[pinned]
        solved = solveh_banded(band, right, lower=True, check_finite=False)
        solved[pinned] = given[pinned]
        return solved[0::2].T, solved[1::2].T
