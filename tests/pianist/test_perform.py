# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hands play and how: the figures of issue and design, on real music and on music that nobody can play."""

from dataclasses import replace

import numpy as np
import pytest

from s2c_blender.audio.midi import read_midi
from s2c_blender.core import hand, metrics
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.pianist import Performer, Report, fingered, kinematics, perform, strokes
from tests.pianist.music import chords, line, sampled, shared_score

PIECES = ("slow_chopin_nocturne_op27_no2", "fast_chopin_etude_op10_no8", "ragtime_pineapple_rag", "pop_pop909_761")


def figures(score: Score, name: str) -> dict[str, float]:
    """Measured figures of a performance, printed; recall counts every note asked for."""
    motion, report = perform(score)
    times, pads = sampled(motion)
    found = metrics.summary(times, pads, None, motion)
    asked = metrics.accuracy(metrics.presses_by_hands(times, pads), score.notes)
    found["f1_asked"] = asked.f1
    print(f"{name}: played {report.notes_played}/{report.notes_found}", {k: round(v, 3) for k, v in found.items()})
    return found


def assert_good(found: dict[str, float], wrong_per_minute: float = 1.0) -> None:
    assert found["f1_asked"] >= 0.98
    assert found["wrong_per_minute"] <= wrong_per_minute
    assert found["contact_mean_mm"] <= 2.0 and found["contact_p95_mm"] <= 5.0
    assert found["limit_excess_deg"] <= 0.01
    assert found["finger_depth_mm"] <= 1.0
    assert found["fingertip_speed_max"] <= 5.0  # m/s: nothing jumps


def test_bundled_piece(repo):
    assert_good(figures(read_midi(repo / "demo" / "fur_elise.mid"), "Für Elise"))


@pytest.mark.parametrize("name", PIECES)
def test_recorded_pieces(shared_dir, name):
    assert_good(figures(shared_score(shared_dir, name, 12.0), name))


def test_same_seed_same_motion_other_seed_other_motion():
    score = line([60, 62, 64, 65, 67, 65, 64, 62], 5)
    first, again, other = (perform(score, seed=s)[0] for s in (3, 3, 4))
    assert (first.right_rotation == again.right_rotation).all() and (first.right_position == again.right_position).all()
    assert np.abs(first.right_rotation - other.right_rotation).max() > 0.01


def test_creativity_scales_how_far_seeds_differ():
    score = line([60, 62, 64, 65, 67, 65, 64, 62], 5)

    def take(seed: int, creativity: float) -> np.ndarray:
        return perform(score, seed=seed, creativity=creativity)[0].right_rotation

    apart = [np.abs(take(3, c) - take(4, c)).mean() for c in (0.0, 0.3, 1.0)]
    assert apart[0] == 0.0
    assert 0.0 < apart[1] < apart[2]


def test_windows_join_without_a_jerk():
    score = line([60 + [0, 2, 4, 5, 7, 5, 4, 2][i % 8] for i in range(120)], 4)  # 30 s: three windows
    motion, _ = perform(score)
    jerk = np.abs(np.diff(motion.right_position, 3, axis=0)).max(1)
    seams = [round(12.0 * k * motion.fps) for k in (1, 2)]
    at_seams = np.zeros(len(jerk), bool)
    for seam in seams:
        at_seams[seam - 6 : seam + 6] = True
    elsewhere = jerk[~at_seams][120:-120]
    print(f"largest jerk at seams {jerk[at_seams].max():.1e}, elsewhere {elsewhere.max():.1e} m/frame^3")
    assert jerk[at_seams].max() <= 1.1 * elsewhere.max()


def test_windows_are_handed_over_as_they_will_stay():
    score = line([60 + i % 12 for i in range(100)], 4)
    score = Score(score.notes, np.array([[2.0, 14.0], [20.0, 21.0]]))
    parts = []
    whole, _ = perform(score, on_motion=lambda part, first: parts.append((part, first)))
    assert [first for _, first in parts] == [0.0, 12.0, 24.0]
    for part, first in parts:
        frames = slice(round(first * 60), round(first * 60) + len(part.left_position))
        assert len(part.left_position) == min(12 * 60, len(whole.left_position) - frames.start)
        assert np.array_equal(part.right_position, whole.right_position[frames])
        assert np.array_equal(part.left_rotation, whole.left_rotation[frames])
        sounding = (whole.keys[:, 3] > first) & (whole.keys[:, 0] <= first + part.duration)
        assert np.allclose(part.keys + first, whole.keys[sounding], atol=1e-9) and sounding.any()
        assert np.allclose(part.notes["onset"] + first, whole.notes["onset"][sounding], atol=1e-9)
    assert [np.round(part.pedal, 3).tolist() for part, _ in parts] == [[[2.0, 11.983]], [[0.0, 2.0], [8.0, 9.0]], []]


def test_silence_is_a_resting_hand():
    notes = make_notes([0.5, 9.0], [0.8, 9.4], [72, 74], [70, 70], RIGHT)
    motion, _ = perform(Score(notes))
    resting = slice(round(3 * motion.fps), round(7 * motion.fps))
    for side in (0, 1):
        speed = np.linalg.norm(np.diff(motion.hand(side)[0][resting], axis=0), axis=1) * motion.fps
        assert speed.max() < 0.05
    times, pads = sampled(motion)
    assert len(metrics.presses_by_hands(times, pads)) == 2


def test_an_empty_score_gives_a_second_of_rest():
    motion, report = perform(Score(make_notes([], [], [], [])))
    assert report.notes_played == 0 and np.isfinite(motion.right_rotation).all() and motion.duration >= 0.9


@pytest.mark.parametrize("fps", [30.0, 48.0])
def test_other_rates(fps):
    motion, _ = perform(line([60, 62, 64, 65, 67, 69, 71, 72], 5), fps=fps)
    times, pads = sampled(motion)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), motion.notes).f1 == 1.0


def test_unplayable_music_is_thinned_and_reported():
    cluster = list(range(48, 60))
    score = chords([cluster, [36, 60, 84], [40, 88], [21, 22, 23, 24, 25, 26, 27]], 0.8, 0.6, side=RIGHT)
    motion, report = perform(score)
    assert report.notes_played + len(report.dropped) == report.notes_found == len(score.notes)
    reasons = {drop["reason"] for drop in report.dropped}
    assert {"more than five keys in a hand", "span over a twelfth in one hand"} <= reasons
    assert np.degrees(metrics.limit_excess(motion.right_rotation, False)).max() < 0.01  # the hand is never torn


def test_jumps_faster_than_a_hand_are_left_out():
    motion, report = perform(line([30, 100] * 8, 12))
    assert any("faster" in drop["reason"] or "reach" in drop["reason"] for drop in report.dropped)
    times, pads = sampled(motion)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), motion.notes).precision > 0.9
    speed = np.linalg.norm(np.diff(motion.right_position, axis=0), axis=1) * motion.fps
    assert speed.max() < 5.0


def test_notes_off_the_keyboard_and_doubled_notes_are_reported():
    notes = make_notes([1, 1, 1.01], [1.5, 1.5, 1.5], [20, 60, 60], [70] * 3)
    _, report = perform(Score(notes))
    assert report.notes_played == 1 and len(report.dropped) == 2


def test_repeated_key_comes_up_between_strokes():
    motion, _ = perform(line([67] * 24, 8))
    times, pads = sampled(motion)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), motion.notes).f1 == 1.0
    assert (motion.keys[1:, 0] >= motion.keys[:-1, 3]).all()


def test_hands_in_the_same_place_keep_apart():
    low = line([57, 59, 60, 62] * 4, 3, side=LEFT)
    high = line([67, 65, 64, 65] * 4, 3, side=RIGHT, start=1.17)
    notes = np.sort(np.concatenate([low.notes, high.notes]), order=["onset", "pitch"])
    motion, _ = perform(Score(notes))
    points = []
    for side in (0, 1):
        heads, pads, _ = hand.forward_kinematics(*motion.hand(side), left=side == 0)
        points.append(np.concatenate([heads[:, [1, 4, 7, 10]], pads], 1))
    nearest = np.linalg.norm(points[0][:, :, None] - points[1][:, None], axis=-1).min((1, 2))
    print(f"hands at least {nearest.min() * 1e3:.1f} mm apart")
    assert nearest.min() > 0.008


def test_prior_shapes_the_posture_and_the_keys_are_still_played():
    score = line([60, 62, 64, 65, 67, 65, 64, 62] * 2, 4)
    flat = Performer(wrist_height=0.085, fingers=np.radians([[0, 35, 20], [0, 38, 20], [0, 36, 20], [0, 30, 15]]))
    model, _ = perform(score, performer=flat)
    plain, _ = perform(score)
    led, _ = perform(score, prior=model)
    span = slice(60, -60)

    def height(motion):
        return motion.right_position[span, 2].mean()

    assert abs(height(led) - height(model)) < 0.5 * abs(height(plain) - height(model))
    times, pads = sampled(led)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), led.notes).f1 == 1.0


def test_a_prior_keeps_its_bounce():
    score = line([60, 64, 67, 64] * 3, 3)
    bouncing, _ = perform(score, performer=Performer(bounce=0.012))
    led, _ = perform(score, prior=bouncing)

    def bounce(motion):
        return np.diff(motion.right_position[60:-60, 2]).std()

    assert bounce(led) > 0.6 * bounce(bouncing)


def test_progress_rises_to_one_and_can_stop_the_work():
    told = []
    perform(line([60, 62, 64, 62] * 7, 1), on_progress=told.append)  # 29 s: three windows
    assert len(told) == 3 and told == sorted(set(told)) and told[-1] == 1.0

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(line([60, 62, 64], 2), on_progress=stop)


def test_hands_rest_in_a_relaxed_posture_before_and_after_the_music():
    motion, _ = perform(line([60, 62, 64], 3, start=2.0))
    relaxed = Performer().posture(np.zeros(1), np.zeros(1))[0, 6:]
    for side in (0, 1):
        position, rotation = motion.hand(side)
        if side == 0:
            position, rotation = hand.mirror(position, rotation)
        q, _ = kinematics.from_motion(position, rotation)
        for ends in (q[:30], q[-15:]):
            assert np.degrees(np.abs(ends[:, 6:] - relaxed)).max() < 30


def test_nearly_simultaneous_notes_of_both_hands_are_grouped_per_hand():
    """A left-hand note a moment earlier must not tear the right hand's chord into groups of six (it once did)."""
    onset = [1.0, 1.02, 1.02, 1.02, 1.035, 1.04, 1.045]
    notes = make_notes(onset, np.array(onset) + 0.4, [40, 60, 62, 64, 65, 67, 69], [70] * 7, [LEFT] + [RIGHT] * 6)
    _, report = perform(Score(notes))
    assert report.notes_played == 6 and report.dropped[0]["reason"] == "more than five keys in a hand"


def test_dense_random_music_never_breaks():
    rng = np.random.default_rng(5)
    onset = np.sort(rng.uniform(0, 3, 90))
    notes = make_notes(onset, onset + rng.uniform(0.01, 1.5, 90), rng.integers(21, 109, 90), rng.integers(1, 128, 90))
    motion, report = perform(Score(notes))
    assert report.notes_played + len(report.dropped) == 90
    assert (np.diff(motion.keys, axis=1) >= 0).all()
    assert np.isfinite(motion.left_rotation).all() and np.isfinite(motion.right_rotation).all()


def test_two_voices_on_one_key_are_one_stroke_as_long_and_loud_as_both():
    notes = make_notes([1.0, 1.01], [1.1, 3.0], [60, 60], [40, 90], RIGHT)
    motion, report = perform(Score(notes))
    assert report.notes_played == 1
    assert motion.notes["velocity"][0] == 90 and motion.notes["offset"][0] == 3.0


def test_given_hands_stay_even_when_the_other_could_help():
    score = chords([[48, 52, 72]], 1.0, 0.5, side=RIGHT)
    low = chords([[43]], 1.0, 0.5, side=LEFT)
    motion, _ = perform(Score(np.sort(np.concatenate([low.notes, score.notes]), order=["onset", "pitch"])))
    assert set(motion.notes["pitch"][motion.notes["hand"] == LEFT]) == {43}


def test_a_priors_fingers_are_taken():
    score = line([60, 64, 60, 64], 2)
    written = line([60, 64, 60, 64], 2)
    written.notes["finger"] = [2, 4, 2, 4]
    model, _ = perform(written, fps=30.0)
    led, _ = perform(score, prior=model)
    plain, _ = perform(score)
    assert led.notes["finger"].tolist() == [2, 4, 2, 4] != plain.notes["finger"].tolist()


def test_fingers_that_a_model_was_told_are_kept():
    """Whatever its motion would suggest; and what was left out on the way is reported once."""
    score = line([60, 64, 60, 64, 60, 64], 2)
    score.notes["pitch"][-1] = 110
    written = line([60, 64, 60, 64, 60], 2)
    written.notes["finger"] = [2, 4, 2, 4, 2]
    model, _ = perform(written, fps=30.0)
    told, report = fingered(score)
    led, played = perform(told, prior=model, report=report)
    assert led.notes["finger"].tolist() == told.notes["finger"].tolist() != [2, 4, 2, 4, 2]
    assert [drop["reason"] for drop in played.dropped] == ["outside the 88 keys"]
    assert (played.notes_found, played.notes_played) == (6, 5)


def test_a_prior_beside_its_keys_is_moved_over_them():
    score = line([60, 62, 64, 65, 67, 65, 64, 62], 3)
    plain, _ = perform(score)
    beside = replace(plain, right_position=plain.right_position + [0.03, 0, 0])
    led, _ = perform(Score(plain.notes), prior=beside, report=Report())
    off = np.abs(led.right_position[60:-60, 0] - plain.right_position[60:-60, 0])
    assert off.mean() < 0.012  # of 30 mm
    times, pads = sampled(led)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), led.notes).f1 == 1.0


def test_a_prior_keeps_small_ways_beside_its_keys():
    score = line([60, 62, 64, 65, 67, 65, 64, 62], 3)
    plain, _ = perform(score)
    aside = strokes.astray(plain.notes, 1.0, np.arange(300) / 60, *_posture(plain, 300, 0.004))
    assert np.abs(aside).max() < 0.003
    aside = strokes.astray(plain.notes, 1.0, np.arange(300) / 60, *_posture(plain, 300, 0.020))
    np.testing.assert_allclose(aside[90:-90], 0.014, atol=0.006)  # pads stand within some mm of the middle


def _posture(motion, frames: int, aside: float) -> tuple[np.ndarray, np.ndarray]:
    """A right hand's q and DIP offsets, moved along x."""
    q, offset = kinematics.from_motion(*motion.hand(RIGHT))
    q[:, 0] += aside
    return q[:frames], offset[:frames]


def test_a_hand_without_notes_waits_whatever_a_prior_does():
    score = line([60, 62, 64, 65] * 4, 2)
    model, _ = perform(score, fps=30.0)
    swing = 0.2 * np.sin(np.arange(len(model.left_position)) / 15)
    model = replace(model, left_position=model.left_position + np.stack([swing, 0 * swing, 0 * swing], 1))
    led, _ = perform(score, prior=model)
    assert np.ptp(led.left_position[:, 0]) < 0.01
    assert np.ptp(led.right_position[:, 0]) > 0.01


def test_when_a_hand_rests():
    notes = make_notes([1.0, 2.0, 9.0], [3.0, 2.2, 9.5], [60, 62, 64], 70, RIGHT)
    time = np.array([0.0, 1.0, 3.0, 4.4, 6.0, 7.6, 9.2, 10.9, 12.6])
    assert strokes.resting(notes, time).round(2).tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert (strokes.resting(notes[:0], time) == 1).all()


def test_a_priors_fingertips_neither_bend_back_nor_tremble():
    score = line([60, 62, 64, 65, 67, 65, 64, 62] * 2, 4)
    model, _ = perform(score, fps=30.0)
    q, offset = kinematics.from_motion(*model.hand(RIGHT))
    offset -= 0.5 + 0.2 * np.random.default_rng(0).standard_normal(offset.shape)  # rad
    _, rotation = kinematics.to_motion(q, offset)
    led, _ = perform(score, prior=replace(model, right_rotation=rotation))
    times, pads = sampled(led)
    assert metrics.summary(times, pads, None, led)["limit_excess_deg"] < 0.5
    tips = hand.hinges_from_rotations(led.right_rotation)[:, [7, 11, 15, 19]]
    bent = kinematics.from_motion(*led.hand(RIGHT))[1]
    assert np.abs(np.diff(bent, 2, axis=0)).mean() < 0.1 * np.abs(np.diff(offset, 2, axis=0)).mean()
    assert np.degrees(tips.min()) > -0.5


def test_pedal_ends_with_the_motion():
    motion, _ = perform(Score(line([60], 2).notes, np.array([[0.5, 30.0]])))
    assert motion.pedal[0, 1] <= motion.duration + 1e-9
