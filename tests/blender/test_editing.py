# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys made by hand are found in a keyed take, and a new solution around them keeps them, measured in Blender."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Euler  # noqa: E402

from s2c_blender.blender import actions, keying, rig  # noqa: E402
from s2c_blender.blender.editing import hand_keys  # noqa: E402
from s2c_blender.core.edit import Span  # noqa: E402
from s2c_blender.core.hand import JOINTS  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from s2c_blender.core.notes import LEFT, RIGHT  # noqa: E402
from s2c_blender.pianist import perform, reperform  # noqa: E402
from tests.blender.measure import measure  # noqa: E402
from tests.blender.sample import waving  # noqa: E402
from tests.pianist.music import line  # noqa: E402

FRAME = 10.37


@pytest.fixture(scope="module")
def motion() -> HandMotion:
    return perform(line([60, 62, 64, 65, 67, 65, 64, 62] * 2, 5, start=0.6))[0]


@pytest.fixture
def hands(scene) -> rig.Rig:
    scene.render.fps, scene.render.fps_base = 24, 1.0
    return rig.add_rig(scene)


def change(armature: bpy.types.Object, bone: str, path: str, frame: int, by: tuple[float, float, float]) -> None:
    """Move a bone's channels at a frame and key them, as a user does with auto keying."""
    for curve in actions.curves(armature.animation_data.action):
        if curve.data_path == f'pose.bones["{bone}"].{path}':
            value = curve.evaluate(frame) + by[curve.array_index]
            curve.keyframe_points.insert(frame, value)
            curve.update()


def test_a_take_as_it_was_keyed_has_no_keys_made_by_hand(scene, hands):
    for rate in (24, 30, 60):
        scene.render.fps = rate
        keying.key_take(hands, waving(3.0), scene, FRAME)
        assert len(hand_keys(hands, waving(3.0), keying.scene_clock(scene, FRAME))) == 0
    hands.hands[LEFT].animation_data.action = None
    assert len(hand_keys(hands, waving(3.0), keying.scene_clock(scene, FRAME))) == 0


def test_only_what_was_changed_is_found(scene, hands):
    keying.key_take(hands, waving(3.0), scene, FRAME)
    clock = keying.scene_clock(scene, FRAME)
    change(hands.hands[RIGHT], "wrist", "location", 40, (0.0, 0.01, 0.004))
    change(hands.hands[LEFT], "ring2", "rotation_euler", 52, (0.1, 0.0, 0.0))
    change(hands.hands[RIGHT], "thumb1", "rotation_euler", 60, (0.0, 0.001, 0.0))  # 0.1 mm: nobody sees that
    pins = hand_keys(hands, waving(3.0), clock)
    assert clock.frame(pins.time) == pytest.approx([40, 52])
    assert pins.side.tolist() == [RIGHT, LEFT]
    assert np.isfinite(pins.position).all(1).tolist() == [True, False]
    assert [np.flatnonzero(np.isfinite(r).all(1)).tolist() for r in pins.rotation] == [[0], [10, 11, 12]]
    assert [np.flatnonzero(np.isfinite(p).all(1)).tolist() for p in pins.pad] == [[], [3]]
    measured = measure(scene, hands, FRAME, pins.time)
    assert np.abs(measured.wrists[0, RIGHT] - pins.position[0]).max() < 2e-5
    assert np.abs(measured.pads[1, LEFT, 3] - pins.pad[1, 3]).max() < 2e-5


def test_a_changed_key_of_sparse_curves_counts_at_its_own_frame_only(scene, hands):
    """Curves of a bone keyed at different frames, as reduced ones are: only the changed key is one made by hand."""
    motion = waving(2.0)
    keying.key_take(hands, motion, scene, 1.0)
    for curve in actions.curves(hands.hands[RIGHT].animation_data.action):
        for point in reversed([p for p in curve.keyframe_points if p.co.x % 3 != curve.array_index]):
            curve.keyframe_points.remove(point)
        curve.update()
    clock = keying.scene_clock(scene, 1.0)
    before = len(hand_keys(hands, motion, clock, tolerance=0.004))
    for curve in actions.curves(hands.hands[RIGHT].animation_data.action):
        if curve.data_path == 'pose.bones["index1"].rotation_euler' and curve.array_index == 0:
            next(p for p in curve.keyframe_points if p.co.x == 24).co.y += 0.4
            curve.update()
    pins = hand_keys(hands, motion, clock, tolerance=0.004)
    assert before == 0
    assert clock.frame(pins.time) == pytest.approx([24])


@pytest.mark.parametrize("mode", ["QUATERNION", "ZYX"])
def test_other_rotation_modes_are_understood(scene, hands, mode):
    motion = waving(2.0)
    keying.key_take(hands, motion, scene, 1.0)
    armature, clock = hands.hands[RIGHT], keying.scene_clock(scene, 1.0)
    bone = armature.pose.bones["middle1"]
    path = "rotation_quaternion" if mode == "QUATERNION" else "rotation_euler"
    _, euler = keying.hand_channels(motion, RIGHT, armature, clock, np.array([20.0, 30.0]))
    turns = [Euler(angles, "XYZ").to_quaternion() for angles in euler[:, JOINTS.index("middle1")]]
    turns[1] = turns[1] @ Euler((0.2, 0.0, 0.0)).to_quaternion()
    old = [c for c in actions.curves(armature.animation_data.action) if '"middle1"' in c.data_path]
    for curve in old:
        for point in reversed(curve.keyframe_points):
            curve.keyframe_points.remove(point)
    bone.rotation_mode = mode
    for frame, turn in zip((20, 30), turns, strict=True):
        setattr(bone, path, turn if mode == "QUATERNION" else turn.to_euler(mode))
        bone.keyframe_insert(path, frame=frame)
    pins = hand_keys(hands, motion, clock)
    assert clock.frame(pins.time) == pytest.approx([30])
    assert np.flatnonzero(np.isfinite(pins.rotation[0]).all(1)).tolist() == [4, 5, 6]


def test_a_new_solution_keeps_what_was_keyed_by_hand(scene, hands, motion):
    keying.key_take(hands, motion, scene, FRAME)
    clock = keying.scene_clock(scene, FRAME)
    change(hands.hands[RIGHT], "wrist", "location", 50, (0.0, 0.008, 0.002))
    change(hands.hands[RIGHT], "ring1", "rotation_euler", 71, (-0.2, 0.05, 0.03))
    change(hands.hands[LEFT], "wrist", "rotation_euler", 62, (0.1, 0.1, 0.0))
    pins = hand_keys(hands, motion, clock)
    assert sorted(clock.frame(pins.time).round(3)) == [50, 62, 71]
    wanted = measure(scene, hands, FRAME, pins.time)
    new, _ = reperform(motion, Span(0.8, 3.6), pins=pins, seed=3)
    keying.key_take(hands, new, scene, FRAME, name="again")
    got = measure(scene, hands, FRAME, pins.time)
    for n, side in enumerate(pins.side):
        off = np.linalg.norm(got.wrists[n, side] - wanted.wrists[n, side])
        tips = np.linalg.norm(got.pads[n, side] - wanted.pads[n, side], axis=1)
        asked = np.isfinite(pins.pad[n]).all(1)
        print(f"wrist {off * 1e3:.3f} mm off, asked pads {tips[asked].max(initial=0.0) * 1e3:.3f} mm")
        assert off < 1e-3 or not np.isfinite(pins.position[n]).all()
        assert (tips[asked] < 1e-3).all()
