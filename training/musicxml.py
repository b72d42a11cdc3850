# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores in MusicXML to notes in seconds, by partitura."""

import warnings
from pathlib import Path

import numpy as np
import partitura
from partitura import score as printed

from s2c_blender.audio.files import checked_file
from s2c_blender.core.keyboard import HIGHEST, LOWEST
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.errors import UserError

_TEMPO = 100.0  # quarters a minute where the score says nothing
_LOUDNESS = {"ppp": 28, "pp": 36, "p": 48, "mp": 60, "mf": 72, "f": 88, "ff": 102, "fff": 112}  # MIDI velocities
_MEDIUM = 66
_UNITS = {None: 1.0, "w": 4.0, "h": 2.0, "q": 1.0, "e": 0.5}  # quarters


def read_musicxml(path: Path) -> Score:
    """The notes of a .musicxml, .xml or .mxl file, at the score's tempo and loudness; repeats are played once.

    The piano is the first part with two staves: the upper for the right hand, the lower for the left. Without one, two
    parts are the two hands, and of any other number nothing is known. UserError when the file cannot be read.
    """
    checked_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of directions that partitura does not know
            parts = partitura.load_musicxml(path).parts
            rows = _rows(parts)
    except Exception as error:  # a damaged file raises anything
        raise UserError(f"{path.name} is not a readable MusicXML file ({type(error).__name__}: {error}).") from error
    notes = make_notes(*np.array(rows, float).reshape(-1, 5).T)
    notes = notes[(notes["pitch"] >= LOWEST) & (notes["pitch"] <= HIGHEST) & (notes["offset"] > notes["onset"])]
    if not len(notes):
        raise UserError(f"{path.name} has no notes that a piano can play.")
    return Score(notes)


def _rows(parts: list[printed.Part]) -> list[tuple[float, float, int, int, int]]:
    """Onset, offset (s), pitch, velocity and hand of all notes to be played."""
    both = next((part for part in parts if part.number_of_staves == 2), None)
    if both is not None:
        return _notes_of(both, {1: RIGHT, 2: LEFT})
    hands = (RIGHT, LEFT) if len(parts) == 2 else [UNKNOWN] * len(parts)
    return [row for part, hand in zip(parts, hands, strict=True) for row in _notes_of(part, {}, hand)]


def _notes_of(part: printed.Part, staves: dict[int, int], otherwise: int = UNKNOWN) -> list:
    """One part's notes, ties joined, grace notes left out."""
    marks = [(part.quarter_map(m.start.t), m.bpm * _UNITS.get(m.unit, 1.0)) for m in part.iter_all(printed.Tempo)]
    marks = sorted(marks) or [(0.0, _TEMPO)]
    quarters, tempi = np.array(marks, float).T
    quarters[0] = min(quarters[0], 0.0)  # the first tempo is that of everything before it
    starts = np.r_[0.0, np.cumsum(np.diff(quarters) * 60 / tempi[:-1])]
    dynamics = [(part.quarter_map(d.start.t), d.text) for d in part.iter_all(printed.ConstantLoudnessDirection)]
    dynamics = [(-np.inf, _MEDIUM)] + sorted((t, _LOUDNESS[s]) for t, s in dynamics if s in _LOUDNESS)

    def seconds(quarter: float) -> float:
        i = max(np.searchsorted(quarters, quarter, side="right") - 1, 0)
        return starts[i] + (quarter - quarters[i]) * 60 / tempi[i]

    rows = []
    for note in part.notes_tied:
        if isinstance(note, printed.GraceNote):
            continue
        first, last = (float(part.quarter_map(t)) for t in (note.start.t, note.start.t + note.duration_tied))
        velocity = max(d for d in dynamics if d[0] <= first)[1]
        rows.append((seconds(first), seconds(last), note.midi_pitch, velocity, staves.get(note.staff, otherwise)))
    return rows
