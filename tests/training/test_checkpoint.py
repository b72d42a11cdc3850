# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints: what comes back, how many stay, and what damage and a full disk do."""

from pathlib import Path

import pytest
import torch
from torch import nn

from s2c_blender.errors import ENVIRONMENT, UserError
from training import checkpoint
from training.average import average_into, averaged

resource = pytest.importorskip("resource")  # not on Windows


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"weights.a": torch.full((300, 40), value), "average.a": torch.tensor(value)}


def last(folder: Path) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    told: list[str] = []
    return checkpoint.load_last(folder, told.append), told


def test_the_last_two_are_kept(tmp_path):
    assert last(tmp_path) == (None, [])
    for step in (2, 4, 100):
        checkpoint.save(tmp_path, step, tensors(step), {"run": {"steps": 7}})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-00000004.safetensors",
        "checkpoint-00000100.safetensors",
    ]
    found, told = last(tmp_path)
    assert told == []
    assert (found.step, found.told) == (100, {"run": {"steps": 7}})
    assert all(torch.equal(found.tensors[name], value) for name, value in tensors(100).items())


@pytest.mark.parametrize("damage", ["cut", "one bit", "empty", "no header"])
def test_a_damaged_one_is_passed_over(tmp_path, damage):
    checkpoint.save(tmp_path, 1, tensors(1), {})
    path = checkpoint.save(tmp_path, 2, tensors(2), {})
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    damaged = {"cut": content[:-100], "one bit": content, "empty": b"", "no header": b"\xff" * 64}[damage]
    path.write_bytes(damaged)
    found, told = last(tmp_path)
    assert found.step == 1
    assert len(told) == 1
    assert path.name in told[0]
    checkpoint.save(tmp_path, 1, tensors(1), {}).write_bytes(b"")
    with pytest.raises(UserError, match="No checkpoint"):
        last(tmp_path)


@pytest.mark.parametrize("how", ["while writing", "before"])
def test_a_full_disk_leaves_the_older_one(tmp_path, how, monkeypatch):
    checkpoint.save(tmp_path, 1, tensors(1), {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if how == "before":
        monkeypatch.setattr("s2c_blender.outputs.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match="disk is full") as told:
            checkpoint.save(tmp_path, 2, tensors(2), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told.value.exit_code == ENVIRONMENT
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001.safetensors"]
    assert last(tmp_path)[0].step == 1


def test_networks_average_and_optimiser_go_on_as_if_nothing_had_been(tmp_path):
    def begun() -> tuple[nn.Module, nn.Module, torch.optim.AdamW]:
        torch.manual_seed(0)
        networks = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
        networks.register_parameter("unused", nn.Parameter(torch.ones(2)))
        return networks, averaged(networks), torch.optim.AdamW(networks.parameters(), lr=0.1, fused=True)

    def go(networks, average, optimiser, steps) -> None:
        for step in steps:
            torch.manual_seed(step)
            optimiser.zero_grad()
            networks(torch.randn(5, 3)).square().mean().backward()
            optimiser.step()
            average_into(average, networks, 0.9, step)

    through = begun()
    go(*through, range(1, 9))
    first = begun()
    go(*first, range(1, 5))
    checkpoint.save(tmp_path, 4, checkpoint.state_of(*first), {})
    second = begun()
    checkpoint.restore(last(tmp_path)[0], *second)
    go(*second, range(5, 9))
    ours, expected = checkpoint.state_of(*second), checkpoint.state_of(*through)
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    assert not torch.equal(ours["weights.0.weight"], ours["average.0.weight"])


def test_the_average_forgets_the_first_weights_quickly():
    networks = nn.Linear(1, 1)
    average = averaged(networks)
    for step in range(1, 60):
        nn.init.constant_(networks.weight, 5.0)
        average_into(average, networks, 0.9999, step)
    assert average.weight.item() == pytest.approx(5.0, abs=0.01)
    nn.init.constant_(networks.weight, 7.0)
    average_into(average, networks, 0.9, 10_000)
    assert average.weight.item() == pytest.approx(5.2, abs=0.01)
