# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys: fingertips stay within the tolerance everywhere, key presses more so, and the same keys are pressed."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from s2c_blender.audio.midi import read_midi
from s2c_blender.core import curves, hand, metrics, reduction
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.core.timing import Clock
from s2c_blender.pianist import perform


def _axes(side: int) -> np.ndarray:
    """As the rig has them: Y along the bone, fingers flex about X, spread about Z."""
    flip = np.array([-1.0 if side == LEFT else 1.0, 1.0, 1.0])
    axes = np.tile(np.eye(3), (16, 1, 1))
    for finger, joints in enumerate(hand.FINGER_JOINTS):
        points = [*hand.HEADS[joints], hand.PADS[finger]]
        for level, joint in enumerate(joints):
            along = points[level + 1] - points[level]
            palmar = np.cross(hand.HINGE_AXES[np.flatnonzero(hand.HINGE_JOINTS == joint)[-1]], along)
            y, z = along * flip / np.linalg.norm(along), palmar * flip / np.linalg.norm(palmar)
            axes[joint] = np.stack([np.cross(y, z), y, z], axis=1)
    return axes


AXES = {side: _axes(side) for side in (LEFT, RIGHT)}
STEP = 0.01  # frames


@pytest.fixture(scope="module")
def elise() -> HandMotion:
    return perform(read_midi(Path(__file__).parents[2] / "demo" / "fur_elise.mid").cut(0.0, 10.0), fps=60)[0]


def bones(side: int) -> reduction.Bones:
    flip = np.array([-1.0 if side == LEFT else 1.0, 1.0, 1.0])
    return reduction.Bones(AXES[side], hand.HEADS * flip, hand.PADS * flip)


def channels_of(motion: HandMotion, side: int, clock: Clock, frames: np.ndarray) -> np.ndarray:
    """As keying makes them: [T, 2, 51]."""
    axes = AXES[side]
    position, rotation = motion.hand(side)
    times = clock.seconds((frames[:, None] + [0.0, STEP]).ravel())
    turned = Rotation.from_quat(curves.sample_rotations(rotation, motion.fps, times).reshape(-1, 4)[:, [1, 2, 3, 0]])
    local = axes.transpose(0, 2, 1) @ turned.as_matrix().reshape(-1, 16, 3, 3) @ axes
    xyzw = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_quat().reshape(-1, 16, 4)
    euler = curves.euler_xyz(xyzw[..., [3, 0, 1, 2]])
    values = np.concatenate([curves.sample(position, motion.fps, times) @ axes[0], euler.reshape(len(times), -1)], 1)
    values = values.reshape(len(frames), 2, -1)
    values[:, 1] = (values[:, 1] - values[:, 0]) / STEP
    return values


def exact_of(motion: HandMotion, side: int, clock: Clock, frames: np.ndarray) -> np.ndarray:
    mine = motion.notes["hand"] == side
    return reduction.exact_frames(frames, clock.frame(motion.keys[mine]), motion.notes["finger"][mine])


def evaluate(keys: list[reduction.Keys], places: np.ndarray) -> np.ndarray:
    """Curves [P, 51] of keys, at places in frames from the first, as Blender draws them."""
    found = []
    for key in keys:
        left = np.clip(np.searchsorted(key.index, places, "right") - 1, 0, len(key.index) - 2)
        span = np.diff(key.index)[left]
        u = ((places - key.index[left]) / span)[:, None]
        control = [key.values[left], key.values[left] + key.slopes[left] * span[:, None] / 3]
        control += [key.values[left + 1] - key.slopes[left + 1] * span[:, None] / 3, key.values[left + 1]]
        weights = [(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u * u * (1 - u), u**3]
        found.append(sum(w * c for w, c in zip(weights, control, strict=True)))
    return np.concatenate(found, axis=1)


def pads_of(side: int, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wrist [P, 3] and pads [P, 5, 3] of channels [P, 51]."""
    axes = AXES[side]
    turned = Rotation.from_euler("xyz", channels[:, 3:].reshape(-1, 3)).as_matrix().reshape(-1, 16, 3, 3)
    rotation = Rotation.from_matrix((axes @ turned @ axes.transpose(0, 2, 1)).reshape(-1, 3, 3)).as_rotvec()
    heads, pads, _ = hand.forward_kinematics(channels[:, :3] @ axes[0].T, rotation.reshape(-1, 16, 3), side == LEFT)
    return heads[:, 0], pads


def moved(side: int, channels: np.ndarray, keys: list[reduction.Keys], places: np.ndarray) -> tuple:
    """How far the wrist [P] and the pads [P, 5] are from where keys at every frame have them, m."""
    there = pads_of(side, evaluate(reduction.every_frame(channels), places))
    return tuple(
        np.linalg.norm(a - b, axis=-1) for a, b in zip(pads_of(side, evaluate(keys, places)), there, strict=True)
    )


def share(keys: list[reduction.Keys], count: int) -> float:
    return float(np.mean([key.own.mean() * len(key.index) for key in keys]) / count)


@pytest.mark.parametrize("tolerance", [2e-4, 5e-4, 2e-3])
@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_fingertips_stay_within_the_tolerance(elise, side, tolerance):
    clock = Clock(30.0, 1.0)
    frames = clock.whole_frames(elise.duration).astype(float)
    channels, exact = channels_of(elise, side, clock, frames), exact_of(elise, side, clock, frames)
    keys = reduction.reduced(channels, bones(side), exact, tolerance)
    wrist, pads = moved(side, channels, keys, np.arange(2 * len(frames) - 1) / 2)
    assert wrist.max() <= tolerance
    assert pads.max() <= tolerance
    assert pads[::2][exact].max() <= reduction.EXACT * tolerance
    assert moved(side, channels, keys, np.arange(0.25, len(frames) - 1, 0.5))[1].max() < 1.25 * tolerance


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_few_keys_press_the_same_piano_keys(elise, fps):
    clock = Clock(float(fps), 1.0)
    frames = clock.whole_frames(elise.duration).astype(float)
    times = np.arange(0, elise.duration, 1 / 240)
    places = np.clip(clock.frame(times) - frames[0], 0, len(frames) - 1)
    kept, before, after = [], [], []
    for side in (LEFT, RIGHT):
        channels, exact = channels_of(elise, side, clock, frames), exact_of(elise, side, clock, frames)
        keys = reduction.reduced(channels, bones(side), exact)
        kept.append(share(keys, len(frames)))
        before.append(pads_of(side, evaluate(reduction.every_frame(channels), places))[1])
        after.append(pads_of(side, evaluate(keys, places))[1])
    heard = [
        metrics.accuracy(metrics.presses_by_hands(times, np.stack(pads, axis=1)), elise.notes)
        for pads in (before, after)
    ]
    print(f"{fps} fps: {np.mean(kept):.1%} of the keys, F1 {heard[0].f1:.4f} before, {heard[1].f1:.4f} after")
    assert np.mean(kept) <= 0.18
    assert heard[1].f1 == heard[0].f1
    assert len(heard[1].wrong) == len(heard[0].wrong)
    assert np.abs(heard[1].offsets - heard[0].offsets).max() < 0.005


def test_blocks_join_without_a_kink(elise, monkeypatch):
    clock = Clock(30.0, 1.0)
    frames = clock.whole_frames(elise.duration).astype(float)
    channels, exact = channels_of(elise, RIGHT, clock, frames), exact_of(elise, RIGHT, clock, frames)
    monkeypatch.setattr(reduction, "_BLOCK", 50)
    keys = reduction.reduced(channels, bones(RIGHT), exact)
    assert all((np.diff(key.index) > 0).all() for key in keys)
    assert moved(RIGHT, channels, keys, np.arange(2 * len(frames) - 1) / 2)[1].max() <= reduction.TOLERANCE
    for bone, key in enumerate(keys):
        assert set(key.index) >= {0, len(frames) - 1}
        assert np.array_equal(key.values[[0, -1]], channels[[0, -1], 0, 3 * bone : 3 * bone + 3])


def test_a_hand_at_rest_needs_two_keys():
    channels = np.zeros((400, 2, 51))
    channels[:, 0] = np.linspace(-0.3, 0.3, 51)
    keys = reduction.reduced(channels, bones(RIGHT), np.zeros((400, 5), bool))
    assert max(len(key.index) for key in keys) < 16
    assert np.abs(evaluate(keys, np.arange(0, 399, 0.5)) - channels[0, 0]).max() < 1e-9


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_motions(count):
    channels = np.zeros((count, 2, 51))
    keys = reduction.reduced(channels, bones(RIGHT), np.zeros((count, 5), bool))
    assert all(key.index[0] == 0 and key.index[-1] == count - 1 for key in keys)
    assert all(key.index[-1] == count - 1 for key in reduction.nth_frame(channels, 4))


def test_a_tolerance_of_nothing_is_refused():
    with pytest.raises(ValueError, match="more than zero"):
        reduction.reduced(np.zeros((9, 2, 51)), bones(RIGHT), np.zeros((9, 5), bool), 0.0)


@pytest.mark.parametrize("step", [2, 3, 7])
def test_every_nth_frame_lies_on_the_motion_and_is_smooth_between(elise, step):
    clock = Clock(30.0, 1.0)
    frames = clock.whole_frames(elise.duration).astype(float)
    channels = channels_of(elise, RIGHT, clock, frames)
    keys = reduction.nth_frame(channels, step)
    for bone, key in enumerate(keys):
        assert set(np.diff(key.index)[:-1]) <= {step}
        assert (key.index[0], key.index[-1]) == (0, len(frames) - 1)
        assert np.array_equal(key.values, channels[key.index, 0, 3 * bone : 3 * bone + 3])
    fitted = moved(RIGHT, channels, keys, np.arange(2 * len(frames) - 1) / 2)[1]
    theirs = [
        reduction.Keys(k.index, k.values, np.gradient(k.values, k.index, axis=0), k.own) for k in keys
    ]  # Catmull-Rom
    guessed = moved(RIGHT, channels, theirs, np.arange(2 * len(frames) - 1) / 2)[1]
    assert np.sqrt(np.square(fitted).mean()) < 0.9 * np.sqrt(np.square(guessed).mean())


def test_every_frame_is_the_motion(elise):
    clock = Clock(30.0, 1.0)
    channels = channels_of(elise, LEFT, clock, clock.whole_frames(elise.duration).astype(float))
    keys = reduction.nth_frame(channels, 1)
    assert np.array_equal(np.concatenate([key.values for key in keys], axis=1), channels[:, 0])
    assert np.array_equal(np.concatenate([key.slopes for key in keys], axis=1), channels[:, 1])
