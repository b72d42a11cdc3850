# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of motions whose answers are known."""

import numpy as np
import pytest

from s2c_blender.core import keyboard
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.pianist import perform
from tests.training.two_hands import play, truth_of
from training import pipeline_metrics, raw_metrics
from training.clips import Motion


@pytest.fixture(scope="module")
def played():
    """10 s of both hands at 30 fps, and the score."""
    return play()


@pytest.fixture(scope="module")
def truth(played):
    """Its first 240 frames."""
    return truth_of(played[0])[:240]


def value(figures, name):
    total, count = figures[name]
    return total / count


def shifted(motion: Motion, position=(0.0, 0.0, 0.0), pose=0.0) -> Motion:
    return Motion(motion.positions + np.array(position), motion.poses + pose)


def test_a_perfect_copy_has_no_distance_and_plays_every_key(truth, played):
    figures = raw_metrics.published_figures(truth, truth) | raw_metrics.motion_figures(truth, truth)
    for name, (total, count) in figures.items():
        expected = 1.0 if "ratio" in name else 0.0
        assert total / count == pytest.approx(expected, abs=1e-5), name
    onsets = raw_metrics.onset_figures(truth, truth, played[1].cut(0, 7.9).notes)
    assert value(onsets, "onset_near") == value(onsets, "onset_near_finger") == 1.0
    assert value(onsets, "onset_distance_mm") < 1.0


def test_a_shift_of_10_mm_is_10_mm(truth):
    moved = shifted(truth, (0.006, 0.0, 0.008))
    figures = raw_metrics.published_figures(moved, truth) | raw_metrics.motion_figures(moved, truth)
    for hand in ("left", "right"):
        assert value(figures, f"pd_{hand}_mm") == pytest.approx(10)
        assert value(figures, f"offset_{hand}_mm") == pytest.approx(10)
        assert value(figures, f"pd_xy_mm_{hand}") == pytest.approx(6)
    assert value(figures, "acceleration_ratio_wrists") == pytest.approx(1)


def test_shifted_poses_have_the_square_as_fgd(truth):
    figures = raw_metrics.published_figures(shifted(truth, pose=0.1), truth)
    assert value(figures, "fgd") == pytest.approx(48 * 0.01, rel=1e-3)
    assert value(figures, "smoothness") == pytest.approx(0, abs=1e-4)


def test_ratios_tell_how_lively_a_motion_is(truth):
    still = np.broadcast_to(truth.poses.mean(axis=1, keepdims=True), truth.poses.shape)
    doubled = Motion(2 * truth.positions, still)
    figures = raw_metrics.motion_figures(doubled, truth)
    for name in ("velocity", "acceleration"):
        assert value(figures, f"{name}_ratio_wrists") == pytest.approx(2)
        assert value(figures, f"{name}_ratio_poses") == pytest.approx(0, abs=1e-9)
    assert value(figures, "spread_ratio_poses") == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("pitch", [60, 61])
def test_distance_from_a_key(pitch):
    black = bool(keyboard.is_black(pitch))
    front, top = (keyboard.BLACK_FRONT if black else 0.0), float(keyboard.key_top(pitch))
    half = (keyboard.BLACK_WIDTH if black else keyboard.WHITE_PITCH - keyboard.WHITE_GAP) / 2
    on = np.array([keyboard.key_x(pitch), front + 0.02, top])
    points = on + np.array([[0, 0, 0], [0, 0, -0.004], [0, 0, 0.01], [half + 0.03, 0, 0.04], [0, -0.023, 0.004]])
    expected = [0, 0, 0.01, 0.05, 0.005]
    assert raw_metrics.key_distance(points, np.full(5, pitch)) == pytest.approx(expected, abs=1e-9)


def test_onsets_look_at_the_hand_that_plays(truth, played):
    notes = played[1].cut(0, 7.9).notes
    raised = shifted(truth, (0, 0, 0.05))
    assert value(raw_metrics.onset_figures(raised, truth, notes), "onset_near") < 0.1
    crossed = notes.copy()
    crossed["hand"] = 1 - crossed["hand"]
    assert value(raw_metrics.onset_figures(truth, truth, crossed), "onset_near") < 0.1
    unknown = notes.copy()
    unknown["hand"] = UNKNOWN
    assert value(raw_metrics.onset_figures(truth, truth, unknown), "onset_near") == 1.0


def test_diversity_of_equal_and_of_turned_poses(truth):
    assert value(raw_metrics.diversity(truth, [truth, truth]), "diversity_deg") == 0
    other = shifted(truth, (0.003, 0, 0.004), np.radians(2.0))
    found = raw_metrics.diversity(truth, [truth, other])
    assert value(found, "diversity_deg") == pytest.approx(1) and value(found, "diversity_wrists_mm") == pytest.approx(
        2.5
    )
    assert raw_metrics.diversity(truth, []) == {}


def test_wrists_set_out_before_the_tone():
    position = np.zeros((91, 3))
    position[50:61, 0] = np.linspace(0, 0.1, 11)  # on its way from frame 50, at 10 % from frame 51
    position[60:, 0] = 0.1
    leads = pipeline_metrics.wrist_leads(position, np.array([1.0, 1.02, 2.0, 2.5, 9.0]))
    assert leads == pytest.approx([8 / 30])  # more than a tenth at frame 52; it stays for the tone at 2.5 s


def test_finished_motion_is_read_from_the_pads(played):
    motion, score = played
    figures = pipeline_metrics.played_figures(motion, score)
    assert value(figures, "key_f1") == value(figures, "key_recall") == 1 and value(figures, "wrong_per_minute") == 0
    assert value(figures, "limit_excess_deg") < 0.01 and value(figures, "finger_lead_ms") > 50
    fewer = pipeline_metrics.played_figures(motion, Score(score.notes[5:]))
    assert value(fewer, "key_recall") == 1 and value(fewer, "key_precision") == pytest.approx(40 / 45)
    assert value(fewer, "wrong_per_minute") == pytest.approx(5 / motion.duration * 60)


def test_finished_motion_at_30_fps(played):
    finer, _ = perform(Score(played[1].notes[:8]), fps=60.0)
    coarse = pipeline_metrics.at_30(finer, 40)
    assert np.allclose(coarse.positions[RIGHT], finer.right_position[:80:2])
    assert np.allclose(coarse.poses[LEFT], finer.left_rotation[:80:2].reshape(-1, 48), atol=1e-6)
    same = pipeline_metrics.fgd_of_clip(coarse, coarse)
    assert value(same, "fgd_clip") == pytest.approx(0, abs=1e-7)


def test_jerk_is_the_third_derivative(truth):
    time = np.arange(240)[:, None] / 30
    position = np.stack([time**3 * [1.0, 0, 0]] * 2)
    figures = pipeline_metrics.movement_figures(Motion(position, np.zeros((2, 240, 48))), make_notes([], [], [], []))
    assert value(figures, "jerk_wrists") == pytest.approx(6, rel=1e-6)
    assert value(figures, "jerk_fingertips") == pytest.approx(6, rel=1e-6)
    assert "wrist_lead_ms" not in figures
