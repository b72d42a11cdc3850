# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model folders: whole or absent, read piece by piece, and one sentence for what is wrong with them."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.model import weights
from s2c_blender.model.config import AudioConfig, ModelConfig

torch = pytest.importorskip("torch")

CONFIG = ModelConfig(audio=AudioConfig("notes"), meta={"made": "for tests"})


def states(value: float = 1.0) -> dict:
    return {
        hand: {"gesture.a": torch.full((3, 2), value + i), "gesture.b": torch.zeros(4), "position.a": torch.ones(5)}
        for i, hand in enumerate(("left", "right"))
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weights.save_model(tmp_path / "model", CONFIG, states())
    return tmp_path / "model"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_saved_is_read(model):
    assert names(model) == {"config.json", "left.safetensors", "right.safetensors"}
    assert len({path.stat().st_mode for path in model.iterdir()}) == 1, "some may not be read by others"
    assert weights.read_config(model) == CONFIG
    right = weights.load_state(model, "right", "gesture.")
    assert right.keys() == {"a", "b"}
    assert torch.equal(right["a"], torch.full((3, 2), 2.0))
    assert weights.load_state(model, "left", "position.", torch.bfloat16)["a"].dtype == torch.bfloat16


def test_half_precision_is_stored_and_read_as_float32(tmp_path):
    weights.save_model(tmp_path / "half", CONFIG, states(1 / 3), half=True)
    weights.save_model(tmp_path / "whole", CONFIG, states(1 / 3))
    read = weights.load_state(tmp_path / "half", "left", "gesture.")
    assert read["a"].dtype == torch.float32
    assert torch.equal(read["a"], torch.full((3, 2), 1 / 3).half().float())
    sizes = [(tmp_path / name / "left.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < sizes[1]


def test_many_tensors_are_all_read(tmp_path):
    many = {f"gesture.{i}": torch.full((2,), float(i)) for i in range(2 * weights.READ_AT_ONCE + 1)}
    weights.save_model(tmp_path / "m", CONFIG, {"left": many, "right": many}, half=True)
    read = weights.load_state(tmp_path / "m", "left", "gesture.")
    assert len(read) == len(many)
    assert all(torch.equal(read[name.removeprefix("gesture.")], value) for name, value in many.items())


def test_a_value_that_half_precision_cannot_hold(tmp_path):
    big = states()
    big["right"]["gesture.b"][2] = 1e6
    with pytest.raises(UserError, match=r"gesture\.b of the right hand does not fit into half precision"):
        weights.save_model(tmp_path / "m", CONFIG, big, half=True)
    weights.save_model(tmp_path / "m", CONFIG, big)
    big["right"]["gesture.b"][2] = float("nan")
    with pytest.raises(UserError, match=r"gesture\.b of the right hand is damaged"):
        weights.save_model(tmp_path / "m", CONFIG, big)
    assert weights.load_state(tmp_path / "m", "right", "gesture.")["b"][2] == 1e6
    assert names(tmp_path) == {"m"}


def test_a_newer_model_takes_the_place_of_the_older(model):
    weights.save_model(model, CONFIG, states(7.0))
    assert weights.load_state(model, "left", "gesture.")["a"][0, 0] == 7.0
    assert names(model.parent) == {"model"}


def test_an_interrupted_save_leaves_the_old_model(model):
    class Broken(dict):
        def __getitem__(self, hand):
            if hand == "right":
                raise KeyboardInterrupt
            return super().__getitem__(hand)

    with pytest.raises(KeyboardInterrupt):
        weights.save_model(model, CONFIG, Broken(states(7.0)))
    assert weights.load_state(model, "left", "gesture.")["a"][0, 0] == 1.0
    assert names(model.parent) == {"model"}


def test_when_the_new_folder_cannot_be_moved_the_old_one_comes_back(model, monkeypatch):
    rename = Path.rename

    def refuse(path, target):
        if path.name.endswith(".part"):
            raise PermissionError(errno.EACCES, "in use")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UserError, match="read-only"):
        weights.save_model(model, CONFIG, states(7.0))
    assert weights.load_state(model, "left", "gesture.")["a"][0, 0] == 1.0
    assert names(model.parent) == {"model"}


def test_other_folders_are_not_replaced(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("holiday", "file"):
        with pytest.raises(UserError, match="holds something else than a model"):
            weights.save_model(tmp_path / name, CONFIG, states())
    assert names(tmp_path / "holiday") == {"photo.jpg"}
    (tmp_path / "empty").mkdir()
    weights.save_model(tmp_path / "empty", CONFIG, states())
    weights.read_config(tmp_path / "empty")


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from s2c_blender.errors import UserError
from s2c_blender.model import weights
from s2c_blender.model.config import ModelConfig
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
big = {"gesture.a": torch.zeros(100_000)}
try:
    weights.save_model(Path(sys.argv[1]), ModelConfig(), {"left": big, "right": big})
except UserError as error:
    print(error.exit_code, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are POSIX's")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.stdout.startswith(f"{ENVIRONMENT} The disk is full: free some space"), done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["config.json", "left.safetensors"])
def test_missing_files(model, name):
    (model / name).unlink()
    with pytest.raises(UserError, match=f"holds no model \\({name} is missing\\)"):
        weights.read_config(model)
        weights.load_state(model, "left", "gesture.")


@pytest.mark.parametrize("content", [None, b"", b"ghost", b"\x00" * 100, b"\xff" * 8 + b"{}"])
def test_truncated_and_foreign_weights(model, content):
    path = model / "left.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if content is None else content)
    with pytest.raises(UserError, match=r"left\.safetensors is truncated or no model file"):
        weights.load_state(model, "left", "gesture.")


def test_weights_of_something_else(model):
    with pytest.raises(UserError, match=r"The left hand in .* has no style\.\*"):
        weights.load_state(model, "left", "style.")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"format": 1, "window": "long"}', '{"format": 1, "colour": 3}'])
def test_a_broken_configuration(model, text):
    (model / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json cannot be used \(.+\): update the extension, or import .+\.$"):
        weights.read_config(model)


def test_load_into_takes_the_very_tensors():
    with torch.device("meta"):
        module = torch.nn.Linear(2, 3)
    state = {"weight": torch.randn(3, 2), "bias": torch.randn(3)}
    weights.load_into(module, state)
    assert module.weight.data_ptr() == state["weight"].data_ptr()
    assert module.weight.requires_grad
    assert torch.equal(module(torch.zeros(1, 2))[0], state["bias"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bias": None}, "bias is missing"),
        ({"weight": torch.zeros(2, 3)}, "weight is 2 x 3 instead of 3 x 2"),
        ({"gain": torch.zeros(3)}, "gain is unknown"),
    ],
)
def test_load_into_names_what_does_not_fit(change, told):
    state = {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)} | change
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(UserError, match=rf"do not fit their configuration \({told}\)"):
        weights.load_into(torch.nn.Linear(2, 3), state)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's account of memory")
def test_float32_weights_stay_in_the_file(tmp_path):
    """What is stored as it is used is mapped from the file, not copied."""
    big = {"gesture.a": torch.zeros(1000, 1000)}
    weights.save_model(tmp_path / "m", CONFIG, {"left": big, "right": big})
    tensor = weights.load_state(tmp_path / "m", "left", "gesture.")["a"]
    mapped = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if "left.safetensors" in line]
    ranges = [[int(end, 16) for end in line[0].split("-")] for line in mapped]
    assert any(start <= tensor.data_ptr() < end for start, end in ranges)
    assert (tmp_path / "m" / "left.safetensors").samefile(mapped[0][-1])


@pytest.mark.parametrize("foreign", ["pytorch_model.bin", "notes.txt"])
def test_a_folder_with_anything_besides_a_model_is_left_alone(tmp_path: Path, foreign: str):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text('{"format": 1}')
    (folder / foreign).write_text("precious")
    with pytest.raises(UserError, match="something else than a model"), weights.new_folder(folder):
        pass
    (folder / foreign).unlink()
    (folder / "config.json").write_text('{"model_type": "hubert"}')  # of another program
    with pytest.raises(UserError, match="something else than a model"), weights.new_folder(folder):
        pass
    (folder / "config.json").write_text('{"format": 99}')  # ours, of another version: may be replaced
    with weights.new_folder(folder) as part:
        (part / "config.json").write_text("new")
    assert (folder / "config.json").read_text() == "new"
