# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A span of a take anew: it joins what stays, the keys are still played, and poses set by hand are met."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.audio.midi import read_midi
from s2c_blender.core import curves, hand, metrics
from s2c_blender.core.edit import Pins, Span, around
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.errors import UserError
from s2c_blender.generate import Job, generate
from s2c_blender.pianist import Performer, perform, reperform
from s2c_blender.worker import Worker
from tests.pianist.music import line, sampled

SPAN = Span(8.0, 11.0)


@pytest.fixture(scope="module")
def take(repo) -> HandMotion:
    return perform(read_midi(repo / "demo" / "fur_elise.mid").cut(0.0, 14.0))[0]


def f1(motion: HandMotion, asked: HandMotion | None = None) -> float:
    times, pads = sampled(motion)
    return metrics.accuracy(metrics.presses_by_hands(times, pads), (asked or motion).notes).f1


def points(motion: HandMotion) -> np.ndarray:
    """Wrist and pads of both hands [N, 2, 6, 3]."""
    both = []
    for side in (LEFT, RIGHT):
        heads, pads, _ = hand.forward_kinematics(*motion.hand(side), left=side == LEFT)
        both.append(np.concatenate([heads[:, :1], pads], 1))
    return np.stack(both, 1)


def jerk(motion: HandMotion) -> np.ndarray:
    """Of wrists and pads [N - 3, 2, 6], m/s^3; entry i is of the frames i .. i + 3."""
    return np.linalg.norm(np.diff(points(motion), 3, axis=0), axis=-1) * motion.fps**3


def frames(motion: HandMotion, span: Span) -> slice:
    return slice(int(np.ceil(span.first * motion.fps)), int(np.floor(span.last * motion.fps)) + 1)


def assert_same_outside(old: HandMotion, new: HandMotion, span: Span) -> None:
    inside = frames(old, span)
    for side in (LEFT, RIGHT):
        for before, after in zip(old.hand(side), new.hand(side), strict=True):
            for part in (slice(0, inside.start), slice(inside.stop, None)):
                assert np.array_equal(before[part], after[part])


def assert_joins(old: HandMotion, new: HandMotion, span: Span) -> None:
    """Neither a step nor a peak of jerk where old and new frames meet, beyond what strokes there had before."""
    inside = frames(old, span)
    before, after = jerk(old), jerk(new)
    usual = np.percentile(before, 99, axis=0).max(0)  # of the busier hand: the other may rest
    where = [i for seam in (inside.start, inside.stop) for i in range(seam - 4, seam + 2)]
    where = [i for i in where if 0 <= i < len(after)]
    ratio = (after[where].max(0) / np.maximum(usual, before[where].max(0))).max()
    print(f"jerk at the seams {ratio:.2f} of its usual peaks")
    assert ratio < 1.3


@pytest.mark.parametrize("span", [SPAN, Span(0.0, 3.3), Span(5.03, 6.41), Span(10.2, 99.0)])
def test_a_span_anew_joins_the_rest(take, span):
    for seed in (1, 2):
        new, report = reperform(take, span, seed=seed)
        assert_same_outside(take, new, span)
        assert_joins(take, new, span)
        assert f1(new, take) >= f1(take) - 0.01
        assert report.notes_played == len(new.notes) == len(take.notes)


def test_another_seed_gives_another_motion_and_the_same_seed_the_same(take):
    first, again, other = (reperform(take, SPAN, seed=seed)[0] for seed in (1, 1, 2))
    inside = frames(take, SPAN)
    assert np.array_equal(first.right_rotation, again.right_rotation)
    apart = np.abs(points(first) - points(other))[inside].max((1, 2, 3))
    assert apart.max() > 0.004
    assert np.abs(points(first) - points(take))[inside].max() > 0.004


def test_notes_over_a_seam_keep_their_fingers(take):
    held = [n for n, key in enumerate(take.keys) if key[0] < SPAN.first < key[3] or key[0] < SPAN.last < key[3]]
    assert held
    new, _ = reperform(take, SPAN, seed=3)
    assert (new.notes["finger"][held] == take.notes["finger"][held]).all()
    assert (new.keys[held] == take.keys[held]).all()


def test_fingers_stay_where_they_are_told(take):
    aside = [0.025, 0.0, 0.0]  # hands that are imagined a key further right are better off with other fingers
    prior = replace(take, left_position=take.left_position + aside, right_position=take.right_position + aside)
    free, kept = (reperform(take, SPAN, prior=prior, seed=5, refinger=refinger)[0] for refinger in (True, False))
    assert (free.notes["finger"] != take.notes["finger"]).any()
    assert (kept.notes == take.notes).all()
    assert np.abs(points(kept) - points(take))[frames(take, SPAN)].max() > 0.004


def test_a_long_span_is_solved_in_windows():
    motion, _ = perform(line([60 + [0, 2, 4, 5, 7, 5, 4, 2][i % 8] for i in range(90)], 4))
    told = []
    new, _ = reperform(motion, Span(2.0, 22.0), seed=4, on_progress=told.append)
    assert len(told) == 2 and told[-1] == 1.0
    assert_same_outside(motion, new, Span(2.0, 22.0))
    assert_joins(motion, new, Span(2.0, 22.0))
    assert f1(new) == 1.0


def test_a_prior_shapes_the_span_and_fades_at_its_ends():
    score = line([60, 62, 64, 65, 67, 65, 64, 62] * 4, 4)
    flat, _ = perform(score, performer=Performer(wrist_height=0.085))
    plain, _ = perform(score)
    span = Span(3.0, 6.0)
    later = replace(flat, **{name: getattr(flat, name)[60:] for name in ("right_position", "right_rotation")})
    later = replace(later, left_position=flat.left_position[60:], left_rotation=flat.left_rotation[60:])
    for prior, start in ((flat, 0.0), (later, 1.0)):
        led, _ = reperform(plain, span, prior=prior, prior_start=start)
        middle = slice(240, 300)
        height = [m.right_position[middle, 2].mean() for m in (plain, led, flat)]
        assert abs(height[1] - height[2]) < 0.5 * abs(height[0] - height[2])
        assert_joins(plain, led, span)
        assert f1(led) == 1.0


def test_four_seconds_of_ten_minutes_are_a_matter_of_seconds(take):
    copies = 40
    steps = np.repeat(np.arange(copies) * len(take.left_position) / take.fps, len(take.notes))
    notes = np.concatenate([take.notes] * copies)
    for name in ("onset", "offset"):
        notes[name] += steps
    hands = [np.concatenate([part] * copies) for side in (LEFT, RIGHT) for part in take.hand(side)]
    keys = np.concatenate([take.keys] * copies) + steps[:, None]
    long = HandMotion(take.fps, *hands, notes, keys, take.pedal)
    assert long.duration > 590
    begun = time.process_time()  # not the clock on the wall: test machines are busy
    reperform(long, Span(302.0, 306.0), seed=1)
    used = time.process_time() - begun
    print(f"4 s of {long.duration:.0f} s anew in {used:.2f} s of processor time")
    assert used < 8.0


def test_spans_that_are_no_spans_are_refused(take):
    for span in (Span(5.0, 5.1), Span(7.0, 6.0), Span(50.0, 60.0), Span(-3.0, -1.0)):
        with pytest.raises(UserError, match=r"shorter than 0\.2 s, or outside"):
            reperform(take, span)


# --- poses set by hand ---


def seen(motion: HandMotion, side: int, at: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wrist [3], rotations [16, 3] and pads [5, 3] at a moment, as Blender keys them."""
    position, rotation = motion.hand(side)
    place = curves.sample(position, motion.fps, np.array([at]))
    turned = curves.rotvec(curves.sample_rotations(rotation, motion.fps, np.array([at])))
    return place[0], turned[0], hand.forward_kinematics(place, turned, left=side == LEFT)[1][0]


def pin(motion: HandMotion, at: float, side: int, *, move=None, turn=None, finger=None, bend=0.0, lift=None) -> Pins:
    """One pin: the wrist moved and turned from where it is, a finger's joints bent, or a finger's pad moved."""
    pins = Pins.free([at], side)
    place, turned, pads = seen(motion, side, at)
    if move is not None:
        pins.position[0] = place = place + move
        pins.rotation[0, 0] = turned[0] = turned[0] + (0.0 if turn is None else turn)
    if finger is not None and lift is not None:
        pins.pad[0, finger] = pads[finger] + lift
    elif finger is not None:
        joints = hand.FINGER_JOINTS[finger]
        turned[joints] += bend
        pins.rotation[0, joints] = turned[joints]
        pads = hand.forward_kinematics(place[None], turned[None], left=side == LEFT)[1]
        pins.pad[0, finger] = pads[0, finger]
    return pins


def together(*pins: Pins) -> Pins:
    names = ("time", "side", "position", "rotation", "pad")
    return Pins(*(np.concatenate([getattr(p, name) for p in pins]) for name in names))


def assert_met(motion: HandMotion, pins: Pins) -> None:
    for n in range(len(pins)):
        place, turned, pads = seen(motion, pins.side[n], pins.time[n])
        wrist = np.linalg.norm(place - pins.position[n])
        tips = np.linalg.norm(pads - pins.pad[n], axis=1)
        both = curves.quaternions(np.stack([turned, np.nan_to_num(pins.rotation[n])]))
        angle = np.linalg.norm(curves.rotvec(curves.multiply(curves.conjugate(both[0]), both[1])), axis=-1)
        angle = angle[np.isfinite(pins.rotation[n]).all(1)]
        print(
            f"wrist {np.nan_to_num(wrist) * 1e3:.3f} mm, pads {np.nan_to_num(tips).max() * 1e3:.3f} mm, "
            f"turns {np.degrees(angle.max(initial=0.0)):.3f} degrees off"
        )
        assert not wrist >= 4e-4
        assert not (tips >= 4e-4).any()
        assert np.degrees(angle.max(initial=0.0)) < 0.2


PINS = {
    "wrist": {"side": RIGHT, "move": [0.0, 0.005, 0.010]},
    "wrist turned": {"side": LEFT, "move": [-0.01, 0.0, 0.015], "turn": [0.05, 0.1, -0.05]},
    "finger": {"side": RIGHT, "finger": 3, "bend": [0.2, -0.1, 0.05]},
    "no hinge": {"side": LEFT, "finger": 1, "bend": [0.3, 0.3, -0.2]},
    "pad": {"side": RIGHT, "finger": 2, "lift": [0.003, 0.01, 0.02]},
    "between frames": {"side": RIGHT, "move": [0.0, 0.0, 0.012], "finger": 3, "bend": [0.1, 0.0, 0.0]},
}


@pytest.mark.parametrize("kind", PINS)
@pytest.mark.parametrize("keep", [True, False])
def test_poses_set_by_hand_are_met(take, kind, keep):
    at = 9.37 + (0.0073 if kind == "between frames" else 0.0)
    pins = pin(take, at, **PINS[kind])
    new, report = reperform(take, Span(8.4, 10.6), pins=pins, seed=5, keep=keep)
    assert_met(new, pins)
    assert_same_outside(take, new, Span(8.4, 10.6))
    assert_joins(take, new, Span(8.4, 10.6))
    if keep:
        other = 1 - pins.side[0]
        assert np.array_equal(new.hand(other)[1], take.hand(other)[1])
    # What is played is played well, and what is not is told.
    assert f1(new) >= f1(take) - 0.01
    assert len(report.dropped) == len(take.notes) - len(new.notes)


def test_a_small_change_costs_no_note(take):
    for side, at in ((RIGHT, 9.1), (LEFT, 9.9), (RIGHT, 10.3)):
        pins = pin(take, at, side, move=[0.0, 0.0, 0.006])
        new, report = reperform(take, Span(at - 0.8, at + 0.8), pins=pins, keep=True)
        assert not report.dropped and not report.warnings
        assert f1(new) >= f1(take)
        assert_met(new, pins)


def test_a_pose_that_presses_a_key_is_told(take):
    pins = pin(take, 9.37, LEFT, finger=1, bend=[-0.3, 0.3, -0.2])
    assert pins.pad[0, 1, 2] < -0.005
    _, report = reperform(take, Span(8.4, 10.6), pins=pins)
    assert any("set by hand at 9.37 s presses key" in warning["sentence"] for warning in report.warnings)
    assert any(abs(warning["onset"] - 9.37) < 0.001 for warning in report.warnings)


def test_several_poses_of_both_hands(take):
    pins = together(
        pin(take, 8.9, RIGHT, move=[0.0, -0.01, 0.02], finger=2, bend=[-0.3, 0.1, 0.0]),
        pin(take, 9.62, RIGHT, finger=1, bend=[-0.4, 0.0, 0.0]),
        pin(take, 9.66, RIGHT, finger=1, bend=[-0.4, 0.0, 0.0]),
        pin(take, 10.1, LEFT, move=[0.01, 0.0, 0.01]),
    )
    new, _ = reperform(take, SPAN, pins=pins, seed=2)
    assert_met(new, pins)
    assert f1(new) >= f1(take) - 0.01


def test_a_note_that_a_pose_makes_impossible_gives_way_and_is_named(take):
    keys = np.flatnonzero((take.keys[:, 1] > 8.8) & (take.keys[:, 2] < 10.5))
    n = int(keys[np.diff(take.keys[keys, 1:3])[:, 0].argmax()])  # one that is held
    note, (_, bottom, lift_off, _) = take.notes[n], take.keys[n]
    told = f"Key {note['pitch']}, struck at {note['onset']:.2f} s"
    late = pin(take, (bottom + lift_off) / 2 + 0.05, int(note["hand"]), move=[0.0, 0.0, 0.05])
    new, report = reperform(take, Span(8.0, 11.5), pins=late, keep=True)
    assert any(warning["sentence"].startswith(told) and "let go" in warning["sentence"] for warning in report.warnings)
    assert new.keys[n, 2] < take.keys[n, 2] and new.notes["offset"][n] < late.time[0]
    assert_met(new, late)
    at_stroke = pin(take, float(bottom) + 0.02, int(note["hand"]), move=[0.0, 0.0, 0.05])
    new, report = reperform(take, Span(8.0, 11.5), pins=at_stroke, keep=True)
    lost = [drop for drop in report.dropped if drop["pitch"] == note["pitch"]]
    assert lost and "set by hand" in lost[0]["reason"]
    assert lost[0]["onset"] == pytest.approx(note["onset"], abs=1e-3)
    assert_met(new, at_stroke)
    assert f1(new) >= f1(take) - 0.01


def test_pins_are_kept_in_a_file_and_grouped(tmp_path: Path):
    pins = Pins.free([9.0, 1.0, 1.5, 4.0], [0, 1, 0, 1])
    pins.position[1] = [0.1, 0.2, 0.3]
    pins.save(tmp_path / "pins.npz")
    read = Pins.load(tmp_path / "pins.npz")
    assert np.array_equal(read.position, pins.position, equal_nan=True)
    spans = around(read, 9.5, room=0.8)
    assert [(s.first, s.last) for s, _ in spans] == [pytest.approx(p) for p in ((0.2, 2.3), (3.2, 4.8), (8.2, 9.5))]
    assert [mask.sum() for _, mask in spans] == [2, 1, 1]
    (tmp_path / "none.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no pins"):
        Pins.load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="some joints of a finger"):
        Pins(
            [0.0],
            [0],
            np.zeros((1, 3)),
            np.where(np.arange(16)[None, :, None] == 1, 0.0, np.nan) * np.ones(3),
            np.zeros((1, 5, 3)),
        )


# --- as a job ---


def test_a_job_that_goes_on_from_a_motion(take, tmp_path: Path):
    take.save(tmp_path / "take.npz")
    stored = HandMotion.load(tmp_path / "take.npz")
    inside, outside = pin(take, 9.5, RIGHT, move=[0, 0, 0.01]), pin(take, 4.2, LEFT, move=[0.0, 0.0, 0.008])
    pins = together(inside, outside)
    pins.save(tmp_path / "pins.npz")
    told = []
    job = Job("", generator="pianist", seed=7, previous=str(tmp_path / "take.npz"), again=(8.0, 11.0))
    job.pins = str(tmp_path / "pins.npz")
    result = generate(job, lambda stage, fraction: told.append((stage, fraction)))
    assert_met(result.motion, pins)
    surroundings = frames(take, Span(3.4, 5.0))
    before, after = stored.left_rotation, result.motion.left_rotation
    assert np.array_equal(before[: surroundings.start], after[: surroundings.start])
    assert np.array_equal(before[surroundings.stop : 480], after[surroundings.stop : 480])
    assert result.motion.meta["edits"][0]["again"] == [8.0, 11.0]
    assert result.report["key_accuracy"] > 0.98
    assert told[-1] == ("playing", 1.0)
    assert {stage for stage, _ in told} == {"reading", "playing"}


def test_a_part_anew_in_the_worker(take, tmp_path: Path):
    take.save(tmp_path / "take.npz")
    pin(take, 9.5, RIGHT, move=[0, 0, 0.01]).save(tmp_path / "pins.npz")
    job = Job("", generator="pianist", seed=7, previous=str(tmp_path / "take.npz"), again=(9.0, 10.0))
    job.pins = str(tmp_path / "pins.npz")
    report = Worker(job, tmp_path / "new.npz").wait()
    new = HandMotion.load(tmp_path / "new.npz")
    assert report["notes_played"] == len(new.notes)
    assert_met(new, Pins.load(tmp_path / "pins.npz"))
    assert_same_outside(HandMotion.load(tmp_path / "take.npz"), new, Span(9.0, 10.0))


def test_notes_left_out_before_still_count(take, tmp_path: Path):
    reports = []
    for lost in ([], [{"onset": 9.1, "pitch": 100, "reason": "out of reach"}] * 5):
        replace(take, meta={"dropped": lost}).save(tmp_path / "take.npz")
        job = Job("", generator="pianist", previous=str(tmp_path / "take.npz"), again=(9.0, 9.5))
        reports.append(generate(job).report)
    whole, less = reports
    assert less["notes_found"] == whole["notes_found"] + 5 and len(less["dropped"]) == len(whole["dropped"]) + 5
    assert less["key_accuracy"] < whole["key_accuracy"]


def test_jobs_that_cannot_go_on_say_so(tmp_path: Path):
    with pytest.raises(UserError, match="is not there"):
        generate(Job("", generator="pianist", previous=str(tmp_path / "gone.npz"), again=(0, 1)))
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a HandMotion file"):
        generate(Job("", generator="pianist", previous=str(tmp_path / "bad.npz"), again=(0, 1)))
    with pytest.raises(UserError, match="Raw motion and MIDI"):
        generate(Job("", generator="pianist", previous=str(tmp_path / "bad.npz"), midi="x.mid"))
