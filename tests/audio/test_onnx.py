# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transcription by ONNX Runtime: PyTorch's notes without PyTorch; which backend runs; what is told when none can."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.audio import device, onnx_network
from s2c_blender.audio import transcribe as transcription
from s2c_blender.audio.device import choose_backend, memory_told, open_network
from s2c_blender.audio.events import continuous_bernoulli_mean
from s2c_blender.audio.onnx_network import OnnxNetwork
from s2c_blender.audio.read import RATE, load_audio
from s2c_blender.audio.transcribe import hear, listen
from s2c_blender.core.metrics import accuracy
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import BAD_ARGUMENTS, ENVIRONMENT, UserError

FILES = (onnx_network.HEARS, onnx_network.DESCRIBES)


@pytest.fixture(scope="module")
def exported():
    """The transcriber's ONNX files, made where they are not there (half a minute)."""
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    if not all(path.exists() for path in FILES):
        pytest.importorskip("onnxscript", reason="needs the exported transcriber: python -m tools.onnx_export")
        from tools import onnx_export

        assert onnx_export.main([]) == 0


@pytest.mark.parametrize("name", ["fur_elise", "fast_chopin_etude_op10_no8"])
def test_same_notes_as_pytorch(repo: Path, request, exported, name: str):
    """One window of each; benchmarks/onnx.py compares whole recordings."""
    pytest.importorskip("transkun", reason="needs transkun")
    demo = name == "fur_elise"
    folder = repo / "demo" if demo else request.getfixturevalue("shared_dir") / "audio"
    sound = load_audio(folder / f"{name}.flac", 3.0, 13.0)[0][:, 0]
    ours, theirs = (listen(sound, "cpu", False, backend=backend) for backend in ("onnx", "torch"))
    assert len(theirs.notes) > 70
    presses = np.stack([ours.notes[field].astype(float) for field in ("onset", "offset", "pitch")], axis=1)
    assert accuracy(presses, theirs.notes).f1 >= 0.995
    if len(ours.notes) == len(theirs.notes):
        for field in ("onset", "offset"):
            assert np.abs(ours.notes[field] - theirs.notes[field]).max() < 1e-4  # s
        assert np.count_nonzero(ours.notes["velocity"] != theirs.notes["velocity"]) <= len(ours.notes) / 100


WITHOUT_TORCH = """
import json, sys
for name in ("torch", "transkun", "safetensors", "transformers"):
    sys.modules[name] = None
from s2c_blender.audio.read import load_audio
from s2c_blender.audio.transcribe import transcribe
score = transcribe(*load_audio("demo/fur_elise.flac", 0.0, 4.0), backend=sys.argv[1])
print(json.dumps(score.notes["pitch"].tolist()))
"""


@pytest.mark.parametrize("backend", ["auto", "onnx"])
def test_without_pytorch(repo: Path, exported, backend: str):
    command = [sys.executable, "-c", WITHOUT_TORCH, backend]
    run = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)[:4] == [76, 75, 76, 75]  # e'' d#'' e'' d#''


def test_the_import_costs_no_runtime():
    code = "import sys, s2c_blender.audio.transcribe; print({'torch', 'onnxruntime'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.fixture
def world(monkeypatch, tmp_path):
    """Say what is installed, whether there is a graphics card and whether the network is there; its path."""

    def make(packages: str, card: bool, network: bool) -> Path:
        monkeypatch.setattr(device, "installed", lambda name: name in packages.split())
        monkeypatch.setattr(device, "_graphics_card", lambda: card)
        path = tmp_path / "network.onnx"
        path.unlink(missing_ok=True)
        if network:
            path.touch()
        return path

    return make


@pytest.mark.parametrize(
    ("asked", "where", "packages", "card", "network", "expected"),
    [
        ("auto", "auto", "onnxruntime", False, True, "onnx"),
        ("auto", "auto", "onnxruntime torch", False, True, "onnx"),
        ("auto", "auto", "onnxruntime torch", True, True, "torch"),
        ("auto", "cpu", "onnxruntime torch", True, True, "onnx"),
        ("auto", "cuda", "onnxruntime torch", False, True, "torch"),
        ("auto", "auto", "onnxruntime torch", False, False, "torch"),
        ("auto", "auto", "torch", False, True, "torch"),
        ("torch", "auto", "onnxruntime torch", False, True, "torch"),
        ("onnx", "auto", "onnxruntime torch", True, True, "onnx"),
    ],
)
def test_choice_of_the_backend(world, asked, where, packages, card, network, expected):
    assert choose_backend(asked, where, [world(packages, card, network)]) == expected


def test_a_backend_that_lacks_a_package_is_not_chosen(world):
    network = world("onnxruntime torch", True, True)
    assert choose_backend("auto", "auto", [network], ("torch", "transkun")) == "onnx"


@pytest.mark.parametrize(
    ("asked", "where", "packages", "network", "told", "code"),
    [
        ("onnx", "cuda", "onnxruntime", True, "for cuda choose the backend torch", BAD_ARGUMENTS),
        ("onnx", "auto", "torch", True, "needs ONNX Runtime", ENVIRONMENT),
        ("onnx", "auto", "onnxruntime", False, "network.onnx, which is missing: install", ENVIRONMENT),
        ("tensorflow", "auto", "onnxruntime", True, "no backend 'tensorflow'", BAD_ARGUMENTS),
    ],
)
def test_what_cannot_be_chosen_is_told(world, asked, where, packages, network, told, code):
    with pytest.raises(UserError, match=told) as error:
        choose_backend(asked, where, [world(packages, False, network)])
    assert error.value.exit_code == code


def test_files_that_are_no_networks_are_told(tmp_path: Path, exported):
    whole = onnx_network.DESCRIBES.read_bytes()
    for name, content in (("empty", b""), ("garbage", b"garbage" * 99), ("cut", whole[: len(whole) // 2])):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=rf"{name}\.onnx cannot be used \(.+\): install the extension again"
        ) as told:
            open_network(path)
        assert told.value.exit_code == ENVIRONMENT
        assert "\n" not in str(told.value)


def test_a_runtime_that_does_not_load_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"ONNX Runtime cannot be loaded \(.+\): install"):
        open_network(onnx_network.HEARS)


def test_memory_that_runs_out_is_told(exported):
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    words = "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 99"
    with pytest.raises(UserError, match="memory is not enough"), memory_told("cpu"):
        raise RuntimeException(words)
    with pytest.raises(RuntimeException, match="other"), memory_told("cpu"):
        raise RuntimeException("other")


def test_both_backends_share_the_cache(tmp_path: Path, monkeypatch, exported):
    pytest.importorskip("transkun", reason="needs transkun")
    made = []

    def once(*args, backend="torch", **options) -> Score:
        made.append(backend)
        return Score(make_notes([0.1], [0.2], [60], [64]))

    monkeypatch.setattr(transcription, "listen", once)
    monkeypatch.setattr(transcription, "choose_device", lambda device: ("cpu", False))
    heard = [hear(np.ones(RATE, np.float32), RATE, backend=b, cache_dir=tmp_path) for b in ("onnx", "torch")]
    assert made == ["onnx"]
    import onnxruntime

    assert [one.runtime for one in heard] == [f"onnxruntime {onnxruntime.__version__}"] * 2  # it made them, both times
    (entry,) = tmp_path.iterdir()
    with np.load(entry) as data:
        np.savez(entry, notes=data["notes"], pedal=data["pedal"])  # as earlier versions wrote it
    assert hear(np.ones(RATE, np.float32), RATE, backend="torch", cache_dir=tmp_path).runtime == ""
    assert made == ["onnx"]


def test_spectra_are_those_of_pytorch(repo: Path, exported):
    """Up to the mel bands, where the network hears them."""
    pytest.importorskip("transkun", reason="needs transkun")
    import torch

    from s2c_blender.audio.network import Network

    network, ours = Network("cpu", half=False), OnnxNetwork()
    assert (ours.rate, ours.hop, ours.frame, ours.window) == (RATE, network.hop, network.frame, network.window)
    sound = load_audio(repo / "demo" / "fur_elise.flac", 5.0, 16.5)[0][: network.window * network.hop, 0]
    mel = ours.spectra(sound) @ network.framewiseFeatureExtractor.freq2mels.numpy()
    floor = np.log(1e-5)
    with torch.inference_mode():
        expected = network._mel(torch.from_numpy(sound)).numpy()
    np.testing.assert_allclose((np.log(mel + 1e-5) - floor) / -floor, expected, atol=1e-4)


def test_mean_of_the_shifts():
    torch = pytest.importorskip("torch")
    logits = torch.linspace(-15.9, 15.9, 3001, dtype=torch.float64)
    expected = torch.distributions.ContinuousBernoulli(logits=logits).mean.numpy()
    np.testing.assert_allclose(continuous_bernoulli_mean(logits.numpy()), expected, atol=1e-6)
    far = torch.tensor([-99.0, 99.0])  # where float32, in which the network was trained, ends
    expected = torch.distributions.ContinuousBernoulli(logits=far).mean.numpy()
    np.testing.assert_allclose(continuous_bernoulli_mean(far.numpy()), expected, atol=1e-5)
    near = continuous_bernoulli_mean(np.array([-2e-3, -9e-4, 0.0, 9e-4, 2e-3]))
    np.testing.assert_allclose(near, 0.5 + np.array([-2e-3, -9e-4, 0.0, 9e-4, 2e-3]) / 12, atol=1e-9)
