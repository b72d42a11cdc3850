# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strips that are retimed after a take was made of them: Re-Sync follows one speed, and says when it cannot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.blender import apply, job, preview, register, rig, strips, takes  # noqa: E402
from s2c_blender.blender.actions import curves  # noqa: E402
from s2c_blender.blender.keying import TAKE  # noqa: E402
from s2c_blender.blender.mixdown import mix_strip  # noqa: E402
from tests.blender.sample import REPORT, clicks, waving  # noqa: E402
from tests.blender.test_strips import loudness  # noqa: E402

pytestmark = pytest.mark.skipif(bpy.app.version < (4, 4), reason="needs strip.retiming_keys, Blender 4.4 or later")


@pytest.fixture
def strip(scene, tmp_path):
    register.register()
    scene.render.fps = 24
    editor = scene.sequence_editor_create()
    made = editor.strips if hasattr(editor, "strips") else editor.sequences
    file = clicks(tmp_path / "song.wav", 6.0)
    yield made.new_sound(name="song", filepath=str(file), channel=1, frame_start=11)
    job.state.trouble = None
    register.unregister()


@pytest.fixture
def take(scene, strip):
    """Of the strip from its second 0.5 on."""
    made = takes.add(scene, waving(4.0), REPORT, 23.0)
    made.strip, made.second = "song", 0.5
    return made


def retime(strip, do: Callable[[], None]) -> None:
    """Call an operator of the sequencer's on the strip."""
    window = bpy.context.window_manager.windows[0]
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = strip.id_data
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    strip.id_data.sequence_editor.active_strip = strip
    strip.select = True
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        do()


def at_speed(strip, percent: float) -> None:
    retime(strip, lambda: bpy.ops.sequencer.retiming_segment_speed_set(speed=percent))


def heard_clicks(strip, scene, folder: Path) -> np.ndarray:
    """Frames at which Blender plays the clicks, which lie half a second apart in the file."""
    first, last = strips.handles(strip)
    samples, rate = loudness(mix_strip(strip, scene, first, last, folder))
    loud = np.flatnonzero(samples > 0.15)
    loud = loud[np.diff(loud, prepend=-rate) > 0.1 * rate]
    return first + loud / rate * scene.render.fps


@pytest.mark.parametrize("percent", [50, 80, 125])
def test_a_take_follows_the_speed_of_its_strip(scene, strip, take, tmp_path, percent):
    piano = rig.add_rig(scene)
    apply.insert_keys(scene, piano, take)
    action = piano.hands[1].animation_data.action
    before = {curve.data_path + str(curve.array_index): read(curve) for curve in curves(action)}
    uid, onset = take.uid, takes.motion_of(take).notes["onset"].copy()
    at_speed(strip, percent)
    assert bpy.ops.piano_hands.resync() == {"FINISHED"} and job.state.trouble is None
    motion = takes.motion_of(take)
    assert take.speed == pytest.approx(percent / 100, rel=0.01) and take.uid != uid
    np.testing.assert_allclose(motion.notes["onset"], onset / take.speed, rtol=1e-6)
    assert motion.duration == pytest.approx(4.0 / take.speed, rel=1e-6) and take.seconds == pytest.approx(
        motion.duration
    )
    # A note at each click of the file is where Blender plays that click.
    clicks_heard = heard_clicks(strip, scene, tmp_path)[1:9]
    meant = take.frame + np.arange(8) * 0.5 * scene.render.fps / take.speed
    print(f"{percent} %: {np.abs(clicks_heard - meant).max():.2f} frames off at most")
    assert np.abs(clicks_heard - meant).max() < 0.35
    assert action[TAKE] == take.uid
    for curve in curves(action):
        keys = read(curve)
        moved = take.frame + (before[curve.data_path + str(curve.array_index)][:, 0] - 23.0) / take.speed
        np.testing.assert_allclose(keys[:, 0], moved, atol=1e-3)
    told = take.told()["dropped"][0]["onset"]
    assert told == pytest.approx(1.5 / take.speed)
    assert bpy.ops.piano_hands.resync() == {"FINISHED"}
    assert takes.motion_of(take) is motion, "once is enough"


def read(curve) -> np.ndarray:
    places = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", places)
    return places.reshape(-1, 2)


def test_there_and_back_and_moved_and_previewed(scene, strip, take):
    piano = rig.add_rig(scene)
    preview.show(piano, take, scene)
    at_speed(strip, 50)
    bpy.ops.piano_hands.resync()
    assert preview.shown_uid(piano.piano) == take.uid
    at_speed(strip, 100)
    start = "content_start" if hasattr(strip, "content_start") else "frame_start"
    setattr(strip, start, 31)
    bpy.ops.piano_hands.resync()
    assert take.speed == pytest.approx(1.0, rel=1e-3)
    assert take.frame == pytest.approx(43.0, abs=0.1)
    assert takes.motion_of(take).duration == pytest.approx(4.0, rel=1e-3)
    preview.hide(piano.piano)


def test_uneven_retiming_is_refused_with_its_cure(scene, strip, take):
    def two_speeds():
        bpy.ops.sequencer.retiming_key_add(timeline_frame=60)
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50)

    retime(strip, two_speeds)
    bpy.ops.piano_hands.resync()
    assert "Blender does not tell how" in job.state.trouble.sentence
    assert job.state.trouble.cure == "piano_hands.generate"
    assert (take.frame, take.speed) == (23.0, 1.0)


def test_keys_on_tracks_are_left_to_the_user(scene, strip, take):
    piano = rig.add_rig(scene)
    apply.insert_keys(scene, piano, take, push_down=True)
    (track,) = piano.hands[0].animation_data.nla_tracks
    ends = track.strips[0].frame_start, track.strips[0].frame_end
    at_speed(strip, 50)
    bpy.ops.piano_hands.resync()
    assert "remove its strips on NLA tracks" in job.state.trouble.sentence
    assert (track.strips[0].frame_start, track.strips[0].frame_end) == ends
    assert take.speed == pytest.approx(0.5, rel=0.01)
