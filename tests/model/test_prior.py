# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a model folder to a performance: what `generate` does with a gesture model, and what it refuses."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from s2c_blender import generate as generation
from s2c_blender.audio.midi import read_midi, write_midi
from s2c_blender.core import metrics
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import UserError
from s2c_blender.generate import Job, generate
from s2c_blender.model import generator, prior
from s2c_blender.model.config import AudioConfig, FrameConfig
from s2c_blender.model.prior import Request, make_prior, prepare
from s2c_blender.pianist import TAIL, fingered
from tests.model.tiny_model import HUBERT, TINY, write_model
from tests.pianist.music import sampled


@pytest.fixture(scope="module")
def tune() -> Score:
    onset = 0.3 + 0.25 * np.arange(16)
    pitch = [48, 64, 50, 65, 52, 67, 53, 69, 55, 71, 53, 72, 52, 71, 50, 69]
    hand = [0, 1] * 8
    return Score(make_notes(onset, onset + 0.22, pitch, np.full(16, 70), hand))


@pytest.fixture(scope="module")
def midi(tune: Score, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("midi") / "tune.mid"
    write_midi(tune, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny", TINY)


@pytest.fixture(scope="module")
def camera_model(tmp_path_factory) -> Path:
    config = replace(TINY, frame=FrameConfig())
    return write_model(tmp_path_factory.mktemp("model") / "camera", config)


def imagine(request: Request, score: Score, length: float, sound=None, seed: int = 0):
    return make_prior(prepare(request, sound is not None), score, length, sound, seed)


def test_a_prior_covers_the_music(model: Path, tune: Score):
    motion, warnings = imagine(Request(model, steps=3, device="cpu"), tune, tune.end, seed=5)
    assert motion.fps == 30
    assert motion.duration == pytest.approx(tune.end, abs=1 / 30)
    assert motion.left_rotation.shape == (len(motion.left_position), 16, 3)
    assert motion.meta["steps"] == 3
    assert not warnings
    place = (motion.right_position - TINY.frame.position_offset) / TINY.frame.position_scale
    assert np.abs(place).max() <= 1.0  # a piano-frame model speaks in metres


def test_the_pianist_follows_the_model_and_still_hits_the_keys(midi: Path, model: Path, monkeypatch):
    """The prior is the pianist's own motion with the hand turned and the fingers curled: its result goes there."""
    plain = generate(Job(str(midi), generator="pianist")).motion
    bent = replace(plain, left_rotation=plain.left_rotation.copy(), right_rotation=plain.right_rotation.copy())
    for rotation in (bent.left_rotation, bent.right_rotation):
        rotation[:, [1, 4, 7, 10], 0] -= 0.25  # MCP joints
    monkeypatch.setattr(prior, "in_piano_frame", lambda *args: (bent, ["a warning of the model's."]))
    result = generate(Job(str(midi), model=str(model), steps=2, device="cpu"))
    moved = result.motion.right_rotation[:, [1, 4, 7, 10], 0] - plain.right_rotation[:, [1, 4, 7, 10], 0]
    assert np.median(moved) < -0.05
    times, pads = sampled(result.motion)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), result.motion.notes).f1 == 1.0
    assert result.report["warnings"] == ["a warning of the model's."]
    assert set(result.report["seconds"]) == {"reading", "imagining", "playing"}
    assert result.motion.meta["prior"] == bent.meta


def test_the_report_names_what_ran_the_networks(midi: Path, model: Path):
    """Of this job only: PyTorch is loaded in this process, and a kept worker has loaded what earlier jobs needed."""
    result = generate(Job(str(midi), model=str(model), steps=2, device="cpu", duration=1.0))
    assert result.report["versions"]["imagining"] == f"torch {torch.__version__}"
    assert result.motion.meta["versions"] == result.report["versions"]
    alone = generate(Job(str(midi), generator="pianist", duration=1.0)).report["versions"]
    assert set(alone) == {"s2c_blender", "python", "numpy"}
    assert generation.versions()["torch"] == torch.__version__  # of a process whose work is not known


def test_a_part_of_a_motion_is_imagined_anew(midi: Path, model: Path, tmp_path: Path, monkeypatch):
    """The part lies within 3 s of the beginning: what the model imagines of it begins there, too."""
    generate(Job(str(midi), generator="pianist")).motion.save(tmp_path / "take.npz")
    before = HandMotion.load(tmp_path / "take.npz")
    bent = replace(before, right_rotation=before.right_rotation.copy())
    bent.right_rotation[:, [1, 4, 7, 10], 0] -= 0.25
    monkeypatch.setattr(prior, "in_piano_frame", lambda *args: (bent, []))
    job = Job("", model=str(model), steps=2, device="cpu", previous=str(tmp_path / "take.npz"), again=(1.5, 3.0))
    after = generate(job).motion
    inside = slice(90, 181)
    apart = np.abs(after.right_rotation - before.right_rotation).max((1, 2))
    moved = (after.right_rotation - before.right_rotation)[:, [1, 4, 7, 10], 0]
    assert np.median(moved[115:155]) < -0.05
    assert (np.delete(apart, np.r_[inside]) == 0.0).all()
    assert after.meta["edits"][0]["prior"]["steps"] == 2
    times, pads = sampled(after)
    assert metrics.accuracy(metrics.presses_by_hands(times, pads), before.notes).f1 > 0.95


def test_progress_of_all_stages_rises_to_the_end(midi: Path, model: Path):
    told = []
    generate(
        Job(str(midi), model=str(model), steps=2, device="cpu"), lambda stage, fraction: told.append((stage, fraction))
    )
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["reading", "imagining", "playing"]


def test_a_camera_model_is_calibrated(camera_model: Path, tune: Score):
    """Random networks know nothing of the keyboard: hands still come out in the piano's frame, with a warning."""
    motion, warnings = imagine(Request(camera_model, steps=2, device="cpu"), tune, tune.end)
    assert np.isfinite(motion.left_position).all()
    assert np.isfinite(motion.right_rotation).all()
    assert warnings
    for warning in warnings:
        assert warning.endswith(".")


def test_mistakes_are_told_before_the_work(model: Path, tmp_path: Path):
    """Before a recording that is not even there is looked for."""
    job = Job(str(tmp_path / "nothing.wav"), model=str(model))
    for wrong, told in (
        ({"model": str(tmp_path)}, "holds no model"),
        ({"steps": 1000}, "samples in 1 to 100 steps, not 1000"),
        ({"mano": str(tmp_path / "hand.pkl")}, r"hand\.pkl cannot be read"),
        ({"creativity": 1.5}, "Creativity goes from 0 to 1"),
        ({"generator": "pianist"}, "The pianist uses no gesture model"),
        ({"generator": "pianist", "model": None, "raw": "x.npz"}, "The pianist uses no gesture model"),
    ):
        with pytest.raises(UserError, match=told):
            generate(replace(job, **wrong))
    with pytest.raises(UserError, match=r"nothing\.wav"):
        generate(job)


def test_steps_suit_the_sampler(model: Path):
    for sampler, steps in (("dpm", 10), ("ddim", 50), ("ddpm", 100)):
        assert prepare(Request(model, sampler), False).steps == steps
    assert prepare(Request(model, "ddpm", 7), False).steps == 7


def test_answers_that_are_no_numbers_are_told(model: Path, tune: Score, monkeypatch):
    nothing = (np.full((2, 128, 3), np.nan), np.zeros((2, 128, 48)))
    monkeypatch.setattr(generator.Generator, "generate", lambda *args: nothing)
    with pytest.raises(UserError, match="no numbers"):
        imagine(Request(model, device="cpu"), tune, tune.end)


def test_smoothing_is_the_releases():
    steps = np.zeros((2, 20, 1))
    steps[:, 10:] = 1.0
    smooth = prior._smoothed(steps)
    assert 0 < smooth[0, 9, 0] < smooth[0, 10, 0] < 1
    np.testing.assert_array_equal(prior._smoothed(steps[:, :3]), steps[:, :3])


def test_a_listening_model_needs_sound(tmp_path: Path, tune: Score):
    folder = write_model(tmp_path / "hubert", replace(TINY, audio=AudioConfig("hubert", HUBERT)))
    with pytest.raises(UserError, match="listens to sound: give a recording"):
        imagine(Request(folder, device="cpu"), tune, tune.end)
    sound = np.random.default_rng(0).standard_normal(5 * 44100).astype(np.float32)
    motion, _ = imagine(Request(folder, steps=2, device="cpu"), tune, tune.end, (sound, 44100))
    assert np.isfinite(motion.left_position).all()


def test_the_bundled_model_imagines(midi: Path, model: Path, tmp_path: Path, monkeypatch):
    """Its motion before the keys is what `make_prior` gives; at creativity 0 all seeds have the same."""
    monkeypatch.setattr(generation, "BUNDLED", model)
    job = Job(str(midi), generator="model", steps=2, device="cpu", raw=str(tmp_path / "raw.npz"), seed=7)
    result = generate(job)
    raw = HandMotion.load(tmp_path / "raw.npz")
    score = read_midi(midi)
    expected, _ = imagine(Request(model, steps=2, device="cpu"), fingered(score)[0], score.end + TAIL, seed=7)
    np.testing.assert_allclose(raw.right_rotation, expected.right_rotation, atol=1e-6)
    assert (raw.fps, raw.meta["seed"], raw.meta["raw"]) == (30, 7, True)
    np.testing.assert_array_equal(raw.keys, result.motion.keys)
    told = {(n["pitch"], round(float(n["onset"]), 3)): n["finger"] for n in fingered(score)[0].notes}
    assert all(n["finger"] == told[n["pitch"], round(float(n["onset"]), 3)] for n in result.motion.notes)
    assert result.motion.meta["generator"] == result.report["generator"] == "model"
    assert result.motion.meta["prior"]["sampler"] == "dpm"


def test_the_bundled_model_is_whole_and_plays(midi: Path):
    built = (".onnx", ".sha256")  # by tools/onnx_export.py, where the zips were built
    stored = [path for path in prior.BUNDLED.iterdir() if path.suffix not in built]
    assert sum(path.stat().st_size for path in stored) <= 40e6
    result = generate(Job(str(midi), device="cpu", duration=2.0))
    assert result.motion.meta["prior"]["steps"] == 10
    assert result.report["notes_played"] == result.report["notes_found"]
    assert not result.report["warnings"]


def test_creativity_scales_how_far_takes_differ(midi: Path, model: Path):
    def apart(creativity: float) -> float:
        one, other = (
            generate(Job(str(midi), model=str(model), steps=2, device="cpu", seed=seed, creativity=creativity)).motion
            for seed in (1, 2)
        )
        return float(np.abs(one.right_rotation - other.right_rotation).mean())

    far = [apart(creativity) for creativity in (0.0, 0.3, 1.0)]
    assert far[0] == 0.0
    assert 0.0 < far[1] < far[2]


def test_small_networks_run_on_one_thread(model: Path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with prior._few_threads(model):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_is_missing_is_told(tmp_path: Path, tune: Score, model: Path, monkeypatch):
    with pytest.raises(UserError, match="holds no model"):
        imagine(Request(tmp_path, device="cpu"), tune, tune.end)
    with pytest.raises(UserError, match="finds no device"):
        imagine(Request(model, device="cuda:77"), tune, tune.end)
    with pytest.raises(UserError, match="samples in 1 to 100 steps, not 1000"):
        imagine(Request(model, steps=1000, device="cpu"), tune, tune.end)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match="safetensors"):
        imagine(Request(model, device="cpu"), tune, tune.end)
