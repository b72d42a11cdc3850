# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip for Python 3.11 in Blender's modules, beside which there is only what blender.org's Blenders have."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from s2c_blender.core.motion import HandMotion
from tools import environment, extension

BLENDERS_PACKAGES = ("bpy", "numpy", "numpy.libs", "requests", "urllib3", "idna", "certifi", "charset_normalizer")
SECONDS = 4
EXPECTED = {environment.BPY42: ([4, 2], "1.24."), environment.MAIN: ([4, 5], "1.26.")}


@pytest.fixture(scope="module")
def zip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    [path] = extension.build([extension.this_platform()], tmp_path_factory.mktemp("zip"), ["3.11"])
    return path


def bare_python(blender: environment.Environment, folder: Path) -> Path:
    """An interpreter that has Blender's module and the packages that come with Blender, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    [theirs] = blender.path.glob("lib/python*/site-packages")
    for name in BLENDERS_PACKAGES:
        (site / name).symlink_to(theirs / name)
    return folder / "bin" / "python"


def offline() -> list[str]:
    """What runs a command without network, where this user may; nothing elsewhere."""
    words = ["unshare", "--map-root-user", "--net"]
    able = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0
    return words if able else []


@pytest.mark.parametrize("blender", EXPECTED, ids=lambda blender: blender.folder)
def test_zip_plays_a_recording_offline_without_pytorch(
    blender: environment.Environment, zip_file: Path, repo: Path, tmp_path: Path
):
    if not blender.python.exists():
        pytest.skip(f"{blender.folder} is not set up; `python3.11 dev.py test` does it")
    python = bare_python(blender, tmp_path / "python")
    home = tmp_path / "home"
    folders = {"BLENDER_USER_RESOURCES": home / "blender", "HOME": home / "home", "TMPDIR": home / "tmp"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    blend, npz = tmp_path / "played.blend", tmp_path / "played.npz"
    recording = repo / "demo" / "fur_elise.flac"
    command = ["--audio", recording, "--duration", SECONDS, "--out", blend, "--motion", npz]
    arguments = json.dumps([str(zip_file), list(map(str, command))])
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [*offline(), python, Path(__file__).with_name("in_module.py"), arguments],
        env={**env, **{name: str(path) for name, path in folders.items()}},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report, told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    version, numpy = EXPECTED[blender]
    assert told["blender"] == version and told["numpy"].startswith(numpy) and not told["torch"]
    assert all(path.startswith(str(home)) for path in told["files"]), told
    if offline():
        assert told["networks"] == ["lo"]
    assert report["notes_played"] == report["notes_found"] >= 15
    assert blend.stat().st_size > 100_000
    motion = HandMotion.load(npz)
    assert len(motion.notes) == report["notes_played"] and motion.duration >= SECONDS
    left = [path for path in home.rglob("*") if path.is_file() and ".local" in path.parts]
    assert [path for path in left if path.suffix != ".pyc"] == []
