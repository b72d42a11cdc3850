# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resampling, Euler continuity, key travel and the clock."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from s2c_blender.core import curves
from s2c_blender.core.timing import Clock


def tumbling(count: int = 3000) -> np.ndarray:
    """One joint's rotation that passes every gimbal trouble, quaternions [N, 1, 4]."""
    t = np.linspace(0, 40, count)
    steps = Rotation.from_rotvec(np.stack([np.sin(t), np.cos(1.3 * t), np.sin(0.7 * t + 1)], axis=1) * 0.04)
    turned = [Rotation.identity()]
    for step in steps[1:]:
        turned.append(turned[-1] * step)
    xyzw = Rotation.concatenate(turned).as_quat()
    return xyzw[:, None, [3, 0, 1, 2]]


def test_euler_angles_are_the_rotation_and_never_jump():
    q = tumbling()
    euler = curves.euler_xyz(q)
    again = Rotation.from_euler("xyz", euler[:, 0])
    there = Rotation.from_quat(q[:, 0][:, [1, 2, 3, 0]])
    assert (again.inv() * there).magnitude().max() < 1e-6
    raw = there.as_euler("xyz")
    assert np.abs(np.diff(raw, axis=0)).max() > 3.0  # the motion does have what would make angles jump
    assert np.abs(np.diff(euler[:, 0], axis=0)).max() < 1.0


def test_steady_turn_resampled_on_the_sphere():
    axis = np.array([0.6, -0.64, 0.48])
    t = np.arange(60) / 60
    rotvec = (axis * t[:, None] * 2.5)[:, None]
    times = np.linspace(0.05, 0.9, 37)
    got = curves.rotvec(curves.sample_rotations(rotvec, 60.0, times))[:, 0]
    assert np.abs(got - axis * times[:, None] * 2.5).max() < 1e-5


def test_resampling_passes_a_turn_over_half_a_circle():
    axis = np.array([0.0, 0.0, 1.0])
    angle = np.linspace(2.8, 3.6, 31)  # axis-angle flips its sign at pi
    rotvec = Rotation.from_rotvec(axis * angle[:, None]).as_rotvec()[:, None]
    got = curves.sample_rotations(rotvec, 30.0, np.linspace(0, 1, 200))[:, 0]
    step = Rotation.from_quat(got[:-1][:, [1, 2, 3, 0]]).inv() * Rotation.from_quat(got[1:][:, [1, 2, 3, 0]])
    assert step.magnitude().max() < 1.2 * 0.8 / 199


def test_slopes_are_those_of_the_curves():
    rng = np.random.default_rng(3)
    rotvec = rng.normal(size=(1, 4, 3)) + np.cumsum(rng.normal(size=(40, 4, 3)) * 0.05, axis=0)
    times, step = np.linspace(-0.1, 1.4, 57) + 1e-4, 1e-6
    raw, change = curves.sample_with_slopes(curves.one_sheet(curves.quaternions(rotvec)), 30.0, times)
    unit = raw / np.linalg.norm(raw, axis=-1, keepdims=True)
    assert np.allclose(unit, curves.sample_rotations(rotvec, 30.0, times))
    euler = curves.euler_xyz(unit)
    slopes = curves.euler_slopes(raw, change, euler)
    moved = curves.euler_xyz(curves.sample_rotations(rotvec, 30.0, np.stack([times, times + step], 1).ravel()))
    assert np.abs(slopes - (moved[1::2] - moved[::2]) / step).max() < 1e-3 * np.abs(slopes).max()


def test_sampling_holds_the_ends_and_passes_the_samples():
    values = np.random.default_rng(0).normal(size=(20, 3))
    assert np.allclose(curves.sample(values, 10.0, np.arange(20) / 10), values)
    assert np.allclose(curves.sample(values, 10.0, np.array([-1.0, 99.0])), values[[0, -1]])
    assert np.allclose(curves.sample(values[:1], 10.0, np.array([0.0, 0.3])), values[[0, 0]])


def test_repeated_notes_lift_the_key_only_part_of_the_way():
    strokes = np.array([[0.0, 0.02, 0.10, 0.14], [0.12, 0.14, 0.2, 0.24]])
    times, depths = curves.travel(strokes)
    assert (np.diff(times) > 0).all()
    assert np.interp(0.11, times, depths) == pytest.approx(0.75)
    lowest = depths[(times > 0.1) & (times < 0.14)].min()
    assert 0 < lowest < 0.5
    assert np.interp([0.02, 0.1, 0.14, 0.2], times, depths) == pytest.approx(1.0)


def test_travel_of_a_note_held_over_the_next_stays_down():
    times, depths = curves.travel(np.array([[0.0, 0.02, 0.5, 0.54], [0.3, 0.32, 0.8, 0.84]]))
    assert (np.diff(times) >= 0).all()
    assert np.interp(np.linspace(0.02, 0.8, 50), times, depths) == pytest.approx(1.0)
    assert depths[-1] == 0.0


@pytest.mark.parametrize("rate", [24.0, 25.0, 30.0, 60.0, 24 / 1.001, 30 / 1.001])
@pytest.mark.parametrize("origin", [0.0, 1.0, 101.37])
def test_clock_covers_the_take_at_any_rate(rate: float, origin: float):
    clock = Clock(rate, origin)
    frames = clock.whole_frames(10.0)
    assert clock.seconds(clock.frame(1.234)) == pytest.approx(1.234)
    assert clock.seconds(frames[0]) <= 1e-6
    assert clock.seconds(frames[-1]) >= 10.0 - 1e-6
    assert clock.seconds(frames[0] + 1) > 0
    assert clock.seconds(frames[-1] - 1) < 10.0
