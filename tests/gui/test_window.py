# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in a real window on a virtual screen, pressed with a real mouse: drive.py is what happens inside.

Pictures of every step stay in build/gui/<Blender>/ for looking at.
"""

import importlib.util
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import extension
from tools.blender_root import Blender

needs_torch = pytest.mark.skipif(
    not importlib.util.find_spec("torch"), reason="needs PyTorch beside this Python, for the worker process"
)
SCREEN = (1600, 900)
PICTURES = 22


@pytest.fixture
def recording(repo: Path, tmp_path: Path) -> Path:
    """Six seconds of the bundled recording."""
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(repo / "demo" / "fur_elise.flac", stop=6 * 44100)
    path = tmp_path / "fur_elise.wav"
    soundfile.write(path, samples, rate)
    return path


def run(blender: Blender, user: Path, *words: str, program: str = "", timeout: float) -> subprocess.CompletedProcess:
    return blender.run(*words, program=program, env={"BLENDER_USER_RESOURCES": str(user)}, timeout=timeout)


@needs_torch
def test_window(real_blender: Blender, recording: Path, repo: Path, tmp_path: Path):
    if real_blender.root is None and not all(map(shutil.which, ("xvfb-run", "xdotool", "scrot"))):
        pytest.skip("needs xvfb-run, xdotool and scrot beside Blender")
    user = tmp_path / "user"
    user.mkdir()
    [zip_file] = extension.build([extension.this_platform()], tmp_path, [real_blender.python])
    done = run(
        real_blender, user, "--command", "extension", "install-file", "-r", "user_default", "--enable", str(zip_file),
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = repo / "build" / "gui" / real_blender.name
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    width, height = map(str, SCREEN)
    command = [
        "xvfb-run", "-a", "-s", f"-screen 0 {width}x{height}x24 +extension GLX +render",
        real_blender.executable, "-p", "0", "0", width, height, "-P", str(Path(__file__).with_name("drive.py")),
        "--", str(recording), sys.executable, str(pictures),
    ]  # fmt: skip
    # xvfb-run waits for a signal that does not reach the first process of a namespace, so a shell goes before it.
    done = run(real_blender, user, "-c", f"{shlex.join(command)}; exit $?", program="sh", timeout=900)
    result = pictures / "result.txt"
    told = result.read_text() if result.exists() else "Blender ended before the last step"
    assert told == "OK", told + done.stdout + done.stderr
    print(done.stdout)  # how long things took
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert len(list(pictures.glob("*.png"))) == PICTURES
