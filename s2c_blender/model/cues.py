# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Musical cues, frame by frame, from the notes: rhythm and expression that gestures follow. NumPy only.

The idea is that of MimicParts, where every part of the body attends to what in the sound moves it. Here:

Each hand, from its own notes (column of its five, numbers without a unit):
 0 onset      sum of velocity / 127 of its onsets under a bell of 50 ms; 0 to about 2
 1 density    (onsets a second, counted under a bell of 0.7 s, - 4) / 3
 2 loudness   mean of (velocity - 64) / 16 under a bell of 0.4 s
 3 register   mean of (pitch - the hand's usual pitch) / 8 under a bell of 0.5 s; the usual ones are 54 and 72
 4 articulation  mean of 2 log2(duration / time to the hand's next onset), the logarithm within -2..2, under a bell of
              0.5 s: staccato negative, legato about 0, overlapping positive
Both hands together, from all notes, those without a hand included:
 0 tempo      log2(onsets a second / 4), chords counted once, within -2..2, under a window of +-2 s
 1 beat cos   strength (0..1) times cosine of the phase of the predominant local pulse, after Grosche and Mueller: it is
              greatest on the beats
 2 beat sin   strength times sine of the phase: greatest a quarter of a beat later
 3 trend      mean velocity under a bell of 1 s, in 0.5 s less that of 0.5 s ago, / 4: louder positive
 4 consonance (Huron's mean consonance of the pairs of pitch classes that sound, - 0.25) / 0.25, under a bell of 0.5 s
 5 mode       best correlation with a major key less the best with a minor one (Krumhansl and Kessler) / 0.2, under a
              window of +-3.8 s: major positive

A bell of sigma is exp(-d^2 / (2 sigma^2)) in the distance d, a window of reach r is (1 - (d / r)^2)^2 up to r; bells
end as well, so that nothing farther than `AHEAD` counts. All means are sums divided by (weights + `FEW`), and density
and tempo are times weights / (weights + `FEW`): they fade to 0 where there are no notes near, and silence is 0
everywhere. But for the onsets and the beat's phase, cues are computed in every `EVERY`th frame, counted from the start
of the music, and are straight between.
"""

import numpy as np

from ..core.notes import LEFT, RIGHT, Score
from .config import FPS

OF_HAND, SHARED = 5, 6
CUES = 2 * OF_HAND + SHARED  # of a frame: the left hand's, the right hand's, shared ones
NAMES = (
    *(f"{hand} {cue}" for hand in ("left", "right") for cue in "onset density loudness register articulation".split()),
    *("tempo", "beat cos", "beat sin", "trend", "consonance", "mode"),
)

AHEAD = 4.0  # s: notes that begin later or began longer ago change nothing
EVERY = 5  # frames from one computed value of a slow cue to the next
REACH = 3.8  # s, of a slow cue's kernel: a frame hears those of two computed frames, each up to 4 frames away
FEW = 0.05  # notes' weight that makes a mean half of what it would be with many

ONSET_SIGMA, ONSET_REACH = 0.05, 0.2  # s
DENSITY_SIGMA = 0.7  # s
LOUDNESS_SIGMA = 0.4  # s
SOUND_SIGMA, SOUND_REACH = 0.5, 1.8  # s: register, articulation, consonance
TREND_SIGMA, TREND_STEP = 1.0, 0.5  # s
TEMPO_REACH, BEAT_REACH = 2.0, 3.0  # s

USUAL_DENSITY, DENSITY_UNIT = 4.0, 3.0  # onsets of a hand a second
USUAL_VELOCITY, VELOCITY_UNIT = 64.0, 16.0
TREND_UNIT = 4.0
USUAL_PITCH, PITCH_UNIT = (54.0, 72.0), 8.0  # of the left and the right hand
ARTICULATION_UNIT = 0.5  # octaves
USUAL_TEMPO = 4.0  # onsets a second
USUAL_CONSONANCE, CONSONANCE_UNIT = 0.25, 0.25
MODE_UNIT = 0.2

TOGETHER = 0.030001  # s: onsets nearer than that are one; no round number, so that rounding does not decide
LONGEST = 2.0  # s: durations and distances count as that at most (with the kernel's reach they stay within AHEAD)
LONGEST_IN_KEY = 1.0  # s, the same where pitch classes are weighed by duration
MOST = 2.0  # octaves of articulation and of tempo

PERIODS = np.geomspace(0.3, 1.0, 24)  # s, of the pulse
_LIKELY = np.exp(-0.5 * np.log2(PERIODS / 0.5) ** 2)  # pulses an octave from 0.5 s are 0.6 times as likely

# Huron (1994), Interval-Class Content in Equally Tempered Pitch-Class Sets: consonance of the interval classes 1 to 6
# (minor second, major second, minor third, major third, fourth, tritone, and what complements them to an octave), mean
# about 0 and spread about 1. A pitch class does not count with itself.
_OF_CLASS = np.array([0.0, -1.428, -0.582, 0.594, 0.386, 1.240, -0.453])
_APART = np.abs(np.arange(12)[:, None] - np.arange(12))
_CONSONANCE = _OF_CLASS[np.minimum(_APART, 12 - _APART)]

# Krumhansl and Kessler (1982): how well the twelve pitch classes, from the tonic on, fit a major and a minor key
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_KEYS = np.array([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)]).T  # [12, 24]
_KEYS = (_KEYS - _KEYS.mean(axis=0)) / (_KEYS.std(axis=0) * np.sqrt(12))  # mean 0, length 1


def cues(score: Score, first: int, frames: int) -> np.ndarray:
    """The cues of the frames [first, first + frames), [frames, CUES] float32, frame i at second (first + i) / 30.

    Notes that begin more than `AHEAD` seconds from a frame do not change its cues: a score cut 5 s before and after a
    window has the same ones in it. A score moved by a multiple of `EVERY` frames has moved cues; moved by other steps
    they differ a little, as the points between which they are straight come to lie elsewhere in the music.
    """
    out = np.zeros((frames, CUES), np.float32)
    onset = score.notes["onset"]
    low, high = np.searchsorted(onset, [first / FPS - AHEAD, (first + frames) / FPS + AHEAD])
    if low == high or not frames:
        return out
    # `begin`, `end` and `points` count from the first frame: far into a recording no digits are lost
    notes = score.notes[low:high]
    begin, end = notes["onset"] - first / FPS, notes["offset"] - first / FPS
    hands = (notes["hand"][:, None] == (LEFT, RIGHT)).astype(float)  # [N, 2]
    coarse = np.arange(first // EVERY, (first + frames - 1) // EVERY + 2)
    points = (coarse * EVERY - first) / FPS
    away = begin - points[:, None]  # [points, N], s

    slow = np.zeros((len(points), CUES))
    of_hands = slow[:, : 2 * OF_HAND].reshape(-1, 2, OF_HAND)
    shared = slow[:, 2 * OF_HAND :]
    _add_hands(of_hands, notes, begin, end - begin, hands, away)
    shared[:, 0] = _tempo(begin, away)
    shared[:, 3] = _trend(notes, away)
    shared[:, 4], shared[:, 5] = _harmony(notes, begin, end, points, away)

    number = first + np.arange(frames)
    after = (number % EVERY / EVERY)[:, None]
    which = number // EVERY - coarse[0]
    out[:] = (1.0 - after) * slow[which] + after * slow[which + 1]
    out[:, [0, OF_HAND]] = _onsets(notes, begin, hands, frames)
    pulse, turns = _pulse(notes, begin, away)
    time = np.arange(frames) / FPS
    beat = sum(
        share * pulse[point] * np.exp(2j * np.pi * (time - points[point]) * turns[point])
        for share, point in ((1.0 - after[:, 0], which), (after[:, 0], which + 1))
    )
    out[:, 2 * OF_HAND + 1], out[:, 2 * OF_HAND + 2] = beat.real, beat.imag
    return out


def _bell(away: np.ndarray, sigma: float, reach: float = REACH) -> np.ndarray:
    """exp(-away^2 / (2 sigma^2)), lowered by what it is at `reach` so that it ends there without a step."""
    return np.exp(np.minimum(away * away, reach**2) * (-0.5 / sigma**2)) - np.exp(-0.5 * (reach / sigma) ** 2)


def _window(away: np.ndarray, reach: float) -> np.ndarray:
    """(1 - (away / reach)^2)^2 within the reach, else 0: much like a Hann window, and quicker."""
    return np.maximum(1.0 - away * away / reach**2, 0.0) ** 2


def _onsets(notes: np.ndarray, begin: np.ndarray, hands: np.ndarray, frames: int) -> np.ndarray:
    """How strong each hand's onsets are, [frames, 2]."""
    near = np.ceil((begin - ONSET_REACH) * FPS).astype(int)[:, None] + np.arange(int(2 * ONSET_REACH * FPS) + 1)
    weight = _bell(near / FPS - begin[:, None], ONSET_SIGMA, ONSET_REACH) * (notes["velocity"] / 127.0)[:, None]
    inside = (near >= 0) & (near < frames)
    which = near[inside]
    strength = [np.bincount(which, (weight * hands[:, hand, None])[inside], minlength=frames) for hand in (LEFT, RIGHT)]
    return np.stack(strength, axis=1)


def _add_hands(
    out: np.ndarray, notes: np.ndarray, begin: np.ndarray, lasts: np.ndarray, hands: np.ndarray, away: np.ndarray
) -> None:
    """The slow cues of both hands into `out` [points, 2, OF_HAND]; `hands` [N, 2] is 1 where a note is the hand's."""
    count = _bell(away, DENSITY_SIGMA) @ hands
    density = count / (DENSITY_SIGMA * np.sqrt(2 * np.pi))
    out[:, :, 1] = (density - USUAL_DENSITY) / DENSITY_UNIT * count / (count + FEW)

    loud = (notes["velocity"] - USUAL_VELOCITY) / VELOCITY_UNIT
    out[:, :, 2] = _means(_bell(away, LOUDNESS_SIGMA), loud[:, None, None], hands)[:, :, 0]

    of_note = np.zeros((len(notes), 2, 2))
    of_note[:, :, 0] = (notes["pitch"][:, None] - np.array(USUAL_PITCH)) / PITCH_UNIT
    for hand in (LEFT, RIGHT):
        mine = np.flatnonzero(hands[:, hand])
        of_note[mine, hand, 1] = _articulation(begin[mine], lasts[mine])
    out[:, :, 3:] = _means(_bell(away, SOUND_SIGMA, SOUND_REACH), of_note, hands)


def _means(weight: np.ndarray, values: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """Means of `values` [N, 1 or 2, V] over each hand's notes with `weight` [points, N], [points, 2, V]."""
    values = values * hands[:, :, None]
    sums = (weight @ values.reshape(len(values), -1)).reshape(len(weight), *values.shape[1:])
    return sums / (weight @ hands + FEW)[:, :, None]


def _articulation(begin: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """log2(duration / time to the next onset) of one hand's notes, in its unit.

    Notes of a chord do not follow each other, and both times count as `LONGEST` at most.
    """
    later = np.searchsorted(begin, begin + TOGETHER)
    wait = np.append(begin, np.inf)[later] - begin
    ratio = np.clip(lasts, 1e-3, LONGEST) / np.minimum(wait, LONGEST)
    return np.clip(np.log2(ratio), -MOST, MOST) / ARTICULATION_UNIT


def _tempo(begin: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Octaves by which onsets come faster than the usual tempo, [points]."""
    alone = np.diff(begin, prepend=-np.inf) > TOGETHER
    count = _window(away[:, alone], TEMPO_REACH).sum(axis=1)
    rate = np.maximum(count / (TEMPO_REACH * 16 / 15), 1e-9)  # by the window's area
    return np.clip(np.log2(rate / USUAL_TEMPO), -MOST, MOST) * count / (count + FEW)


def _trend(notes: np.ndarray, away: np.ndarray) -> np.ndarray:
    """How much louder it gets within a second, [points]."""
    loud = (notes["velocity"] - USUAL_VELOCITY) / TREND_UNIT
    now = []
    for step in (TREND_STEP, -TREND_STEP):
        weight = _bell(away - step, TREND_SIGMA, REACH - TREND_STEP)
        now.append(weight @ loud / (weight.sum(axis=1) + FEW))
    return now[0] - now[1]


def _pulse(notes: np.ndarray, begin: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The predominant pulse at each point: strength (0 to 1) and phase as a complex number, and its beats a second.

    z(P) = sum of v w exp(2 pi i t / P) over the onsets at t from the point, v velocity / 64, w the window; P is that of
    `PERIODS` where |z| times how likely it is is greatest. A beat is where the phase 2 pi t / P - arg z is 0. Strength
    is |z| / (sum of v w + 1): 1 where all of many onsets are on the beat, at most half for a single one.
    """
    weight = _window(away, BEAT_REACH) * (notes["velocity"] / 64.0)
    angle = begin[:, None] * (2 * np.pi / PERIODS)  # counted from the first frame
    z = weight @ np.cos(angle) + 1j * (weight @ np.sin(angle))
    best = np.argmax(np.abs(z) * _LIKELY, axis=1)
    turns = 1.0 / PERIODS[best]
    z = z[np.arange(len(z)), best]
    point = begin[0] - away[:, 0]
    phase = np.conj(z) * np.exp(2j * np.pi * point * turns)
    return phase / (weight.sum(axis=1) + 1.0), turns


def _harmony(
    notes: np.ndarray, begin: np.ndarray, end: np.ndarray, points: np.ndarray, away: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Consonance and mode, [points] each.

    Consonance weighs a pair of pitch classes by the product of their weights, each the sum over its notes of the bell
    in the distance to the time for which the note sounds (0 while it does). Mode weighs pitch classes by duration.
    """
    classes = (notes["pitch"][:, None] % 12 == np.arange(12)).astype(float)  # [N, 12]
    over = points[:, None] - np.minimum(end, begin + LONGEST)
    sounding = _bell(np.maximum(np.maximum(away, over), 0.0), SOUND_SIGMA, SOUND_REACH) @ classes
    pairs = sounding.sum(axis=1) ** 2 - (sounding**2).sum(axis=1)
    fit = ((sounding @ _CONSONANCE) * sounding).sum(axis=1)
    consonance = (fit - USUAL_CONSONANCE * pairs) / (CONSONANCE_UNIT * (pairs + FEW))

    lasts = np.clip(end - begin, 0.0, LONGEST_IN_KEY)
    profile = _window(away, REACH) @ (classes * lasts[:, None])
    profile -= profile.mean(axis=1, keepdims=True)
    keys = profile @ _KEYS / (np.linalg.norm(profile, axis=1, keepdims=True) + FEW)
    return consonance, (keys[:, :12].max(axis=1) - keys[:, 12:].max(axis=1)) / MODE_UNIT
