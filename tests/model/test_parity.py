# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded answers of the released code, all of them; skipped where they are not (users have no shared/)."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.parity.__main__ import fixtures, main

NAMES = ["keys_full", "metrics", "position_tiny", "sampler_tiny", *(f"unet_tiny_fusion{k}" for k in range(5))]


def test_every_fixture_is_checked(shared_dir):
    parity = shared_dir / "parity"
    assert sorted(fixtures(parity)) == sorted(path.stem for path in parity.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_release(shared_dir, name: str):
    results = fixtures(shared_dir / "parity")[name]()
    assert results
    assert not [result for result in results if not result[1] <= result[2]]


def test_a_wrong_answer_is_found(shared_dir, tmp_path, monkeypatch, capsys):
    parity = shared_dir / "parity"
    for suffix in ("json", "safetensors"):
        shutil.copyfile(parity / f"unet_tiny_fusion4.{suffix}", tmp_path / f"unet_tiny_fusion4.{suffix}")
    monkeypatch.setattr("sys.argv", ["parity", str(tmp_path)])
    assert main() == 0
    tensors = load_file(tmp_path / "unet_tiny_fusion4.safetensors")
    tensors["out.v_left"][0, 3, 5] += np.float32(0.01)
    save_file(tensors, tmp_path / "unet_tiny_fusion4.safetensors")
    assert main() == 1
    assert "FAIL unet_tiny_fusion4" in capsys.readouterr().out
