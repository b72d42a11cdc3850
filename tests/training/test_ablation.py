# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ablation: variants of equal size that differ in what they say, trained and compared."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp

from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.weights import load_state, read_config
from tests.conftest import REPO
from tests.training.tiny_data import write_config, write_data
from training import ablation
from training.settings import read_training

BUNDLED = ablation.without_styles(read_training(REPO / "training" / "configs" / "bundled.json").model)


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_variants_are_of_one_size_and_differ_in_what_they_say(name: str):
    found, base = ablation.variant(BUNDLED, name), ablation.variant(BUNDLED, ablation.BASE)
    assert base == BUNDLED
    assert abs(ablation.parameters(found) / ablation.parameters(base) - 1) <= ablation.TOLERANCE
    assert (found == base) == (name == ablation.BASE)
    assert (found.audio, found.position, found.diffusion) == (base.audio, base.position, base.diffusion)
    told = {"none": "none", "concatenation": "concat", "cross-attention": "cross", "single stream": "none"}
    assert found.gesture.fusion.kind == told.get(name, "hcaa")
    assert (found.gesture.streams == "single") == (name == "single stream")
    assert (found.gesture.guide == "own") == (name == "HCAA, own positions")


def test_intervals_are_students():
    values = [0.3, 0.5, 0.9, 0.4]
    mean, wide = ablation.interval(values)
    assert mean == pytest.approx(np.mean(values))
    low, high = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (mean - wide, mean + wide) == pytest.approx((low, high))
    assert ablation.interval([0.7]) == (0.7, None)


def test_variants_are_trained_and_compared(tmp_path, monkeypatch, capsys):
    """Two variants with two seeds: every run is there, the shared noise reuses weights, the report compares them."""
    data = write_data(tmp_path / "data", seconds=9.0)
    config = write_config(tmp_path / "config.json")
    monkeypatch.setattr(ablation, "TOLERANCE", 0.5)  # such small networks cannot be of one size
    out = tmp_path / "out"
    command = [str(config), "--data", str(data), "--out", str(out), "--seeds", "2", "--threads", "1", "--device", "cpu"]
    command += ["--variants", "single stream"]
    assert ablation.main(command) == 0
    weights = [
        load_state(out / name / f"seed{seed}" / "model", "left", "gesture.")
        for name in ("HCAA", "single-stream")
        for seed in (0, 1)
    ]
    name = "out.weight"
    assert not torch.equal(weights[0][name], weights[1][name])
    first, shared = out / "HCAA" / "seed0" / "model", out / "HCAA" / "seed0" / "shared-noise"
    assert read_config(first).diffusion.initial_noise == "decoupled"
    assert read_config(shared).diffusion.initial_noise == "shared"
    assert torch.equal(load_state(shared, "left", "gesture.")[name], weights[0][name])
    result = json.loads((out / "ablation.json").read_text())
    assert set(result["values"]) == {ablation.BASE, "single stream", ablation.SHARED_NOISE}
    fgd = result["values"]
    assert len(fgd[ablation.BASE]["fgd"]) == 2
    difference = np.subtract(fgd["single stream"]["fgd"], fgd[ablation.BASE]["fgd"])
    assert result["differences"]["single stream"]["fgd"][0] == pytest.approx(difference.mean())
    table = (out / "ablation.md").read_text()
    assert table in capsys.readouterr().out
    assert f"| {ablation.SHARED_NOISE} |" in table
    assert ablation.main(command) == 0  # nothing is trained again, and the report is the same
    assert (out / "ablation.md").read_text() == table


def test_a_variant_that_cannot_be_of_the_same_size_ends_before_anything_is_trained(tmp_path, capsys):
    config = write_config(tmp_path / "config.json")  # its networks are too small to be matched
    command = [str(config), "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert ablation.main(command) == BAD_ARGUMENTS
    error = capsys.readouterr().err.strip()
    assert "have as many parameters as the configured model" in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def test_data_that_change_between_the_variants_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "train", lambda job, _: int(job.out.name == "seed1"))
    monkeypatch.setattr(ablation, "variant", lambda model, _: model)
    training = read_training(write_config(tmp_path / "config.json"))
    with pytest.raises(UserError, match=r"has other clips for .*HCAA/seed1 than"):
        ablation.runs(training, tmp_path, tmp_path / "out", 2, "cpu")
