# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The export buttons: what they write, and why they are greyed out."""

import mido
import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.audio.midi import read_midi  # noqa: E402
from s2c_blender.blender import apply, export, export_ui, preview, register, takes  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from tests.blender.sample import REPORT, waving  # noqa: E402
from tests.blender.test_export_formats import TICKS, fbx_times  # noqa: E402


@pytest.fixture
def taken(scene):
    """A scene with a take at a frame between two, keyed on a rig."""
    register.register()
    scene.render.fps = 24
    take = takes.add(scene, waving(2.0), REPORT, 7.5)
    found = apply.add_rig(scene)
    apply.insert_keys(scene, found, take)
    scene.frame_start, scene.frame_end = 7, 32
    yield take
    register.unregister()


def test_each_hand_in_a_file_of_its_own(taken, tmp_path):
    options = {"hands": "EACH", "mesh": False, "time": "TAKE", "rate": 30.0, "preset": "UNITY"}
    assert bpy.ops.piano_hands.export_fbx(filepath=str(tmp_path / "song.fbx"), **options) == {"FINISHED"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["song_left.fbx", "song_right.fbx"]
    for path in tmp_path.iterdir():
        times = max(fbx_times(path), key=len) / TICKS
        assert np.abs(times - np.arange(61) / 30).max() < 1e-9


def test_a_preview_is_exported_as_it_is_shown(taken, tmp_path):
    """Without keyframes; afterwards the hands stand where they stood."""
    scene = bpy.context.scene
    piano = scene.piano_hands.rig
    keyed = tmp_path / "keyed.bvh"
    bpy.ops.piano_hands.export_bvh(filepath=str(keyed))
    hands = [child for child in piano.children if child.type == "ARMATURE"]
    for hand in hands:
        hand.animation_data_clear()
    assert "no keyframes" in export_ui.PIANO_HANDS_OT_export_fbx.disabled_reason(bpy.context)
    bpy.ops.piano_hands.preview()
    assert preview.is_shown(piano)
    scene.frame_set(20)
    before = [tuple(bone.rotation_euler) for hand in hands for bone in hand.pose.bones]
    shown = tmp_path / "shown.bvh"
    bpy.ops.piano_hands.export_bvh(filepath=str(shown))
    assert before == [tuple(bone.rotation_euler) for hand in hands for bone in hand.pose.bones]
    rows = [np.array([line.split() for line in path.read_text().splitlines()[-26:]], float) for path in (keyed, shown)]
    turns = (rows[0] - rows[1] + 180) % 360 - 180
    assert rows[0].shape[0] == 26 and np.median(np.abs(turns)) < 0.05 and np.ptp(rows[1], axis=0).max() > 5


def test_motion_and_notes_of_the_active_take(taken, tmp_path):
    motion = takes.motion_of(taken)
    arrays, notes = tmp_path / "song.npz", tmp_path / "song.mid"
    assert bpy.ops.piano_hands.export_motion(filepath=str(arrays)) == {"FINISHED"}
    assert np.abs(HandMotion.load(arrays).left_rotation - motion.left_rotation).max() < 1e-6
    assert bpy.ops.piano_hands.export_midi(filepath=str(notes)) == {"FINISHED"}
    assert [track.name for track in mido.MidiFile(notes).tracks[1:]] == ["Right hand", "Left hand"]
    score = read_midi(notes)
    assert np.abs(score.notes["onset"] - motion.notes["onset"]).max() < 1e-4


def test_what_cannot_be_written_says_so(taken, tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="could not be written"):
        bpy.ops.piano_hands.export_motion(filepath=str(tmp_path / "nowhere" / "song.npz"))
    with pytest.raises(RuntimeError, match="could not be written"):
        bpy.ops.piano_hands.export_fbx(filepath=str(tmp_path / "nowhere" / "song.fbx"))
    monkeypatch.setattr(export, "has_usd", lambda: False)
    assert not bpy.ops.piano_hands.export_usd.poll()
    assert "cannot write USD" in export_ui.PIANO_HANDS_OT_export_usd.disabled_reason(bpy.context)
    bpy.context.scene.piano_hands.takes.clear()
    assert "Nothing was generated" in export_ui.PIANO_HANDS_OT_export_midi.disabled_reason(bpy.context)
    with pytest.raises(RuntimeError, match="choose Frame 0"):
        bpy.ops.piano_hands.export_bvh(filepath=str(tmp_path / "song.bvh"), time="TAKE")
