# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder at work, with small random networks: reproducible, seamless bookkeeping, any length."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import UserError
from s2c_blender.model.config import AudioConfig, FusionConfig
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator, Sampling
from tests.model.tiny_model import HUBERT, TINY, W, write_model

OVERLAP = 16
FAST = Sampling(steps=4, overlap=OVERLAP)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny", TINY)


def music(seconds: float) -> Recording:
    rng = np.random.default_rng(0)
    onset = np.arange(0, seconds, 0.2)
    pitch = rng.integers(40, 90, len(onset))
    hand, finger = rng.integers(0, 2, len(onset)), rng.integers(0, 5, len(onset))
    return Recording(Score(make_notes(onset, onset + 0.15, pitch, np.full(len(onset), 80), hand, finger)))


def test_the_seed_decides(model: Path):
    generator = Generator(model, device="cpu")
    positions, poses = generator.generate(music(5), 150, seed=3, sampling=FAST)
    assert positions.shape == (2, 150, 3)
    assert poses.shape == (2, 150, 48)
    assert np.isfinite(poses).all()
    assert np.abs(poses).max() <= np.pi + 1e-6
    again = Generator(model, device="cpu").generate(music(5), 150, seed=3, sampling=FAST)
    np.testing.assert_array_equal(again[0], positions)
    np.testing.assert_array_equal(again[1], poses)
    other = generator.generate(music(5), 150, seed=4, sampling=FAST)
    np.testing.assert_array_equal(other[0], positions)  # positions have no chance in them
    assert np.abs(other[1] - poses).mean() > 0.05


def test_poses_are_in_the_configured_units(model: Path, tmp_path: Path):
    """Scale and offset of each hand and channel, and how far the clean motion may go, without another network."""
    rng = np.random.default_rng(0)
    scale, offset = rng.uniform(0.5, 2, (2, 48)), rng.uniform(-1, 1, (2, 48))
    rows = {name: tuple(map(tuple, values)) for name, values in (("pose_scale", scale), ("pose_offset", offset))}
    same = replace(TINY, frame=replace(TINY.frame, **rows))
    wide = replace(TINY, diffusion=replace(TINY.diffusion, clamp=9.0))
    usual, scaled, free = (
        Generator(folder, device="cpu").generate(music(2), 60, sampling=FAST)[1]
        for folder in (model, write_model(tmp_path / "a", same), write_model(tmp_path / "b", wide))
    )
    np.testing.assert_allclose(scaled, usual / np.pi * scale[:, None] + offset[:, None], atol=1e-6)
    assert np.abs(usual).max() < np.pi + 1e-6 < np.abs(free).max() < 9 * np.pi + 1e-6


def test_a_network_may_move_the_wrist_too(tmp_path: Path):
    """Three more channels come on top of the predicted positions, in wrist_scale, and change with the seed."""
    gesture = replace(TINY.gesture, wrist=True)
    small, large = (
        write_model(
            tmp_path / name,
            replace(TINY, gesture=gesture, frame=replace(TINY.frame, wrist_scale=scale)),
        )
        for name, scale in (("small", 1e-9), ("large", 0.5))
    )
    predicted, poses = Generator(small, device="cpu").generate(music(5), 150, seed=1, sampling=FAST)
    moved, same = Generator(large, device="cpu").generate(music(5), 150, seed=1, sampling=FAST)
    other, _ = Generator(large, device="cpu").generate(music(5), 150, seed=2, sampling=FAST)
    assert poses.shape == (2, 150, 48)
    alone = Generator(large, device="cpu").predict_positions(music(5), 150)
    np.testing.assert_allclose(alone, predicted, atol=1e-8)
    np.testing.assert_array_equal(same, poses)
    assert 0.05 < np.abs(moved - predicted).mean() < np.abs(moved - predicted).max() <= 0.5 + 1e-6
    assert np.abs(moved - other).mean() > 0.05


def test_a_single_stream_plays(tmp_path: Path):
    gesture = replace(TINY.gesture, streams="single", fusion=FusionConfig("none"))
    folder = write_model(tmp_path / "single", replace(TINY, gesture=gesture))
    positions, poses = Generator(folder, device="cpu").generate(music(5), 150, sampling=FAST)
    assert positions.shape == (2, 150, 3)
    assert poses.shape == (2, 150, 48)
    assert np.abs(poses[0] - poses[1]).max() > 0.1


def test_positions_are_in_the_configured_units(model: Path):
    positions, _ = Generator(model, device="cpu").generate(music(2), 60, sampling=FAST)
    frame = TINY.frame
    normal = (positions - frame.position_offset) / frame.position_scale
    assert np.abs(normal).max() <= 1.0
    assert (normal != 0).all()


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
def test_batches_change_nothing_but_rounding(model: Path, sampler: str):
    generator = Generator(model, device="cpu")
    one, many = (
        generator.generate(music(8), 230, 1, replace(FAST, sampler=sampler, batch=batch))[1] for batch in (1, 8)
    )
    np.testing.assert_allclose(one, many, atol=2e-4)


def test_music_that_fits_one_window_is_one_window(model: Path):
    """Whatever the overlap is: the same numbers."""
    generator = Generator(model, device="cpu")
    wide, narrow = (generator.generate(music(2), W, 1, replace(FAST, overlap=overlap)) for overlap in (0, W // 2))
    np.testing.assert_array_equal(wide[0], narrow[0])
    np.testing.assert_array_equal(wide[1], narrow[1])


def test_windows_agree_on_the_positions(model: Path):
    """Each window's guide is the same track, blended where windows overlap: so it does not jump at their edges."""
    generator = Generator(model, device="cpu")
    seen = {}
    denoise = generator.networks.denoise

    def watch(x, t, condition):
        for i in range(len(x)):
            seen.setdefault(condition.guide[i, 0, :3].sum().item(), condition.guide[i].numpy())
        return denoise(x, t, condition)

    generator.networks.denoise = watch
    frames = 3 * (W - OVERLAP) + W
    positions, _ = generator.generate(music(8), frames, sampling=FAST)
    guides = list(seen.values())
    assert len(guides) == 4
    for before, after in zip(guides, guides[1:], strict=False):
        np.testing.assert_allclose(before[:, :, W - OVERLAP :], after[:, :, :OVERLAP], atol=1e-6)
    track = (positions - TINY.frame.position_offset) / TINY.frame.position_scale
    for i, guide in enumerate(guides):
        part = track[:, i * (W - OVERLAP) :][:, :W]
        np.testing.assert_allclose(guide[0, :3].T, part[0], atol=1e-6)
        np.testing.assert_allclose(guide[1, :3].T, part[1], atol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_precisions_and_half_storage(model: Path, tmp_path: Path, precision: str):
    exact = Generator(model, device="cpu").generate(music(4), 110, 1, FAST)
    half = write_model(tmp_path / "half", TINY, half=True)
    assert (half / "left.safetensors").stat().st_size < 0.6 * (model / "left.safetensors").stat().st_size
    stored = Generator(half, device="cpu").generate(music(4), 110, 1, FAST)
    rough = Generator(half, device="cpu", precision=precision).generate(music(4), 110, 1, FAST)
    for ours, limit in ((stored, 0.01), (rough, 0.1)):
        assert np.abs(ours[0] - exact[0]).max() < limit
        assert np.sqrt(np.mean((ours[1] - exact[1]) ** 2)) < limit


def test_both_hands_in_one_pass(model: Path):
    two, one = (Generator(model, device="cpu", one_pass=one).generate(music(4), 110, 1, FAST) for one in (False, True))
    np.testing.assert_allclose(one[1], two[1], atol=2e-4)


def test_a_model_that_listens(tmp_path: Path):
    config = replace(TINY, audio=AudioConfig("hubert", HUBERT))
    generator = Generator(write_model(tmp_path / "hubert", config), device="cpu")
    samples = np.random.default_rng(0).standard_normal(16000 * 3).astype(np.float32)
    _, poses = generator.generate(Recording(music(3).score, samples), 90, 1, replace(FAST, overlap=10))
    _, other = generator.generate(Recording(music(3).score, np.roll(samples, 4000)), 90, 1, replace(FAST, overlap=10))
    assert poses.shape == (2, 90, 48)
    assert np.abs(poses - other).max() > 1e-3


def test_progress_may_stop_it(model: Path):
    told = []
    generator = Generator(model, device="cpu")
    generator.generate(music(8), 230, sampling=FAST, on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)

    class Stop(Exception):
        pass

    def stop(_fraction):
        raise Stop

    with pytest.raises(Stop):
        generator.generate(music(8), 230, sampling=FAST, on_progress=stop)


def test_wrong_weights_are_told(tmp_path: Path):
    folder = write_model(tmp_path / "model", TINY)
    config = replace(TINY, gesture=replace(TINY.gesture, dim=16))
    (folder / "config.json").write_text(config.to_json())
    with pytest.raises(UserError, match="do not fit their configuration"):
        Generator(folder, device="cpu")
    (folder / "right.safetensors").unlink()
    (folder / "config.json").write_text(TINY.to_json())
    with pytest.raises(UserError, match=r"right\.safetensors is missing"):
        Generator(folder, device="cpu")


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_answer_the_same(model: Path):
    plain, compiled = (
        Generator(model, device="cpu", compiled=on).generate(music(2), W, 1, FAST) for on in (False, True)
    )
    np.testing.assert_allclose(compiled[1], plain[1], atol=1e-3)
