# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published facts about pianists (DESIGN section 4), measured on what we play. Sizes are printed with -s or -rP."""

import numpy as np
import pytest

from s2c_blender.core import naturalness
from s2c_blender.pianist import perform
from tests.pianist.music import line

FIVE_FINGERS = [60, 62, 64, 65, 67, 65, 64, 62] * 4
TEMPI = (4.0, 6.0, 8.0, 10.0)
LOUDNESS = (40, 65, 90, 115)


def strokes(rate: float, velocity: int = 70) -> naturalness.Strokes:
    motion, _ = perform(line(FIVE_FINGERS, rate, velocity))
    found = naturalness.measure(motion)
    fingers = motion.notes["finger"][found.note] > 0
    return naturalness.Strokes(*(getattr(found, name)[fingers] for name in found.__dataclass_fields__))


@pytest.fixture(scope="module")
def by_tempo():
    return {rate: strokes(rate) for rate in TEMPI}


@pytest.fixture(scope="module")
def by_loudness():
    return {velocity: strokes(6.0, velocity) for velocity in LOUDNESS}


def test_1_the_knuckle_makes_most_of_a_stroke(by_tempo):
    """Goebl & Palmer 2013: MCP contributes most, the PIP joint moves slightly the other way, at any tempo."""
    for rate, found in by_tempo.items():
        mcp, pip, dip, rest = np.median(found.by_joint, 0)
        print(f"fact 1, {rate:g} tones/s: MCP {mcp:.2f}, PIP {pip:.2f}, DIP {dip:.2f}, hand and forearm {rest:.2f}")
        assert mcp > max(pip, dip, rest) and mcp > 0.5
        assert -0.25 < pip < 0.0 and abs(dip) < 0.15


def test_2_fingers_rise_a_tone_before_and_higher_when_faster(by_tempo):
    """Dalla Bella & Palmer 2011: the peak comes about one tone before the stroke and grows with tempo."""
    heights = [np.median(found.peak_height) * 1e3 for found in by_tempo.values()]
    leads = [np.median(found.peak_lead) * rate for rate, found in by_tempo.items()]
    print("fact 2, peak height mm:", np.round(heights, 1), "at tones/s", TEMPI, "; lead in tones:", np.round(leads, 2))
    assert np.corrcoef(TEMPI, heights)[0, 1] > 0.8 and heights[-1] > heights[0] + 1.0
    assert all(0.6 < lead < 2.0 for lead in leads)


def test_3_neighbours_move_along(by_tempo):
    """Furuya & Soechting 2012: fingers that do not strike move along with the one that does."""
    for rate, found in by_tempo.items():
        share = np.nanmedian(found.neighbour)
        print(f"fact 3, {rate:g} tones/s: neighbours make {share:.2f} of the striking finger's way")
        assert 0.05 < share < 1.0


def test_5_loud_strokes_start_higher_and_faster(by_loudness):
    """Dalla Bella & Palmer 2011."""
    heights = [np.median(found.peak_height) * 1e3 for found in by_loudness.values()]
    speeds = [np.median(found.speed) for found in by_loudness.values()]
    print("fact 5, peak height mm", np.round(heights, 1), "speed m/s", np.round(speeds, 2), "at velocity", LOUDNESS)
    assert (np.diff(heights) > 0).all()
    assert np.corrcoef(LOUDNESS, speeds)[0, 1] > 0.8 and speeds[-1] > speeds[0]


def test_hands_start_before_the_note():
    """Anticipation: after a long rest the finger is over its key well before the stroke."""
    score = line([60, 84], 0.4)
    motion, _ = perform(score)
    at = round(motion.notes["onset"][1] * motion.fps)
    way = np.abs(motion.right_position[:at, 0] - motion.right_position[at, 0])
    start = np.flatnonzero(way > 0.95 * way[: at - 60].max())[-1]
    lead = (at - start) / motion.fps
    print(f"the hand sets out {lead:.2f} s before the note")
    assert 0.2 < lead < 1.5
