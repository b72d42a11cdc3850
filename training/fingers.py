# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which finger plays each note of a recorded motion: the one whose pad is nearest to the key when it is struck."""

from dataclasses import replace

import numpy as np

from s2c_blender.core.notes import Score

from .clips import Motion
from .raw_metrics import onset_distances


def fingered_by(motion: Motion, score: Score) -> Score:
    """The score with the finger of each note, seen from a motion in the piano's frame; every note's hand is known."""
    notes = score.notes.copy()
    distance = onset_distances(motion, notes).reshape(-1, 2, 5)
    notes["finger"] = distance[np.arange(len(notes)), notes["hand"]].argmin(axis=1)
    return replace(score, notes=notes)
