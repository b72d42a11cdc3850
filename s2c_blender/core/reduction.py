# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keyframes: of curves keyed at every frame, the keys that are needed to stay within a tolerance.

A bone's three curves keep the same frames, with values and slopes that come nearest to the motion between them too.
Bones are thinned out from the wrist outwards, and each stage knows by how much the stages before moved every
fingertip, so that it is the sum of all errors that stays within the tolerance. What a small turn of a joint does to a
fingertip comes from the hand's kinematics at each frame; with errors this small that is exact to a thousandth of a mm.

Arrays in here have time last, in half frames where nothing else is said: [axis, finger, half frame].
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from . import keyboard, metrics
from .hand import FINGER_JOINTS

TOLERANCE = 5e-4  # m
EXACT = 0.4  # of the tolerance, at the fingertip of a finger that presses or lets go of its key
_EDGE = 0.05  # of the tolerance, at a fingertip that within the tolerance would press a key or not, or another one
_STAGES = (0.45, 0.9, 0.98, 1.0, 1.0)  # of the tolerance, spent after location, wrist, and a finger's three joints
_SPANS = (2, 3, 4, 5, 6, 8, 10, 13, 17, 24, 32)  # frames between two keys that are tried
_PROBES = (0.25, 0.5, 0.75)  # where
_LOOSE = 1.6  # a span is tried with the motion's own values; fitted ones are that much nearer
_SAFE = 0.96  # of the tolerance, for what the kinematics of small turns leave out
_SHORTEST = 0.02  # m that every lever counts as at least: a finger's twist does not move its tip, but bends the rest
_STROKE = 1  # frames around those moments in which a finger is on its way through its key
_BLOCK = 6000  # frames done at once; keys between blocks are the motion's own
_PIN = 1e8  # weight of what must not move


@dataclass(frozen=True)
class Bones:
    """A hand's bones at rest, in the armature's space, JOINTS' order."""

    axes: np.ndarray  # [16, 3, 3] a bone's local axes are the columns
    heads: np.ndarray  # [16, 3] m
    pads: np.ndarray  # [5, 3] m, fingertips thumb .. little: tails of the last bones


@dataclass(frozen=True)
class Keys:
    """Keys of the three curves of one bone."""

    index: np.ndarray  # [K] which of the frames are keyed
    values: np.ndarray  # [K, 3]
    slopes: np.ndarray  # [K, 3] a frame


def every_frame(channels: np.ndarray) -> list[Keys]:
    """All keys of channels [T, 2, 51] (values, slopes a frame): wrist location, then three angles of each joint."""
    index = np.arange(len(channels))
    return [Keys(index, channels[:, 0, c : c + 3], channels[:, 1, c : c + 3]) for c in range(0, channels.shape[2], 3)]


def nth_frame(channels: np.ndarray, step: int) -> list[Keys]:
    """Keys at each `step`-th frame and the last, on the motion, with the slopes that follow it best between them."""
    if step <= 1 or len(channels) < 3:
        return every_frame(channels)
    values, slopes = _curves(channels)
    knots = np.union1d(np.arange(0, len(channels), step), len(channels) - 1)
    places = _Places([knots] * len(values), 2 * len(channels) - 1)
    truth = values.transpose(1, 0, 2).copy()
    fitted = places.fit(_halves(truth, slopes.transpose(1, 0, 2)), 1.0, slopes.transpose(1, 0, 2), all_values=True)
    return _collect([knots] * len(values), *fitted)


def reduced(channels: np.ndarray, bones: Bones, exact: np.ndarray, tolerance: float = TOLERANCE) -> list[Keys]:
    """Keys with which the wrist and all fingertips stay within `tolerance` m at every frame and half frame.

    channels [T, 2, 51] as in `every_frame`, one key a frame; exact [T, 5]: frames at which a finger presses or lets go
    of a key, where its tip stays within EXACT of the tolerance. ValueError when the tolerance is not above zero.
    """
    if not tolerance > 0:
        raise ValueError("The tolerance must be more than zero.")
    last = len(channels) - 1
    if last < 2:
        return every_frame(channels)
    cuts = np.linspace(0, last, max(1, -(-last // _BLOCK)) + 1).round().astype(int)

    def block(n: int) -> list[Keys]:
        part = slice(cuts[n], cuts[n + 1] + 1)
        return _reduce_block(channels[part], bones, exact[part], tolerance)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        blocks = list(pool.map(block, range(len(cuts) - 1)))
    return [_join([part[bone] for part in blocks], cuts) for bone in range(channels.shape[2] // 3)]


def exact_frames(frames: np.ndarray, keys: np.ndarray, fingers: np.ndarray) -> np.ndarray:
    """Mask [T, 5] of the frames [T] around the moments at which keys [M, 4] (in frames) are down and start up.

    fingers [M] 0 thumb .. 4 little finger of the hand that plays these notes.
    """
    mask = np.zeros((len(frames), 5), bool)
    for moment in (keys[:, 1], keys[:, 2]):
        after = np.searchsorted(frames, moment)
        for index in (after - 1, after):
            mask[np.clip(index, 0, len(frames) - 1), fingers] = True
    return mask


def _join(parts: list[Keys], cuts: np.ndarray) -> Keys:
    """Blocks share the key between them."""
    keep = [slice(0, None) if n == 0 else slice(1, None) for n in range(len(parts))]
    index = [part.index[s] + cut for part, s, cut in zip(parts, keep, cuts[:-1], strict=True)]
    values = [part.values[s] for part, s in zip(parts, keep, strict=True)]
    slopes = [part.slopes[s] for part, s in zip(parts, keep, strict=True)]
    return Keys(np.concatenate(index), np.concatenate(values), np.concatenate(slopes))


def _curves(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes [17, 3, T] from channels [T, 2, 51]."""
    values, slopes = (np.ascontiguousarray(channels[:, i].T).reshape(-1, 3, len(channels)) for i in (0, 1))
    return values, slopes


def _collect(knots: list[np.ndarray], values: np.ndarray, slopes: np.ndarray) -> list[Keys]:
    """One Keys for each column from values and slopes [3, all knots]."""
    ends = np.cumsum([len(k) for k in knots])[:-1]
    split = [np.split(array.T, ends) for array in (values, slopes)]
    return [Keys(*one) for one in zip(knots, *split, strict=True)]


def _reduce_block(channels: np.ndarray, bones: Bones, exact: np.ndarray, tolerance: float) -> list[Keys]:
    values, slopes = _curves(channels)
    truth = _halves(values, slopes)
    location, turn, joints, pads = _levers(truth.astype(np.float32), bones)
    limit = np.full((5, truth.shape[2]), tolerance * _SAFE, np.float32)
    limit[:, ::2][exact.T] *= EXACT
    limit[_on_edge(pads, exact, tolerance)] = tolerance * _EDGE
    everywhere = limit.min(0, keepdims=True)
    error = np.zeros((3, 1, limit.shape[1]), np.float32)
    keys: dict[int, Keys] = {}

    def stage(which: list[int], levers: np.ndarray, error: np.ndarray, limit: np.ndarray) -> np.ndarray:
        found, error = _stage(values[which].transpose(1, 0, 2), slopes[which].transpose(1, 0, 2), levers, error, limit)
        keys.update(zip(which, found, strict=True))
        return error

    error = stage([0], location, error, everywhere * _STAGES[0])
    error = stage([1], turn, error, limit * _STAGES[1])
    for level in range(3):
        error = stage(list(1 + FINGER_JOINTS[:, level]), joints[level], error, limit * _STAGES[2 + level])
    return [keys[bone] for bone in range(len(values))]


def _stage(values, slopes, levers, error, limit) -> tuple[list[Keys], np.ndarray]:
    """Keys of C bones, and the fingertips' error [3, F, H] after them.

    values, slopes [3, C, T]; levers [3, 3 channels, F, H]: what a channel's unit does to a fingertip; error [3, F, H]
    so far; limit [F, H]. C is F, a bone for each fingertip, or 1.
    """
    truth = _halves(values, slopes)
    alone = values.shape[1] == 1
    frames = [np.ascontiguousarray(array[..., ::2], np.float32) for array in (levers, error, limit)]
    values32, slopes32 = values.astype(np.float32), slopes.astype(np.float32)
    knots = _first_guess(values32, slopes32, frames[0], frames[1] - _apply(frames[0], values32), frames[2])
    weight = np.square(limit.min() / (limit.min(0, keepdims=True) if alone else limit))
    while True:
        places = _Places(knots, truth.shape[2])
        fitted = places.fit(truth, weight, slopes)
        off = places.curves(*fitted) - truth
        after = error + _apply(levers, off)
        over = np.square(after).sum(0) > np.square(limit) * 1.0001
        over |= np.abs(off).max(0) > limit.max() / _SHORTEST
        more = [_split(k, o) for k, o in zip(knots, over.any(0, keepdims=True) if alone else over, strict=True)]
        if not any(len(m) for m in more):
            return _collect(knots, *fitted), after.astype(np.float32)
        knots = [np.union1d(k, m) for k, m in zip(knots, more, strict=True)]


def _first_guess(values, slopes, levers, rest, limit) -> list[np.ndarray]:
    """Frames of each bone: from key to key the widest span whose cubic, tried at some frames, stays near the motion.

    values, slopes [3, C, T]; levers and rest (the error so far less the levers times the motion) [.., F, T]; limit
    [F, T], all at frames.
    """
    columns, count = values.shape[1:]
    bound = np.square(limit * _LOOSE)
    reach = np.ones((columns, count), int)
    for span in _SPANS:
        n = count - span
        if n <= 0:
            break
        good = np.ones((limit.shape[0], n), bool)
        ends = (values[..., :n], slopes[..., :n], values[..., span:], slopes[..., span:])
        for k in sorted({round(span * u) for u in _PROBES}):
            curve = sum(np.float32(w) * end for w, end in zip(_cubic(k / span, span), ends, strict=True))
            off = _apply(levers[..., k : k + n], curve)
            off += rest[..., k : k + n]
            off *= off
            good &= off.sum(0) <= bound[:, k : k + n]
        np.putmask(reach[:, :n], good if columns > 1 else good.all(0, keepdims=True), span)
    return [_follow(steps) for steps in reach.tolist()]


def _follow(steps: list[int]) -> np.ndarray:
    at, kept = 0, [0]
    while at < len(steps) - 1:
        at += steps[at]
        kept.append(at)
    return np.array(kept)


def _split(knots: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Frames to add to `knots` so that spans with a half frame `over` [H] get shorter, or their neighbours."""
    spans = np.diff(knots)
    bad = np.unique(np.minimum(np.searchsorted(2 * knots, np.flatnonzero(over), "right") - 1, len(spans) - 1))
    short = bad[spans[bad] == 1]
    bad = np.union1d(bad, np.clip(np.concatenate([short - 1, short + 1]), 0, len(spans) - 1))
    bad = bad[spans[bad] > 1]
    return (knots[bad] + knots[bad + 1]) // 2


def _cubic(u, span):
    """Weights at u (0..1) of the value and slope a frame at a span's begin, and at its end."""
    v = 1 - u
    return (1 + 2 * u) * v * v, u * v * v * span, u * u * (3 - 2 * u), -u * u * v * span


class _Places:
    """Where each half frame of several bones lies between its bone's keys; the bones' keys follow each other."""

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
        self.weights = _cubic((np.arange(len(knots) * halves) - spread[0]) / (2 * spread[1]), spread[1])
        self.key = np.repeat(self.left, lengths)

    def curves(self, values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """The bones' curves [3, C, H] with values and slopes [3, all keys]."""
        curve = np.zeros((3, len(self.key)))
        for weight, array, key in zip(
            self.weights, (values, slopes) * 2, (self.key,) * 2 + (self.key + 1,) * 2, strict=True
        ):
            curve += weight * np.take(array, key, axis=1, mode="clip")  # "raise" is much slower
        return curve.reshape(3, *self.shape)

    def fit(self, truth: np.ndarray, weight, slopes: np.ndarray, all_values: bool = False):
        """Values and slopes [3, all keys] that come nearest to truth [3, C, H], weighed by [C, H].

        Kept as they are: the first and last key of each bone, and with `all_values` the value of every key.
        """
        from scipy.linalg import solveh_banded

        flat = truth.reshape(3, -1)
        column = np.searchsorted(self.ends, np.arange(len(self.knots)))
        given = np.stack([truth[:, column, 2 * self.knots], slopes[:, column, self.knots]], axis=2)  # [3, keys, 2]
        weighed = [w * np.broadcast_to(weight, self.shape).ravel() for w in self.weights]
        band, right = np.zeros((4, 2 * len(self.knots))), np.zeros((2 * len(self.knots), 3))
        for p in range(4):
            place = 2 * self.left + p
            for q in range(p, 4):
                band[q - p, place] += np.add.reduceat(weighed[p] * self.weights[q], self.starts)
            right[place] += np.add.reduceat(weighed[p] * flat, self.starts, axis=1).T
        edges = np.concatenate([self.firsts, self.ends])
        pinned = np.concatenate(
            [2 * edges, 2 * edges + 1, 2 * np.arange(len(self.knots)) if all_values else []]
        ).astype(int)
        band[0, pinned] += _PIN
        right[pinned] += _PIN * given.reshape(3, -1).T[pinned]
        solved = solveh_banded(band, right, lower=True, check_finite=False)
        solved[pinned] = given.reshape(3, -1).T[pinned]
        return solved[0::2].T, solved[1::2].T


def _halves(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Curves keyed at every frame, values and slopes [..., T], at half frames [..., 2 T - 1]."""
    halves = np.empty((*values.shape[:-1], 2 * values.shape[-1] - 1))
    halves[..., ::2] = values
    halves[..., 1::2] = (values[..., 1:] + values[..., :-1]) / 2 - np.diff(slopes, axis=-1) / 8
    return halves


def _on_edge(pads: np.ndarray, exact: np.ndarray, tolerance: float) -> np.ndarray:
    """Where the tolerance could change which keys are pressed: [5, H]; pads [3, 5, H] in the piano frame.

    That is where a pad moved by the tolerance along an axis presses another key or none, and where a finger that has
    nothing to play sweeps over an edge: how long it is past that edge decides whether it is heard.
    """
    low = pads[2] < keyboard.BLACK_HEIGHT
    points = pads[:, low].T
    pitch = metrics.key_under(points)
    before = _pressed(points, pitch)
    changes = np.zeros(len(points), bool)
    for move in tolerance * np.concatenate([np.eye(3), -np.eye(3)]):
        under = metrics.key_under(points + move) if move[:2].any() else pitch
        changes |= _pressed(points + move, under) != before
    edge, pressed = np.zeros(low.shape, bool), np.zeros(low.shape, int)
    edge[low], pressed[low] = changes, before
    playing = np.zeros(low.shape, bool)
    playing[:, ::2] = exact.T
    sweeps = np.zeros(low.shape, bool)
    sweeps[:, 1:] = np.diff(pressed, axis=1) != 0
    return edge | (_around(sweeps, 2) & ~_around(playing, 2 * _STROKE))


def _around(mask: np.ndarray, reach: int) -> np.ndarray:
    """`mask` [5, H] and what lies within `reach` of it."""
    sums = np.cumsum(np.pad(mask, ((0, 0), (reach + 1, reach))), axis=1)
    return sums[:, 2 * reach + 1 :] > sums[:, : -2 * reach - 1]


def _pressed(points: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Which points [n, 3] hold down the key `pitch` [n] that is under them: that pitch, else 0; as metrics hears it."""
    floor = keyboard.key_top(pitch) - keyboard.drop_at(points[:, 1], keyboard.DIP_ANGLE / 2)
    return np.where(points[:, 2] < floor, pitch, 0)


def _apply(levers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What values [3, F or 1, H] do through levers [3, 3, F, H]: [3, F, H]."""
    return levers[:, 0] * values[0] + levers[:, 1] * values[1] + levers[:, 2] * values[2]


def _levers(values: np.ndarray, bones: Bones) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """What a unit of each channel does to the fingertips, in the wrist's frame, arrays [3, 3 channels, F, H]; the pads.

    values [17, 3, H] -> levers of the location (the same for all fingertips, F = 1), of the wrist, of a finger's three
    joints; pads [3, 5, H] in the armature's space.
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
