# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A span of a motion played again: everything outside it stays, and so do poses that the user has set by hand."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from ..core.chance import Whim
from ..core.edit import Pins, Span
from ..core.hand import forward_kinematics
from ..core.metrics import accuracy, presses_by_hands
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT, UNKNOWN
from ..errors import UserError
from . import held, playable, strokes
from .fingering import finger_hand
from .hands import assign_hands
from .perform import AHEAD, HISTORY, WINDOW, distances, untangle
from .performer import Performer, both_hands
from .replayer import Part, Replayer

SHORTEST = 0.2  # s of a span
_CAUTION = 0.4  # how much of a seed's change is left for a second try
_BESIDE = 30  # frames beside a part in which a mistake may come of it
_LICENCE = 0.5  # s around a pose set by hand
_TASTE = 0.4  # how far a seed changes what a finger costs


def reperform(
    motion: HandMotion,
    span: Span,
    *,
    pins: Pins | None = None,
    prior: HandMotion | None = None,
    prior_start: float = 0.0,
    performer: Performer | tuple[Performer, Performer] | None = None,
    seed: int = 0,
    creativity: float = 1.0,
    hands_free: bool = False,
    refinger: bool = True,
    keep: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[HandMotion, playable.Report]:
    """The motion with the frames of `span` solved anew, and what became of its notes; the other frames stay.

    Position, speed and acceleration go on over both ends, and notes whose stroke an end cuts keep hand and finger;
    others may be played with other fingers, with `hands_free` by the other hand too, unless `refinger` is off.
    pins: those inside the span are met; a note that they make impossible is left out or let go, and reported.
    prior: a motion of the same music whose time 0 is at second `prior_start` of the motion, as in perform.
    keep: stay as close to the old motion as the pins allow, fingers and the hand without pins included; seed,
        creativity and prior change nothing then.
    Raises UserError where the span is too short or outside the motion.
    """
    frames, fps = len(motion.left_position), motion.fps
    first, last = max(span.first, 0.0), min(span.last, motion.duration)
    start, stop = int(np.ceil(first * fps - 1e-6)), int(np.floor(last * fps + 1e-6)) + 1
    if last - first < SHORTEST - 1e-6:
        told = f"The part to be made anew is shorter than {SHORTEST:g} s, or outside the take: choose a longer one."
        raise UserError(told)
    performers = both_hands(performer)
    low, high = max(start - HISTORY, 0), min(stop + HISTORY, frames)
    part = Part(motion, low, high, start, stop)
    pins = Pins.free([], []) if pins is None else pins[pins.within(Span(first, last))]
    if keep:
        prior = None
    elif prior is not None:
        prior = _resampled(prior, fps, np.arange(low, high) / fps - prior_start)

    old = part.notes
    new = old if keep or not refinger else _refinger(part, prior, seed, creativity, hands_free)
    keys = part.keys.copy()
    changed = np.flatnonzero(_differs(new, old))
    keys[changed] = strokes.key_times(new, performers)[changed]
    tries = [(new, keys, creativity)]
    if not keep and (len(changed) or prior is None):  # where that goes wrong: the old fingers, and less of a change
        tries.append((old, part.keys, _CAUTION * creativity))
    best = None
    with ThreadPoolExecutor(2) as pool, threadpool_limits(1, user_api="blas"):
        for notes, keys, creativity in tries:
            players = [
                Replayer(
                    part,
                    notes,
                    keys,
                    side,
                    performers[side],
                    Whim(seed, side, creativity),
                    prior,
                    pins[pins.side == side],
                    keep,
                )
                for side in (LEFT, RIGHT)
            ]
            movers = [one for one in players if not keep or (pins.side == one.side).any()]
            _solve(pool, players, movers, part, on_progress if best is None else None)
            result = _joined(motion, part, players, movers)
            worse = _mistakes(result[0], motion.notes, part, pins) - _mistakes(motion, motion.notes, part, pins)
            if best is None or worse < best[0]:
                best = (worse, result)
            if worse <= 0:
                break
    return best[1]


def _mistakes(motion: HandMotion, notes: np.ndarray, part: Part, pins: Pins) -> int:
    """How many notes [M] are missed, and keys pressed that should not be, in a part and just beside it.

    Not counted near poses set by hand, which press and leave keys as they like.
    """
    frames = np.arange(max(part.start - _BESIDE, 0), min(part.stop + _BESIDE, len(motion.left_position)))
    times = np.arange(frames[0], frames[-1], 0.25)
    hands = []
    for side in (LEFT, RIGHT):
        position, rotation = (values[frames] for values in motion.hand(side))
        pads = forward_kinematics(position, rotation, left=side == LEFT)[1].reshape(len(frames), -1)
        hands.append(np.stack([np.interp(times, frames, column) for column in pads.T], 1).reshape(-1, 5, 3))
    inside = (notes["onset"] > times[0] / motion.fps) & (notes["onset"] < times[-1] / motion.fps)
    found = accuracy(presses_by_hands(times / motion.fps, np.stack(hands, 1)), notes[inside])
    wanted = [
        pins.within(Span(at - _LICENCE, at + _LICENCE)).any() for at in (*found.missed["onset"], *found.wrong[:, 0])
    ]
    return len(wanted) - sum(wanted)


def _solve(pool: ThreadPoolExecutor, players: list[Replayer], movers: list[Replayer], part: Part, on_progress) -> None:
    """Solve the part's frames window by window, one thread a hand; hands that are no movers stay."""
    for one in players:
        if one not in movers:
            one.keep_old()
    start = part.begin
    while True:
        stop = min(start + round((WINDOW + AHEAD) * part.fps), part.end)
        list(pool.map(lambda one: one.solve(start, stop), movers))  # noqa: B023 (done within the turn)
        untangle(players, start, stop, movers)
        if on_progress:
            on_progress((stop - part.begin) / (part.end - part.begin))
        if stop == part.end:
            return
        start += round(WINDOW * part.fps)


def _joined(
    motion: HandMotion, part: Part, players: list[Replayer], movers: list[Replayer]
) -> tuple[HandMotion, playable.Report]:
    """The motion with the part's new frames and notes, and the report."""
    hands = [[values.copy() for values in motion.hand(side)] for side in (LEFT, RIGHT)]
    notes, keys = motion.notes.copy(), motion.keys.copy()
    report = playable.Report(notes_found=len(notes))
    played = np.ones(len(notes), bool)
    played[part.index] = False
    for one in players:
        if one in movers:
            position, rotation = one.motion()
            twist = one.twist * [1, -1, -1] if one.left else one.twist
            inside = slice(part.begin, part.end)
            hands[one.side][0][part.start : part.stop] = position[inside]
            hands[one.side][1][part.start : part.stop] = held.twisted(rotation, twist)[inside]
        mine = part.index[one.index]
        played[mine] = True
        _write(notes, keys, mine, one, part)
        for note in one.missed:
            report.drop(_later(note, part.time), one.why(note))
        report.warnings += {warning["sentence"]: warning for warning in one.warnings}.values()
    notes, keys = notes[played], keys[played]
    order = np.lexsort((notes["pitch"], notes["onset"]))
    report.notes_played = len(notes)
    report.dropped.sort(key=lambda drop: drop["onset"])
    (left, left_turned), (right, right_turned) = hands
    new = replace(
        motion,
        left_position=left,
        left_rotation=left_turned,
        right_position=right,
        right_rotation=right_turned,
        notes=notes[order],
        keys=keys[order],
        pedal=motion.pedal.copy(),
        meta=dict(motion.meta),
    )
    return new, report


def _write(notes: np.ndarray, keys: np.ndarray, where: np.ndarray, one: Replayer, part: Part) -> None:
    """A player's notes and keys into the motion's at `where` [K], where they differ from what was there."""
    old, old_keys = part.notes[one.index], part.keys[one.index]
    for name in ("hand", "finger"):
        notes[name][where] = one.notes[name]
    for name in ("onset", "offset"):
        new = one.notes[name] != old[name]
        notes[name][where[new]] = one.notes[name][new] + part.time
    new = (one.keys != old_keys).any(1)
    keys[where[new]] = one.keys[new] + part.time


def _later(note: np.void, seconds: float) -> np.void:
    note = note.copy()
    note["onset"] += seconds
    return note


def _refinger(part: Part, prior: HandMotion | None, seed: int, creativity: float, hands_free: bool) -> np.ndarray:
    """The part's notes with new fingers (and hands) for those that are free; the old ones where that does not work."""
    notes = part.notes.copy()
    notes["finger"][part.free] = UNKNOWN
    opinion = distances(prior, notes) if prior is not None else None
    if hands_free:
        notes["hand"][part.free] = UNKNOWN
        notes["hand"] = assign_hands(notes, None if opinion is None else opinion.min(2))
    for side in (LEFT, RIGHT):
        mine = notes["hand"] == side
        taste = _TASTE * creativity * np.random.default_rng([seed, side, 1]).standard_normal((mine.sum(), 5))
        try:
            cost = taste if opinion is None else opinion[mine, side]
            notes["finger"][mine] = finger_hand(notes[mine], side == LEFT, cost)
        except ValueError:  # more than five keys for one hand
            return part.notes
    if not playable.shorten(notes, playable.Report()).all():
        return part.notes
    notes[~part.free] = part.notes[~part.free]
    return notes


def _differs(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Which notes [M] are played otherwise."""
    return np.any([new[name] != old[name] for name in ("onset", "offset", "hand", "finger")], axis=0)


def _resampled(prior: HandMotion, fps: float, times: np.ndarray) -> HandMotion:
    """A motion read at `times` [T] s of it, `fps` a second."""
    hands = *prior.hand_at(LEFT, times), *prior.hand_at(RIGHT, times)
    return HandMotion(fps, *hands, prior.notes[:0], np.zeros((0, 4)), np.zeros((0, 2)))
