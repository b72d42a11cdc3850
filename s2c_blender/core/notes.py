# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes and pedal of a performance, in seconds."""

from dataclasses import dataclass, field

import numpy as np

LEFT, RIGHT, UNKNOWN = 0, 1, -1

NOTE = np.dtype(
    [
        ("onset", "f8"),  # s, hammer strikes
        ("offset", "f8"),  # s, key released (not the pedal)
        ("pitch", "i2"),  # MIDI 21..108
        ("velocity", "i2"),  # 1..127
        ("hand", "i1"),  # LEFT, RIGHT or UNKNOWN
        ("finger", "i1"),  # 0 thumb .. 4 little finger, or UNKNOWN
    ]
)


def make_notes(onset, offset, pitch, velocity, hand=UNKNOWN, finger=UNKNOWN) -> np.ndarray:
    """A NOTE array sorted by onset, then pitch; arguments are sequences of one length (hand, finger may be scalars)."""
    notes = np.zeros(len(onset), NOTE)
    for name, values in zip(NOTE.names, (onset, offset, pitch, velocity, hand, finger), strict=True):
        notes[name] = values
    return notes[np.lexsort((notes["pitch"], notes["onset"]))]


@dataclass(frozen=True)
class Score:
    """What is to be played: `notes` (NOTE array sorted by onset) and `pedal` ([K, 2] sustain on/off, s)."""

    notes: np.ndarray
    pedal: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def end(self) -> float:
        """Last release in seconds, 0 for an empty score."""
        return float(self.notes["offset"].max()) if len(self.notes) else 0.0

    def cut(self, start: float, duration: float | None = None) -> "Score":
        """The part whose onsets lie in [start, start + duration), times counted from `start` (s)."""
        stop = np.inf if duration is None else start + duration
        notes = self.notes[(self.notes["onset"] >= start) & (self.notes["onset"] < stop)].copy()
        notes["onset"] -= start
        notes["offset"] = np.minimum(notes["offset"], stop) - start
        pedal = self.pedal[(self.pedal[:, 1] > start) & (self.pedal[:, 0] < stop)]
        return Score(notes, np.clip(pedal, start, stop) - start)
