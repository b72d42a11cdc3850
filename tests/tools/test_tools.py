# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dev.py is made of, as far as it can be tested without installing anything."""

import ast
import os
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from s2c_blender import wheels
from tools import environment, extension, steps


def pins(path: Path) -> dict[str, str]:
    """Name -> version of a requirements file and those it names."""
    lines = [line.split("#")[0].strip() for line in environment.read_requirements(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("-r")]
    exact = re.compile(r'([\w.-]+)==([\w.]+)( ; python_version (<|>=) "3\.\d+")?')
    found = [exact.fullmatch(line) for line in lines]
    assert all(found), lines
    return {match[1]: match[2] for match in found}


def test_every_requirement_has_an_exact_version(repo: Path):
    for path in repo.glob("requirements*.txt"):
        assert pins(path)
    assert pins(repo / "requirements.txt")["torch"] == "2.13.0"


@pytest.mark.parametrize("python", extension.PYTHONS)
def test_locked_wheels_are_those_of_the_requirements(python: str):
    text = extension.lock_file(python).read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+) \\$", text, re.MULTILINE))
    assert set(locked) == set(extension.BUNDLED)
    wanted = extension.pins(python)
    assert locked == {name: wanted[name] for name in locked}
    targets = [target for target in extension.TARGETS if target.python == python]
    for name in ("scipy", "onnxruntime", "cffi"):  # one compiled wheel for each
        [hashes] = re.findall(rf"^{name}==.*\n((?:    --hash.*\n)+)", text, re.MULTILINE)
        assert hashes.count("sha256") == len(targets)


def test_the_oldest_blenders_numpy_is_one_that_scipy_knows():
    # Blender 4.2 and 4.3 have NumPy 1.24.3; SciPy 1.16 and later cannot be imported with it.
    assert extension.pins("3.11")["scipy"].startswith("1.15.")
    assert pins(environment.REPO / environment.BPY42.requirements)["numpy"] == "1.24.3"


def test_onnx_runtime_is_one_that_sends_nothing():
    # From 1.29 on importing it alone sends telemetry and leaves files in ~/.cache on Linux and macOS.
    assert all(int(extension.pins(python)["onnxruntime"].split(".")[1]) < 29 for python in extension.PYTHONS)


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


@pytest.mark.parametrize("target", extension.TARGETS, ids=str)
def test_manifest_of_a_zip_is_valid_and_keeps_the_rest(repo: Path, target: extension.Target):
    before = (repo / "blender_manifest.toml").read_text()
    names = ["a-1-py3-none-any.whl", "b-2-py3-none-any.whl"]
    after = tomllib.loads(extension.fitted(before, target, names))
    assert after.pop("wheels") == [f"./wheels/{name}" for name in names]
    assert after.pop("platforms") == [target.platform]
    assert after.pop("blender_version_max", "") == {"3.11": "5.1.0"}.get(target.python, "")
    assert after == tomllib.loads(before)
    assert all(len(reason) <= 64 for reason in after["permissions"].values())


def test_forgets_bytecode_of_its_own_single_files_only(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "soundfile-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("soundfile.py", "")
        wheel.writestr("package/other.py", "")
    for site in ("extensions/.local/lib", "elsewhere"):
        (tmp_path / site / "__pycache__").mkdir(parents=True)
        for name in ("soundfile", "other", "soundfiles"):
            (tmp_path / site / "__pycache__" / f"{name}.cpython-311.pyc").touch()
    wheels.forget_bytecode(tmp_path, [str(tmp_path / "extensions/.local/lib"), str(tmp_path / "elsewhere"), "/none"])
    left = {path.relative_to(tmp_path).parts[0]: set() for path in tmp_path.rglob("*.pyc")}
    for path in tmp_path.rglob("*.pyc"):
        left[path.relative_to(tmp_path).parts[0]].add(path.name.split(".")[0])
    assert left == {"extensions": {"other", "soundfiles"}, "elsewhere": {"soundfile", "other", "soundfiles"}}


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
