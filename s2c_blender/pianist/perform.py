# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a score to both hands' motion: hands, fingers, key movements, then the trajectories window by window."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from threadpoolctl import threadpool_limits

from ..core import collision, keyboard
from ..core import hand as hand_model
from ..core.chance import Whim
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT, UNKNOWN, Score
from . import kinematics, playable, strokes
from .fingering import finger_hand
from .hands import assign_hands
from .performer import Performer, both_hands
from .solver import Goals, solve

WINDOW, AHEAD = 12.0, 1.5  # s solved at once, and s of them that the next window solves again
HISTORY = 3  # frames before a window that its smoothness goes on from
WILFUL = 0.05  # s: what a prior's wrist does more shortly than this is no gesture
STEADY = 0.08  # s: how quickly a prior's fingertips bend of themselves, besides with their fingers
_MOST_DIP = hand_model.HINGE_HIGH[[7, 11, 15, 19]]
_PROOFS = 2  # times a window is read for wrong keys and entangled fingers, and corrected
_ENTANGLED = 0.0008  # m that fingers may press into each other
_TRIES = 2  # times a window is solved at most: once more without the notes that turned out to be out of reach
TAIL = 1.0  # s after the last note
_BLACKS = np.array([keyboard.key_x(k) for k in range(keyboard.LOWEST, keyboard.HIGHEST + 1) if keyboard.is_black(k)])


def perform(
    score: Score,
    *,
    prior: HandMotion | None = None,
    performer: Performer | tuple[Performer, Performer] | None = None,
    fps: float = 60.0,
    seed: int = 0,
    creativity: float = 1.0,
    report: playable.Report | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_motion: Callable[[HandMotion, float], None] | None = None,
) -> tuple[HandMotion, playable.Report]:
    """Play `score`: a motion at `fps` from time 0 to TAIL seconds after the last note, and what became of the notes.

    prior: a motion of the same music (any fps) whose postures the hands keep where the keys allow it: the generator's.
    performer: who plays, or who plays the left and who the right hand.
    seed: varies posture and sway as a player's repetitions do; the same seed gives the same motion.
    creativity: 0..1, how far two seeds' motions differ; 0 not at all. With a prior, which brings its own variation,
        seed and creativity change nothing.
    report: of `fingered`, where the notes come from it; they then keep their hands and fingers, which the prior was
        told, too.
    on_progress: called with 0..1; what it raises ends the work.
    on_motion: called with each window's motion, whose time 0 is second `first` of the whole, as soon as it is final.
    """
    performers = both_hands(performer)
    if report:
        notes = score.notes
    else:
        report = playable.Report(notes_found=len(score.notes))
        notes = finger(score.notes, report, prior)
    keys = strokes.key_times(notes, performers)
    frames = int(np.ceil((score.end + TAIL) * fps)) + 1
    players = [
        Player(
            notes[notes["hand"] == side],
            keys[notes["hand"] == side],
            side,
            frames,
            fps,
            performers[side],
            Whim(seed, side, creativity),
            prior,
        )
        for side in (LEFT, RIGHT)
    ]
    starts = range(0, frames, round(WINDOW * fps))
    # One thread a hand; BLAS threads below them would only fight for the cores.
    with ThreadPoolExecutor(2) as pool, threadpool_limits(1, user_api="blas"):
        for start in starts:
            stop = min(start + round((WINDOW + AHEAD) * fps), frames)
            list(pool.map(lambda player: player.solve(start, stop), players))  # noqa: B023 (done within the turn)
            untangle(players, start, stop)
            if on_motion:
                final = min(start + round(WINDOW * fps), frames)
                on_motion(_motion(players, score.pedal, start, final), start / fps)
            if on_progress:
                on_progress(min((start + WINDOW * fps) / frames, 1.0))
    for note in np.concatenate([player.missed for player in players]):
        report.drop(note, "out of reach in this passage")
    report.dropped.sort(key=lambda drop: drop["onset"])
    motion = _motion(players, score.pedal, 0, frames)
    report.notes_played = len(motion.notes)
    return motion, report


def _motion(players: list["Player"], pedal: np.ndarray, start: int, stop: int) -> HandMotion:
    """What the hands do in the frames start..stop, times counted from frame `start`."""
    fps = players[0].fps
    first, last = start / fps, (stop - 1) / fps
    notes, keys = (np.concatenate([getattr(player, name) for player in players]) for name in ("notes", "keys"))
    order = np.lexsort((notes["pitch"], notes["onset"]))
    order = order[(keys[order, 3] > first) & (keys[order, 0] <= last)]
    notes, keys = notes[order], keys[order] - first
    notes["onset"] -= first
    notes["offset"] -= first
    pedal = pedal[(pedal[:, 1] > first) & (pedal[:, 0] <= last)]
    (left_position, left_rotation), (right_position, right_rotation) = (p.motion(start, stop) for p in players)
    return HandMotion(
        fps,
        left_position,
        left_rotation,
        right_position,
        right_rotation,
        notes,
        keys,
        np.clip(pedal, first, last) - first,
    )


def finger(notes: np.ndarray, report: playable.Report, prior: HandMotion | None = None) -> np.ndarray:
    """Every note that can be played with its hand and finger, shortened where the hand must leave (NOTE [M])."""
    notes = playable.clean(notes, report)
    prior = prior if prior is not None and len(prior.left_position) else None
    opinion = distances(prior, notes) if prior is not None else None  # [M, 2, 5]
    labelled = notes["hand"] != UNKNOWN
    notes["hand"] = assign_hands(notes, None if opinion is None else opinion.min(2))
    notes = playable.thin(notes, labelled, report)
    opinion = distances(prior, notes) if prior is not None else None
    for side in (LEFT, RIGHT):
        mine = notes["hand"] == side
        cost = None if opinion is None else opinion[mine, side]
        notes["finger"][mine] = finger_hand(notes[mine], side == LEFT, cost)
    return playable.let_go(notes, report)


def fingered(score: Score) -> tuple[Score, playable.Report]:
    """The notes that can be played, each with the hand and the finger that play it where no model has an opinion.

    And what became of the others.
    """
    report = playable.Report(notes_found=len(score.notes))
    return replace(score, notes=finger(score.notes, report)), report


def distances(prior: HandMotion, notes: np.ndarray) -> np.ndarray:
    """Cost [M, 2, 5] of playing each note with each finger of the prior's hands: how far its pad is from the key."""
    frame = np.clip(np.round(notes["onset"] * prior.fps).astype(int), 0, len(prior.left_position) - 1)
    cost = np.zeros((len(notes), 2, 5))
    for side in (LEFT, RIGHT):
        position, rotation = prior.hand(side)
        _, pads, _ = hand_model.forward_kinematics(position[frame], rotation[frame], left=side == LEFT)
        off = pads[..., 0] - keyboard.key_x(notes["pitch"])[:, None]
        cost[:, side] = np.minimum(np.abs(off) / 0.012, 12.0) * 0.5
    return cost


class Player:
    """One hand at work: its notes, and its motion so far, in the right hand's frame."""

    def __init__(self, notes, keys, side, frames, fps, p: Performer, whim: Whim, prior: HandMotion | None):
        self.notes, self.keys, self.fps, self.p = notes, keys, fps, p
        self.left = side == LEFT
        self.sign = -1.0 if self.left else 1.0
        self.blacks = np.sort(self.sign * _BLACKS)
        self.time = np.arange(frames) / fps
        self.wrist = strokes.wrist_path(notes, self.sign, self.time, p)
        self.posture = p.posture(self.wrist[:, 0], self.wrist[:, 1])
        self.dip_offset = np.zeros((frames, 4))
        self.swing = np.zeros((frames, kinematics.DOF))
        if prior is not None:  # which brings its own variation
            self._follow(prior, side)
        else:
            self.posture += strokes.variation(frames, fps, whim, p)
            self.swing = strokes.swing(notes, self.time, fps, whim, p)
            self.posture += self.swing
        self.q = np.zeros((frames, kinematics.DOF))
        self.end = frames  # of what is to be solved; frames from there on are fixed
        self.missed = notes[:0]

    def _follow(self, prior: HandMotion, side: int) -> None:
        """Take the posture from a motion instead of from the performer.

        But stand over the keys that are played where the motion's hand is too far beside them, and in long rests, for
        which a model imagines nothing, wait as the performer does.
        """
        position, rotation = prior.hand(side)
        if self.left:
            position, rotation = hand_model.mirror(position, rotation)
        q, offset = kinematics.from_motion(position, rotation)
        # A fingertip must not bend backwards where a key straightens its finger, nor tremble because a model's does.
        coupled = kinematics.DIP_COUPLING * q[:, kinematics.FINGER_DOFS[1:, 2]]
        offset = np.clip(offset, -coupled / 2, _MOST_DIP - coupled)
        offset = gaussian_filter1d(offset, STEADY * prior.fps, axis=0, mode="nearest")
        source = np.arange(len(q)) / prior.fps
        for column in range(kinematics.DOF):
            self.posture[:, column] = np.interp(self.time, source, q[:, column])
        for column in range(4):
            self.dip_offset[:, column] = np.interp(self.time, source, offset[:, column])
        if len(self.notes):
            self.posture[:, 0] -= strokes.astray(self.notes, self.sign, self.time, self.posture, self.dip_offset)
        rest = strokes.resting(self.notes, self.time)[:, None]
        self.posture[:, :2] += rest * (self.wrist - self.posture[:, :2])
        # How its wrist goes up and down and turns is meant, and no roughness to be smoothed away.
        self.swing[:, 2:6] = gaussian_filter1d(self.posture[:, 2:6], WILFUL * self.fps, axis=0)

    def goals(self, start: int, stop: int) -> Goals:
        """Goals of the frames start..stop."""
        time = self.time[start:stop]
        near = (self.keys[:, 3] > time[0] - 1) & (self.keys[:, 0] < time[-1] + 1)
        goals = strokes.stroke_goals(
            self.notes[near],
            self.keys[near],
            time,
            self.posture[start:stop],
            self.dip_offset[start:stop],
            self.sign,
            self.p,
        )
        goals.swing = self.swing[max(start - HISTORY, 0) : stop + len(self._future(stop))]
        return goals

    def _future(self, stop: int) -> np.ndarray:
        """Frames [F, 22] after `stop` that are fixed: none but at the end of what is to be solved."""
        return self.q[stop : stop + HISTORY] if stop == self.end else self.q[:0]

    def solve(self, start: int, stop: int, obstacle: np.ndarray | None = None) -> None:
        """Optimise the frames start..stop, going on from the frames before; notes that cannot be hit are left out."""
        guess = self.posture[start:stop].copy()
        known = np.flatnonzero(self.q[start:stop].any(1))  # the window before has looked ahead
        guess[known] = self.q[start:stop][known]
        sure = stop if stop == self.end else stop - round(AHEAD * self.fps)
        for attempt in range(_TRIES):
            goals = self.goals(start, stop)
            goals.obstacle = obstacle
            guess = self._optimise(guess, goals, start, stop, rounds=8 if attempt else 14)
            inside = (self.keys[:, 1] >= self.time[start]) & (self.keys[:, 0] < self.time[sure - 1])
            which = np.flatnonzero(inside)
            time, pads = self.time[start:stop], self._pads(guess, goals)
            missed = which[strokes.missed(pads, self.notes[which], self.keys[which], time, self.sign)]
            if not len(missed):
                break
            self._leave_out(missed)
        self.q[start:stop] = guess

    def _leave_out(self, missed: np.ndarray) -> None:
        """Play on without the notes `missed` [K] (indices)."""
        self.missed = np.concatenate([self.missed, self.notes[missed]])
        self.notes, self.keys = np.delete(self.notes, missed), np.delete(self.keys, missed, axis=0)

    def _optimise(self, guess: np.ndarray, goals: Goals, start: int, stop: int, rounds: int) -> np.ndarray:
        """Solve, let the fingers settle on their keys, then read for wrong keys and correct."""
        history, future = self.q[max(start - HISTORY, 0) : start], self._future(stop)
        time = self.time[start:stop]
        near = (self.keys[:, 3] > time[0]) & (self.keys[:, 0] < time[-1])
        notes, keys = self.notes[near], self.keys[near]
        q = solve(guess, goals, self.blacks, self.fps, self.p, history, rounds, future)
        before = after = None
        if len(history):
            before = kinematics.pose(history[-1:], self.dip_offset[start - 1 : start]).world[0, :, 4]
        if len(future):
            after = kinematics.pose(future[:1], self.dip_offset[stop : stop + 1]).world[0, :, 4]
        strokes.settle(goals, self._pads(q, goals), before, notes, keys, time, after)
        q = solve(q, goals, self.blacks, self.fps, self.p, history, 8, future)
        for _ in range(_PROOFS):
            pose = kinematics.pose(q, goals.dip_offset)
            entangled = (collision.REACH - collision.closest(pose.local)[0]).max() > _ENTANGLED
            pads = pose.world[:, :, 4] + goals.pad_shift
            if not strokes.mark_mistakes(goals, pads, notes, keys, time, self.sign) and not entangled:
                break
            q = solve(q, goals, self.blacks, self.fps, self.p, history, 6, future)
        return q

    def _pads(self, q: np.ndarray, goals: Goals) -> np.ndarray:
        return kinematics.pose(q, goals.dip_offset).world[:, :, 4] + goals.pad_shift

    def points(self, start: int, stop: int) -> np.ndarray:
        """Wrist, knuckles and fingertips [n, 11, 3] of the frames start..stop in the piano frame."""
        world = kinematics.pose(self.q[start:stop], self.dip_offset[start:stop]).world
        everything = np.concatenate([self.q[start:stop, None, :3], world[:, :, 0], world[:, :, 3]], 1)
        return everything * [self.sign, 1, 1]

    def motion(self, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Wrist position [n, 3] and joint rotations [n, 16, 3] of the frames start..stop in the piano frame."""
        position, rotation = kinematics.to_motion(self.q[start:stop], self.dip_offset[start:stop])
        return hand_model.mirror(position, rotation) if self.left else (position, rotation)


def untangle(players: list[Player], start: int, stop: int, movers: list[Player] | None = None) -> None:
    """Where the hands come too close, solve each (or only `movers`) once more with the other in its way."""
    for mover, other in (players, players[::-1]):
        if movers is not None and mover not in movers:
            continue
        mine, theirs = mover.points(start, stop), other.points(start, stop)
        near = np.abs(mine[:, 0, 0] - theirs[:, 0, 0]) < 0.25
        if not near.any():
            return
        distance = np.linalg.norm(mine[near][:, 1:, None] - theirs[near][:, None, 1:], axis=-1)
        if distance.min() >= mover.p.hand_air:
            return
        mover.solve(start, stop, obstacle=theirs[:, 1:] * [mover.sign, 1, 1])
