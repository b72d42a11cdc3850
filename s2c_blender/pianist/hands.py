# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hand plays each note: a beam search over splits of every tone or chord, costs from what hands can reach.

Known labels are respected. The state of the search is where each hand is, when it played last and which keys it holds.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..core.notes import LEFT, RIGHT, UNKNOWN, Score

TOGETHER = 0.03  # s: notes closer than this are one chord
COMFORTABLE, WIDEST = 12, 14  # semitones in one hand

# Costs, tuned on the labelled pieces of the training corpus (docs/pianist.md).
_MOVE = 0.0957  # per semitone of a hand's move
_HURRY = 0.022  # per semitone a second of that move
_SPAN = 1.2  # per semitone beyond a comfortable span
_REGISTER = 0.0274  # per semitone on the other side of the middle
_MIDDLE = {LEFT: 50.0, RIGHT: 73.0}
_CROSSING = 1.2  # a hand reaching over the other one
_LATE = 20.0  # per second that the hand would come too late
_SEMITONE, _SPEED = 0.0137, 2.5  # m; m/s
_NEAR = 2.2  # semitones inside which hands get in each other's way
_CROWD = 0.35


@dataclass(frozen=True)
class _Hand:
    center: float
    last: float  # s of its last tone
    held: tuple[tuple[int, float], ...]  # (pitch, release s)


def tones(onset: np.ndarray) -> list[np.ndarray]:
    """Indices of the notes of each tone or chord, for onsets [M] ascending (s)."""
    if not len(onset):
        return []
    starts = [0]
    for i in range(1, len(onset)):
        if onset[i] - onset[starts[-1]] > TOGETHER:
            starts.append(i)
    return np.split(np.arange(len(onset)), starts[1:])


def _play(hand: _Hand, which: int, pitches: list[int], releases: list[float], now: float) -> tuple[_Hand, float]:
    """The hand after playing `pitches` at `now`, and what that costs."""
    held = tuple(h for h in hand.held if h[1] > now + 0.02)
    if not pitches:
        return _Hand(hand.center, hand.last, held) if len(held) != len(hand.held) else hand, 0.0
    everything = pitches + [h[0] for h in held]
    low, high = min(everything), max(everything)
    cost = 0.0
    if high - low > COMFORTABLE:
        cost += _SPAN * (high - low - COMFORTABLE)
        if high - low > WIDEST:
            cost += 3.0 + (high - low - WIDEST)
    if len(everything) > 5:
        cost += 6.0 * (len(everything) - 5)
    center = (low + high) / 2
    reach = max(abs(center - hand.center) - (2.0 if len(pitches) == 1 else 0.5), 0.0)
    cost += reach * (_MOVE + _HURRY / max(now - hand.last, 0.08))
    late = (reach - 3.0) * _SEMITONE / _SPEED - max(now - hand.last - 0.05, 0.01)
    if late > 0:
        cost += 2.0 + _LATE * late
    for pitch in pitches:
        wrong = _MIDDLE[which] - pitch if which == RIGHT else pitch - _MIDDLE[which]
        cost += _REGISTER * max(wrong, 0.0)
    # A single tone hardly moves the hand: five fingers cover a fifth.
    if high - low < 7:
        center = hand.center + (center - hand.center) * (1.0 if reach > 3 else 0.6)
    return _Hand(float(center), now, held + tuple(zip(pitches, releases, strict=True))), cost


def _interference(left: _Hand, right: _Hand, now: float) -> float:
    """Cost of the hands being in each other's way, crossed or on top of each other."""
    if now - left.last > 0.6 or now - right.last > 0.6:
        return 0.0
    gap = right.center - left.center
    if gap < 0:
        return _CROSSING + 0.1 * -gap
    return _CROWD * max(0.0, _NEAR - gap)


def assign_hands(notes: np.ndarray, hand_cost: np.ndarray | None = None, beam: int = 24) -> np.ndarray:
    """LEFT or RIGHT for every note [M] (NOTE array sorted by onset); labels that are known stay.

    hand_cost [M, 2], if given, is added for giving a note to the left or right hand (a model's opinion).
    """
    result = notes["hand"].copy()
    if not (result == UNKNOWN).any():
        return result
    start = (_Hand(_MIDDLE[LEFT], -1.0, ()), _Hand(_MIDDLE[RIGHT], -1.0, ()))
    states: list[tuple[float, tuple[_Hand, _Hand], tuple | None]] = [(0.0, start, None)]
    groups = tones(notes["onset"])
    for group in groups:
        group = group[np.argsort(notes["pitch"][group], kind="stable")]
        now = float(notes["onset"][group[0]])
        pitches, releases = notes["pitch"][group].tolist(), notes["offset"][group].tolist()
        known = notes["hand"][group].tolist()
        grown = []
        for split in _splits(known):
            extra = 0.0
            if hand_cost is not None:
                extra = float(hand_cost[group, np.array(split)].sum())
            parts = [[i for i, h in enumerate(split) if h == hand] for hand in (LEFT, RIGHT)]
            for cost, (left, right), trace in states:
                new_left, a = _play(left, LEFT, [pitches[i] for i in parts[0]], [releases[i] for i in parts[0]], now)
                new_right, b = _play(right, RIGHT, [pitches[i] for i in parts[1]], [releases[i] for i in parts[1]], now)
                total = cost + a + b + extra + _interference(new_left, new_right, now)
                grown.append((total, (new_left, new_right), (split, trace)))
        grown.sort(key=lambda s: s[0])
        seen, states = set(), []
        for entry in grown:
            left, right = entry[1]
            key = (round(left.center), round(right.center), left.held, right.held)
            if key not in seen:
                seen.add(key)
                states.append(entry)
                if len(states) == beam:
                    break
    trace = states[0][2]
    for group in reversed(groups):
        split, trace = trace
        group = group[np.argsort(notes["pitch"][group], kind="stable")]
        result[group] = split
    return result


def with_hands(score: Score) -> Score:
    """The score with a hand for every note: those that have none get what `assign_hands` finds."""
    notes = score.notes.copy()
    notes["hand"] = assign_hands(notes)
    return replace(score, notes=notes)


def _splits(known: list[int]) -> list[tuple[int, ...]]:
    """All ways to give a chord (low to high) to the hands: the left takes the lower part; labels are kept."""
    free = known.count(UNKNOWN)
    splits = []
    for cut in range(free, -1, -1):
        taken = iter([LEFT] * cut + [RIGHT] * (free - cut))
        splits.append(tuple(next(taken) if h == UNKNOWN else h for h in known))
    return splits
