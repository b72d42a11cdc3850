# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingers seen from a recorded motion."""

import numpy as np

from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.pianist import perform
from training.clips import Motion
from training.fingers import fingered_by


def test_the_fingers_that_played_are_found():
    pitch = [60, 64, 67, 72, 67, 64, 48, 52, 55, 52]
    onset = np.r_[np.arange(6) * 0.3, np.arange(4) * 0.45]
    hand = [RIGHT] * 6 + [LEFT] * 4
    played, _ = perform(Score(make_notes(onset, onset + 0.25, pitch, [70] * 10, hand)), fps=30)
    notes = played.notes.copy()
    notes["finger"] = UNKNOWN
    motion = Motion(
        np.stack([played.hand(side)[0] for side in (LEFT, RIGHT)]),
        np.stack([played.hand(side)[1].reshape(-1, 48) for side in (LEFT, RIGHT)]),
    )
    found = fingered_by(motion, Score(notes)).notes["finger"]
    assert len(set(played.notes["finger"])) >= 3
    np.testing.assert_array_equal(found, played.notes["finger"])
