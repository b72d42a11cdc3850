# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judges must see what is wrong: wrong keys, missed notes, bent fingers, late strokes."""

import numpy as np
import pytest

from s2c_blender.core import hand, keyboard, metrics
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.pianist import perform

TIMES = np.arange(0, 2, 1 / 120)


def pads_pressing(pitch: int, start: float, stop: float, depth: float = 1.0) -> np.ndarray:
    """Pads [T, 2, 5, 3]: one over a key, down by a share of its dip from start to stop (s), nine far away."""
    pads = np.full((len(TIMES), 2, 5, 3), 0.5)
    y = 0.065 if keyboard.is_black(pitch) else 0.03
    down = (TIMES >= start) & (TIMES < stop)
    z = keyboard.key_top(pitch) + np.where(down, -keyboard.drop_at(y, keyboard.DIP_ANGLE) * depth, 0.005)
    pads[:, 1, 2] = np.stack([np.full_like(z, keyboard.key_x(pitch)), np.full_like(z, y), z], 1)
    return pads


@pytest.mark.parametrize("pitch", [21, 60, 61, 66, 70, 108])
def test_a_press_is_found_on_its_key(pitch):
    found = metrics.presses_by_hands(TIMES, pads_pressing(pitch, 0.5, 1.0))
    assert found.shape == (1, 3) and found[0] == pytest.approx([0.5, 1.0, pitch], abs=0.01)


def test_less_than_half_dip_is_no_press():
    assert len(metrics.presses_by_hands(TIMES, pads_pressing(60, 0.5, 1.0, 0.45))) == 0
    assert len(metrics.presses_by_hands(TIMES, pads_pressing(60, 0.5, 1.0, 0.55))) == 1


def test_keys_turned_past_half_dip_are_pressed():
    angles = np.zeros((len(TIMES), 88))
    angles[30:60, 60 - 21] = keyboard.DIP_ANGLE
    angles[30:60, 62 - 21] = keyboard.DIP_ANGLE * 0.4
    assert metrics.presses_of_keys(TIMES, angles)[:, 2].tolist() == [60]


def test_accuracy_counts_late_wrong_and_missing():
    notes = make_notes([0.0, 1.0, 2.0, 3.0], [0.5, 1.5, 2.5, 3.5], [60, 62, 64, 65], [70] * 4)
    presses = np.array([[0.02, 0.5, 60], [1.08, 1.5, 62], [2.0, 2.5, 63], [3.01, 3.5, 65]])
    result = metrics.accuracy(presses, notes)
    assert result.precision == result.recall == result.f1 == 0.5
    assert result.wrong[:, 2].tolist() == [62, 63] and result.missed["pitch"].tolist() == [62, 64]


def test_one_press_does_not_play_two_notes():
    notes = make_notes([1.0, 1.04], [1.02, 1.5], [60, 60], [70, 70])
    assert metrics.accuracy(np.array([[1.01, 1.5, 60]]), notes).recall == 0.5


def test_contact_error_is_the_distance_to_the_pressed_key():
    notes = make_notes([0.5], [1.0], [60], [70], 1, 2)
    keys = np.array([[0.45, 0.5, 0.95, 1.0]])
    pads = pads_pressing(60, 0.4, 1.1)
    assert metrics.contact_errors(TIMES, pads, notes, keys).max() < 1e-9
    pads[..., 2] += 0.004
    assert metrics.contact_errors(TIMES, pads, notes, keys) == pytest.approx(0.004)


def test_bent_back_fingers_and_crossed_fingers_are_seen():
    angles = np.zeros((1, 20))
    angles[0, 4 + 2] = np.radians(-25)
    rotation = hand.rotations_from_hinges(angles)
    assert np.degrees(metrics.limit_excess(rotation, left=False)).max() == pytest.approx(25, abs=1e-6)
    mirrored = hand.mirror(np.zeros((1, 3)), rotation)[1]
    assert np.degrees(metrics.limit_excess(mirrored, left=True)).max() == pytest.approx(25, abs=1e-6)
    crossed = np.zeros((1, 20))
    crossed[0, [4, 8]] = np.radians([-14, 14])
    assert metrics.finger_depths(np.zeros((1, 3)), hand.rotations_from_hinges(crossed), False)[0] > 0.003
    assert metrics.finger_depths(np.zeros((1, 3)), hand.rotations_from_hinges(np.zeros((1, 20))), False)[0] == 0


def test_what_a_motion_plays_is_read_from_its_pads_block_by_block(monkeypatch):
    notes = make_notes([0.4, 0.9, 1.4], [0.8, 1.3, 1.8], [60, 64, 67], 80)
    motion, _ = perform(Score(notes), fps=60.0)
    whole = metrics.played(motion, notes)
    assert whole.f1 == 1.0 and len(whole.offsets) == 3
    monkeypatch.setattr(metrics, "_BLOCK", 7)
    np.testing.assert_allclose(metrics.played(motion, notes).offsets, whole.offsets)
    wanted = np.concatenate([notes, make_notes([2.0], [2.2], [72], 80)])
    assert metrics.played(motion, wanted).recall == 0.75
