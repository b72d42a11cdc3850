# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the transkun network tells of a window, turned into note and pedal events. NumPy only: every backend uses it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SUSTAIN = -64  # what transkun calls the pedal among its pitches
EVENTS = np.array([SUSTAIN, -67, *range(21, 109)])  # the 90 tracks it decodes: sustain and soft pedal, 88 keys


@dataclass
class Event:
    """A note or pedal press; times in s from the beginning of its window."""

    start: float
    end: float
    pitch: int  # MIDI number, or one of the pedals in EVENTS
    velocity: int
    has_start: bool  # begins inside the window, not before it
    has_end: bool


def best_choices(scores: Sequence[np.ndarray], lone: np.ndarray) -> np.ndarray:
    """Backward Viterbi of the semi-Markov field over all intervals [begin, end] of each track: choices [T - 1, 90].

    `lone` [90, T] are the scores of events of a single frame, 0 or above; `scores` those of intervals, for a step of
    their length, in blocks [90, n, T - b] of n begins from b on: ends before a block's begins are left out. A choice is
    where the best path goes from a frame: to the end frame of a note, or to the next frame (0).
    """
    tracks, count = lone.shape
    rows = scores[0].shape[1]
    steps = np.arange(count, dtype=np.float32)
    best = np.zeros((tracks, count), np.float32)
    best[:, -1] = lone[:, -1]
    choices = np.zeros((count - 1, tracks), int)
    every = np.arange(tracks)
    for begin in range(count - 2, -1, -1):
        block, row = divmod(begin, rows)
        reached = scores[block][:, row, row + 1 :] * steps[1 : count - begin]
        reached += best[:, begin + 1 :]
        end = reached.argmax(axis=1)
        value, skip = reached[every, end], best[:, begin + 1]
        choices[begin] = np.where(value > skip, end + begin + 1, 0)
        best[:, begin] = np.maximum(value, skip) + lone[:, begin]
    return choices


def intervals(choices: np.ndarray, lone: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Rows (track, begin, end) [N, 3] of all tracks' best paths, each decoded from its frame `first` [90] on.

    choices [T - 1, 90]; lone [T, 90]: whether an event of a single frame is taken there.
    """
    paths = [path(choices[:, k], lone[:, k], int(first[k])) for k in range(choices.shape[1])]
    return np.array([(k, begin, end) for k, found in enumerate(paths) for begin, end in found], int).reshape(-1, 3)


def path(choices: np.ndarray, lone: np.ndarray, frame: int) -> list[tuple[int, int]]:
    """The best path of one track from `frame` on as [begin, end] frames; `choices` [T - 1] and `lone` [T]."""
    found = []
    while frame < len(choices):
        if lone[frame]:
            found.append((frame, frame))
        end = int(choices[frame])
        if end:
            found.append((frame, end))
        frame = end or frame + 1
    if lone[-1]:
        found.append((len(choices), len(choices)))
    return found


def as_events(
    rows: np.ndarray, velocity: np.ndarray, shift: np.ndarray, presence: np.ndarray, frame_s: float, last: int
) -> tuple[list[Event], np.ndarray]:
    """The events of the intervals `rows` [N, 3], sorted by start, and where each track's last complete one ends [90].

    What the network says of each: velocity [N]; the logits of where within its frames it starts and ends, `shift`
    [N, 2], and of whether it does so within the window, `presence` [N, 2]. Frames last `frame_s` s; `last` is the
    window's last one.
    """
    times = (rows[:, 1:] + np.clip((continuous_bernoulli_mean(shift) - 0.5) / 0.99, -0.5, 0.5)) * frame_s
    events, before = [], {}
    done = np.zeros(len(EVENTS), int)
    for (k, begin, end), (start, stop), loud, (starts, ends) in zip(rows, times, velocity, presence > 0, strict=True):
        start = max(start, before.get(k, 0.0))
        before[k] = stop = max(stop, start + 1e-8)
        event = Event(start, stop, int(EVENTS[k]), int(loud), begin > 0 or bool(starts), end < last or bool(ends))
        if event.has_end:
            done[k] = end
        events.append(event)
    return sorted(events, key=lambda e: (e.start, e.end, e.pitch)), done


def continuous_bernoulli_mean(logits: np.ndarray) -> np.ndarray:
    """The mean, 0 to 1, of continuous Bernoulli distributions (Loaiza-Ganem and Cunningham 2019), float64.

    No logit counts for more than where float32 has no probability nearer to 0 or 1, which is how PyTorch has it.
    """
    most = np.log(1.0 / np.finfo(np.float32).eps - 1.0)
    logits = np.clip(logits.astype(np.float64), -most, most)
    flat = np.abs(logits) < 1e-3  # where the formula divides nothing by nothing
    far = np.where(flat, 1.0, logits)
    return np.where(flat, 0.5 + logits / 12.0, 1.0 / -np.expm1(-far) - 1.0 / far)
