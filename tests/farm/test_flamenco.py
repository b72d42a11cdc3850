# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Flamenco job type: what it authors of a job's settings, and that its commands do what they should."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from s2c_blender.cli.arguments import RENDER_PRESETS, named_outputs, parser

JOB_TYPE = Path(__file__).parents[2] / "farm" / "piano_hands.js"
MANAGER = Path(__file__).with_name("flamenco.js")
SETTINGS = {"recording": "/music/song.wav", "output_folder": "/farm/out", "frames": "1-7,9", "chunk_size": 3, "seed": 5}


def compiled(settings: dict) -> dict:
    """{"type": JOB_TYPE, "tasks": [...]} as the job type makes them, by the JavaScript engine that is there."""
    code = f'"use strict";\n{MANAGER.read_text()}\n{JOB_TYPE.read_text()}\n'
    call = f"compiled({json.dumps(settings)})"
    if node := shutil.which("node"):
        done = subprocess.run(
            [node, "-e", f"{code}console.log({call})"], capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout)
    quickjs = pytest.importorskip("quickjs", reason="needs node or quickjs")
    return json.loads(quickjs.Context().eval(f"{code}{call}"))


def test_the_tasks_and_their_order():
    tasks = {task["name"]: task for task in compiled(SETTINGS)["tasks"]}
    assert list(tasks) == ["generate", "export", "render-1-3", "render-4-6", "render-7,9"]
    assert {task["type"] for task in tasks.values()} == {"blender"}
    assert tasks["generate"]["dependencies"] == []
    assert tasks["export"]["dependencies"] == ["generate"]
    assert all(task["dependencies"] == ["export"] for name, task in tasks.items() if name.startswith("render"))
    assert all(len(task["commands"]) == 1 for task in tasks.values())


def test_the_extension_understands_its_commands():
    tasks = {task["name"]: task["commands"][0] for task in compiled(SETTINGS)["tasks"]}
    understood = {}
    for name in ("generate", "export"):
        command = tasks[name]
        assert (command["name"], command["parameters"]["exe"]) == ("exec", "{blender}")
        start, options = command["parameters"]["args"][:3], command["parameters"]["args"][3:]
        assert start == ["-b", "--command", "piano_hands"]
        understood[name] = parser(in_blender=True, strict=True).parse_args(options)
    generate, export = understood["generate"], understood["export"]
    assert (str(generate.audio), generate.seed) == ("/music/song.wav", 5)
    assert (generate.generator, generate.style) == ("model", "classical")
    assert named_outputs(generate) == {"motion": export.from_motion}
    assert named_outputs(export) == {"out": Path("/farm/out/song.blend"), "fbx": Path("/farm/out/song.fbx")}
    assert (export.fps, export.render_preset) == (30, "preview")


def test_rendering_is_plain_blender():
    commands = [task["commands"][0] for task in compiled(SETTINGS)["tasks"][2:]]
    assert {command["name"] for command in commands} == {"blender-render"}
    assert {command["parameters"]["blendfile"] for command in commands} == {"/farm/out/song.blend"}
    assert {command["parameters"]["exeArgs"] for command in commands} == {"{blenderArgs}"}
    images = ["-o", "/farm/out/song_frames/######", "-F", "PNG", "-x", "1"]
    assert [command["parameters"]["args"] for command in commands] == [
        [*images, "-s", "1", "-e", "3", "-a"],
        [*images, "-s", "4", "-e", "6", "-a"],
        [*images, "-f", "7,9"],
    ]


def test_the_settings():
    made = compiled({**SETTINGS, "frames": "8", "name": "take"})
    settings = {setting["key"]: setting for setting in made["type"]["settings"]}
    assert settings["render_preset"]["choices"] == list(RENDER_PRESETS)
    assert {key for key, setting in settings.items() if setting.get("required")} == {
        "recording", "output_folder", "frames",
    }  # fmt: skip
    assert {setting["type"] for setting in settings.values()} <= {"string", "int32", "float", "bool"}
    [render] = [task["commands"][0]["parameters"] for task in made["tasks"][2:]]
    assert render["args"][-5:] == ["-s", "8", "-e", "8", "-a"]
    assert render["blendfile"] == "/farm/out/take.blend"
