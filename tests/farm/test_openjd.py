# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Open Job Description template, run by its own runner; its render step in Blenders without add-on, too."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s2c_blender.core.motion import HandMotion

TEMPLATE = Path(__file__).parents[2] / "farm" / "piano_hands.yaml"
needs_runner = pytest.mark.skipif(not importlib.util.find_spec("openjd"), reason="needs openjd-cli")


def openjd(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "openjd", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def parameters(**given) -> list[str]:
    return [word for key, value in given.items() for word in ("-p", f"{key}={value}")]


@needs_runner
def test_the_template_is_valid():
    assert openjd("check", TEMPLATE).returncode == 0


@needs_runner
def test_generate_export_and_render(blender, song, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    given = parameters(
        Recording=song, OutDir=out, Name="etude", LastFrame=3, ChunkSize=2, Blender=blender, RenderPreset="draft"
    )
    done = openjd("run", TEMPLATE, *given)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert len(HandMotion.load(out / "etude.npz").notes) == 6
    assert (out / "etude.blend").stat().st_size > 1e5 and (out / "etude.fbx").stat().st_size > 1e5
    frames = sorted(path.name for path in (out / "etude_frames").iterdir())
    assert frames == [f"{frame:06d}.png" for frame in (1, 2, 3, 4)]  # two chunks of two
    steps = re.split(r"Running step '(\w+)'", done.stdout)
    assert steps[1::2] == ["Generate", "Export", "Render"]
    for text in steps[2:5:2]:  # Blender itself tells no percentages
        told = [float(number) for number in re.findall(r"openjd_progress: ([\d.]+)", text)]
        assert told == sorted(told) and (told[0], told[-1]) == (0, 100) and len(told) > 2
    assert "openjd_status: playing" in done.stdout and "openjd_status: exporting" in done.stdout


@needs_runner
def test_a_failing_task_is_told_and_the_rest_not_run(blender, tmp_path):
    (tmp_path / "corrupt.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk\x00\x00")
    given = parameters(Recording=tmp_path / "corrupt.mid", OutDir=tmp_path, LastFrame=2, Blender=blender)
    done = openjd("run", TEMPLATE, *given)
    assert done.returncode != 0
    assert "openjd_fail: corrupt.mid" in done.stdout
    assert not (tmp_path / "hands.npz").exists() and not (tmp_path / "hands.blend").exists()


def test_nodes_that_render_need_no_add_on(real_blender, song, tmp_path):
    """The render step's own arguments, in Blenders that never saw the extension."""
    yaml = pytest.importorskip("yaml")
    code = "from s2c_blender.__main__ import leave, main; leave(main())"
    options = ["--audio", song, "--out", tmp_path / "hands.blend", "--render-preset", "draft", "--resolution", "64x36"]
    command = [sys.executable, "-c", code, *map(str, options)]
    subprocess.run(command, cwd=TEMPLATE.parents[1], check=True, capture_output=True, timeout=120)
    [step] = [step for step in yaml.safe_load(TEMPLATE.read_text())["steps"] if step["name"] == "Render"]
    values = {"Param.OutDir": tmp_path, "Param.Name": "hands", "Param.ChunkSize": 3, "Task.Param.First": 4}
    arguments = [
        re.sub(r"{{(.*?)}}", lambda found: str(values[found[1]]), word)
        for word in step["script"]["actions"]["onRun"]["args"]
    ]
    done = real_blender.run(*arguments, env={"BLENDER_USER_RESOURCES": str(tmp_path / "user")}, timeout=300)
    assert done.returncode == 0, done.stderr
    images = sorted((tmp_path / "hands_frames").iterdir())
    assert [path.name for path in images] == ["000004.png", "000005.png", "000006.png"]
    assert all(path.read_bytes()[16:24] == (64).to_bytes(4) + (36).to_bytes(4) for path in images)
