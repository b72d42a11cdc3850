# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short piece for both hands, and how the pianist plays it."""

import numpy as np

from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.pianist import perform
from training.clips import Motion


def play() -> tuple[HandMotion, Score]:
    """10 s of both hands at 30 fps, and the score."""
    right, left = 0.5 + np.arange(30) * 0.25, 0.6 + np.arange(15) * 0.5
    pitches = [72 + [0, 2, 4, 5, 7, 5, 4, 2][i % 8] + i // 8 * 5 for i in range(30)] + [48, 52, 55] * 5
    onset = np.concatenate([right, left])
    score = Score(make_notes(onset, onset + 0.2, pitches, [70] * 45, [RIGHT] * 30 + [LEFT] * 15))
    return perform(score, fps=30.0)[0], score


def truth_of(motion: HandMotion) -> Motion:
    """A motion at 30 fps as evaluation has it, in the piano's frame."""
    hands = [motion.hand(side) for side in (LEFT, RIGHT)]
    return Motion(np.stack([p for p, _ in hands]), np.stack([r.reshape(-1, 48) for _, r in hands]))
