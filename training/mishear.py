# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes as a transcriber hears them: what is played, with a few errors, so that the model learns to live with them.

Transcribers of today find nearly all onsets, within a hundredth of a second or so; what they miss is mostly quiet or
covered by other notes, what they add are mostly harmonics of notes that sound, and releases are far less certain than
onsets, above all under the pedal. The sizes below, for a severity of 1, are our own rounding of that.
"""

import numpy as np

from s2c_blender.core.keyboard import HIGHEST, LOWEST
from s2c_blender.core.notes import NOTE, Score

WORST = 3.0  # severity
MISSED, SPURIOUS = 0.015, 0.01  # of all notes
GHOSTS = (12, 12, 19, -12, 7, 24)  # semitones from a note to what is heard besides it
ONSET, LATE, LATE_SHARE = 0.008, 0.030, 0.02  # s, s, of all notes
OFFSET, WRONG_OFFSET_SHARE = 0.020, 0.2  # s, of all notes
VELOCITY = 8.0
PEDAL, PEDAL_MISSED = 0.04, 0.03  # s, of all pedal strokes
SHORTEST = 0.02  # s


def mishear(score: Score, rng: np.random.Generator) -> Score:
    """A score with a transcriber's errors; `rng` decides on how many (often hardly any) and which."""
    severity = min(rng.exponential(), WORST)
    notes = score.notes[rng.random(len(score.notes)) >= _missing(score.notes, severity)]
    notes = np.concatenate([_blurred(notes, severity, rng), _ghosts(notes, severity, rng)])
    notes = notes[np.lexsort((notes["onset"], notes["pitch"]))]
    repeated = np.flatnonzero(notes["pitch"][1:] == notes["pitch"][:-1])
    notes["offset"][repeated] = np.minimum(notes["offset"][repeated], notes["onset"][repeated + 1])
    notes = notes[notes["offset"] > notes["onset"]]
    return Score(notes[np.lexsort((notes["pitch"], notes["onset"]))], _pedal(score.pedal, severity, rng))


def _missing(notes: np.ndarray, severity: float) -> np.ndarray:
    """Chance [M] of each note to be missed: more for quiet ones, and for those between a chord's outer notes."""
    if not len(notes):
        return np.zeros(0)
    quiet = np.exp((notes["velocity"].mean() - notes["velocity"]) / 20.0)
    moment = np.cumsum(np.diff(notes["onset"], prepend=notes["onset"][0]) > 0.05)  # chords, in the order of onsets
    low, high = np.full(moment[-1] + 1, HIGHEST), np.full(moment[-1] + 1, LOWEST)
    np.minimum.at(low, moment, notes["pitch"])
    np.maximum.at(high, moment, notes["pitch"])
    inner = (notes["pitch"] > low[moment]) & (notes["pitch"] < high[moment])
    weight = quiet * np.where(inner, 2.0, 1.0)
    return np.minimum(MISSED * severity * weight / weight.mean(), 0.5)


def _blurred(notes: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """The notes with onsets, offsets and velocities that are a little, some quite, wrong."""
    notes, count = notes.copy(), len(notes)
    length = notes["offset"] - notes["onset"]
    spread = np.where(rng.random(count) < LATE_SHARE * severity, LATE, ONSET * np.sqrt(severity))
    notes["onset"] = np.maximum(notes["onset"] + spread * rng.standard_normal(count), 0.0)
    wrong = rng.random(count) < WRONG_OFFSET_SHARE * min(severity, 2.0)
    length = np.where(wrong, length * np.exp(0.6 * rng.standard_normal(count)), length)
    length += OFFSET * np.sqrt(severity) * rng.standard_normal(count)
    notes["offset"] = notes["onset"] + np.maximum(length, SHORTEST)
    heard = notes["velocity"] + VELOCITY * np.sqrt(severity) * rng.standard_normal(count)
    notes["velocity"] = np.clip(np.rint(heard), 1, 127)
    return notes


def _ghosts(notes: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Notes that nobody plays: short harmonics of notes that sound."""
    count = rng.poisson(SPURIOUS * severity * len(notes))
    if not count:
        return np.zeros(0, NOTE)
    ghosts = notes[rng.integers(len(notes), size=count)].copy()
    ghosts["pitch"] += rng.choice(GHOSTS, size=count).astype(np.int16)
    ghosts["onset"] += rng.uniform(0.0, 0.05, count)
    ghosts["offset"] = ghosts["onset"] + rng.uniform(0.03, 0.15, count)
    ghosts["velocity"] = np.clip(ghosts["velocity"] * rng.uniform(0.3, 0.8, count), 1, 127)
    ghosts["finger"] = rng.integers(5, size=count)  # of the hand whose note it is an echo of
    return ghosts[(ghosts["pitch"] >= LOWEST) & (ghosts["pitch"] <= HIGHEST)]


def _pedal(pedal: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Pedal strokes [K, 2] with moved edges, some missing; still in order and apart."""
    pedal = pedal[rng.random(len(pedal)) >= PEDAL_MISSED * severity]
    pedal = np.maximum(pedal + PEDAL * np.sqrt(severity) * rng.standard_normal(pedal.shape), 0.0)
    pedal = pedal[np.argsort(pedal[:, 0])]
    pedal[:-1, 1] = np.minimum(pedal[:-1, 1], pedal[1:, 0])
    return pedal[pedal[:, 1] > pedal[:, 0]]
