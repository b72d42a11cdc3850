# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Performers play the same keys with motions that differ part by part. Figures are printed with -rP."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from s2c_blender.core import metrics, naturalness
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.core.style import PERFORMERS
from s2c_blender.pianist import Performer, kinematics, perform
from tests.pianist.music import line, sampled
from training.performers import HELD_OUT

TUNE = [60, 62, 64, 65, 67, 66, 64, 62, 60, 64, 67, 72, 70, 67, 64, 60]
THUMB, STRONG, WEAK = [0], [1, 2], [3, 4]


def piece(velocity: int = 70) -> Score:
    """Four seconds for both hands: a line with black keys over chords."""
    high = line(TUNE, 4, velocity, RIGHT, start=0.6).notes
    rows = [(0.6 + i, 0.6 + i + 0.9, p) for i, c in enumerate([(48, 52, 55), (46, 50, 53), (48, 55), (41,)]) for p in c]
    low = make_notes(*zip(*rows, strict=True), [velocity] * len(rows), LEFT)
    notes = np.concatenate([high, low])
    return Score(notes[np.lexsort((notes["pitch"], notes["onset"]))])


@cache
def played(name: str, velocity: int = 70) -> HandMotion:
    return perform(piece(velocity), performer=Performer.of(PERFORMERS[name]), seed=1)[0]


@cache
def joints(name: str) -> np.ndarray:
    """The right hand's q [N, 22] while it plays."""
    motion = played(name)
    return kinematics.from_motion(motion.right_position, motion.right_rotation)[0][30:-60]


def bend(name: str, fingers: list[int]) -> float:
    """Mean MCP and PIP flexion of fingers, degrees."""
    columns = [7 + 3 * f + k for f in fingers for k in (1, 2)]
    return float(np.degrees(joints(name)[:, columns].mean()))


def lifts(name: str, fingers: list[int]) -> float:
    """Median height of the peaks before strokes of fingers, mm."""
    motion = played(name)
    found = naturalness.measure(motion)
    return float(np.median(found.peak_height[np.isin(motion.notes["finger"][found.note], fingers)]) * 1e3)


def test_ten_performers_are_taught_and_two_are_not():
    assert len(PERFORMERS) - len(HELD_OUT) >= 10
    assert len(HELD_OUT) == 2 and set(HELD_OUT) < set(PERFORMERS)


@pytest.mark.parametrize("name", PERFORMERS)
def test_every_performer_plays_the_right_keys(name):
    motion = played(name)
    times, pads = sampled(motion)
    f1 = metrics.accuracy(metrics.presses_by_hands(times, pads), piece().notes).f1
    excess = max(np.degrees(metrics.limit_excess(motion.hand(side)[1], side == LEFT)).max() for side in (LEFT, RIGHT))
    print(f"{name}: key F1 {f1:.3f}, joints {excess:.3f} degrees beyond their limits")
    assert f1 >= 0.98 and excess <= 0.01


def test_performers_differ_in_curvature_part_by_part():
    print({name: (round(bend(name, STRONG)), round(bend(name, WEAK))) for name in ("flat", "curved", "heavy", "pop")})
    for part in (STRONG, WEAK):
        assert bend("curved", part) - bend("flat", part) > 10
    assert bend("heavy", WEAK) - bend("heavy", STRONG) > 0  # the weak fingers alone are curled in ...
    assert bend("pop", STRONG) - bend("pop", WEAK) > 5  # ... or stretched


def test_performers_differ_in_height_and_in_lift():
    heights = {name: joints(name)[:, 2].mean() * 1e3 for name in ("flat", "highwrist")}
    peaks = {name: (lifts(name, THUMB), lifts(name, STRONG + WEAK)) for name in ("hammer", "economical", "dancing")}
    print("wrist, mm:", heights, "peaks of thumb and fingers, mm:", peaks)
    assert heights["highwrist"] - heights["flat"] > 30
    assert peaks["hammer"][1] - peaks["economical"][1] > 5 and peaks["dancing"][0] - peaks["economical"][0] > 3


def test_performers_differ_in_the_speed_of_their_strikes():
    falls = {name: np.diff(played(name).keys[:, :2]).mean() for name in ("hammer", "classical", "lyrical")}
    print("s from the top of a key to its bottom:", falls)
    assert falls["hammer"] < 0.8 * falls["classical"] and falls["lyrical"] > 1.15 * falls["classical"]


def test_a_bouncing_wrist_dips_with_each_tone_and_more_when_loud():
    score = line([60, 64, 67, 64, 60, 64, 67, 64], 2)

    def dip(performer: Performer, velocity: int) -> float:
        """How much lower the wrist is just after tones than midway between them, mm."""
        loud = Score(score.notes.copy())
        loud.notes["velocity"] = velocity
        motion, _ = perform(loud, performer=performer)
        height = np.interp([score.notes["onset"] + 0.05, score.notes["onset"] + 0.3], *_height(motion))
        return float((height[1] - height[0])[:-1].mean() * 1e3)

    found = {
        name: (dip(Performer.of(PERFORMERS[name]), 50), dip(Performer.of(PERFORMERS[name]), 100))
        for name in ("classical", "armweight")
    }
    print("wrist's dip at velocity 50 and 100, mm:", found)
    assert found["armweight"][0] > found["classical"][0] + 2
    assert found["armweight"][1] > found["armweight"][0] + 2


def _height(motion: HandMotion) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(motion.right_position)) / motion.fps, motion.right_position[:, 2]


def test_a_swaying_wrist_goes_to_the_sides_while_the_keys_are_played():
    score = line([60, 62, 64, 65, 67, 65, 64, 62] * 3, 4)
    ways, still = {}, Performer()
    for name, performer in (("still", still), ("swaying", replace(still, sway=0.012))):
        motion, _ = perform(score, performer=performer)
        ways[name] = motion.right_position[:, 0]
        times, pads = sampled(motion)
        assert metrics.accuracy(metrics.presses_by_hands(times, pads), motion.notes).f1 == 1.0
    apart = (ways["swaying"] - ways["still"])[60:-60].std() * 1e3
    print(f"the wrist sways by {apart:.1f} mm")
    assert apart > 4
