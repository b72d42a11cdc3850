# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scrub preview: the pose of every frame without keys, quick, and still there after undo and file loads."""

import time
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import keying, preview, rig  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from tests.blender.measure import measure  # noqa: E402
from tests.blender.sample import waving  # noqa: E402

TIMES = np.array([0.2, 0.55, 0.9, 1.5])


@pytest.fixture
def handler():
    preview.register()
    yield
    preview.unregister()


@pytest.fixture
def hands(scene, handler) -> rig.Rig:
    return rig.add_rig(scene)


@pytest.fixture
def motion_file(tmp_path: Path) -> Path:
    path = tmp_path / "motion.npz"
    waving(2.0).save(path)
    return path


def test_preview_shows_what_keying_would(scene, hands, motion_file):
    motion = HandMotion.load(motion_file)
    keying.key_take(hands, motion, scene, 11.0)
    keyed = measure(scene, hands, 11.0, TIMES)
    for obj in (*hands.hands.values(), *hands.keys.values(), hands.pedal):
        obj.animation_data_clear()
    preview.show(hands, motion_file, 11.0, scene)
    shown = measure(scene, hands, 11.0, TIMES)
    assert np.abs(shown.pads - keyed.pads).max() < 1e-3
    assert np.abs(shown.angles - keyed.angles).max() < 1e-4
    assert np.abs(shown.pedal - keyed.pedal).max() < 1e-4
    assert shown.angles.max() > 0.06
    assert not hands.hands[0].animation_data


def test_hiding_restores_the_rest_pose(scene, hands, motion_file):
    rest = measure(scene, hands, 1.0, TIMES)
    preview.show(hands, motion_file, 1.0, scene)
    assert preview.is_shown(hands.piano)
    assert np.abs(measure(scene, hands, 1.0, TIMES).pads - rest.pads).max() > 0.05
    preview.hide(hands.piano)
    assert not preview.is_shown(hands.piano)
    assert np.abs(measure(scene, hands, 1.0, TIMES).pads - rest.pads).max() < 1e-6
    assert measure(scene, hands, 1.0, TIMES).angles.max() == 0.0


def test_preview_survives_loading_the_file(scene, hands, motion_file, tmp_path):
    preview.show(hands, motion_file, 1.0, scene)
    before = measure(scene, hands, 1.0, TIMES)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    scene = bpy.context.scene
    after = measure(scene, rig.find_rigs(scene)[0], 1.0, TIMES)
    assert np.abs(after.pads - before.pads).max() < 1e-6


def test_preview_survives_undo(scene, hands, motion_file):
    bpy.ops.ed.undo_push(message="rig")
    preview.show(hands, motion_file, 1.0, scene)
    before = measure(scene, hands, 1.0, TIMES)
    bpy.ops.ed.undo_push(message="preview")
    bpy.data.objects.new("something", None)
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    found = rig.find_rigs(scene)[0]
    assert preview.is_shown(found.piano)
    assert np.abs(measure(scene, found, 1.0, TIMES).pads - before.pads).max() < 1e-6


def test_preview_ends_when_its_motion_is_gone(scene, hands, motion_file):
    preview.show(hands, motion_file, 1.0, scene)
    preview.unregister()  # forgets what was read
    preview.register()
    motion_file.unlink()
    scene.frame_set(20)
    assert not preview.is_shown(hands.piano)


def test_a_broken_rig_does_not_break_scrubbing(scene, hands, motion_file, capfd):
    preview.show(hands, motion_file, 1.0, scene)
    bpy.data.objects.remove(hands.hands[1])
    scene.frame_set(20)
    assert "Traceback" not in capfd.readouterr().err
    assert not preview.is_shown(bpy.data.objects["Piano"])


def test_a_frame_takes_less_than_four_milliseconds(scene, hands, tmp_path):
    path = tmp_path / "long.npz"
    waving(120.0).save(path)
    preview.show(hands, path, 1.0, scene)
    begun = time.process_time()
    for _ in range(300):
        preview.pose(hands.piano, scene)
    used = (time.process_time() - begun) / 300 * 1e3
    print(f"posing a frame takes {used:.2f} ms")
    assert used < 4.0
