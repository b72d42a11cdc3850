# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons of the panels Video and Piano Model."""

import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import piano_model, preview, register, rig, roll, takes  # noqa: E402
from s2c_blender.core.keyboard import KEY_DIP  # noqa: E402
from tests.blender.sample import waving  # noqa: E402
from tests.blender.test_piano_model import key_errors, make_model, tops  # noqa: E402

REPORT = {"seed": 1, "generator": "pianist", "source": "waving", "key_accuracy": 1.0, "notes_played": 12}


@pytest.fixture
def ready(scene):
    """A scene with a rig and a take, the extension registered."""
    register.register()
    hands = rig.add_rig(scene)
    takes.add(scene, waving(3.0), REPORT, 5.5)
    yield hands
    register.unregister()


def test_build_recolour_and_remove_a_roll(scene, ready):
    assert bpy.ops.piano_hands.build_roll() == {"FINISHED"}
    root = roll.find(scene)[takes.active(scene).uid]
    scene.piano_hands_video.right_colour = (0.0, 1.0, 0.0)
    right = next(o for o in root.children_recursive if o.name.endswith(".R"))
    assert tuple(right.data.materials[0].diffuse_color[:3]) == (0.0, 1.0, 0.0)
    scene.piano_hands_video.fingers = True
    assert bpy.ops.piano_hands.build_roll() == {"FINISHED"}
    assert len(roll.find(scene)) == 1
    scene.piano_hands_video.scene_range = True
    scene.frame_start = 9000
    with pytest.raises(RuntimeError, match="no note"):
        bpy.ops.piano_hands.build_roll()
    assert bpy.ops.piano_hands.remove_roll() == {"FINISHED"}
    assert not roll.find(scene)
    assert not bpy.ops.piano_hands.remove_roll.poll()


def test_cameras_leave_the_scenes_camera_unless_asked(scene, ready):
    assert bpy.ops.piano_hands.add_camera(view="OVERHEAD") == {"FINISHED"}
    assert scene.camera is None
    assert bpy.ops.piano_hands.add_camera(view="THREE_QUARTER", make_active=True) == {"FINISHED"}
    assert scene.camera.name == "Passage.ThreeQuarter"
    assert bpy.ops.piano_hands.add_camera(view="THREE_QUARTER") == {"FINISHED"}
    assert sum(obj.name.startswith("Passage.") for obj in scene.objects) == 2


def test_without_a_take_the_buttons_say_so(scene, ready):
    takes.remove(scene, 0)
    assert not bpy.ops.piano_hands.build_roll.poll()
    assert not bpy.ops.piano_hands.add_camera.poll()


@pytest.mark.parametrize("by", ["NAMES", "ORDER"])
def test_a_piano_model_in_two_presses(scene, ready, by):
    keys = make_model(scene)
    settings = scene.piano_hands_model
    settings.collection = bpy.data.collections["Steinway"]
    settings.by = by
    if by == "ORDER":
        with pytest.raises(RuntimeError, match="First Key"):
            bpy.ops.piano_hands.assign_keys()
        settings.low = keys[21]
    assert bpy.ops.piano_hands.assign_keys() == {"FINISHED"}
    assert piano_model.attached_keys(ready.piano) == keys
    ready.keys[21].rotation_euler[0] = 0.06  # a key that is down does not move the piano
    bpy.context.view_layer.update()
    assert bpy.ops.piano_hands.align_piano() == {"FINISHED"}
    assert len(piano_model.attached_keys(ready.piano)) == 88
    ready.keys[21].rotation_euler[0] = 0.0
    bpy.context.view_layer.update()
    assert key_errors(ready, keys).max() < 0.5e-3
    assert bpy.ops.piano_hands.show_own_piano() == {"FINISHED"}
    assert ready.keys[60].hide_render
    assert not ready.hands[0].hide_render
    assert bpy.ops.piano_hands.show_own_piano() == {"FINISHED"}
    assert not ready.keys[60].hide_viewport
    assert bpy.ops.piano_hands.release_keys() == {"FINISHED"}
    assert not keys[60].constraints


def test_scrub_preview_presses_the_models_keys(scene, ready):
    keys = make_model(scene)
    piano_model.align(ready, (21, keys[21]), (108, keys[108]))
    piano_model.attach(ready, keys)
    piano_model.show_own_piano(ready, False)
    rest = tops(keys[60])
    preview.show(ready, takes.active(scene), scene)
    struck = takes.motion_of(takes.active(scene)).notes
    onset = struck["onset"][struck["pitch"] == 60][0]
    scene.frame_set(round(5.5 + (onset + 0.1) * 24))
    assert abs((rest - tops(keys[60]))[:, 2].max() - KEY_DIP) < 0.2e-3
    scene.frame_set(0)
    assert abs(rest - tops(keys[60])).max() < 1e-5


def test_selected_objects_with_some_keys_missing(scene, ready):
    keys = make_model(scene)
    for pitch, obj in keys.items():
        obj.select_set(pitch not in {30, 31, 70})
    assert bpy.ops.piano_hands.assign_keys() == {"FINISHED"}
    assert piano_model.missing(piano_model.attached_keys(ready.piano)) == [30, 31, 70]


def test_nothing_to_assign_or_align(scene, ready):
    with pytest.raises(RuntimeError, match="no key objects"):
        bpy.ops.piano_hands.assign_keys()
    with pytest.raises(RuntimeError, match="Two keys"):
        bpy.ops.piano_hands.align_piano()
