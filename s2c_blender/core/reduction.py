# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keyframes: of curves keyed at every frame, the keys that are needed to stay within a tolerance.

The three curves of the wrist's place share their frames, and those of its turn. Each axis of a finger's joint has
frames of its own; those that hardly move (hinges are nearly one local axis each) are thinned out at the end, together
for each finger, and get a few keys. Values and slopes are those
that come nearest to the motion between the keys too. Bones are thinned out from the wrist outwards, and each stage
knows by how much the stages before moved every fingertip, so that it is the sum of all errors that stays within the
tolerance. What a small turn of a joint does to a fingertip comes from the hand's kinematics at each frame; with errors
this small that is exact to a thousandth of a mm.

Arrays in here have time last, in half frames where nothing else is said: [axis, finger, half frame].
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .cubics import Places, at_frames, cubic, halves
from .hand import FINGER_JOINTS
from .levers import Bones, apply, levers
from .strike_limits import room

TOLERANCE = 5e-4  # m
EXACT = 0.4  # of the tolerance, at the fingertip of a finger that presses or lets go of its key
_STAGES = (0.45, 0.85, 0.92, 0.95, 0.95)  # of the tolerance, spent after location, wrist, and a finger's three joints
_QUIET = 8.0  # tolerances that an axis moves the fingertips in all, below which it hardly moves
_SPANS = (2, 3, 4, 5, 7, 10, 14, 20, 32)  # frames between two keys that are tried
_QUIET_SPANS = (3, 6, 12, 24, 48)  # the same for axes that hardly move
_PROBES = (0.25, 0.5, 0.75)  # where
_LOOSE = 1.6  # a span is tried with the motion's own values; fitted ones are that much nearer
_SAFE = 0.96  # of the tolerance, for what the kinematics of small turns leave out
_SHORTEST = 0.02  # m that every lever counts as at least: a finger's twist does not move its tip, but bends the rest
_LONGEST = 0.1  # m, the same for axes that hardly move
_BLOCK = 6000  # frames done at once; keys between blocks are the motion's own


@dataclass(frozen=True)
class Keys:
    """Keys of the three curves of one bone. A curve that lacks a key there passes through these values all the same."""

    index: np.ndarray  # [K] which of the frames are keyed
    values: np.ndarray  # [K, 3]
    slopes: np.ndarray  # [K, 3] a frame
    own: np.ndarray  # [K, 3] which of the curves need the key


@dataclass(frozen=True)
class _Part:
    """Keys of some channels [17 bones, 3] (as indices) that share their frames."""

    channels: list[int]  # n of 3 * bone + axis
    index: np.ndarray  # [K]
    values: np.ndarray  # [K, n]
    slopes: np.ndarray  # [K, n]


def every_frame(channels: np.ndarray) -> list[Keys]:
    """All keys of channels [T, 2, 51] (values, slopes a frame): wrist location, then three angles of each joint."""
    index, own = np.arange(len(channels)), np.ones((len(channels), 3), bool)
    bones = [slice(c, c + 3) for c in range(0, channels.shape[2], 3)]
    return [Keys(index, channels[:, 0, bone], channels[:, 1, bone], own) for bone in bones]


def nth_frame(channels: np.ndarray, step: int) -> list[Keys]:
    """Keys at each `step`-th frame and the last, on the motion, with the slopes that follow it best between them."""
    if step <= 1 or len(channels) < 3:
        return every_frame(channels)
    values, slopes = _curves(channels)
    knots = np.union1d(np.arange(0, len(channels), step), len(channels) - 1)
    places = Places([knots], 2 * len(channels) - 1)
    values, slopes = (array.reshape(-1, 1, len(channels)) for array in (values, slopes))
    fitted = places.fit(halves(values, slopes), 1.0, slopes, all_values=True)
    values, slopes = (array.reshape(-1, 3, len(knots)).transpose(0, 2, 1) for array in fitted)
    own = np.ones((len(knots), 3), bool)
    return [Keys(knots, *bone, own) for bone in zip(values, slopes, strict=True)]


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
    moving = _moving(channels[:, 0], bones, tolerance)
    cuts = np.linspace(0, last, max(1, -(-last // _BLOCK)) + 1).round().astype(int)

    def block(n: int) -> list[_Part]:
        part = slice(cuts[n], cuts[n + 1] + 1)
        return _reduce_block(channels[part], bones, exact[part], tolerance, moving)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        blocks = list(pool.map(block, range(len(cuts) - 1)))
    parts = [_join(parts, cuts) for parts in zip(*blocks, strict=True)]
    return [_of_bone(bone, parts) for bone in range(channels.shape[2] // 3)]


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


def _moving(values: np.ndarray, bones: Bones, tolerance: float) -> np.ndarray:
    """Which axes of a finger's three joints move its tip by more than a hair in any finger: [3 joints, 3 axes]."""
    turn = np.ptp(values[:, 3:], axis=0).reshape(-1, 3)[FINGER_JOINTS]  # [5, 3 joints, 3 axes]
    return (turn * bones.reach()[:, :, None]).max(0) > _QUIET * tolerance


def _join(parts: tuple[_Part, ...], cuts: np.ndarray) -> _Part:
    """Blocks share the key between them."""
    keep = [slice(0, None) if n == 0 else slice(1, None) for n in range(len(parts))]
    index = [part.index[s] + cut for part, s, cut in zip(parts, keep, cuts[:-1], strict=True)]
    values = [part.values[s] for part, s in zip(parts, keep, strict=True)]
    slopes = [part.slopes[s] for part, s in zip(parts, keep, strict=True)]
    return _Part(parts[0].channels, np.concatenate(index), np.concatenate(values), np.concatenate(slopes))


def _of_bone(bone: int, parts: list[_Part]) -> Keys:
    """The keys of a bone's curves, from the parts of them that share frames."""
    mine = [part for part in parts if any(channel // 3 == bone for channel in part.channels)]
    index = np.unique(np.concatenate([part.index for part in mine]))
    values, slopes, own = np.empty((len(index), 3)), np.empty((len(index), 3)), np.empty((len(index), 3), bool)
    for part in mine:
        columns = [n for n, channel in enumerate(part.channels) if channel // 3 == bone]
        axes = [part.channels[n] % 3 for n in columns]
        found = at_frames(part.index, part.values[:, columns], part.slopes[:, columns], index)
        values[:, axes], slopes[:, axes] = found
        own[:, axes] = np.isin(index, part.index)[:, None]
    return Keys(index, values, slopes, own)


def _curves(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes [51, T] from channels [T, 2, 51]."""
    return np.ascontiguousarray(channels[:, 0].T), np.ascontiguousarray(channels[:, 1].T)


def _reduce_block(
    channels: np.ndarray, bones: Bones, exact: np.ndarray, tolerance: float, moving: np.ndarray
) -> list[_Part]:
    values, slopes = _curves(channels)
    truth = halves(values, slopes)
    location, turn, joints, pads = levers(truth.reshape(17, 3, -1).astype(np.float32), bones)
    limit = np.full((5, truth.shape[1]), tolerance * _SAFE, np.float32)
    limit[:, ::2][exact.T] *= EXACT
    limit = np.minimum(limit, tolerance * room(pads, exact, tolerance))
    error = np.zeros((3, 1, limit.shape[1]), np.float32)
    parts: list[_Part] = []

    def stage(which: list[list[int]], levers: np.ndarray, limit: np.ndarray, shortest=_SHORTEST, spans=_SPANS) -> None:
        nonlocal error
        part = tuple(np.stack([array[row] for row in which], axis=1) for array in (values, slopes, truth))
        found, error = _stage(*part, levers, error, limit, shortest, spans)
        parts.extend(_Part(row, *keys) for row, keys in zip(which, found, strict=True))

    stage([[0, 1, 2]], location, limit.min(0, keepdims=True) * _STAGES[0])
    stage([[3, 4, 5]], turn, limit * _STAGES[1])
    fingers = [[3 * (1 + joint) for joint in row] for row in FINGER_JOINTS]
    for level in range(3):
        for axis in np.flatnonzero(moving[level])[::-1]:  # spread, then flexion
            which = [[row[level] + int(axis)] for row in fingers]
            stage(which, joints[level][:, [axis]], limit * _STAGES[2 + level])
    if len(quiet := np.argwhere(~moving)):
        which = [[row[level] + int(axis) for level, axis in quiet] for row in fingers]
        stage(which, np.stack([joints[level][:, axis] for level, axis in quiet], axis=1), limit, _LONGEST, _QUIET_SPANS)
    return parts


def _stage(values, slopes, truth, levers, error, limit, shortest, spans) -> tuple[list[tuple], np.ndarray]:
    """Index, values and slopes of the keys of C columns, and the fingertips' error [3, F, H] after them.

    values, slopes [K, C, T]; truth [K, C, H]; levers [3, K, F, H]: what a channel's unit does to a fingertip; error
    [3, F, H] so far; limit [F, H]; no channel is off by more than the tolerance at `shortest` m. C is F, a column for
    each fingertip, or 1.
    """
    alone = values.shape[1] == 1
    frames = [np.ascontiguousarray(array[..., ::2], np.float32) for array in (levers, error, limit)]
    values32, slopes32 = values.astype(np.float32), slopes.astype(np.float32)
    knots = _first_guess(values32, slopes32, frames[0], frames[1] - apply(frames[0], values32), frames[2], spans)
    weight = np.square(limit.min() / (limit.min(0, keepdims=True) if alone else limit))
    bound = np.square(limit) * 1.0001
    found: list[tuple] = [()] * len(knots)
    after = np.empty((3, *limit.shape), np.float32)
    live = np.arange(len(knots))
    while len(live):
        own = slice(None) if len(live) == len(knots) else live
        tips = slice(None) if alone else own
        places = Places([knots[column] for column in live], truth.shape[2])
        fitted = places.fit(truth[:, own], weight[own], slopes[:, own])
        off = places.curves(*fitted) - truth[:, own]
        moved = error[:, tips if error.shape[1] > 1 else slice(None)] + apply(levers[:, :, tips], off)
        over = np.square(moved).sum(0) > bound[tips]
        over |= np.abs(off).max(0) > limit.max() / shortest
        after[:, tips] = moved
        split = [np.split(array.T, places.ends[:-1] + 1) for array in fitted]
        again = []
        for column, *keys, bad in zip(live, *split, over.any(0, keepdims=True) if alone else over, strict=True):
            found[column] = (knots[column], *keys)
            if len(more := _split(knots[column], bad)):
                knots[column] = np.union1d(knots[column], more)
                again.append(column)
        live = np.array(again, int)
    return found, after


def _first_guess(values, slopes, levers, rest, limit, spans) -> list[np.ndarray]:
    """Frames of each column: from key to key the widest span whose cubic, tried at some frames, stays near the motion.

    values, slopes [K, C, T]; levers and rest (the error so far less the levers times the motion) [.., F, T]; limit
    [F, T], all at frames.
    """
    columns, count = values.shape[1:]
    bound = np.square(limit * _LOOSE)
    reach = np.ones((columns, count), int)
    for span in spans:
        n = count - span
        if n <= 0:
            break
        good = np.ones((limit.shape[0], n), bool)
        ends = (values[..., :n], slopes[..., :n], values[..., span:], slopes[..., span:])
        for k in sorted({min(max(round(span * u), 1), span - 1) for u in _PROBES}):
            curve = sum(np.float32(w) * end for w, end in zip(cubic(k / span, span), ends, strict=True))
            off = apply(levers[..., k : k + n], curve)
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
