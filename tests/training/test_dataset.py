# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips as the model is taught them: the right frame, 30 fps, what is wrong with them told, batches repeatable."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.spatial.transform import Rotation

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.model.config import AudioConfig, FrameConfig, ModelConfig, typed
from s2c_blender.model.features import NOTE_FEATURES, OF_FINGER
from tests.training.tiny_data import SPLITS, TINY, as_clip, motion, score, write_data
from training.dataset import REACH, MotionData, Steps
from training.layout import annotation_path, midi_path, read_clip, write_clip

CONFIG = typed(ModelConfig, TINY["model"], "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def own(tmp_path) -> Path:
    """A data folder that a test may damage."""
    return write_data(tmp_path / "set")


def load(root: Path, split: str = "train", config: ModelConfig = CONFIG) -> tuple[MotionData, list[str]]:
    told: list[str] = []
    return MotionData.load(root, split, config, warn=told.append), told


def in_camera(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, frame=FrameConfig("camera"))


def test_clips_come_back_in_the_piano_frame_with_the_left_hand_as_it_is(folder):
    data, told = load(folder)
    assert told == []
    assert [clip.name for clip in data.clips] == SPLITS["train"]
    rng = np.random.default_rng(5)  # as write_data does it
    for clip in data.clips:
        played = score(rng, 3.0)
        positions, rotations = motion(rng, played, 30.0, 90)
        np.testing.assert_allclose(clip.positions, positions, atol=5e-5)  # the file has five decimals
        np.testing.assert_allclose(clip.poses.reshape(2, 90, 16, 3), rotations, atol=5e-5)
        assert clip.valid.all()
        np.testing.assert_allclose(clip.score.notes["onset"], played.notes["onset"], atol=1e-4)


def test_models_of_the_camera_hear_fingers_too(folder):
    data, _ = load(folder, config=in_camera(CONFIG))
    assert data.windows(4).heard[:, :, :-1].any(dim=2).float().mean() > 0.5


def test_models_of_the_camera_get_what_is_stored(folder):
    data, _ = load(folder, config=in_camera(CONFIG))
    stored = read_clip(folder, SPLITS["train"][0]).hands
    np.testing.assert_allclose(data.clips[0].positions, stored[:, :, 1:4], rtol=1e-6)
    np.testing.assert_allclose(data.clips[0].poses, stored[:, :, 4:52], rtol=1e-6)


@pytest.mark.parametrize("kind", ["piano", "camera"])
@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_other_frame_rates_become_thirty(tmp_path, fps, kind):
    root = write_data(tmp_path / "set", seconds=4.0)
    config = CONFIG if kind == "piano" else in_camera(CONFIG)
    rng, name = np.random.default_rng(0), SPLITS["train"][0]
    played = score(rng, 4.0)
    seconds = 4.0
    rates = {}
    for rate in (fps, 30.0):
        positions, rotations = motion(np.random.default_rng(1), played, rate, int(seconds * rate))
        time = np.arange(positions.shape[1]) / rate
        positions[:, :, 0] = 0.3 * np.sin(2 * time)
        rotations[:, :, 0, 0] += np.pi - 0.1  # the wrist passes half a turn in the camera's frame or in ours
        write_clip(root, as_clip(name, positions, rotations, rate), played, {})
        rates[rate] = load(root, config=config)[0].clips[0]
    ours, true = rates[fps], rates[30.0]
    frames = min(len(ours), len(true))
    assert abs(len(ours) - len(true)) <= 2
    np.testing.assert_allclose(ours.positions[:, :frames], true.positions[:, :frames], atol=1e-3)
    turned, wanted = (Rotation.from_rotvec(clip.poses[:, :frames].reshape(-1, 3)) for clip in (ours, true))
    assert (turned.inv() * wanted).magnitude().max() < 0.005  # rad; the same turn may be stored as two vectors
    steps, jumps = (np.abs(np.diff(clip.poses.astype(float), axis=1)).max() for clip in (ours, true))
    assert steps < 2 * jumps


def test_frames_in_which_a_hand_was_not_seen(own):
    name = SPLITS["train"][1]
    path = annotation_path(own, name)
    content = json.loads(path.read_text())
    for row in content["left"][10:20]:
        row[0] = 0
    path.write_text(json.dumps(content))
    valid = load(own)[0].clips[1].valid
    assert valid[RIGHT].all()
    assert np.flatnonzero(~valid[LEFT]).tolist() == list(range(10, 20))


def test_a_batch_depends_on_seed_step_and_rank_only(folder):
    data, _ = load(folder)
    batch = data.batch(7, 6, seed=1, rank=0, misheard=0.5)
    for same in (data.batch(7, 6, 1, 0, 0.5), load(folder)[0].batch(7, 6, 1, 0, 0.5)):
        assert all(torch.equal(a, b) for a, b in zip(batch, same, strict=True))
    for other in (data.batch(8, 6, 1, 0, 0.5), data.batch(7, 6, 2, 0, 0.5), data.batch(7, 6, 1, 1, 0.5)):
        assert not torch.equal(batch.positions, other.positions)
    assert batch.heard.shape == (6, 32, NOTE_FEATURES)
    assert batch.positions.shape == (6, 2, 32, 3)
    assert batch.poses.shape == (6, 2, 48, 32)
    assert batch.valid.shape == (6, 2, 32)
    steps = list(Steps(data, 6, 1, 0, 0.5).from_step(6, 9))
    assert len(steps) == 3
    assert torch.equal(steps[1].heard, batch.heard)


def test_some_windows_reach_beyond_their_clip(folder):
    """Their other frames are the clip's own; what is beyond it is not learned from."""
    data, _ = load(folder)
    data = dataclasses.replace(data, clips=data.clips[:1])
    valid = torch.cat([data.batch(step, 50).valid for step in range(4)])  # [200, 2, 32]
    reaching = ~valid.all(dim=2).all(dim=1)
    assert 0.05 < reaching.float().mean() < 0.3
    assert (valid.sum(dim=2) >= 0.4 * valid.shape[2] - 1).all()
    before, after = ~valid[:, 0, 0], ~valid[:, 0, -1]
    assert before.any() and after.any() and not (before & after).any()
    window, where = data.batch(0, 50), data.clips[0].positions
    for row in np.flatnonzero(~window.valid[:, RIGHT, -1]):
        frames = int(window.valid[row, RIGHT].sum())
        scale, offset = (np.array(v) for v in (data.config.frame.position_scale, data.config.frame.position_offset))
        found = window.positions[row, RIGHT, :frames].numpy() * scale + offset
        np.testing.assert_allclose(found, where[RIGHT, -frames:], atol=1e-5)


def test_misheard_notes_leave_the_motion_as_it_is(folder):
    data, _ = load(folder)
    clean = data.batch(0, 1, misheard=0.0)
    misheard = data.batch(0, 1, misheard=1.0)
    assert torch.equal(clean.positions, misheard.positions)
    assert not torch.equal(clean.heard, misheard.heard)


def test_windows_come_from_everywhere(folder):
    data, _ = load(folder)
    total = sum(len(clip) - 31 for clip in data.clips)
    batch = data.batch(0, 600)
    assert len(torch.unique(batch.positions[:, 0, 0, 0])) > 0.6 * total
    spread = data.windows(9)
    assert len(spread.valid) == 9
    assert torch.equal(spread.positions, data.windows(9).positions)
    assert len(data.windows(10_000).valid) == total


def test_a_window_hears_its_own_notes(folder):
    data, _ = load(folder)
    clip = data.clips[0]
    batch = data.windows(10_000)
    heard = batch.heard[40]  # frames 40 to 71 of the first clip
    strokes = np.zeros(10)
    for note in clip.score.notes:
        if 40 <= note["onset"] * 30 <= 71:
            strokes[5 * note["hand"] + note["finger"]] += note["velocity"] / 127
    found = heard[:, :-1].reshape(32, 10, OF_FINGER)[:, :, 0].sum(dim=0)
    np.testing.assert_allclose(found.numpy(), strokes, atol=0.03)
    assert np.count_nonzero(strokes) > 1
    np.testing.assert_allclose(
        batch.positions[40].numpy() * CONFIG.frame.position_scale, clip.positions[:, 40:72], rtol=1e-4, atol=1e-5
    )


def test_a_fitted_frame_gives_poses_unit_spread_and_keeps_positions_within_reach(folder):
    data = load(folder)[0].fitted()
    batch = data.windows(10_000)
    poses = batch.poses.permute(1, 2, 0, 3).flatten(2)  # [2, 48, all]
    assert (poses.mean(dim=2).abs() < 0.3).all()
    assert poses.std(dim=2).median() == pytest.approx(1.0, abs=0.15)
    assert (poses.std(dim=2) < 1.3).all()
    assert batch.positions.abs().max() <= REACH + 1e-4
    scale, offset = data.config.frame.position_scale[0], data.config.frame.position_offset[0]
    assert max(abs(0.611 - offset), abs(-0.611 - offset)) / scale < 0.93
    assert ModelConfig.from_json(data.config.to_json()) == data.config


def test_the_cache_is_used_until_a_file_changes(own, monkeypatch):
    load(own)
    monkeypatch.setattr("training.clips.read_clip", None)  # would fail where a clip is read again
    load(own)
    monkeypatch.undo()
    path = annotation_path(own, SPLITS["train"][0])
    content = json.loads(path.read_text())
    content["left"] = content["left"][:60]
    path.write_text(json.dumps(content))
    assert len(load(own)[0].clips[0]) == 60


def test_a_damaged_cache_is_made_again(own):
    before, _ = load(own)
    kept = own / "cache" / "piano" / f"{SPLITS['train'][0]}.npz"
    kept.write_bytes(kept.read_bytes()[:5000])
    data, told = load(own)
    assert len(told) == 1
    assert "made again" in told[0]
    np.testing.assert_array_equal(data.clips[0].poses, before.clips[0].poses)
    assert load(own)[1] == []


def test_clips_that_cannot_be_used_are_told_of_and_left_out(own):
    one, two, three = SPLITS["train"]
    annotation_path(own, one).write_text('{"left": [[1, 2')
    midi_path(own, two).unlink()
    data, told = load(own)
    assert [clip.name for clip in data.clips] == [three]
    assert len(told) == 2
    assert all(name in sentence for name, sentence in zip((one, two), told, strict=True))
    midi_path(own, three).write_bytes(b"MThd")
    with pytest.raises(UserError, match="no usable clip"):
        load(own)


def test_clips_shorter_than_a_window_are_left_out(own):
    with pytest.raises(UserError, match="no usable clip"):
        load(own, config=dataclasses.replace(CONFIG, window=128))


def test_where_the_cache_cannot_be_written_loading_stops(own):
    (own / "cache").write_text("in the way")
    with pytest.raises(UserError, match="cache/piano") as told:
        load(own)
    assert told.value.exit_code == ENVIRONMENT


def test_filmed_clips_without_a_camera_are_calibrated_or_left_out(own):
    before, _ = load(own)
    for performer in ("ann", "bob"):
        (own / "annotation" / performer / "camera.json").unlink()
    write_midi(before.clips[0].score.cut(0.0, 0.5), midi_path(own, SPLITS["train"][0]))  # too little to go by
    data, told = load(own)
    assert SPLITS["train"][0] in told[0]
    assert "left out" in told[0]
    assert [clip.name for clip in data.clips] == SPLITS["train"][1:]
    for ours, true in zip(data.clips, before.clips[1:], strict=True):  # the fingers do not tell much here
        assert np.abs(ours.positions - true.positions).mean() < 0.1
        assert any(ours.name in sentence for sentence in told)


def test_models_that_listen_need_sound(own):
    config = dataclasses.replace(in_camera(CONFIG), audio=AudioConfig("hubert", {"hidden_size": 8}))
    name = SPLITS["train"][0]
    path = own / "audio" / f"{name}.wav"
    path.parent.mkdir(parents=True)
    sound = np.sin(np.arange(3 * 22050) * 0.1) * np.linspace(0, 0.5, 3 * 22050)
    soundfile.write(path, sound, 22050)
    for other in SPLITS["train"]:
        midi_path(own, other).unlink()  # they need no notes
    data, told = load(own, config=config)
    assert [clip.name for clip in data.clips] == [name]
    assert [
        other in sentence and "sound" in sentence for other, sentence in zip(SPLITS["train"][1:], told, strict=True)
    ]
    batch = data.windows(3)
    assert batch.heard.shape == (3, 32 * 16000 // 30)
    assert data.clips[0].samples.std() == pytest.approx(1.0, abs=0.01)
    loud = batch.heard.std(dim=1)
    assert loud[0] < loud[2]  # the sound of its own time
    os.utime(path, ns=(2**61, 2**61))
    soundfile.write(path, sound[::-1], 22050)
    os.utime(path, ns=(2**61, 2**61))
    loud = load(own, config=config)[0].windows(3).heard.std(dim=1)
    assert loud[0] > loud[2]
