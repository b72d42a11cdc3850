# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pieces for the pianist's tests."""

import json
from pathlib import Path

import numpy as np

from s2c_blender.core import hand
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import RIGHT, UNKNOWN, Score, make_notes


def line(pitches, rate: float, velocity: int = 70, side: int = RIGHT, start: float = 1.0) -> Score:
    """Notes one after the other, nearly legato, at `rate` tones a second."""
    onset = start + np.arange(len(pitches)) / rate
    return Score(make_notes(onset, onset + 0.95 / rate, pitches, [velocity] * len(pitches), side))


def chords(groups, apart: float, held: float, side: int = UNKNOWN, start: float = 1.0) -> Score:
    """Chords `apart` seconds from each other, each held for `held` seconds."""
    rows = [(start + apart * i, p) for i, group in enumerate(groups) for p in group]
    onset = np.array([r[0] for r in rows])
    return Score(make_notes(onset, onset + held, [r[1] for r in rows], [75] * len(rows), side))


def shared_score(folder: Path, name: str, duration: float) -> Score:
    """The first seconds of a labelled recording's notes, without their hands."""
    data = json.loads((folder / "audio" / f"{name}.json").read_text())
    fields = [[n[k] for n in data["notes"]] for k in ("onset", "offset", "pitch", "velocity")]
    return Score(make_notes(*fields), np.array(data["pedal"]).reshape(-1, 2)).cut(0.0, duration)


def sampled(motion: HandMotion, rate: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Times [T] and pads [T, 2, 5, 3] between the motion's frames too, as straight lines between keys."""
    frames = np.arange(len(motion.left_position)) / motion.fps
    pads = np.stack([hand.forward_kinematics(*motion.hand(h), left=h == 0)[1] for h in (0, 1)], 1)
    times = np.arange(0, motion.duration, 1 / rate)
    flat = pads.reshape(len(pads), -1)
    return times, np.stack([np.interp(times, frames, c) for c in flat.T], 1).reshape(-1, 2, 5, 3)
