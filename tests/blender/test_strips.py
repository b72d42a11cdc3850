# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound strips as audio: which part of which file, and where on the timeline it sounds."""

import wave
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import scene as scenes  # noqa: E402
from s2c_blender.blender import strips  # noqa: E402
from s2c_blender.blender.mixdown import mix_strip  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from tests.blender.sample import clicks  # noqa: E402

FPS = [(24, 1.0), (25, 1.0), (30, 1.0), (60, 1.0), (24, 1.001), (30, 1.001)]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return clicks(tmp_path / "clicks.wav", 6.0)


@pytest.fixture
def new_strip(scene, recording):
    """Function (frame, name) that adds the recording as a strip."""
    editor = scene.sequence_editor_create()

    def add(frame: int = 1, name: str = "clicks", channel: int = 1):
        made = editor.strips if hasattr(editor, "strips") else editor.sequences
        try:
            return made.new_sound(name=name, filepath=str(recording), channel=channel, frame_start=frame)
        except RuntimeError:
            pytest.skip("this bpy was built without sound")

    return add


def set_handles(strip, first: int, last: int) -> None:
    new = hasattr(strip, "left_handle")
    setattr(strip, "right_handle" if new else "frame_final_end", last)
    setattr(strip, "left_handle" if new else "frame_final_start", first)


def loudness(path: Path) -> tuple[np.ndarray, int]:
    """First channel's absolute samples, 0..1, and the rate of a 16-bit .wav."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())
        return np.abs(samples[:, 0] / 32768), file.getframerate()


def first_click(path: Path) -> float:
    samples, rate = loudness(path)
    return np.flatnonzero(samples > 0.3)[0] / rate


@pytest.mark.parametrize(("fps", "base"), FPS)
@pytest.mark.parametrize("offset", [0.0, 0.11, -0.13])
def test_a_trimmed_strip_sounds_where_blender_plays_it(scene, new_strip, tmp_path, fps, base, offset):
    scene.render.fps, scene.render.fps_base = fps, base
    strip = new_strip(41)
    strip.sound_offset = offset
    set_handles(strip, 41 + fps, 41 + 3 * fps)
    audio = strips.strip_audio(strip, scene, tmp_path)
    rate = fps / base
    assert audio.start == pytest.approx(fps / rate - offset, abs=1e-6)
    assert audio.duration == pytest.approx(2 * fps / rate, abs=1e-6)
    assert audio.frame == pytest.approx(41 + fps)
    mixed = mix_strip(strip, scene, 41 + fps, 41 + 3 * fps, tmp_path)
    expected = np.ceil(audio.start * 2) / 2 - audio.start  # a click every half second of the file
    assert first_click(mixed) == pytest.approx(expected, abs=0.05 / rate)


def test_sound_that_starts_late_in_its_strip(scene, new_strip, tmp_path):
    strip = new_strip(10)
    strip.sound_offset = 1.0
    audio = strips.strip_audio(strip, scene, tmp_path)
    rate = scene.render.fps / scene.render.fps_base
    assert audio.start == 0.0
    assert audio.frame == pytest.approx(10 + rate)


def test_hard_trim(scene, new_strip, tmp_path):
    strip = new_strip(10)
    before = strips.strip_clock(strip, scene)
    new = hasattr(strip, "content_trim_start")
    setattr(strip, "content_trim_start" if new else "animation_offset_start", 24)
    after = strips.strip_clock(strip, scene)
    moved = (strip.content_start if new else strip.frame_start) - 10
    assert after.origin == before.origin + moved - 24


def test_part_of_a_meta_strip(scene, new_strip, tmp_path):
    strip = new_strip(11)
    editor = scene.sequence_editor
    made = editor.strips if hasattr(editor, "strips") else editor.sequences
    meta = made.new_meta(name="meta", channel=3, frame_start=21)
    strip.move_to_meta(meta)
    set_handles(meta, 21, 61)
    audio = strips.strip_audio(strip, scene, tmp_path)
    assert (audio.frame, round(audio.duration * 24)) == (21, 40)
    assert audio.start == pytest.approx(10 / 24)
    assert strips.sound_strips(scene) == [strip]
    set_handles(meta, 3000, 3010)
    with pytest.raises(UserError, match="outside its meta strip"):
        strips.strip_audio(strip, scene, tmp_path)


def test_mutes_decide_which_strip_is_meant(scene, new_strip):
    quiet, heard = new_strip(1, "quiet", 1), new_strip(1, "heard", 2)
    scene.sequence_editor.active_strip = None
    with pytest.raises(UserError, match="several sound strips"):
        strips.find_strip(bpy.context)
    quiet.mute = True
    assert strips.find_strip(bpy.context) == (scene, heard)
    scene.sequence_editor.channels[2].mute = True
    with pytest.raises(UserError, match="muted"):
        strips.find_strip(bpy.context)
    scene.sequence_editor.active_strip = quiet
    assert strips.find_strip(bpy.context) == (scene, quiet)


def test_no_strip_anywhere(scene):
    with pytest.raises(UserError, match="no sound strip"):
        strips.find_strip(bpy.context)


def test_strip_of_another_scene(scene, new_strip, tmp_path):
    strip = new_strip(25)
    other = bpy.data.scenes.new("animation")
    other.render.fps = 60
    bpy.context.window.scene = other
    found_scene, found = strips.find_strip(bpy.context)
    assert (found_scene, found) == (scene, strip)
    audio = strips.strip_audio(found, found_scene, tmp_path)
    assert strips.scene_frame(audio, found_scene, other) == pytest.approx(25 * 60 / 24)


def test_packed_sound(scene, new_strip, recording, tmp_path):
    strip = new_strip()
    strip.sound.pack()
    content = recording.read_bytes()
    recording.unlink()
    folder = tmp_path / "unpacked"
    folder.mkdir()
    audio = strips.strip_audio(strip, scene, folder)
    assert audio.path.read_bytes() == content
    assert strips.origin(strip) == recording, "takes are told to be made of the user's file, not of the unpacked one"
    assert audio.path.suffix == ".wav"


def test_paths(scene, new_strip, recording, tmp_path):
    strip = new_strip()
    strip.sound.filepath = "//clicks.wav"
    with pytest.raises(UserError, match="save the file first"):
        strips.strip_audio(strip, scene, tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "project.blend"))
    assert strips.strip_audio(strip, scene, tmp_path).path == recording
    recording.unlink()
    with pytest.raises(UserError, match="missing"):
        strips.strip_audio(strip, scene, tmp_path)


def test_retimed_strip_is_mixed_down(scene, new_strip, recording, tmp_path):
    strip = new_strip(11)
    assert not strips.is_retimed(strip, scene, recording)
    window = bpy.context.window_manager.windows[0]
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = scene
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    scene.sequence_editor.active_strip = strip
    strip.select = True
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.sequencer.retiming_key_add(timeline_frame=20)
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50)
    assert strips.is_retimed(strip, scene, recording)
    before = scene.frame_start, scene.frame_end, strip.mute
    audio = strips.strip_audio(strip, scene, tmp_path)
    assert (scene.frame_start, scene.frame_end, strip.mute) == before
    samples, rate = loudness(audio.path)
    assert len(samples) / rate >= audio.duration
    assert audio.frame == 11


def test_added_sound_plays_its_part_to_the_sample(scene, recording, tmp_path):
    scene.render.fps, scene.render.fps_base = 30, 1.001
    try:
        strip = scenes.add_sound(scene, recording, 11.4, 1.25, 2.0)
    except UserError:
        pytest.skip("this bpy was built without sound")
    clock = strips.strip_clock(strip, scene)
    assert clock.seconds(11.4) == pytest.approx(1.25, abs=1e-5)
    first, last = strips.handles(strip)
    assert first == 11
    assert last == np.ceil(11.4 + 2 * 30 / 1.001)
