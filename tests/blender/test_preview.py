# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrub preview: the pose of every frame without keys, quick, and still there after undo and file loads."""

import time

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import keying, preview, register, rig, takes  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from tests.blender.measure import measure  # noqa: E402
from tests.blender.sample import REPORT, waving  # noqa: E402

TIMES = np.array([0.2, 0.55, 0.9, 1.5])


@pytest.fixture
def extension():
    register.register()
    yield
    register.unregister()


@pytest.fixture
def hands(scene, extension) -> rig.Rig:
    return rig.add_rig(scene)


def take_of(scene, motion: HandMotion, frame: float = 1.0):
    return takes.add(scene, motion, REPORT, frame)


def test_preview_shows_what_keying_would(scene, hands):
    take = take_of(scene, waving(2.0), 11.0)
    keying.key_take(hands, takes.motion_of(take), scene, 11.0)
    keyed = measure(scene, hands, 11.0, TIMES)
    for obj in (*hands.hands.values(), *hands.keys.values(), hands.pedal):
        obj.animation_data_clear()
    preview.show(hands, take, scene)
    shown = measure(scene, hands, 11.0, TIMES)
    assert np.abs(shown.pads - keyed.pads).max() < 1e-3
    assert np.abs(shown.angles - keyed.angles).max() < 1e-4
    assert np.abs(shown.pedal - keyed.pedal).max() < 1e-4
    assert shown.angles.max() > 0.06
    assert not hands.hands[0].animation_data


def test_hiding_restores_the_rest_pose(scene, hands):
    rest = measure(scene, hands, 1.0, TIMES)
    preview.show(hands, take_of(scene, waving(2.0)), scene)
    assert preview.is_shown(hands.piano)
    assert np.abs(measure(scene, hands, 1.0, TIMES).pads - rest.pads).max() > 0.05
    preview.hide(hands.piano)
    assert not preview.is_shown(hands.piano)
    assert np.abs(measure(scene, hands, 1.0, TIMES).pads - rest.pads).max() < 1e-6
    assert measure(scene, hands, 1.0, TIMES).angles.max() == 0.0


def test_preview_survives_loading_the_file(scene, hands, tmp_path):
    preview.show(hands, take_of(scene, waving(2.0)), scene)
    before = measure(scene, hands, 1.0, TIMES)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    scene = bpy.context.scene
    after = measure(scene, rig.find_rigs(scene)[0], 1.0, TIMES)
    assert np.abs(after.pads - before.pads).max() < 1e-6


def test_preview_survives_undo(scene, hands):
    bpy.ops.ed.undo_push(message="rig")
    preview.show(hands, take_of(scene, waving(2.0)), scene)
    before = measure(scene, hands, 1.0, TIMES)
    bpy.ops.ed.undo_push(message="preview")
    bpy.data.objects.new("something", None)
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    found = rig.find_rigs(scene)[0]
    assert preview.is_shown(found.piano)
    assert np.abs(measure(scene, found, 1.0, TIMES).pads - before.pads).max() < 1e-6


@pytest.mark.parametrize("gone", ["take", "text"])
def test_preview_ends_when_its_motion_is_gone(scene, hands, gone):
    take = take_of(scene, waving(2.0))
    preview.show(hands, take, scene)
    preview._cache.clear()
    takes._motions.clear()
    if gone == "take":
        takes.remove(scene, 0)
    else:
        bpy.data.texts.remove(take.data)
    scene.frame_set(20)
    assert not preview.is_shown(hands.piano)


def test_preview_shows_the_take_that_is_chosen(scene, hands):
    """A/B: the list's active take is the one on the rig, there and back."""
    first, second = (take_of(scene, waving(2.0, seed=seed)).uid for seed in (0, 1))
    scene.piano_hands.rig = hands.piano
    scene.frame_set(20)
    preview.show(hands, takes.find(second, scene), scene)
    b = measure(scene, hands, 1.0, TIMES).pads
    scene.piano_hands.take_index = 0
    a = measure(scene, hands, 1.0, TIMES).pads
    assert np.abs(a - b).max() > 0.01
    assert bpy.ops.piano_hands.compare_takes() == {"FINISHED"}
    assert takes.active(scene).uid == second
    assert np.abs(measure(scene, hands, 1.0, TIMES).pads - b).max() < 1e-6
    assert bpy.ops.piano_hands.compare_takes() == {"FINISHED"}
    assert takes.active(scene).uid == first


def test_rendering_shows_the_preview(scene, hands, tmp_path):
    """The depsgraph that a renderer sees at a frame has the previewed pose, without keys."""
    preview.show(hands, take_of(scene, waving(2.0)), scene)
    scene.frame_set(5)
    early = hands.hands[1].evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["wrist"].matrix.copy()
    scene.frame_set(40)
    late = hands.hands[1].evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["wrist"].matrix.copy()
    assert max(abs(x) for row in (early - late) for x in row) > 0.01


def test_a_broken_rig_does_not_break_scrubbing(scene, hands, capfd):
    preview.show(hands, take_of(scene, waving(2.0)), scene)
    bpy.data.objects.remove(hands.hands[1])
    scene.frame_set(20)
    assert "Traceback" not in capfd.readouterr().err
    assert not preview.is_shown(bpy.data.objects["Piano"])


def test_a_long_take_is_shown_to_its_end(scene, hands):
    """How long a frame takes is printed, for the documentation."""
    preview.show(hands, take_of(scene, waving(120.0)), scene)
    begun = time.process_time()
    for _ in range(300):
        preview.pose(hands.piano, scene)
    used = (time.process_time() - begun) / 300 * 1e3
    print(f"posing a frame takes {used:.2f} ms")
    late = measure(scene, hands, 1.0, np.array([0.0, 119.0])).pads
    assert np.abs(late[1] - late[0]).max() > 0.01
