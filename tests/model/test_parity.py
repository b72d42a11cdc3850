# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded answers of the released code, all of them; skipped where they are not (users have no shared/)."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from s2c_blender.model.release import sha256
from tests.parity.__main__ import fixtures, main
from tests.parity.common import rows

NAMES = ["keys_full", "metrics", "position_tiny", "sampler_tiny", *(f"unet_tiny_fusion{k}" for k in range(5))]
ONE = "unet_tiny_fusion4"


def test_every_fixture_is_checked(shared_dir):
    parity = shared_dir / "parity"
    assert sorted(fixtures(parity)) == sorted(path.stem for path in parity.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_release(shared_dir, name: str):
    results = fixtures(shared_dir / "parity")[name]()
    assert results
    assert not [result for result in results if not result[1] <= result[2]]


@pytest.fixture
def copied(shared_dir, tmp_path, monkeypatch):
    """A folder with one fixture, which main() checks."""
    for suffix in ("json", "safetensors"):
        shutil.copyfile(shared_dir / "parity" / f"{ONE}.{suffix}", tmp_path / f"{ONE}.{suffix}")
    monkeypatch.setattr("sys.argv", ["parity", str(tmp_path)])
    return tmp_path


def rewrite(folder, tensors: dict[str, np.ndarray]) -> None:
    """Other tensors in place of a fixture's, with their sha256."""
    save_file(tensors, folder / f"{ONE}.safetensors")
    facts = json.loads((folder / f"{ONE}.json").read_text())
    facts["sha256"] = sha256(folder / f"{ONE}.safetensors")
    (folder / f"{ONE}.json").write_text(json.dumps(facts))


def test_a_wrong_answer_is_found(copied, capsys):
    assert main() == 0
    tensors = load_file(copied / f"{ONE}.safetensors")
    tensors["out.v_left"][0, 3, 5] += np.float32(0.01)
    rewrite(copied, tensors)
    assert main() == 1
    told = capsys.readouterr().out
    assert f"FAIL {ONE}" in told
    assert "(out.v_left)" in told


def test_an_answer_that_nothing_is_compared_with_is_named(copied, capsys):
    tensors = load_file(copied / f"{ONE}.safetensors")
    rewrite(copied, tensors | {"b1.out.mid_left": np.zeros(3, np.float32)})
    assert main() == 1
    assert "nothing to compare b1.out.mid_left with" in capsys.readouterr().out


def test_a_wrong_hash_is_found(copied, capsys):
    path = copied / f"{ONE}.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"sha256": facts["sha256"][::-1]}))
    assert main() == 1
    assert "another sha256" in capsys.readouterr().out


def test_one_bad_fixture_does_not_stop_the_others(copied, capsys):
    (copied / "sampler_bad.json").write_text("[]")
    (copied / "versions.json").write_text("{}")
    assert main() == 1
    told = capsys.readouterr().out
    assert "not checked: versions" in told
    assert "FAIL sampler_bad" in told
    assert f"ok   {ONE}" in told


def test_batches_are_told_by_their_names():
    clips = list(range(4))
    assert [clips[rows(name)] for name in ("", "b1.", "b3.", "b1row2.")] == [clips, [0], [0, 1, 2], [2]]
