# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: what is keyed is the motion, at any frame rate, on moved, copied and foreign rigs, and nothing else moves."""

import time
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import actions, keying, rig  # noqa: E402
from s2c_blender.core import curves, metrics  # noqa: E402
from s2c_blender.core.hand import JOINTS, forward_kinematics  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from s2c_blender.core.notes import Score, make_notes  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from s2c_blender.pianist import perform  # noqa: E402
from tests.blender.measure import measure  # noqa: E402
from tests.blender.sample import waving  # noqa: E402


@pytest.fixture
def hands(scene) -> rig.Rig:
    return rig.add_rig(scene)


def true_pads(motion: HandMotion, times: np.ndarray) -> np.ndarray:
    """Pads [T, 2, 5, 3] of the motion by forward kinematics, without Blender."""
    pads = []
    for side in (0, 1):
        position, rotation = motion.hand(side)
        turned = curves.rotvec(curves.sample_rotations(rotation, motion.fps, times))
        pads.append(forward_kinematics(curves.sample(position, motion.fps, times), turned, left=side == 0)[1])
    return np.stack(pads, axis=1)


@pytest.mark.parametrize(("fps", "base"), [(24, 1.0), (25, 1.0), (30, 1.0), (60, 1.0), (24, 1.001), (30, 1.001)])
@pytest.mark.parametrize("frame", [1.0, 100.37])
def test_the_keyed_hands_are_the_motion(scene, hands, fps, base, frame):
    scene.render.fps, scene.render.fps_base = fps, base
    motion = waving(2.0)
    take = keying.key_take(hands, motion, scene, frame)
    clock = keying.scene_clock(scene, frame)
    whole = clock.seconds(np.arange(take.first, take.last + 1)[3:-3:5])
    measured = measure(scene, hands, frame, whole)
    # Scenes keep sub-frames and keyframes as 32-bit numbers.
    assert np.abs(measured.pads - true_pads(motion, whole)).max() < 2e-5
    between = np.linspace(0.1, 1.9, 23)
    measured = measure(scene, hands, frame, between)
    assert np.abs(measured.pads - true_pads(motion, between)).max() < 5e-4


@pytest.mark.parametrize("fps", [24, 60])
def test_keys_and_pedal_move_at_their_times(scene, hands, fps):
    scene.render.fps = fps
    motion = waving(3.0)
    keying.key_take(hands, motion, scene, 1.0)
    times = np.arange(0, 3.0, 1 / 200)
    measured = measure(scene, hands, 1.0, times)
    heard = metrics.accuracy(metrics.presses_of_keys(times, measured.angles), motion.notes)
    assert (heard.precision, heard.recall) == (1.0, 1.0)
    assert np.abs(heard.offsets).max() < 0.02
    down = times[measured.pedal > keying.PEDAL_ANGLE / 2]
    assert (down[0], down[-1]) == pytest.approx(tuple(motion.pedal[0]), abs=0.01)


def test_curves_are_named_for_animators_and_never_jump(scene, hands):
    motion = waving(6.0)
    take = keying.key_take(hands, motion, scene, 1.0)
    assert take.name == "take-001"
    assert take.actions[:2] == ("Hand.L.take-001", "Hand.R.take-001")
    for name in take.actions[:2]:
        found = list(actions.curves(bpy.data.actions[name]))
        assert len(found) == 51
        assert {curve.group.name for curve in found} == set(JOINTS)
        for curve in found:
            values = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", values)
            assert np.abs(np.diff(values[1::2])).max() < 0.7
    assert keying.key_take(hands, motion, scene, 1.0).name == "take-002"


def test_the_same_motion_gives_the_same_keys(scene, hands):
    values = []
    for _ in range(2):
        take = keying.key_take(hands, waving(1.0), scene, 1.0)
        for curve in actions.curves(bpy.data.actions[take.actions[1]]):
            co = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", co)
            values.append(co)
    half = len(values) // 2
    assert all(np.array_equal(a, b) for a, b in zip(values[:half], values[half:], strict=True))


def test_a_moved_and_scaled_piano_takes_the_hands_along(scene, hands):
    hands.piano.location, hands.piano.scale = (3, -2, 1), (2, 2, 2)
    hands.piano.rotation_euler = (0.2, 0.1, 1.0)
    motion = waving(1.0)
    keying.key_take(hands, motion, scene, 1.0)
    times = np.array([0.25, 0.5])
    measured = measure(scene, hands, 1.0, times)
    assert np.abs(measured.pads - true_pads(motion, times)).max() < 5e-4


def test_other_actions_are_left_alone(scene, hands, tmp_path: Path):
    own = bpy.data.actions.new("my wave")
    hands.hands[1].animation_data_create().action = own
    stranger = bpy.data.objects.new("stranger", None)
    stranger.keyframe_insert("location", frame=1)
    theirs = stranger.animation_data.action
    keying.key_take(hands, waving(1.0), scene, 1.0)
    assert hands.hands[1].animation_data.action != own
    assert own.use_fake_user  # it would be lost on saving otherwise
    assert stranger.animation_data.action == theirs


def test_an_error_leaves_nothing_half_keyed(scene, hands, monkeypatch):
    keying.key_take(hands, waving(1.0), scene, 1.0)
    before = {obj.name: obj.animation_data.action for obj in hands.hands.values()}
    names = {action.name for action in bpy.data.actions}
    fill, calls = actions.fill, []

    def failing(*args):
        calls.append(args)
        if len(calls) > 60:
            raise MemoryError
        fill(*args)

    monkeypatch.setattr(actions, "fill", failing)
    with pytest.raises(MemoryError):
        keying.key_take(hands, waving(1.0), scene, 1.0)
    assert {action.name for action in bpy.data.actions} == names
    assert {obj.name: obj.animation_data.action for obj in hands.hands.values()} == before
    times = np.array([0.5])
    assert np.abs(measure(scene, hands, 1.0, times).pads - true_pads(waving(1.0), times)).max() < 5e-4


def test_keys_of_the_take_before_come_up(scene, hands):
    first, second = waving(2.0), waving(2.0)
    second.notes = second.notes.copy()
    second.notes["pitch"] += 12
    keying.key_take(hands, first, scene, 1.0)
    keying.key_take(hands, second, scene, 1.0)
    times = np.arange(0, 2, 0.01)
    measured = measure(scene, hands, 1.0, times)
    assert measured.angles[:, 60 - 21].max() == 0.0
    assert measured.angles[:, 72 - 21].max() > 0.06


def test_a_second_rig_is_found_although_blender_renames_its_keys(scene, hands):
    second = rig.add_rig(scene)
    found = rig.find_rigs(scene)
    assert [r.piano for r in found] == [hands.piano, second.piano]
    assert second.keys.keys() == set(range(21, 109))
    assert not {k.name for k in second.keys.values()} & {k.name for k in hands.keys.values()}
    assert second.pedal not in (None, hands.pedal)
    keying.key_take(second, waving(1.0), scene, 1.0)
    assert not hands.hands[0].animation_data or not hands.hands[0].animation_data.action


def test_a_rig_without_its_bones_is_refused_by_name(scene, hands):
    armature = hands.hands[1]
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    armature.data.edit_bones.remove(armature.data.edit_bones["ring3"])
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(UserError, match="lacks the bones ring3"):
        rig.find_rigs(scene)


def test_a_linked_rig_is_refused_and_its_override_keyed(scene):
    with bpy.data.libraries.load(str(rig.RIG_FILE), link=True) as (source, target):
        target.collections = [name for name in source.collections if name == rig.COLLECTION]
    collection = target.collections[0]
    scene.collection.children.link(collection)
    with pytest.raises(UserError, match="linked from another file"):
        rig.find_rigs(scene)
    collection.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    scene.collection.children.unlink(collection)
    found = rig.find_rigs(scene)
    assert len(found) == 1
    motion, times = waving(1.0), np.array([0.5])
    keying.key_take(found[0], motion, scene, 1.0)
    assert np.abs(measure(scene, found[0], 1.0, times).pads - true_pads(motion, times)).max() < 5e-4


def test_ten_minutes_are_keyed_to_the_end(scene, hands):
    """How long it takes is printed, for the documentation."""
    scene.render.fps = 30
    motion = waving(600.0)
    begun = time.process_time()  # not the clock on the wall: test machines are busy
    keying.key_take(hands, motion, scene, 1.0)
    used = time.process_time() - begun
    print(f"10 minutes of two hands keyed in {used:.2f} s")
    made = list(actions.curves(hands.hands[1].animation_data.action))
    assert len(made) == 51 and {len(curve.keyframe_points) for curve in made} == {18001}
    times = np.array([0.0, 300.0, 599.9])
    assert np.abs(measure(scene, hands, 1.0, times).pads - true_pads(motion, times)).max() < 1e-3


@pytest.fixture(scope="module")
def scales() -> HandMotion:
    """Both hands in scales and chords, really played."""
    onset = np.concatenate([0.3 + 0.15 * np.arange(24), 0.3 + 0.6 * np.repeat(np.arange(6), 3)])
    white = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    right = 60 + white[np.abs(np.arange(24) % 14 - 7)]
    left = np.tile([43, 47, 50, 41, 45, 48], 3)
    notes = make_notes(onset, onset + np.r_[np.full(24, 0.14), np.full(18, 0.5)], np.r_[right, left], 80)
    return perform(Score(notes), fps=60.0)[0]


@pytest.mark.parametrize("fps", [24, 30])
def test_reduced_keys_play_the_same(scene, hands, scales, fps):
    scene.render.fps = fps
    times = np.arange(0.0, scales.duration, 1 / (10 * fps))  # frames, half frames, and between
    keying.key_take(hands, scales, scene, 5.0)
    whole, count = measure(scene, hands, 5.0, times), _keys(hands)
    keying.key_take(hands, scales, scene, 5.0, density=keying.Density(tolerance=0.0005))
    thin = measure(scene, hands, 5.0, times)
    off = np.linalg.norm(thin.pads - whole.pads, axis=-1)
    print(f"{fps} fps: {_keys(hands) / count:.1%} of the keys, fingertips {off.max() * 1e3:.2f} mm off at most")
    assert off[::5].max() < 0.00051 and off.max() < 0.0008 and _keys(hands) < 0.3 * count
    f1 = [metrics.accuracy(metrics.presses_by_hands(times, m.pads), scales.notes).f1 for m in (whole, thin)]
    assert f1[0] == f1[1] == 1.0


def test_every_third_frame_is_on_the_motion(scene, hands, scales):
    scene.render.fps = 30
    keying.key_take(hands, scales, scene, 1.0)
    times = np.arange(0, scales.duration - 0.2, 0.1)  # every third frame
    whole, count = measure(scene, hands, 1.0, times), _keys(hands)
    keying.key_take(hands, scales, scene, 1.0, density=keying.Density(step=3))
    assert np.abs(measure(scene, hands, 1.0, times).pads - whole.pads).max() < 1e-5
    assert _keys(hands) == pytest.approx(count / 3, rel=0.05)


def _keys(hands: rig.Rig) -> int:
    """Keyframes on both hands."""
    made = [hand.animation_data.action for hand in hands.hands.values()]
    return sum(len(curve.keyframe_points) for action in made for curve in actions.curves(action))
