# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling of one window, and of long audio in overlapping windows that agree at every step. NumPy only.

Window k covers the frames from k * hop on. Where two windows overlap, their x0 are blended before each step, so that
there is one noisy motion for all of them. It is kept in segments: segment k are the hop frames from k * hop on, the
last one is its whole window; the first frames of a segment are also the end of the window before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..core.chance import mixed
from .sampling import Plan

# x [B, 2, C, W] float32 (left hand, right hand), steps of the schedule t [B], B conditions -> x0 [B, 2, C, W]
Predict = Callable[[np.ndarray, np.ndarray, list[Any]], np.ndarray]
# segment (or clip), number of the step or START, shape [2, C, n] -> float32 of that shape
Noise = Callable[[int, int, tuple[int, int, int]], np.ndarray]

START = -1  # the "step" of the noise that sampling starts from


def seeded(seed: int, initial: Literal["decoupled", "shared"], creativity: float = 1.0) -> Noise:
    """Normal noise that depends on nothing but seed (modulo 2^64), segment, step and shape.

    `initial`: whether the hands start from noise of their own (the paper) or from the same (the release); all later
    noise is their own. `creativity` 0..1: how far the noise of two seeds differs, from not at all to independent; its
    distribution stays the same.
    """

    def drawn(seed: int, use: int, segment: int, step: int, shape: tuple[int, int, int]) -> np.ndarray:
        key = np.array([seed % 2**64, segment], np.uint64)
        counter = np.array([0, 0, use, step - START], np.uint64)  # in the high words: streams never reach each other
        stream = np.random.Generator(np.random.Philox(key=key, counter=counter))
        if step == START and initial == "shared":
            return np.repeat(stream.standard_normal((1, *shape[1:]), np.float32), 2, axis=0)
        return stream.standard_normal(shape, np.float32)

    def noise(segment: int, step: int, shape: tuple[int, int, int]) -> np.ndarray:
        return mixed(drawn(0, 1, segment, step, shape), drawn(seed, 0, segment, step, shape), creativity)

    return noise


def sample(
    predict: Predict,
    plan: Plan,
    noise: Noise,
    conditions: list[Any],
    shape: tuple[int, int, int],
    *,
    clamp: float | None = 1.0,
    on_progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """One motion of `shape` [2, C, W] for each condition, all at once -> [B, 2, C, W] float32.

    Noise is asked for as for segments 0 to B - 1. `clamp` limits each x0 to -clamp..clamp, 1 in the release
    (parity fact 6.3); None: not at all. `on_progress`, called after every step, may raise to stop.
    """

    def drawn(step: int) -> np.ndarray:
        return np.stack([noise(clip, step, shape) for clip in range(len(conditions))])

    x, before = drawn(START), None
    for s, t in enumerate(plan.t):
        x0 = _x0(predict, x, np.full(len(x), t), conditions, clamp)
        x, before = plan.step(s, x, x0, before, drawn(s) if plan.d[s] else None), x0
        if on_progress:
            on_progress((s + 1) / len(plan))
    return x


@dataclass
class _Segment:
    """Frames of the motion between two steps, [2, C, n] each."""

    x: np.ndarray
    before: np.ndarray | None = None  # blended x0 of the last step
    other: np.ndarray | None = None  # x0 of its first frames for the step under way, by the window before


def sample_long(
    predict: Predict,
    plan: Plan,
    noise: Noise,
    condition: Callable[[int], Any],
    shape: tuple[int, int, int],
    *,
    window: int = 240,
    overlap: int = 60,
    batch: int = 8,
    clamp: float | None = 1.0,
    on_progress: Callable[[float], None] | None = None,
) -> Iterator[np.ndarray]:
    """A motion of `shape` [2, C, N] of any length N, as successive pieces [2, C, n] float32.

    `condition(frame)` is asked once for what `predict` needs for the window that starts at that frame, also beyond N:
    the last window is whole. At most `batch` windows go into one call of `predict`. `clamp` and `on_progress` as in
    `sample`. The result is that of taking all windows through each step together, but only about twice as many windows
    as there are steps (or as `batch`, if that is more) are in memory. Raises ValueError for an overlap that is more
    than half the window.

    Why: before window k can do step s, its segments k and k + 1 need the step before from windows k - 1 to k + 1. So
    windows are taken in groups, and in wave w those groups g do their step s for which 2 s + g = w: all that a wave
    needs was done in earlier ones.
    """
    hands, channels, frames = shape
    hop = window - overlap
    last = len(starts(frames, window, overlap)) - 1  # the last window
    group = max(1, batch // len(plan))  # such that the groups of a wave fill a batch
    later = ramp(overlap)
    segments: dict[int, _Segment] = {}
    conditions: dict[int, Any] = {}
    calls = 0

    def enter(k: int) -> None:
        """Begin segment k, unless it has begun already or there is none."""
        if k <= last and k not in segments:
            length = window if k == last else hop
            segments[k] = _Segment(noise(k, START, (hands, channels, length)))

    def view(k: int) -> np.ndarray:
        """What window k sees, [2, C, W]."""
        if k == last:
            return segments[k].x
        return np.concatenate([segments[k].x, segments[k + 1].x[..., :overlap]], axis=-1)

    for work in _waves(len(plan), last + 1, group, batch):
        for s, k in work:
            if s == 0:
                enter(k)
                enter(k + 1)
                conditions[k] = condition(k * hop)
        x = np.stack([view(k) for _, k in work])
        t = np.array([plan.t[s] for s, _ in work])
        x0 = _x0(predict, x, t, [conditions[k] for _, k in work], clamp)
        calls += len(work)
        if on_progress:
            on_progress(calls / (len(plan) * (last + 1)))
        for (s, k), answer in zip(work, x0, strict=True):
            segment = segments[k]
            own = answer[..., : segment.x.shape[-1]]
            if k > 0:
                shared = later * own[..., :overlap] + (1 - later) * segment.other
                own = np.concatenate([shared, own[..., overlap:]], axis=-1)
            if k < last:
                segments[k + 1].other = answer[..., hop:]
            drawn = noise(k, s, segment.x.shape) if plan.d[s] else None
            segment.x, segment.before = plan.step(s, segment.x, own, segment.before, drawn), own
            if s == len(plan) - 1:
                yield segment.x[..., : frames - k * hop]
                del segments[k], conditions[k]


def _x0(predict: Predict, x: np.ndarray, t: np.ndarray, conditions: list[Any], clamp: float | None) -> np.ndarray:
    x0 = predict(x, t, conditions)
    return x0 if clamp is None else np.clip(x0, -clamp, clamp)


def starts(frames: int, window: int, overlap: int) -> range:
    """First frames of the windows that cover `frames` frames; ValueError for an overlap of more than half a window."""
    if not 0 <= overlap <= window // 2:
        raise ValueError(f"windows of {window} frames can overlap by 0 to {window // 2}, not {overlap}")
    hop = window - overlap
    return range(0, max(frames - overlap, 1), hop)


def ramp(overlap: int) -> np.ndarray:
    """Weight [overlap] of the later window, rising smoothly from 0 to 1; the earlier one has the rest.

    Only the middle half is blended: a window sees least at its own border, and the shorter the blend, the less
    variance the average of two predictions loses.
    """
    u = np.clip(2 * (np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1) - 0.5, 0, 1)
    return u * u * (3 - 2 * u)


def _waves(steps: int, windows: int, group: int, batch: int) -> Iterator[list[tuple[int, int]]]:
    """All pairs (step, window), each once, in lists of at most `batch` that depend only on lists before them.

    Within a wave, as over all, a step is done in the order of the windows.
    """
    groups = -(-windows // group)
    for wave in range(2 * steps + groups - 2):
        ready = [
            (s, k)
            for s in range(min(steps - 1, wave // 2), -1, -1)
            if wave - 2 * s < groups
            for k in range((wave - 2 * s) * group, min((wave - 2 * s + 1) * group, windows))
        ]
        for first in range(0, len(ready), batch):
            yield ready[first : first + batch]
