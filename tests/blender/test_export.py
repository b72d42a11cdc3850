# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports, video, saved files: whole or absent. What exported files hold is in test_export_formats.py."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import export, keying, render, rig  # noqa: E402
from s2c_blender.blender import scene as scenes  # noqa: E402
from s2c_blender.blender.render import Look, find_camera, render_video  # noqa: E402
from s2c_blender.errors import ENVIRONMENT, UserError  # noqa: E402
from tests.blender.sample import clicks, waving  # noqa: E402


@pytest.fixture
def played(scene) -> rig.Rig:
    """A rig with a short take, the scene's range on it."""
    scene.render.fps = 24
    found = rig.add_rig(scene)
    scenes.cover(scene, keying.key_take(found, waving(1.0), scene, 0.0), only=True)
    return found


def test_exporting_keeps_what_is_selected(scene, played, tmp_path):
    chosen = played.keys[60]
    bpy.ops.object.select_all(action="DESELECT")
    chosen.select_set(True)
    bpy.context.view_layer.objects.active = chosen
    export.export_fbx(played, scene, tmp_path / "hands.fbx")
    assert bpy.context.selected_objects == [chosen]
    assert bpy.context.view_layer.objects.active == chosen


def test_a_failed_export_leaves_the_old_file(scene, played, tmp_path, monkeypatch):
    path = tmp_path / "hands.fbx"
    path.write_bytes(b"old")

    def half(_operator, path, **_settings):
        Path(path).write_bytes(b"half")
        raise RuntimeError("Error: Python: Traceback ...\nOSError: [Errno 28] No space left on device\nLocation: x.py")

    monkeypatch.setattr(export, "_write", half)
    with pytest.raises(UserError, match="disk is full"):
        export.export_fbx(played, scene, path)
    assert [p.name for p in tmp_path.iterdir()] == ["hands.fbx"]
    assert path.read_bytes() == b"old"


def test_saved_file_opens_ready_to_play(scene, played, tmp_path):
    sound = clicks(tmp_path / "clicks.wav", 1.0)
    try:
        scenes.add_sound(scene, sound, 0.0, 0.0, 1.0)
    except UserError as error:
        assert error.exit_code == ENVIRONMENT
        assert bpy.app.version < (4, 3)  # the only module without sound
        sound = None
    scene.camera = find_camera(scene, "top")
    path = tmp_path / "song.blend"
    scenes.save(path)
    assert {p.suffix for p in tmp_path.iterdir()} <= {".blend", ".wav"}
    bpy.ops.wm.open_mainfile(filepath=str(path))
    opened = bpy.context.scene
    assert (opened.frame_start, opened.frame_end) == (0, 24)
    assert opened.camera.name == "Camera.Top"
    assert rig.find_rigs(opened)[0].hands[0].animation_data.action
    if sound:
        assert [s.filepath for s in bpy.data.sounds] == ["//clicks.wav"]


def test_video_has_picture_and_sound(scene, played, tmp_path):
    probe = shutil.which("ffprobe")
    if not probe:
        pytest.skip("needs ffprobe")
    scene.frame_end = 11
    engine = scene.render.engine
    silent = False
    try:
        scenes.add_sound(scene, clicks(tmp_path / "clicks.wav", 1.0), 0.0, 0.0, 0.5)
    except UserError:
        silent = True
    path = tmp_path / "song.mp4"
    fractions = []
    render_video(scene, path, Look(width=64, height=36), fractions.append)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clicks.wav", "song.mp4"]
    assert scene.render.engine == engine
    assert len(fractions) == 12
    assert fractions[-1] == 1.0
    asked = [probe, "-v", "error", "-show_entries", "stream=codec_type,nb_frames,width", "-of", "csv=p=0", str(path)]
    streams = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    assert streams[0] == "video,64,12"
    assert len(streams) == (1 if silent else 2)


def test_stopping_a_video(scene, played, tmp_path):
    fractions = []

    def stop(fraction: float) -> None:
        fractions.append(fraction)
        if len(fractions) == 2:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C, while Blender renders

    with pytest.raises(KeyboardInterrupt):
        render_video(scene, tmp_path / "song.mp4", Look(width=64, height=36), stop)
    assert len(fractions) < 5
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_video_cut_short_is_refused(scene, played, tmp_path):
    path = tmp_path / "song.mp4"
    scene.frame_end = 2
    render_video(scene, path, Look(width=64, height=36))
    render._check_whole(path, path.name)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="disk full"):
        render._check_whole(path, path.name)


def test_cameras_by_part_of_their_name(scene, played):
    assert find_camera(scene, "player").name == "Camera.Player"
    assert find_camera(scene, None).name == "Camera.ThreeQuarter"
    with pytest.raises(UserError, match=r"choose one of Camera\.Player, Camera\.ThreeQuarter, Camera\.Top"):
        find_camera(scene, "kitchen")
