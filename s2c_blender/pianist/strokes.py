# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From fingered notes to key movements, and from these to goals for the fingertips of one hand."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from ..core import keyboard, metrics
from ..core.chance import Whim
from . import kinematics
from .performer import Performer
from .solver import Goals

SHORTEST_DOWN = 0.045  # s a key stays below half dip at least, and above it between two notes: one frame at 24 fps
# Where each finger meets a key: thumb .. little, depth y in metres; long fingers go between the black keys when the
# thumb or the little finger is on one.
WHITE_Y = np.array([0.018, 0.034, 0.036, 0.034, 0.026])
BLACK_Y = np.array([0.060, 0.066, 0.068, 0.066, 0.062])
BETWEEN_Y = 0.062
_SLOW_HOP = 0.35  # s between two keys of one finger
_REACH, _KNUCKLES = 0.17, 0.09  # m from the wrist to the fingers' ends and to the knuckles
_BESIDE = 0.006  # m that a prior's fingers may be beside the keys they play: they reach that far
_REST = 1.5  # s
_DIP_AFTER, _DIP_WIDTH = 0.05, 0.09  # s: when and how long the wrist dips with a tone


def loudness(velocity: np.ndarray) -> np.ndarray:
    """MIDI velocity -> 0 (pp) .. 1 (ff)."""
    return np.clip((np.asarray(velocity, float) - 25) / 85, 0, 1)


def key_times(notes: np.ndarray, performers: tuple[Performer, Performer]) -> np.ndarray:
    """Four times a note (s): its key starts down, is down, starts up, is up. notes: NOTE [M], all hands -> [M, 4].

    performers: of the left and of the right hand.

    Notes of one key never overlap: the key comes up far enough before it is struck again, as on a real action. Where a
    note is too short for that, its time is shared half and half.
    """
    times = np.zeros((len(notes), 4))
    slow, fast = np.stack([p.strike_time for p in performers])[notes["hand"], notes["finger"]].T  # [M] each
    release = np.array([p.release_time for p in performers])[notes["hand"]]
    descents = slow + (fast - slow) * loudness(notes["velocity"])
    for pitch in np.unique(notes["pitch"]):
        which = np.flatnonzero(notes["pitch"] == pitch)
        onset, offset = notes["onset"][which], notes["offset"][which].copy()
        gap = np.diff(onset, append=np.inf)
        descent = np.minimum(descents[which], 0.5 * np.minimum(gap, np.r_[np.inf, gap[:-1]]))
        rise = np.minimum(release[which], 0.4 * gap)
        # Half dip is passed a moment before the tone, half of the way up is passed at the release.
        offset = np.maximum(offset, onset + SHORTEST_DOWN)
        offset = np.minimum(offset, onset + gap - np.minimum(SHORTEST_DOWN, gap / 2) - 0.15 * descent)
        times[which, 0], times[which, 1] = onset - 0.65 * descent, onset + 0.35 * descent
        times[which, 2] = np.maximum(offset - rise / 2, times[which, 1] + 0.002)
        times[which, 3] = np.maximum(offset + rise / 2, times[which, 2] + 0.010)
        times[which[:-1], 3] = np.minimum(times[which[:-1], 3], times[which[1:], 0] - 0.001)
    for finger in np.unique(notes["hand"] * 5 + notes["finger"]):  # a finger leaves one key before it strikes another
        which = np.flatnonzero(notes["hand"] * 5 + notes["finger"] == finger)
        before, after = which[:-1], which[1:]
        late = np.maximum(times[before, 3] + 0.02 - times[after, 0], 0) * (
            notes["pitch"][before] != notes["pitch"][after]
        )
        times[before, 3] -= late
        times[before, 2] = np.minimum(times[before, 2], np.maximum(times[before, 3] - 0.02, times[before, 1] + 0.002))
        times[before, 3] = np.maximum(times[before, 3], times[before, 2] + 0.005)
    return times


def key_angles(times: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Share of the full dip, 0..1, of each note's key at `times` [N] for key times `keys` [M, 4] -> [M, N]."""
    down = (times - keys[:, :1]) / np.maximum(keys[:, 1:2] - keys[:, :1], 1e-4)
    up = (keys[:, 3:] - times) / np.maximum(keys[:, 3:] - keys[:, 2:3], 1e-4)
    return np.clip(np.minimum(down, up), 0, 1)


def stroke_goals(
    notes: np.ndarray,
    keys: np.ndarray,
    time: np.ndarray,
    posture: np.ndarray,
    dip_offset: np.ndarray,
    sign: float,
    p: Performer,
) -> Goals:
    """Goals of one hand for the frames at `time` [N] s, in the right hand's frame.

    notes: that hand's NOTE [M] with fingers, sorted by onset; keys [M, 4] s; posture [N, 22]; dip_offset [N, 4];
    sign: +1 right hand, -1 left (its x mirrored).
    """
    frames = len(time)
    spots = _spots(notes, sign)
    goals = Goals(
        pad=np.zeros((frames, 5, 3)),
        tilt=np.zeros((frames, 5)),
        weight=np.zeros((frames, 5, 3)),
        slack=np.zeros((frames, 5, 3)),
        idle=np.ones((frames, 5), bool),
        striking=np.zeros((frames, 5), bool),
        guard=np.full((frames, 5), p.clearance_weight),
        prior=posture,
        stiffness=np.broadcast_to(1 / p.posture_spread**2, posture.shape),
        dip_offset=dip_offset,
    )
    goals.pad[..., 2] = p.hover
    goals.weight[..., 2] = 1 / 0.016**2
    tones = np.maximum(np.diff(_tone_onsets(notes), prepend=-np.inf), 0.06)[_tone_index(notes)]
    room = _time_to_get_there(spots.x, keys)
    for finger in range(5):
        mine = np.flatnonzero(notes["finger"] == finger)
        free_from = -np.inf  # s since when the finger has left its previous key
        for k, n in enumerate(mine):
            until = keys[mine[k + 1], 0] if k + 1 < len(mine) else np.inf
            hop = abs(spots.x[n] - spots.x[mine[k - 1]]) if k else 0.0
            _stroke(goals, finger, notes[n], keys[n], spots, n, tones[n], room[n], hop, free_from, until, time, p)
            free_from = keys[n, 3] + 0.005
    return goals


def settle(
    goals: Goals,
    pads: np.ndarray,
    before: np.ndarray | None,
    notes: np.ndarray,
    keys: np.ndarray,
    time: np.ndarray,
    after: np.ndarray | None = None,
) -> None:
    """Let every finger stay where it stands on its key: goals of held frames become the mean of `pads` [N, 5, 3].

    before, after [5, 3]: pads in the frames before and after `time`, where these are fixed; fingers that hold keys
    already, or hold them still, stay there.
    """
    for note, (down, _, lift_off, up) in zip(notes, keys, strict=True):
        held = slice(*np.searchsorted(time, (down, max(lift_off, down + 0.02))))
        if held.start == held.stop:
            continue
        finger = int(note["finger"])
        span = slice(held.start, np.searchsorted(time, up))
        if after is not None and up > time[-1] and down >= time[0]:  # it is known where the finger goes to
            spot = goals.pad[:, finger, :2]
            while (
                span.start
                and not goals.idle[span.start - 1, finger]
                and (spot[span.start - 1] == spot[held.start]).all()
            ):
                span = slice(span.start - 1, span.stop)
        fixed = [] if before is None or down >= time[0] else [before[finger, :2]]
        fixed += [] if after is None or up <= time[-1] else [after[finger, :2]]
        where = fixed[0] if fixed else pads[held, finger, :2].mean(0)
        if len(fixed) == 2:
            share = np.linspace(0, 1, span.stop - span.start)[:, None]
            where = (1 - share) * fixed[0] + share * fixed[1]
        room = goals.slack[held.start, finger, :2] + 0.003  # a stretched hand plays near the keys' edges
        low, high = goals.pad[held.start, finger, :2] - room, goals.pad[held.start, finger, :2] + room
        goals.pad[span, finger, :2] = np.clip(where, low, high)
        goals.slack[span, finger, :2] = 0.0003


def mark_mistakes(
    goals: Goals, pads: np.ndarray, notes: np.ndarray, keys: np.ndarray, time: np.ndarray, sign: float
) -> int:
    """Proof-read: where pads [N, 5, 3] sink into keys that their finger does not play, or let go of a key that they
    hold, guard and aim more strictly.

    Returns how many frames have such a mistake.
    """
    real = pads * [sign, 1, 1]
    pitch = metrics.key_under(real)
    half_dip = keyboard.drop_at(real[..., 1], keyboard.DIP_ANGLE / 2)  # [N, 5]
    wrong = (real[..., 2] < keyboard.key_top(pitch) - half_dip + 0.001) & (pitch > 0)
    let_go = np.zeros_like(wrong)
    for note, (down, bottom, lift_off, up) in zip(notes, keys, strict=True):
        span, finger = slice(*np.searchsorted(time, (bottom, lift_off))), int(note["finger"])
        raised = real[span, finger, 2] > keyboard.key_top(note["pitch"]) - half_dip[span, finger] - 0.001
        goals.weight[span, finger] *= np.where(raised, 8.0, 1.0)[:, None]
        let_go[span, finger] |= raised
        span = slice(*np.searchsorted(time, (down, up)))
        off_key = wrong[span, finger] & (pitch[span, finger] != note["pitch"])
        if off_key.any():
            goals.weight[span, finger, :2] *= 8.0
        wrong[span, finger] = False
    near = maximum_filter1d(wrong, 9, axis=0)
    goals.guard[near] *= 12.0
    return int((wrong | let_go).any(1).sum())


def missed(pads: np.ndarray, notes: np.ndarray, keys: np.ndarray, time: np.ndarray, sign: float) -> np.ndarray:
    """Which notes [M] are not struck by pads [N, 5, 3]: not down on the right key for most of their first 0.1 s."""
    real = pads * [sign, 1, 1]
    bad = np.zeros(len(notes), bool)
    for n, (note, (_, bottom, lift_off, _)) in enumerate(zip(notes, keys, strict=True)):
        span = slice(*np.searchsorted(time, (bottom, max(min(lift_off, bottom + 0.1), bottom + 0.02))))
        pad = real[span, int(note["finger"])]
        if not len(pad):
            continue
        floor = keyboard.key_top(note["pitch"]) - keyboard.drop_at(pad[:, 1], keyboard.DIP_ANGLE / 2)
        bad[n] = ((metrics.key_under(pad) != note["pitch"]) | (pad[:, 2] > floor)).mean() > 0.5
    return bad


def variation(frames: int, fps: float, whim: Whim, p: Performer) -> np.ndarray:
    """Slow wandering of the posture [frames, 22] (no two repetitions are alike), a fraction of its spread."""
    slow = _slow_noise(frames, kinematics.DOF, 0.7 * fps, whim)
    slow[:, :2] = 0.0  # the way along the keys is the music's
    return p.wander * p.posture_spread * slow


def swing(notes: np.ndarray, time: np.ndarray, fps: float, whim: Whim, p: Performer) -> np.ndarray:
    """What the whole hand does of its own will [N, 22]: it sways to the sides, and bounces with its tones.

    notes: that hand's NOTE [M], sorted by onset; time [N] s. The fingers' ends stay about where they are: the hand
    turns about them.
    """
    q = np.zeros((len(time), kinematics.DOF))
    sideways, inwards = _slow_noise(len(time), 2, 0.45 * fps, whim).T * p.sway
    q[:, 0], q[:, 1] = sideways, 0.5 * inwards
    q[:, 3] = sideways / _REACH  # yaw
    dip = np.zeros(len(time))
    for tone in np.split(notes, np.flatnonzero(np.diff(_tone_index(notes))) + 1) if len(notes) else []:
        depth = p.bounce + p.bounce_loud * (float(loudness(tone["velocity"].max())) - 0.4)
        at = tone["onset"][0] + _DIP_AFTER
        near = slice(*np.searchsorted(time, (at - 6 * _DIP_WIDTH, at + 6 * _DIP_WIDTH)))
        dip[near] += max(depth, 0.0) * np.exp(-0.5 * ((time[near] - at) / _DIP_WIDTH) ** 2)
    dip -= gaussian_filter1d(dip, 0.4 * fps)  # up in between; of many fast tones little is left
    q[:, 2] = -dip
    q[:, 4] = 0.7 * dip / _KNUCKLES  # pitch: the knuckles sink less than the wrist
    return q


def _slow_noise(frames: int, columns: int, width: float, whim: Whim) -> np.ndarray:
    """Noise of unit variance [frames, columns], smoothed with a Gaussian of `width` frames."""
    edge = round(4 * width)  # so that the ends wander as little as the middle
    noise = whim.standard_normal((frames + 2 * edge, columns))
    slow = gaussian_filter1d(noise, width, axis=0)[edge : edge + frames]
    return slow * np.sqrt(2 * np.sqrt(np.pi) * width)  # back to unit variance


@dataclass(frozen=True)
class _Spots:
    """Where on its key each note is struck, right hand's frame, metres."""

    x: np.ndarray  # [M]
    y: np.ndarray  # [M]
    slack_x: np.ndarray  # [M] room to either side
    slack_y: np.ndarray  # [M]


def _spots(notes: np.ndarray, sign: float) -> _Spots:
    """Middle and extent of the part of each note's key that its finger can use."""
    black = keyboard.is_black(notes["pitch"])
    x = keyboard.key_x(notes["pitch"])
    y = np.where(black, BLACK_Y[notes["finger"]], WHITE_Y[notes["finger"]])
    slack_x = np.where(black, 0.0022, keyboard.WHITE_PITCH / 2 - 0.0078)
    slack_y = np.where(black, 0.005, 0.008)
    outer_on_black = np.flatnonzero(black & np.isin(notes["finger"], (0, 4)))
    for n in np.flatnonzero(~black & np.isin(notes["finger"], (1, 2, 3))):
        others = np.flatnonzero((notes["finger"] == notes["finger"][n]) & (notes["pitch"] != notes["pitch"][n]))
        hop = np.abs(notes["onset"][others] - notes["onset"][n]).min(initial=np.inf)
        near = (notes["onset"][outer_on_black] < notes["offset"][n]) & (
            notes["offset"][outer_on_black] > notes["onset"][n] - 0.05
        )
        if near.any() and hop > _SLOW_HOP:  # in a hurry no finger climbs out from between black keys
            left, right = keyboard.tail_edges(int(notes["pitch"][n]))
            x[n], y[n] = (left + right) / 2, BETWEEN_Y
            slack_x[n] = max((right - left) / 2 - 0.0065, 0.0004)
    return _Spots(sign * x, y, slack_x, slack_y)


def _time_to_get_there(x: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Seconds [M] that the hand has for each note since it left a key too far away (10 cm) to reach from there."""
    room = np.full(len(x), np.inf)
    for n in range(len(x)):
        before = np.arange(max(n - 12, 0), n)
        before = before[(np.abs(x[before] - x[n]) > 0.10) & (keys[before, 3] < keys[n, 0] + 0.05)]
        if len(before):
            room[n] = max(keys[n, 0] - keys[before, 3].max(), 0.0)
    return room


def _tone_onsets(notes: np.ndarray) -> np.ndarray:
    """Onsets of the tones or chords: notes less than 30 ms apart count as one."""
    onset = notes["onset"]
    return onset[np.r_[True, np.diff(onset) > 0.03]] if len(onset) else onset


def _tone_index(notes: np.ndarray) -> np.ndarray:
    """Which tone or chord each note belongs to [M]."""
    return np.cumsum(np.r_[True, np.diff(notes["onset"]) > 0.03]) - 1 if len(notes) else np.zeros(0, int)


def wrist_path(notes: np.ndarray, sign: float, time: np.ndarray, p: Performer) -> np.ndarray:
    """Where the relaxed hand would stand over the keys being played: wrist x, y [N, 2] m at `time` [N], smoothed."""
    if not len(notes):
        return np.tile([0.25, -0.14], (len(time), 1))
    spots = _spots(notes, sign)
    index = _tone_index(notes)
    per_tone = np.bincount(index)
    at = np.stack([np.bincount(index, spots.x) / per_tone, np.full(len(per_tone), -0.10)], 1)  # [T, 2]
    for _ in range(3):  # the yaw, hence the fingertips' places, depends on where the wrist is
        pads = kinematics.pose(p.posture(*at.T)).world[:, :, 4, :2] - at[:, None]
        x, y = pads[index, notes["finger"]].T
        at = np.stack([np.bincount(index, off) / per_tone for off in (spots.x - x, spots.y - y)], 1)
    knots, places = [], []
    for onset, place in zip(notes["onset"][np.flatnonzero(np.diff(index, prepend=-1))], at, strict=True):
        if knots and onset - knots[-1] > 1.2:  # in a long rest the hand waits where it is, then goes
            knots.append(onset - 0.7)
            places.append(places[-1])
        knots.append(onset)
        places.append(place)
    places = np.array(places)
    path = np.stack([np.interp(time, knots, places[:, i]) for i in (0, 1)], 1)
    return gaussian_filter1d(path, 0.09 / (time[1] - time[0]), axis=0, mode="nearest")


def astray(notes: np.ndarray, sign: float, time: np.ndarray, posture: np.ndarray, dip_offset: np.ndarray) -> np.ndarray:
    """How far [N] m along x a posture [N, 22] is beside the keys that it plays, beyond _BESIDE; smooth over time.

    notes: one hand's NOTE [M], at least one, with fingers; time [N] s; dip_offset [N, 4].
    """
    spots, index = _spots(notes, sign), _tone_index(notes)
    frame = np.searchsorted(time, notes["onset"]).clip(0, len(time) - 1)
    pads = kinematics.pose(posture[frame], dip_offset[frame]).world[np.arange(len(notes)), notes["finger"], 4, 0]
    off = np.bincount(index, pads - spots.x) / np.bincount(index)  # of each tone, the mean of its fingers
    off -= off.clip(-_BESIDE, _BESIDE)
    off = np.interp(time, notes["onset"][np.flatnonzero(np.diff(index, prepend=-1))], off)
    return gaussian_filter1d(off, 0.09 / (time[1] - time[0]), mode="nearest")


def resting(notes: np.ndarray, time: np.ndarray) -> np.ndarray:
    """How much [N] a hand rests at `time` [N] s: 0 within _REST of its notes, 1 from twice that on, smooth between."""
    if not len(notes):
        return np.ones(len(time))
    following = np.searchsorted(notes["onset"], time)
    until = np.append(notes["onset"], np.inf)[following] - time
    since = time - np.append(-np.inf, np.maximum.accumulate(notes["offset"]))[following]
    share = np.clip(np.minimum(until, since) / _REST - 1, 0, 1)
    return share**2 * (3 - 2 * share)


def _stroke(
    goals: Goals,
    finger: int,
    note: np.void,
    key: np.ndarray,
    spots: "_Spots",
    n: int,
    tone: float,
    room: float,
    hop: float,
    free_from: float,
    until: float,
    time: np.ndarray,
    p: Performer,
) -> None:
    """One note into the goals: reach over the key, lift, strike, hold, release."""
    top = float(keyboard.key_top(note["pitch"]))
    loud = float(loudness(note["velocity"]))
    down, _bottom, lift_off, up = key
    # The peak comes about one tone before the stroke, higher when loud or fast (Dalla Bella & Palmer 2011).
    rise = float(np.clip(tone, 0.07, 0.28))
    rise = min(rise, 0.75 * max(down - free_from, 0.02))
    fast = float(np.clip((1 / tone - 2) / 6, 0, 1)) if np.isfinite(tone) else 0.0
    height = p.lift[finger] + p.lift_loud[finger] * (loud - 0.4) + p.lift_fast[finger] * fast
    height *= min(1.0, rise / 0.10)
    height = max(height, 0.004)
    if hop > 0.02 and down - free_from < 0.4:  # at once from another key: over the black keys on the way
        height = max(height, keyboard.BLACK_HEIGHT + p.clearance - top)

    first = np.searchsorted(time, min(max(down - rise - 0.02, free_from), down))
    last = np.searchsorted(time, min(up + 0.03, until))
    span = slice(first, last)
    t = time[span]
    share = key_angles(t, key[None])[0]
    falling = np.clip((t - (down - rise)) / rise, 0, 1)
    above = np.where(t < down, height * (1 - falling**2), 0.0)
    above = np.where(t > up, np.clip((t - up) / 0.03, 0, 1) * 0.006, above)
    held = (t >= down) & (t <= up)
    goals.pad[span, finger, 0] = spots.x[n]
    goals.pad[span, finger, 1] = spots.y[n]
    goals.pad[span, finger, 2] = top + above
    goals.tilt[span, finger] = share * np.tan(keyboard.DIP_ANGLE)
    goals.slack[span, finger, 0] = spots.slack_x[n]
    goals.slack[span, finger, 1] = spots.slack_y[n]
    near = np.clip(
        1 - (down - t) / max(min(p.reach_early, 0.4 * room), 0.012), 0, 1
    )  # 0 well before the stroke, 1 from its start
    aim = p.aim * np.where(t <= lift_off, near**2, t <= up)
    goals.weight[span, finger, 0] = aim
    goals.weight[span, finger, 1] = aim
    goals.weight[span, finger, 2] = np.where(held, p.contact, 1 / 0.0025**2)
    goals.idle[span, finger] = False
    goals.striking[span, finger] = (t >= down - 0.015) & (t <= up)
