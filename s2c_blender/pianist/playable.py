# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two hands cannot do is thinned, rolled or let go early, and reported; the hand is never torn."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ..core import keyboard
from ..core.notes import LEFT, RIGHT
from .hands import tones

ROLLED = 19  # semitones (a twelfth): wider chords lose a note, narrower ones that do not fit are rolled
_ROLL = 0.045  # s between the first and the last key of a chord that has to be rolled
_TAP = 0.06  # s: a key is held at least this long
_SPEED, _FASTEST = 1.8, 2.4  # m/s: mean speed of a hand on its way to another key, at ease and at most
_HOP = (
    0.085  # s from a key's release to the next stroke without any way to go: the rise of one, the descent of the other
)
_CLIMB = 0.04  # s more when one finger has to get up to a black key, or down from it
_STRETCH = 0.010  # m more than that for the length of a chord
_REACH = {  # metres between the keys of two fingers, at most; beyond it one of the keys is let go
    (0, 1): 0.112,
    (0, 2): 0.150,
    (0, 3): 0.168,
    (0, 4): 0.197,
    (1, 2): 0.072,
    (1, 3): 0.096,
    (1, 4): 0.106,
    (2, 3): 0.065,
    (2, 4): 0.085,
    (3, 4): 0.064,
}


@dataclass
class Report:
    """What became of the notes."""

    notes_found: int = 0
    notes_played: int = 0
    dropped: list[dict] = field(default_factory=list)  # onset (s), pitch, reason
    warnings: list[dict] = field(default_factory=list)  # sentence, onset (s)

    def drop(self, note: np.void, reason: str) -> None:
        """Note that `note` will not be played."""
        self.dropped.append({"onset": round(float(note["onset"]), 3), "pitch": int(note["pitch"]), "reason": reason})


def clean(notes: np.ndarray, report: Report) -> np.ndarray:
    """Notes [M] on the keyboard, in order, no key struck twice within 40 ms and none released before it is struck."""
    notes = notes[np.lexsort((notes["pitch"], notes["onset"]))].copy()
    keep = (notes["pitch"] >= keyboard.LOWEST) & (notes["pitch"] <= keyboard.HIGHEST)
    for note in notes[~keep]:
        report.drop(note, "outside the 88 keys")
    notes = notes[keep]
    keep = np.ones(len(notes), bool)
    for pitch in np.unique(notes["pitch"]):
        which = np.flatnonzero(notes["pitch"] == pitch)
        first = None
        for n in which:
            if first is not None and notes["onset"][n] - notes["onset"][first] < 0.04:
                keep[n] = False
                report.drop(notes[n], "the same key is struck again too soon")
                for name in ("offset", "velocity"):  # one stroke plays both
                    notes[name][first] = max(notes[name][first], notes[name][n])
            else:
                first = n
    notes = notes[keep]
    notes["offset"] = np.maximum(notes["offset"], notes["onset"] + _TAP)
    return notes


def thin(notes: np.ndarray, labelled: np.ndarray, report: Report) -> np.ndarray:
    """Chords that a hand can hold: what does not fit goes to the other hand, is dropped, or is left to be rolled.

    labelled: bool [M], notes whose hand was given and stays.
    """
    keep = np.ones(len(notes), bool)
    for hand in (LEFT, RIGHT):
        of_hand = np.flatnonzero(notes["hand"] == hand)
        for group in tones(notes["onset"][of_hand]):
            mine = sorted((int(n) for n in of_hand[group]), key=lambda n: notes["pitch"][n])
            while len(mine) > 1 and not _fits(notes, mine, hand):
                inner = mine[0] if hand == RIGHT else mine[-1]  # the note next to the other hand
                theirs = _lately(notes, keep, mine, 1 - hand)
                together = sorted([*theirs, inner], key=lambda n: notes["pitch"][n])
                if theirs and not labelled[inner] and _fits(notes, together, 1 - hand):
                    notes["hand"][inner] = 1 - hand
                    mine.remove(inner)
                elif len(mine) > 5 or _span(notes, mine) > ROLLED:
                    victim = _least_audible(notes, mine, hand)
                    keep[victim] = False
                    reason = "more than five keys in a hand" if len(mine) > 5 else "span over a twelfth in one hand"
                    report.drop(notes[victim], reason)
                    mine.remove(victim)
                else:
                    break
    return notes[keep]


def _lately(notes: np.ndarray, keep: np.ndarray, chord: list[int], hand: int) -> list[int]:
    """What `hand` plays together with the notes `chord` or has played in the last 0.6 s: where it is."""
    first = np.searchsorted(notes["onset"], notes["onset"][chord].min() - 0.6)
    return [n for n in range(first, max(chord) + 1) if notes["hand"][n] == hand and keep[n]]


def _fits(notes: np.ndarray, which: list[int], hand: int) -> bool:
    """Whether some fingers of a hand reach all the keys of `which` (low to high) at once."""
    x = np.unique(keyboard.key_x(notes["pitch"][which])) * (1 if hand == RIGHT else -1)
    x.sort()
    return any(
        all(x[b] - x[a] <= _REACH[fingers[a], fingers[b]] + _STRETCH for a, b in combinations(range(len(x)), 2))
        for fingers in combinations(range(5), len(x))
    )


def _span(notes: np.ndarray, which: list[int]) -> int:
    return int(notes["pitch"][which[-1]]) - int(notes["pitch"][which[0]])


def _least_audible(notes: np.ndarray, mine: list[int], hand: int) -> int:
    """The softest note; the melody's (right hand's top) and the bass stay. Too wide a chord loses an outer note."""
    inner = mine[1:-1]
    if len(mine) > 5 and inner:
        return min(inner, key=lambda n: notes["velocity"][n])
    return mine[0] if hand == RIGHT else mine[-1]


def let_go(notes: np.ndarray, report: Report) -> np.ndarray:
    """Shorten notes of fingered hands so that fingers get to their next keys in time; drop what no hand can reach.

    notes: NOTE [M] of both hands with fingers. A note loses its end when its finger is needed elsewhere, when two keys
    are further apart than the two fingers reach, or when the hand has to jump.
    """
    notes = notes[shorten(notes, report)]
    return notes[np.lexsort((notes["pitch"], notes["onset"]))]


def shorten(notes: np.ndarray, report: Report) -> np.ndarray:
    """let_go in place: which of the notes [M] can be played, bool."""
    keep = np.ones(len(notes), bool)
    for hand in (LEFT, RIGHT):
        side = 1 if hand == RIGHT else -1
        down: list[int] = []
        for group in tones(notes["onset"]):
            group = [int(n) for n in group if notes["hand"][n] == hand]
            for n in sorted(group, key=lambda n: notes["pitch"][n]):
                if not _reach_from(notes, down, n, side):
                    keep[n] = False
                    report.drop(notes[n], "faster than a hand can move")
                    continue
                down = [d for d in down if notes["offset"][d] > notes["onset"][n] - 0.25] + [n]
    return keep


def _reach_from(notes: np.ndarray, down: list[int], new: int, side: int) -> bool:
    """Let go of the keys `down` as far as `new` needs; False if it cannot be reached in time even then."""
    onset, finger = notes["onset"][new], int(notes["finger"][new])
    x = side * float(keyboard.key_x(notes["pitch"][new]))
    ends = {}
    for d in down:
        other = int(notes["finger"][d])
        apart = x - side * float(keyboard.key_x(notes["pitch"][d]))
        if other == finger:
            climb = _CLIMB * bool(keyboard.is_black(notes["pitch"][[d, new]]).any())
            travel = 0.0 if apart == 0 else _HOP + climb + abs(apart) / _SPEED
        else:
            pair = (min(finger, other), max(finger, other))
            opening = apart if finger > other else -apart
            closed = -0.075 if pair[0] == 0 else -0.004  # the thumb passes under, fingers do not cross
            far = max(opening - _REACH[pair], closed - opening, 0.0)
            if far == 0.0:
                continue
            travel = _HOP + far / _SPEED
        end = onset - travel
        gap = onset - notes["onset"][d]
        if other != finger and gap < _ROLL:
            # One chord, too wide for these two fingers: roll it, the first key is only tapped.
            if far > _STRETCH + 0.004:
                notes["onset"][new] += np.clip(0.03 + far / _FASTEST - gap, 0.0, _ROLL - gap)
                ends[d] = notes["onset"][d] + _TAP
            continue
        if end < notes["onset"][d] + 0.04:
            # Hurry: a shorter tap and a faster hop, as far as a hand can.
            if gap < (0.06 + abs(apart) / _FASTEST if other == finger else 0.03 + far / _FASTEST):
                return False
            end = notes["onset"][d] + 0.04
        ends[d] = end
    for d, end in ends.items():
        notes["offset"][d] = min(notes["offset"][d], end)
    return True
