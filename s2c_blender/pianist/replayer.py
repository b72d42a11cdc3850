# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One hand that plays a part of a motion again, between frames that stay and through poses set by hand."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..core import hand as hand_model
from ..core import keyboard
from ..core.chance import Whim
from ..core.edit import Pins
from ..core.metrics import key_under
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT
from . import held, kinematics
from .perform import HISTORY, WILFUL, Player
from .performer import Performer
from .solver import Goals, solve, surface

_BLEND = 0.4  # s in which the new posture takes over from the old one, and gives back to it
# What binds frames to the old motion at a seam, 1 / m^2 and 1 / rad^2, and s within which a millionth of that is left:
# soft springs that gave way there before would otherwise give way a little differently, which is a jerk.
_LOYALTY, _LOYAL = np.r_[np.full(3, 1 / 0.0001**2), np.full(19, 1 / 0.0005**2)], 0.2
_CONTEXT = 6.0  # s of music around the span that the choice of fingers and the way along the keys look at
_BEFORE, _AFTER = 0.35, 0.10  # s that a stroke begins before its key moves, and ends after
_SHARPER = 6  # times a pose set by hand is aimed at again, corrected by what is missing
_EXACT = 1e-4  # m, rad
_WAY = 0.15  # s around such a pose in which keys that ask for something else give way
_FIRM, _CLASH = 1 / 0.002**2, 0.004  # 1 / m^2: keys that ask firmly; m off from that is a clash
_HELD_AT_LEAST = 0.1  # s that a key must be down to count as played
_IN_THE_WAY = 0.3  # s before and after a note in which a pose set by hand may be what keeps it from being played
BY_HAND = "a key set by hand is in the way"


class Part:
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
        frame = np.arange(self.frames)
        self.loyal = np.zeros(self.frames)  # how firmly frames stay as they were, 1 at the seams
        for seam, there in ((self.begin, not at_start), (self.end - 1, not at_end)):
            self.loyal += there * 1e-6 ** ((frame - seam) / (_LOYAL * self.fps)) ** 2

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


class Replayer(Player):
    """One hand that plays the frames begin..end of a part, between those that stay."""

    def __init__(self, part: Part, notes, keys, side, p: Performer, whim: Whim, prior, pins: Pins, keep: bool):
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
            self.swing[:, 2:6] = _smoothed(self.posture[:, 2:6], WILFUL * fps)
        else:
            self.swing = share * self.swing
        self.twist = part.twist[side] if keep else (1 - share[..., None]) * part.twist[side]
        self.pins = held.from_pins(pins, part.time, fps, self.left, old)
        self.warnings: list[dict] = []
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
        goals.stiffness = goals.stiffness + self.part.loyal[start:stop, None] * _LOYALTY
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
        self._tell_presses(start, stop)

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
        sunk = goals.tilt * (keyboard.HINGE_Y - pads[..., 1])
        off = np.abs(pads - goals.pad)
        off[..., 2] = np.abs(pads[..., 2] - goals.pad[..., 2] + sunk)
        wrong = ((off > goals.slack + _CLASH) & (goals.weight > _FIRM)).any(2)
        for n, note in enumerate(self.notes):  # on its key a finger may be where it wants
            span, finger = slice(*np.searchsorted(self.time[start:stop], self.keys[n, 1:3])), int(note["finger"])
            wrong[span, finger] = self._off_key(note, pads[span, finger])
        wrong |= ~goals.striking & (pads[..., 2] < surface(pads, self.blacks, self.p.finger_margin) - _CLASH)
        mine = np.flatnonzero((self.pins.frame >= start) & (self.pins.frame < stop))
        pin, finger = np.nonzero(wrong[self.pins.frame[mine] - start])
        new = set(zip(mine[pin].tolist(), finger.tolist(), strict=True)) - set(self.clashes)
        self.clashes += sorted(new)
        return bool(new)

    def _off_key(self, note: np.void, pad: np.ndarray) -> np.ndarray:
        """Where the pad [n, 3] of a note's finger does not hold its key down [n]."""
        pad = pad * [self.sign, 1, 1]
        floor = keyboard.key_top(note["pitch"]) - keyboard.drop_at(pad[:, 1], keyboard.DIP_ANGLE / 2)
        return (key_under(pad) != note["pitch"]) | (pad[:, 2] > floor)

    def _let_go(self, start: int, stop: int) -> bool:
        """Whether notes were cut short, or left out, because a pin takes their finger off the key."""
        time, q = self.time[start:stop], self.q[start:stop]
        pads = self._pads(q, self.goals(start, stop)) + self._shift(q, start)
        lost, any_cut = [], False
        for n, note in enumerate(self.notes):
            bottom, lift_off = self.keys[n, 1:3]
            span = slice(*np.searchsorted(time, (bottom, lift_off)))
            off = np.flatnonzero(self._off_key(note, pads[span, int(note["finger"])]))
            if not len(off) or not self._in_the_way(note):
                continue
            leaves = time[span][off[0]]
            told = f"Key {note['pitch']}, struck at {float(note['onset']) + self.part.time:.2f} s, "
            if self.keys[n, 3] > time[-1] or (bottom < time[0] and leaves < bottom + _HELD_AT_LEAST):
                told += f"is not held at {leaves + self.part.time:.2f} s"  # an end of the span cuts it: it stays
            elif leaves < bottom + _HELD_AT_LEAST:
                lost.append(n)
                continue
            else:
                self.keys[n, 2] = max(leaves - 0.06, bottom + 0.05)
                self.keys[n, 3] = self.keys[n, 2] + min(self.p.release_time, self.keys[n, 3] - lift_off)
                self.notes["offset"][n] = self.keys[n, 2:].mean()
                told += f"is let go at {self.notes['offset'][n] + self.part.time:.2f} s"
                any_cut = True
            self._warn(f"{told}: {BY_HAND}.", leaves)
        if lost:
            self._leave_out(np.array(lost))
        return any_cut or bool(lost)

    def _tell_presses(self, start: int, stop: int) -> None:
        """Warn of keys that pins press although nothing is to be played there."""
        q = self.q[start:stop]
        pads = (self._pads(q, self.goals(start, stop)) + self._shift(q, start)) * [self.sign, 1, 1]
        for at, time in zip(self.pins.frame - start, self.pins.time, strict=True):
            if not 0 <= at < len(q):
                continue
            pitch = key_under(pads[at])
            floor = keyboard.key_top(pitch) - keyboard.drop_at(pads[at, :, 1], keyboard.DIP_ANGLE / 2)
            asked = self.notes["pitch"][(self.keys[:, 0] <= time) & (self.keys[:, 3] >= time)]
            for key in np.unique(pitch[(pads[at, :, 2] < floor) & (pitch > 0) & ~np.isin(pitch, asked)]):
                told = f"The pose set by hand at {time + self.part.time:.2f} s presses key {key}, which is not played."
                self._warn(told, time)

    def _warn(self, sentence: str, time: float) -> None:
        """Tell of what happens at a second of the part."""
        self.warnings.append({"sentence": sentence, "onset": round(float(time + self.part.time), 3)})

    def _in_the_way(self, note: np.void) -> bool:
        """Whether a pin keeps this note's finger from its keys around it."""
        return _near(note, [self.pins.time[pin] for pin, finger in self.clashes if finger == note["finger"]])

    def why(self, note: np.void) -> str:
        """Why a note that was played is not."""
        return BY_HAND if _near(note, self.pins.time) else "out of reach in this passage"


def _smoothed(values: np.ndarray, width: float) -> np.ndarray:
    """Values [N, C] through a Gaussian of `width` frames that lets their ends go on as they were going."""
    edge = min(int(np.ceil(4 * width)), len(values) - 1)
    longer = np.pad(values, ((edge, edge), (0, 0)), mode="reflect", reflect_type="odd")
    return gaussian_filter1d(longer, width, axis=0)[edge : edge + len(values)]


def _near(note: np.void, times: np.ndarray | list[float]) -> bool:
    times = np.asarray(times, float)
    return bool(((times > note["onset"] - _IN_THE_WAY) & (times < note["offset"] + _IN_THE_WAY)).any())
