# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A span of a motion played again: everything outside it stays, and so do poses that the user has set by hand."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from threadpoolctl import threadpool_limits

from ..core import curves, keyboard
from ..core import hand as hand_model
from ..core.chance import Whim
from ..core.edit import Pins, Span
from ..core.metrics import key_under
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT, UNKNOWN
from ..errors import UserError
from . import held, kinematics, playable, strokes
from .fingering import finger_hand
from .hands import assign_hands
from .perform import _WILFUL, AHEAD, HISTORY, WINDOW, Player, distances, untangle
from .performer import Performer
from .solver import Goals, solve, surface

SHORTEST = 0.2  # s of a span
_BLEND = 0.4  # s in which the new posture takes over from the old one, and gives back to it
_CONTEXT = 6.0  # s of music around the span that the choice of fingers and the way along the keys look at
_BEFORE, _AFTER = 0.35, 0.10  # s that a stroke begins before its key moves, and ends after
_TASTE = 0.4  # how far a seed changes what a finger costs
_SHARPER = 6  # times a pose set by hand is aimed at again, corrected by what is missing
_EXACT = 1e-4  # m, rad
_WAY = 0.15  # s around such a pose in which keys that ask for something else give way
_FIRM, _CLASH = 1 / 0.003**2, 0.0015  # 1 / m^2: keys that ask firmly; m off from that is a clash
_HELD_AT_LEAST = 0.1  # s that a key must be down to count as played
_IN_THE_WAY = 0.3  # s before and after a note in which a pose set by hand may be what keeps it from being played
BY_HAND = "a key set by hand is in the way"


def reperform(
    motion: HandMotion,
    span: Span,
    *,
    pins: Pins | None = None,
    prior: HandMotion | None = None,
    prior_start: float = 0.0,
    performer: Performer | None = None,
    seed: int = 0,
    creativity: float = 1.0,
    hands_free: bool = False,
    keep: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[HandMotion, playable.Report]:
    """The motion with the frames of `span` solved anew, and what became of its notes; the other frames stay.

    Position, speed and acceleration go on over both ends, and notes whose stroke an end cuts keep hand and finger;
    others may be played with other fingers, with `hands_free` by the other hand too.
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
    p = performer or Performer()
    low, high = max(start - HISTORY, 0), min(stop + HISTORY, frames)
    part = _Part(motion, low, high, start, stop)
    pins = Pins.free([], []) if pins is None else pins[pins.within(Span(first, last))]
    if keep:
        prior = None
    elif prior is not None:
        prior = _resampled(prior, fps, np.arange(low, high) / fps - prior_start)

    def player(side: int, notes: np.ndarray, keys: np.ndarray) -> _Replayer:
        whim = Whim(seed, side, creativity)
        return _Replayer(part, notes, keys, side, p, whim, prior, pins[pins.side == side], keep)

    old = part.notes
    new = old if keep else _refinger(part, prior, seed, creativity, hands_free)
    keys = part.keys.copy()
    changed = np.flatnonzero(_differs(new, old))
    keys[changed] = strokes.key_times(new, p)[changed]
    players = [player(side, new, keys) for side in (LEFT, RIGHT)]
    movers = [one for one in players if not keep or (pins.side == one.side).any()]
    with ThreadPoolExecutor(2) as pool, threadpool_limits(1, user_api="blas"):
        _solve(pool, players, movers, part, on_progress)
        if len(changed) and any(one.why(note) != BY_HAND for one in players for note in one.missed):
            movers = players = [player(side, old, part.keys) for side in (LEFT, RIGHT)]  # the old fingers could do it
            _solve(pool, players, movers, part, None)
    return _joined(motion, part, players, movers)


class _Part:
    """The frames low..high of a motion, of which start..stop are to be solved, as both hands' q; notes around them.

    Times count from frame `low`.
    """

    def __init__(self, motion: HandMotion, low: int, high: int, start: int, stop: int):
        self.fps, self.low, self.start, self.stop = motion.fps, low, start, stop
        self.frames = high - low
        self.begin, self.end = start - low, stop - low  # counted from frame `low`
        self.time = low / motion.fps  # s of frame `low`
        self.q, self.dip_offset, self.twist = {}, {}, {}
        for side in (LEFT, RIGHT):
            position, rotation = (values[low:high] for values in motion.hand(side))
            if side == LEFT:
                position, rotation = hand_model.mirror(position, rotation)
            self.q[side], self.dip_offset[side] = kinematics.from_motion(position, rotation)
            twist = held.twist_of(rotation, self.q[side], self.dip_offset[side])
            self.twist[side] = twist if np.abs(twist).max() > 1e-4 else np.zeros_like(twist)
        first, last = start / motion.fps, (stop - 1) / motion.fps
        near = (motion.keys[:, 3] > first - _CONTEXT) & (motion.keys[:, 0] < last + _CONTEXT)
        self.index = np.flatnonzero(near)  # of the notes in the motion
        self.notes = motion.notes[near].copy()
        self.notes["onset"] -= self.time
        self.notes["offset"] -= self.time
        self.keys = motion.keys[near] - self.time
        at_start, at_end = self.begin == 0, stop == len(motion.left_position)
        self.free = (self.keys[:, 0] - _BEFORE >= self.begin / self.fps) | at_start
        self.free &= (self.keys[:, 3] + _AFTER <= (self.end - 1) / self.fps) | at_end
        self.fixed = np.r_[0 : self.begin, self.end : self.frames]  # frames that stay
        self.share = self._share(at_start, at_end)

    def _share(self, at_start: bool, at_end: bool) -> np.ndarray:
        """How much of the posture is new [frames]: 0 outside, 1 well inside, smooth between."""
        frame = np.arange(self.frames)
        ramps = np.ones((2, self.frames))
        if not at_start:
            ramps[0] = (frame - self.begin + 1) / (_BLEND * self.fps)
        if not at_end:
            ramps[1] = (self.end - frame) / (_BLEND * self.fps)
        ramps = np.clip(ramps, 0, 1)
        return (ramps**3 * (10 - 15 * ramps + 6 * ramps**2)).prod(0)


class _Replayer(Player):
    """One hand that plays the frames begin..end of a part, between those that stay."""

    def __init__(self, part: _Part, notes, keys, side, p: Performer, whim: Whim, prior, pins: Pins, keep: bool):
        mine = notes["hand"] == side
        super().__init__(notes[mine], keys[mine], side, part.frames, part.fps, p, whim, prior)
        self.side, self.part, self.end = side, part, part.end
        self.index = np.flatnonzero(mine)  # of the notes in the part
        old, fps = part.q[side], part.fps
        share = np.zeros((part.frames, 1)) if keep else part.share[:, None]
        self.posture = (1 - share) * old + share * self.posture
        self.dip_offset = (1 - share) * part.dip_offset[side] + share * self.dip_offset
        if keep or prior is not None:  # how the wrist moves there is meant
            self.swing = np.zeros_like(old)
            self.swing[:, 2:6] = gaussian_filter1d(self.posture[:, 2:6], _WILFUL * fps, axis=0)
        else:
            self.swing = share * self.swing
        self.twist = part.twist[side] if keep else (1 - share[..., None]) * part.twist[side]
        self.pins = held.from_pins(pins, part.time, fps, self.left, old)
        self.warnings: list[str] = []
        self.clashes: list[tuple[int, int]] = []  # (pin, finger) where the keys ask for something else
        self.hold = None
        if len(self.pins):
            self._grip()
        self.q[:] = old
        self.q[part.begin : part.end] = 0.0

    def _grip(self) -> None:
        """Bend posture, DIP joints and twist so that they pass through the pins."""
        part, pins = self.part, self.pins
        self.hold = held.hold(pins, part.frames, self.fps, part.fixed, part.q[self.side][part.fixed])
        self.posture = held.pulled(self.posture, pins, self.fps)
        at = np.r_[pins.frame, part.fixed]
        dips = np.concatenate([pins.dip_offset, part.dip_offset[self.side][part.fixed]])
        self.dip_offset = held.faded(self.dip_offset, at, dips, self.fps)
        twist = np.concatenate([pins.twist, part.twist[self.side][part.fixed]])
        self.twist = held.faded(self.twist, at, twist, self.fps)

    def keep_old(self) -> None:
        """Stay as the hand was."""
        self.q[:] = self.part.q[self.side]

    def goals(self, start: int, stop: int) -> Goals:
        goals = super().goals(start, stop)
        goals.hold = self.hold.cut(start, stop) if self.hold else None
        time = self.time[start:stop]
        for pin, finger in self.clashes:  # the keys give way to the pin
            ease = np.clip(np.abs(time - self.pins.time[pin]) / _WAY, 0, 1) ** 4
            goals.weight[:, finger] *= ease[:, None]
            goals.guard[:, finger] *= ease
        return goals

    def solve(self, start: int, stop: int, obstacle: np.ndarray | None = None) -> None:
        super().solve(start, stop, obstacle)
        if not self.hold:
            return
        if self._find_clashes(start, stop):
            super().solve(start, stop, obstacle)
        if self._let_go(start, stop):
            super().solve(start, stop, obstacle)

    def _leave_out(self, missed: np.ndarray) -> None:
        super()._leave_out(missed)
        self.index = np.delete(self.index, missed)

    def _optimise(self, guess: np.ndarray, goals: Goals, start: int, stop: int, rounds: int) -> np.ndarray:
        goals.pad_shift = self._shift(guess, start)
        q = super()._optimise(guess, goals, start, stop, rounds)
        if goals.hold is None:
            return q
        mine = (self.pins.frame >= start) & (self.pins.frame < stop)
        history, future = self.q[max(start - HISTORY, 0) : start], self._future(stop)
        for _ in range(_SHARPER):
            error_q, error_pad = self._errors(q, start, mine)
            if max(np.nanmax(np.abs(e), initial=0.0) for e in (error_q, error_pad)) < _EXACT:
                break
            goals.hold.q += error_q
            goals.hold.pad += error_pad
            goals.pad_shift = self._shift(q, start)
            q = solve(q, goals, self.blacks, self.fps, self.p, history, 4, future)
        return q

    def _shift(self, q: np.ndarray, start: int) -> np.ndarray | float:
        """How far the twist moves the pads of q [n, 22], frames from `start` [n, 5, 3] m."""
        span = slice(start, start + len(q))
        if not self.twist[span].any():
            return 0.0
        position, rotation = kinematics.to_motion(q, self.dip_offset[span])
        plain, turned = (
            hand_model.forward_kinematics(position, r)[1] for r in (rotation, held.twisted(rotation, self.twist[span]))
        )
        return turned - plain

    def _errors(self, q: np.ndarray, start: int, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is missing at the pins `which`: q [K, 22] and pads [K, 5, 3], NaN where free."""
        whole = self.q.copy()
        whole[start : start + len(q)] = q
        got, pads = held.poses_at(self.pins.time[which], self.fps, whole, self.dip_offset, self.twist)
        error = self.pins.q[which] - got
        error[:, 3:6] = held.wrapped(error[:, 3:6])
        return error, self.pins.pad[which] - pads

    def _find_clashes(self, start: int, stop: int) -> bool:
        """Whether there are fingers that a pin keeps from what their keys ask for; remembers them as clashes."""
        goals, q = self.goals(start, stop), self.q[start:stop]
        pads = self._pads(q, goals) + self._shift(q, start)
        found = set()
        for pin in np.flatnonzero((self.pins.frame >= start) & (self.pins.frame < stop)):
            at = self.pins.frame[pin] - start
            floor = surface(pads[at], self.blacks, self.p.finger_margin)
            goal = goals.pad[at] - np.pad(
                (goals.tilt[at] * (keyboard.HINGE_Y - pads[at, :, 1]))[:, None], ((0, 0), (2, 0))
            )
            off = np.abs(pads[at] - goal) - goals.slack[at]
            asked = goals.weight[at] > _FIRM
            deep = ~goals.striking[at] & (pads[at, :, 2] < floor - _CLASH)
            found |= {(int(pin), int(f)) for f in np.flatnonzero(((off > _CLASH) & asked).any(1) | deep)}
        new = found - set(self.clashes)
        self.clashes += sorted(new)
        return bool(new)

    def _let_go(self, start: int, stop: int) -> bool:
        """Whether notes were cut short, or left out, because a pin takes their finger off the key."""
        time = self.time[start:stop]
        q, goals = self.q[start:stop], self.goals(start, stop)
        pads = (self._pads(q, goals) + self._shift(q, start)) * [self.sign, 1, 1]
        lost, any_cut = [], False
        for n, note in enumerate(self.notes):
            bottom, lift_off = self.keys[n, 1:3]
            span = slice(*np.searchsorted(time, (bottom, lift_off)))
            pad = pads[span, int(note["finger"])]
            floor = keyboard.key_top(note["pitch"]) - keyboard.drop_at(pad[:, 1], keyboard.DIP_ANGLE / 2)
            off = np.flatnonzero((key_under(pad) != note["pitch"]) | (pad[:, 2] > floor))
            if not len(off) or self.keys[n, 3] > time[-1] or not self._in_the_way(note):
                continue
            leaves = time[span][off[0]]
            if leaves < bottom + _HELD_AT_LEAST:
                if bottom >= time[0]:
                    lost.append(n)
                continue
            self.keys[n, 2] = max(leaves - 0.06, bottom + 0.05)
            self.keys[n, 3] = self.keys[n, 2] + min(self.p.release_time, self.keys[n, 3] - lift_off)
            self.notes["offset"][n] = self.keys[n, 2:].mean()
            at, end = (float(note["onset"]) + self.part.time, float(self.keys[n, 2]) + self.part.time)
            self.warnings.append(f"Key {note['pitch']}, struck at {at:.2f} s, is let go at {end:.2f} s: {BY_HAND}.")
            any_cut = True
        if lost:
            self._leave_out(np.array(lost))
        return any_cut or bool(lost)

    def _in_the_way(self, note: np.void) -> bool:
        time = np.array([self.pins.time[pin] for pin, finger in self.clashes if finger == note["finger"]])
        return bool(((time > note["onset"] - _IN_THE_WAY) & (time < note["offset"] + _IN_THE_WAY)).any())

    def why(self, note: np.void) -> str:
        """Why a note that was played is not."""
        return BY_HAND if self._in_the_way(note) else "out of reach in this passage"


def _solve(
    pool: ThreadPoolExecutor, players: list[_Replayer], movers: list[_Replayer], part: _Part, on_progress
) -> None:
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
    motion: HandMotion, part: _Part, players: list[_Replayer], movers: list[_Replayer]
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
        report.warnings += one.warnings
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


def _write(notes: np.ndarray, keys: np.ndarray, where: np.ndarray, one: _Replayer, part: _Part) -> None:
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


def _refinger(part: _Part, prior: HandMotion | None, seed: int, creativity: float, hands_free: bool) -> np.ndarray:
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
    hands = []
    for side in (LEFT, RIGHT):
        position, rotation = prior.hand(side)
        hands.append(curves.sample(position, prior.fps, times))
        hands.append(curves.rotvec(curves.sample_rotations(rotation, prior.fps, times)))
    return HandMotion(fps, *hands, prior.notes[:0], np.zeros((0, 4)), np.zeros((0, 2)))
