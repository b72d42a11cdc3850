# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingers for one hand's notes: a beam search over the fingers of every tone or chord.

Costs follow the ergonomic model of Parncutt, Sloboda, Clarke, Raekallio & Desain (1997, Music Perception 14:341-382):
spans between pairs of fingers with comfortable and practical limits, weak fingers, thumb on black, thumb passing. Where
the hand has to go is counted as in Al Kasimi et al. (2007) by the move of a hand with its fingers at rest.
"""

from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..core import keyboard
from ..core.notes import UNKNOWN
from .hands import tones

# Finger pairs -> smallest and largest interval in semitones: practical, comfortable, relaxed (Parncutt et al., table 1,
# the widest ones narrowed to what this hand reaches with its joint limits).
_SPANS = {
    (0, 1): (-5, -3, 1, 5, 7, 8),
    (0, 2): (-4, -2, 3, 7, 9, 11),
    (0, 3): (-3, -1, 5, 9, 11, 12),
    (0, 4): (-1, 1, 7, 10, 12, 14),
    (1, 2): (1, 1, 1, 2, 3, 5),
    (1, 3): (1, 1, 3, 4, 5, 7),
    (1, 4): (2, 2, 5, 6, 7, 8),
    (2, 3): (1, 1, 1, 2, 2, 4),
    (2, 4): (1, 1, 3, 4, 5, 6),
    (3, 4): (1, 1, 1, 2, 3, 5),
}
_REST = (-3.6, -1.7, 0.0, 1.7, 3.5)  # where the fingers stand over the keys, semitones from the middle finger
_WEAK = (0.0, 0.0, 0.0, 0.35, 0.35)
_IMPOSSIBLE = 40.0
_REPEAT = 15.0  # per second that a key comes back sooner than 0.14 s on the same finger
_REUSE = 0.5  # times the tempo (1/s): a finger that has to go to another key at once
_BEAM = 24
_BLACK = keyboard.is_black(np.arange(128)).tolist()  # by MIDI number


# The search takes tens of thousands of steps with one to five numbers each: plain Python is faster than arrays there.


class _State(NamedTuple):
    fingers: tuple[tuple[int, int], ...]  # (pitch, finger) of the last tone, low to high
    held: tuple[tuple[int, int, float], ...]  # (pitch, finger, release s) still down
    center: float  # semitone under the middle finger
    now: float


class _Strike(NamedTuple):
    """One choice of fingers for a tone or chord, low to high, whatever comes before it."""

    pitches: tuple[int, ...]
    fingers: tuple[int, ...]
    blacks: tuple[bool, ...]
    releases: tuple[float, ...]  # s
    struck: tuple[tuple[int, int], ...]  # (pitch, finger)
    center: float  # semitone under the middle finger
    cost: float  # of the chord by itself


@cache
def chord_cost(low: int, high: int, interval: int, black_low: bool, black_high: bool) -> float:
    """Cost of two fingers down together, `low` on the lower key (right hand; intervals in semitones, >= 0)."""
    if low >= high:
        return _IMPOSSIBLE  # crossed fingers in one chord
    least, _, relaxed, easy, comfortable, most = _SPANS[low, high]
    cost = 0.0
    if interval > most:
        cost += 12.0 + 4.0 * (interval - most)
    cost += 1.0 * max(interval - comfortable, 0) + 0.4 * max(interval - easy, 0)
    if interval < least:
        cost += 12.0 + 4.0 * (least - interval)
    cost += 0.5 * max(relaxed - interval, 0)
    return cost + _blacks(low, black_low) + _blacks(high, black_high)


def _blacks(finger: int, black: bool) -> float:
    return 0.25 * (finger in (0, 4)) * black


@cache
def step_cost(before: int, after: int, interval: int, black_before: bool, black_after: bool, legato: bool) -> float:
    """Cost of finger `before` followed by `after`, `interval` semitones higher (right hand, negative: lower)."""
    if before == after:
        if interval == 0:
            return 0.0  # see _REPEAT for fast repetitions
        return (4.0 if legato else 1.2) + 0.15 * abs(interval)
    if interval == 0:
        return 0.8  # change of finger on a repeated key
    low, high = min(before, after), max(before, after)
    if before > after:
        interval = -interval  # now > 0 where the hand stays open, < 0 where fingers pass each other
    least, tight, relaxed, easy, comfortable, most = _SPANS[low, high]
    cost = 0.0
    if interval < 0:
        if low != 0:
            return 12.0 + abs(interval)  # only the thumb passes under, or a finger over the thumb
        cost += 1.8 if legato else 1.2
        cost += 0.5 * max(tight - interval, 0) + 2.5 * max(least - 1 - interval, 0)
        cost += (0.0, 0.0, 0.0, 0.1, 3.0)[high]
        thumb_black = black_before if before == 0 else black_after
        other_black = black_after if before == 0 else black_before
        cost += 2.0 * (thumb_black and not other_black) - 0.4 * (other_black and not thumb_black)
        return cost
    factor = 1.0 if legato else 0.5
    cost += factor * (1.0 * max(interval - comfortable, 0) + 0.3 * max(interval - easy, 0))
    cost += factor * 0.5 * max(relaxed - interval, 0)
    if legato and interval > most:
        cost += 3.0 + 0.5 * (interval - most)
    if (low, high) == (2, 3) and black_before != black_after:
        cost += 0.4  # the ring finger on white next to the middle finger on black, and the reverse
    if {before, after} == {3, 4}:
        cost += 0.3
    return cost


def finger_hand(notes: np.ndarray, left: bool, finger_cost: np.ndarray | None = None) -> np.ndarray:
    """Fingers 0..4 (thumb .. little) for one hand's notes [M] (NOTE array sorted by onset); known fingers stay.

    finger_cost [M, 5], if given, is added for playing a note with a finger (a model's opinion). Chords of more than
    five keys must have been thinned before (playable.py); ValueError otherwise.
    """
    result = notes["finger"].astype(int)
    pitch = -notes["pitch"].astype(int) if left else notes["pitch"].astype(int)  # the left hand is a mirrored right one
    groups = tones(notes["onset"])
    states: list[tuple[float, _State, tuple | None]] = [(0.0, _State((), (), 0.0, -np.inf), None)]
    order_of = []
    for group in groups:
        group = group[np.argsort(pitch[group], kind="stable")]
        if len(group) > 5:
            raise ValueError("A hand has five fingers: thin the chord first.")
        order_of.append(group)
        now = float(notes["onset"][group[0]])
        choices = [c for c in combinations(range(5), len(group)) if _respects(c, result[group])]
        if not choices:
            choices = list(combinations(range(5), len(group)))  # written fingers that no hand can take
        grown: dict[tuple, tuple[float, _State, tuple | None]] = {}
        for fingers in choices:
            opinion = 0.0 if finger_cost is None else float(finger_cost[group, fingers].sum())
            strike = _strike(fingers, pitch[group].tolist(), notes["offset"][group].tolist(), opinion)
            for cost, state, trace in states:
                extra, after = _advance(state, strike, now)
                total = cost + strike.cost + extra
                key = (after.fingers, after.held, round(after.center))
                if key not in grown or total < grown[key][0]:
                    grown[key] = (total, after, (fingers, trace))
        states = sorted(grown.values(), key=lambda s: s[0])[:_BEAM]
    trace = states[0][2]
    for group in reversed(order_of):
        fingers, trace = trace
        result[group] = fingers
    return result.astype(np.int8)


def _respects(choice: tuple[int, ...], known: np.ndarray) -> bool:
    return all(k in (UNKNOWN, f) for f, k in zip(choice, known, strict=True))


def _strike(fingers: tuple[int, ...], pitches: list[int], releases: list[float], opinion: float) -> _Strike:
    """The chord by itself: it costs weak fingers, thumb on black, spans, and what a model's `opinion` is."""
    blacks = tuple(_BLACK[abs(p)] for p in pitches)
    cost = sum(_WEAK[f] for f in fingers)
    if len(fingers) == 1 and fingers[0] in (0, 4) and blacks[0]:
        cost += 0.7
    for i, j in combinations(range(len(fingers)), 2):
        cost += chord_cost(fingers[i], fingers[j], pitches[j] - pitches[i], blacks[i], blacks[j])
    struck = tuple(zip(pitches, fingers, strict=True))
    center = sum(p - _REST[f] for p, f in struck) / len(fingers)
    return _Strike(tuple(pitches), fingers, blacks, tuple(releases), struck, center, cost + opinion)


def _advance(state: _State, strike: _Strike, now: float) -> tuple[float, _State]:
    """Cost of going from `state` to `strike` at `now`, and the state after it."""
    cost = 0.0
    gap = max(now - state.now, 0.03)
    held = []
    for key, finger, release in state.held:
        if release <= now + 0.02 or key in strike.pitches:
            continue
        clash = 0.0
        for p, f in strike.struck:
            if f == finger:
                clash += 1.5  # the held key must be let go early
                continue
            low, high = ((key, finger), (p, f)) if key < p else ((p, f), (key, finger))
            clash += chord_cost(low[1], high[1], high[0] - low[0], False, False)
        cost += min(clash, 2.5)
        if clash < 2.5 and finger not in strike.fingers:
            held.append((key, finger, release))
    legato = gap < 0.5
    center = strike.center
    if state.fingers:
        pairs, reused, again = 0.0, 0, 0
        for key, finger in state.fingers:
            black = _BLACK[abs(key)]
            for p, f, b in zip(strike.pitches, strike.fingers, strike.blacks, strict=True):
                pairs += step_cost(finger, f, p - key, black, b, legato)
                if f == finger:
                    again += p == key
                    reused += p != key
        cost += _REUSE / gap * reused
        cost += _REPEAT * max(0.14 - gap, 0.0) * again
        cost += pairs / max(len(state.fingers), len(strike.fingers)) * (1.0 if legato else 0.4)
        move = max(abs(center - state.center) - 1.0, 0.0)
        cost += move * (0.10 + 0.035 / gap)
        if len(strike.fingers) == 1 and len(state.fingers) == 1:
            center = 0.7 * center + 0.3 * state.center
    now_held = (*held, *zip(strike.pitches, strike.fingers, strike.releases, strict=True))
    return cost, _State(strike.struck, now_held, center, now)
