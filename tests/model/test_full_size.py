# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of the published size made of random numbers, from its two files to motion, within the memory it needs.

The left hand in the new spelling of weight normalisation, the right one in the old. Some minutes of disk work,
so it runs only where there is room.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.model import tiny_release
from tests.model.tiny_release import FULL

DISK, MEMORY = 18e9, 12e9  # bytes that must be free, and that the machine must have
ROOM = 1.3  # the peak may be this many times the weights

IMPORT = """
import sys
from pathlib import Path
from s2c_blender.generate import peak_memory_mb
from s2c_blender.model.release import import_release
import_release(Path(sys.argv[1]), Path(sys.argv[2]))
print(peak_memory_mb())
"""
SAMPLE = """
import sys
from pathlib import Path
import numpy as np
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.generate import peak_memory_mb
from s2c_blender.model.features import Recording, hearable
from s2c_blender.model.generator import Generator, Sampling
generator = Generator(Path(sys.argv[1]), device="cpu")
networks = generator.networks
weights = sum(p.numel() * p.element_size() for net in (*networks.positions, networks.hands) for p in net.parameters())
sound = np.random.default_rng(0).standard_normal(8 * 44100).astype(np.float32)
recording = Recording(Score(make_notes([0.0], [1.0], [60], [64])), hearable(sound, 44100))
positions, poses = generator.generate(recording, 240, 1, Sampling(steps=2))
assert positions.shape == (2, 240, 3) and poses.shape == (2, 240, 48)
assert np.isfinite(positions).all() and np.isfinite(poses).all() and poses.std() > 0.01
print(peak_memory_mb(), weights / 1e6)
"""


def run(code: str, *arguments: Path) -> list[float]:
    """The numbers a Python of its own prints at its end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(word) for word in done.stdout.split()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    if shutil.disk_usage(folder).free < DISK or memory < MEMORY:
        pytest.skip("needs 18 GB of disk and 12 GB of memory")
    yield folder
    shutil.rmtree(folder)


def test_a_full_size_release_becomes_motion(folder: Path):
    release = folder / "release"
    release.mkdir()
    for name, args in zip(("args.txt", "args_posi.txt"), tiny_release.arguments(FULL), strict=True):
        (release / name).write_text(json.dumps(args))
    for seed, (hand, spelling) in enumerate((("left", "new"), ("right", "old"))):
        state = tiny_release.state(FULL, seed, spelling)
        for value in state.values():  # else numbers grow without limit in so deep a network
            if value.ndim > 1:
                value *= value[0].numel() ** -0.5
        tiny_release.save_checkpoint(release / tiny_release.checkpoint_name(hand), state, {})
    del state
    bytes_of_checkpoints = sum(path.stat().st_size for path in release.glob("*.ckpt"))
    assert bytes_of_checkpoints > 5.7e9
    (peak,) = run(IMPORT, release, folder / "model")
    shutil.rmtree(release)
    assert peak * 1e6 < ROOM * bytes_of_checkpoints / 2 + 5e8  # one hand's weights at a time, and PyTorch
    assert json.loads((folder / "model" / "config.json").read_text())["gesture"]["dim"] == 256
    peak, weights = run(SAMPLE, folder / "model")
    assert weights > 5400
    assert peak < ROOM * weights
    print(f"sampling: peak {peak:.0f} MB for {weights:.0f} MB of weights")
