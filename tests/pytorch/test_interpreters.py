# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in a Python, and what is said of what is none."""

import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import pytest

from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.pytorch.interpreters import find, look, program

TORCH = """
from types import SimpleNamespace as N
__version__ = "9.8+cu77"
version = N(cuda="7.7")
cuda = N(is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda i: f"Card {i}")
backends = N(mps=N(is_available=lambda: False))
"""


@pytest.fixture
def packages(tmp_path) -> Path:
    """A folder with something that looks like PyTorch and half of what else is needed."""
    folder = tmp_path / "packages"
    for name in ("torch", "transkun"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(TORCH if name == "torch" else "")
    return folder


def isolated() -> list[str]:
    """Arguments that hide what the tests' own environment has."""
    return ["-I", "-S"]


def test_packages_of_the_user_are_found(packages):
    found = find(None, packages, isolated())
    assert found.usable and found.packages["torch"] == "9.8+cu77" and found.place == str(packages / "torch")
    assert found.missing == ["safetensors", "transformers"]
    told = found.sentence()
    assert told.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}")
    assert "PyTorch 9.8+cu77, CUDA 7.7: computes on Card 0, Card 1; safetensors, transformers missing." in told


def test_without_pytorch():
    found = find(None, None, isolated())
    assert not found.usable and found.missing[0] == "torch" and "without PyTorch" in found.sentence()


def test_pytorch_that_does_not_start(packages):
    (packages / "torch" / "__init__.py").write_text("raise OSError('libcudart.so.99 is missing')")
    found = find(None, packages, isolated())
    assert not found.usable and "does not start (OSError: libcudart.so.99 is missing)" in found.sentence()


def test_the_one_pointed_at_goes_first(packages):
    """A real one; the installed packages are for Blender's own Python only."""
    if not importlib.util.find_spec("torch"):
        pytest.skip("needs PyTorch")
    found = find(sys.executable, packages)
    assert found.usable and found.place != str(packages / "torch")
    assert found.packages["torch"] == metadata.version("torch") and found.executable == sys.executable


def test_folders_of_environments_stand_for_their_python(tmp_path):
    assert program(tmp_path) == tmp_path
    for inside in ("python.exe", "Scripts/python.exe", "bin/python"):
        (tmp_path / inside).parent.mkdir(exist_ok=True)
        (tmp_path / inside).touch()
        assert program(tmp_path) == tmp_path / inside
    assert program(tmp_path / "bin/python") == tmp_path / "bin/python"


@pytest.mark.parametrize("name", ["/nowhere/python", "/bin/false", "/bin/cat", "."])
def test_what_is_no_python(name):
    with pytest.raises(UserError) as told:
        look(name)
    assert told.value.exit_code == ENVIRONMENT
    assert name in str(told.value) and "choose another one in the extension's preferences" in str(told.value)
