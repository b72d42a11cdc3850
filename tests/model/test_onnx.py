# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gesture networks by ONNX Runtime: PyTorch's motion without PyTorch, from files that belong to the model."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s2c_blender.audio import device
from s2c_blender.core.hand import forward_kinematics
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.errors import UserError
from s2c_blender.model.config import AudioConfig, FusionConfig
from s2c_blender.model.generator import Generator, Sampling
from s2c_blender.model.hands import guide as torch_guide
from s2c_blender.model.onnx_networks import guide
from s2c_blender.model.prior import Request, prepare
from s2c_blender.model.weights import HANDS, ONNX, load_state, save_model, write_hand
from tests.model.test_generator import FAST, music
from tests.model.tiny_model import HUBERT, STYLED, TINY, write_model

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
pytest.importorskip("onnxscript", reason="the export needs onnxscript")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The tiny model, whose hands meet in an HCAA, with its ONNX files."""
    from tools import onnx_export

    folder = write_model(tmp_path_factory.mktemp("model") / "tiny", TINY)
    assert onnx_export.main([str(folder)]) == 0
    return folder


def joints(positions: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Joints and fingertips of both hands, m."""
    hands = [forward_kinematics(positions[s], poses[s].reshape(-1, 16, 3), left=s == LEFT) for s in (LEFT, RIGHT)]
    return np.concatenate([np.concatenate(parts[:2], axis=1) for parts in hands])


def test_the_same_style_as_pytorchs(tmp_path: Path):
    """Part-aware networks: with a style, guided beyond it, and with none."""
    from tools import onnx_export

    folder = write_model(tmp_path / "styled", STYLED)
    torch.manual_seed(1)
    for hand in HANDS:  # what is new begins at zero and would say nothing
        state = load_state(folder, hand, "")
        state |= {name: torch.randn_like(value) * 0.2 for name, value in state.items() if ".part_" in name}
        write_hand(folder, hand, state)
    assert onnx_export.main([str(folder)]) == 0
    styles = np.random.default_rng(0).normal(size=(2, 4, 3)), None
    made = {}
    for backend in ("onnx", "torch"):
        generator = Generator(folder, device="cpu", backend=backend)
        for weight, style in ((1.0, styles[0]), (1.5, styles[0]), (1.0, None)):
            recording = replace(music(4), style=style)
            motion = generator.generate(recording, 100, 3, replace(FAST, style_weight=weight))
            made[backend, weight, style is None] = joints(*motion)
    for (backend, weight, plain), motion in made.items():
        assert np.linalg.norm(motion - made["torch", weight, plain], axis=-1).max() < 1e-4, backend
    assert np.linalg.norm(made["onnx", 1.0, False] - made["onnx", 1.0, True], axis=-1).max() > 1e-3


@pytest.mark.parametrize("sampler", ["dpm", "ddpm"])
def test_same_motion_as_pytorch(model: Path, sampler: str):
    steps = 10 if sampler == "dpm" else 100
    sampling = Sampling(sampler, steps, overlap=16)
    ours, theirs = (
        joints(*Generator(model, device="cpu", backend=backend).generate(music(6), 180, 3, sampling))
        for backend in ("onnx", "torch")
    )
    apart = np.linalg.norm(ours - theirs, axis=-1)
    assert 0 < apart.max() < 1e-4  # m, a tenth of what is allowed; 0 would mean that one backend ran twice
    other = joints(*Generator(model, device="cpu", backend="onnx").generate(music(6), 180, 4, sampling))
    assert np.linalg.norm(ours - other, axis=-1).max() > 0.01


def test_the_same_twice_and_in_other_batches(model: Path):
    generator = Generator(model, device="cpu", backend="onnx")
    first, again = (generator.generate(music(6), 180, 1, FAST) for _ in range(2))
    alone = generator.generate(music(6), 180, 1, replace(FAST, batch=1))
    for one, two, single in zip(first, again, alone, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(one, single, atol=2e-4)


def test_weights_stored_in_half_take_half_the_space_here_too(tmp_path: Path):
    from tools import onnx_export

    whole, half = (write_model(tmp_path / name, TINY, half=name == "half") for name in ("whole", "half"))
    exported = write_model(tmp_path / "exported", TINY, half=True)
    for folder in (whole, half):
        assert onnx_export.main([str(folder)]) == 0
    size, smaller = (sum((folder / name).stat().st_size for name in ONNX) for folder in (whole, half))
    weights, halves = (sum(path.stat().st_size for path in one.glob("*.safetensors")) for one in (whole, half))
    assert size - smaller > 0.8 * (weights - halves)
    ours, theirs = (
        joints(*Generator(folder, device="cpu", backend=backend).generate(music(4), 100, 3, FAST))
        for folder, backend in ((half, "onnx"), (exported, "torch"))
    )
    assert np.linalg.norm(ours - theirs, axis=-1).max() < 1e-4


WITHOUT_TORCH = """
import sys
for name in ("torch", "safetensors", "transformers"):
    sys.modules[name] = None
from pathlib import Path
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.model.prior import Request, make_prior, prepare
score = Score(make_notes([0.0, 0.5], [0.4, 1.0], [60, 64], [64, 64], [0, 1], [1, 2]))
prepared = prepare(Request(Path(sys.argv[1]), steps=3), False)
motion, _ = make_prior(prepared, score, 2.0)
print(prepared.backend, len(motion.left_position))
"""


def test_without_pytorch(repo: Path, model: Path, tmp_path: Path):
    """Neither PyTorch nor the weights' own files are needed."""
    for name in ("config.json", *ONNX):
        shutil.copy(model / name, tmp_path)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)]
    run = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    assert run.stdout.split() == ["onnx", "61"], run.stderr


def test_files_of_another_model_are_told(model: Path, tmp_path: Path):
    folder = shutil.copytree(model, tmp_path / "changed")
    (folder / "config.json").write_text(replace(TINY, meta={"changed": True}).to_json())
    with pytest.raises(UserError, match="was exported from another model"):
        Generator(folder, device="cpu", backend="onnx")


def test_what_only_pytorch_can_do(model: Path, tmp_path: Path, capsys):
    assert prepare(Request(model, device="cpu"), False).backend == "onnx"
    assert prepare(Request(model, device="cpu", precision="bfloat16"), False).backend == "torch"
    with pytest.raises(UserError, match="computes in float32"):
        prepare(Request(model, precision="bfloat16", backend="onnx"), False)
    from tools import onnx_export

    listening = write_model(tmp_path / "listening", replace(TINY, audio=AudioConfig("hubert", HUBERT)))
    assert onnx_export.main([str(listening)]) == 1
    assert "run with PyTorch only" in capsys.readouterr().err
    assert prepare(Request(listening, device="cpu"), True).backend == "torch"


def test_without_either_it_is_told(model: Path, monkeypatch):
    from s2c_blender.model import prior

    for module in (device, prior):
        monkeypatch.setattr(module, "installed", lambda name: False)
    with pytest.raises(UserError, match=r"ONNX Runtime cannot be loaded here \(it is not installed\), nor PyTorch"):
        prepare(Request(model, device="cpu"), False)


def test_up_to_date_files_stay_and_the_same_bytes_come_again(model: Path, capsys):
    from tools import onnx_export

    before = [hashlib.sha256((model / name).read_bytes()).hexdigest() for name in ONNX]
    assert onnx_export.main([str(model)]) == 0
    assert "up to date" in capsys.readouterr().out
    assert onnx_export.main(["--force", str(model)]) == 0
    assert [hashlib.sha256((model / name).read_bytes()).hexdigest() for name in ONNX] == before
    assert str(Path.home()).encode() not in (model / ONNX[1]).read_bytes()  # nothing of this computer in them


def test_a_new_model_takes_an_exported_ones_place(model: Path, tmp_path: Path):
    folder = shutil.copytree(model, tmp_path / "old")
    save_model(folder, TINY, {"left": {"a": torch.zeros(1)}, "right": {"a": torch.zeros(1)}})
    assert {path.name for path in folder.iterdir()} == {"config.json", "left.safetensors", "right.safetensors"}


@pytest.mark.parametrize("streams", ["dual", "single"])
@pytest.mark.parametrize("shown", ["both", "own"])
def test_guides_are_those_of_pytorch(streams: str, shown: str):
    gesture = replace(TINY.gesture, streams=streams, guide=shown, guide_scale=7.0, fusion=FusionConfig("none"))
    config = replace(TINY, gesture=gesture)
    positions = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    theirs = gesture if streams == "dual" else replace(gesture, guide="both")
    expected = torch_guide(torch.from_numpy(positions)[None], theirs)[0].numpy()
    np.testing.assert_allclose(guide(positions, config), expected if streams == "dual" else expected[0], rtol=1e-6)
