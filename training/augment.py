# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same music in other keys, at other tempi and never twice with the same timing."""

import numpy as np

from s2c_blender.core.keyboard import HIGHEST, LOWEST
from s2c_blender.core.notes import Score

DOWN, UP = -5, 6  # semitones: every key once
SLOWEST, FASTEST = 0.8, 1.2  # of the tempo
LEAD = (0.3, 1.5)  # s before the first note
_JITTER = 0.004  # s of each onset and release
_REST = 0.03  # s a key is up before it is struck again, where the music leaves so much


def vary(score: Score, rng: np.random.Generator) -> tuple[Score, int, float]:
    """A variation of `score` (times s, from 0 on): the new score, semitones up and the factor of its tempo."""
    lowest, highest = int(score.notes["pitch"].min()), int(score.notes["pitch"].max())
    shift = int(rng.integers(max(DOWN, LOWEST - lowest), min(UP, HIGHEST - highest) + 1))
    tempo = float(rng.uniform(SLOWEST, FASTEST))
    return shaken(at_tempo(transposed(score, shift), tempo, rng.uniform(*LEAD)), rng), shift, tempo


def transposed(score: Score, shift: int) -> Score:
    """All notes `shift` semitones higher."""
    notes = score.notes.copy()
    notes["pitch"] += shift
    return Score(notes, score.pedal)


def at_tempo(score: Score, tempo: float, lead: float) -> Score:
    """`tempo` times as fast, after `lead` seconds of rest before the first note."""
    notes = score.notes.copy()
    start = lead - notes["onset"].min() / tempo
    for name in ("onset", "offset"):
        notes[name] = notes[name] / tempo + start
    return Score(notes, np.maximum(score.pedal / tempo + start, 0.0))


def shaken(score: Score, rng: np.random.Generator) -> Score:
    """Onsets and releases a few milliseconds off; no key overlaps itself because of it."""
    notes = score.notes.copy()
    length = notes["offset"] - notes["onset"]
    notes["onset"] = np.maximum(notes["onset"] + _JITTER * rng.standard_normal(len(notes)), 0.0)
    notes["offset"] = notes["onset"] + length * (1 + 0.05 * np.tanh(rng.standard_normal(len(notes))))
    notes = notes[np.lexsort((notes["pitch"], notes["onset"]))]
    for pitch in np.unique(notes["pitch"]):
        mine = np.flatnonzero(notes["pitch"] == pitch)
        gap = np.diff(notes["onset"][mine], append=np.inf)
        latest = notes["onset"][mine] + gap - np.minimum(_REST, gap / 3)
        notes["offset"][mine] = np.minimum(notes["offset"][mine], latest)
    return Score(notes, score.pedal)
