# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender tests are made of: a motion without a pianist, a recording without a piano."""

import wave
from pathlib import Path

import numpy as np

from s2c_blender.core.hand import HINGE_HIGH, HINGE_LOW, mirror, rotations_from_hinges
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import make_notes


def waving(seconds: float = 4.0, fps: float = 60.0, seed: int = 0) -> HandMotion:
    """Both hands waving within their limits over the keyboard, while some keys and the pedal move by themselves."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * fps) + 1) / fps
    middle, half = (HINGE_HIGH + HINGE_LOW) / 2, (HINGE_HIGH - HINGE_LOW) / 2
    hands = []
    for _ in range(2):
        angles = middle + half * 0.8 * np.sin(2 * t[:, None] + rng.uniform(0, 6, 20))
        rotation = rotations_from_hinges(angles)
        rotation[:, 0] = 0.4 * np.sin(t[:, None] * [1.0, 1.3, 0.7] + rng.uniform(0, 6, 3))
        position = [0.25, -0.1, 0.08] + 0.05 * np.sin(t[:, None] * [0.9, 1.1, 2.0])
        hands.append((position, rotation))
    left = mirror(*hands[0])
    onset = np.arange(0.5, seconds - 0.5, 0.25)
    pitch = 60 + np.arange(len(onset)) % 5
    notes = make_notes(onset, onset + 0.2, pitch, 80, (pitch > 61).astype(int), 1)
    keys = notes["onset"][:, None] + [-0.03, 0.0, 0.2, 0.24]
    return HandMotion(fps, *left, *hands[1], notes, keys, np.array([[1.0, 2.0]]), meta={"source": "waving"})


def clicks(path: Path, seconds: float = 4.0, rate: int = 16000) -> Path:
    """A mono .wav with a click each half second."""
    samples = np.zeros(int(seconds * rate), np.int16)
    samples[:: rate // 2] = 30000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


REPORT = {  # of a generation, as a take keeps it
    "source": "song.mid",
    "seed": 0,
    "generator": "pianist",
    "style": None,
    "notes_found": 12,
    "notes_played": 11,
    "dropped": [{"pitch": 61, "onset": 1.5, "reason": "out of reach"}],
    "key_accuracy": 0.95,
    "warnings": [],
}
