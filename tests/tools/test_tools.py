# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dev.py is made of, as far as it can be tested without installing anything."""

import ast
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tools import environment, extension, steps


def pins(path: Path) -> dict[str, str]:
    """Name -> version of a requirements file and those it names."""
    lines = [line.split("#")[0].strip() for line in environment.read_requirements(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("-r")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), lines
    return dict(line.split("==") for line in lines)


def test_every_requirement_has_an_exact_version(repo: Path):
    for path in repo.glob("requirements*.txt"):
        assert pins(path)
    assert pins(repo / "requirements.txt")["torch"] == "2.13.0"


def test_wheels_are_those_the_tests_run_with(repo: Path):
    locked = dict(re.findall(r"^([\w.-]+)==(\S+) \\$", extension.LOCK.read_text(), re.MULTILINE))
    assert set(locked) == set(extension.BUNDLED)
    tested = pins(repo / "requirements-common.txt")
    assert locked == {name: tested[name] for name in locked}


def test_zip_brings_every_package_the_extension_imports(repo: Path):
    from_blender = {
        "numpy",
        "bpy",
        "bmesh",
        "mathutils",
        "gpu",
        "gpu_extras",
        "blf",
        "aud",
        "addon_utils",
        "bpy_extras",
    }
    # For transcription and models, and said so where they are imported.
    from_the_user = {"torch", "transkun", "transformers", "safetensors"}
    unknown = {}
    for path in (repo / "s2c_blender").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"s2c_blender"}:
                if name not in from_blender | from_the_user | set(extension.BUNDLED):
                    unknown.setdefault(name, path.name)
    assert unknown == {}


def test_manifest_with_wheels_is_valid_and_keeps_the_rest(repo: Path):
    before = (repo / "blender_manifest.toml").read_text()
    after = tomllib.loads(
        extension.with_wheels(before, ["linux-x64"], ["a-1-py3-none-any.whl", "b-2-py3-none-any.whl"])
    )
    assert after.pop("wheels") == ["./wheels/a-1-py3-none-any.whl", "./wheels/b-2-py3-none-any.whl"]
    assert after.pop("platforms") == ["linux-x64"]
    assert after == tomllib.loads(before)


def test_without_root_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(steps.StepFailed, match=r"sudo apt-get install .* libxi6") as caught:
        environment.apt_install(["libxi6"], "Blender's module needs system libraries", tmp_path / "log")
    assert str(caught.value).count("\n") == 0


def test_without_python_311_the_user_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "PYTHON", (3, 99))
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(steps.StepFailed, match=r"no `python3\.99`"):
        environment.find_python()


def test_a_failing_program_leaves_a_log_and_its_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(steps.StepFailed, match="exit code 7"):
        steps.quietly(["sh", "-c", "echo why it failed; exit 7"], log)
    assert "why it failed" in log.read_text() and "why it failed" in capsys.readouterr().err


def test_a_hanging_program_is_stopped():
    assert steps.exit_code(["sleep", "30"], timeout=0.2) == steps.TIMED_OUT
