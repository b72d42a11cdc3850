# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How things are rendered: presets and what wins over them, some frames only, images, files that render themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")
from s2c_blender import cli  # noqa: E402
from s2c_blender.blender.batch import Outputs, build, look  # noqa: E402
from s2c_blender.blender.render import ENGINES, PRESETS, Look, render_frames  # noqa: E402
from s2c_blender.cli.arguments import RENDER_PRESETS  # noqa: E402
from s2c_blender.errors import Cancelled, UserError  # noqa: E402
from tests.blender.sample import waving  # noqa: E402

SMALL = Look(width=64, height=36)


@pytest.fixture
def motion(tmp_path) -> Path:
    waving(0.5).save(tmp_path / "hands.npz")
    return tmp_path / "hands.npz"


@pytest.fixture
def run(capsys):
    """Function (*arguments) -> report; in a new file."""

    def call(*arguments) -> dict:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        code = cli.main([str(a) for a in arguments])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out.splitlines()[-1])

    return call


def size(image: Path) -> tuple[int, int]:
    head = image.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_options_win_over_presets():
    assert tuple(PRESETS) == RENDER_PRESETS
    assert all(preset.engine in ENGINES for preset in PRESETS.values())
    assert look(None, None, None, None, None, None) == Look()
    assert look("final", None, None, None, None, None) == PRESETS["final"]
    changed = look("final", "eevee", (64, 36), 2, "top", (3, 5))
    assert changed == Look("top", 64, 36, "EEVEE", 2, (3, 5))
    assert look("preview", None, None, 7, None, None) == replace(PRESETS["preview"], samples=7)


def test_the_saved_file_renders_as_the_preset_says(motion, tmp_path, run):
    report = run(
        "--from-motion", motion, "--out", tmp_path / "x.blend", "--render-preset", "preview", "--camera", "top"
    )
    assert report["frames"] == [1, 16]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "x.blend"))
    scene = bpy.context.scene
    assert (scene.render.engine, scene.cycles.samples) == ("CYCLES", PRESETS["preview"].samples)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (960, 540)
    assert scene.render.image_settings.file_format == "PNG"
    assert (scene.camera.name, scene.frame_start, scene.frame_end) == ("Camera.Top", 1, 16)

    run("--from-motion", motion, "--out", tmp_path / "y.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "y.blend"))
    assert bpy.context.scene.render.resolution_x == 1920  # nobody asked: as Blender has it


def test_images_of_some_frames(motion, tmp_path, run):
    look = ("--resolution", "64x36", "--frames", "3-5")
    report = run("--from-motion", motion, "--render", tmp_path / "take_##.png", *look)
    assert report["outputs"] == {"render": str(tmp_path / "take_##.png")}
    images = sorted(path.name for path in tmp_path.glob("*.png"))
    assert images == ["take_03.png", "take_04.png", "take_05.png"]
    assert {size(tmp_path / name) for name in images} == {(64, 36)}
    assert len({(tmp_path / name).read_bytes() for name in images}) == 3  # the hands move
    run("--from-motion", motion, "--render", tmp_path / "one.png", "--resolution", "64x36", "--frames", "2")
    assert [path.name for path in tmp_path.glob("one*")] == ["one_0002.png"]
    assert not list(tmp_path.glob(".*"))


def test_a_video_of_some_frames(motion, tmp_path, run):
    run("--from-motion", motion, "--render", tmp_path / "x.mp4", "--resolution", "64x36", "--frames", "3-8")
    assert bpy.data.movieclips.load(str(tmp_path / "x.mp4")).frame_duration == 6


def test_the_scene_is_as_before(scene, tmp_path):
    build(waving(0.5), Outputs(), lambda *_: None)
    render = scene.render
    before = (render.engine, render.filepath, render.resolution_x, scene.frame_start, scene.frame_end)
    kind = render.image_settings.file_format
    render_frames(scene, tmp_path / "x.png", replace(SMALL, frames=(2, 3)))
    assert before == (render.engine, render.filepath, render.resolution_x, scene.frame_start, scene.frame_end)
    assert render.image_settings.file_format == kind


def test_a_cancelled_render_leaves_nothing(scene, tmp_path):
    build(waving(0.5), Outputs(), lambda *_: None)

    def stop(fraction: float) -> None:
        if fraction > 0.2:
            raise Cancelled

    with pytest.raises(Cancelled):
        render_frames(scene, tmp_path / "x.png", SMALL, stop)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(scene, tmp_path):
    build(waving(0.5), Outputs(), lambda *_: None)
    with pytest.raises(UserError, match="could not be written"):
        render_frames(scene, tmp_path / "none" / "x.png", SMALL)
