# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gesture autoencoder: shapes, training on a few clips, its file, and the weights that are shipped."""

import numpy as np
import pytest
import torch

from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.errors import UserError
from s2c_blender.model.camera import Camera, to_camera
from s2c_blender.model.mano import neutral
from training import layout
from training.gesture_autoencoder import (
    AUTOENCODER,
    FRAMES,
    WEIGHTS,
    PoseDecoder,
    PoseEncoder,
    gesture_features,
    read_encoder,
)
from training.published_metrics import frechet_feature_distance
from training.train_autoencoder import _windows, main, save_encoder, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Clips of 10 s in which both hands swing in one and the same way, more or less and at other times."""
    root = tmp_path_factory.mktemp("gestures")
    rng = np.random.default_rng(0)
    time = np.arange(300)[:, None] / 30
    rest, way = rng.normal(0, 0.2, (2, 48)), rng.normal(0, 0.3, (2, 48))
    names = [f"one/a/{i}" for i in range(6)]
    for name in names:
        rows = np.ones((2, 300, 62))
        swing = rng.uniform(0.5, 1.0) * np.sin(2 * time + rng.uniform(0, 6))
        for side in (LEFT, RIGHT):
            position, pose = np.zeros((300, 3)), (rest[side] + swing * way[side]).reshape(-1, 16, 3)
            rows[side, :, 1:4], rows[side, :, 4:52] = to_camera(position, pose, Camera(), side, neutral())
        layout.write_clip(root, layout.Clip(name, 30.0, rows), Score(make_notes([1.0], [2.0], [60], [70])), {})
    layout.write_camera(root, "one", Camera())
    layout.annotation_path(root, names[1]).write_text("{")
    layout.write_splits(root, {"train": names[:5], "valid": names[5:], "test": []})
    return root


def test_decoder_answers_in_the_encoders_shape():
    poses = torch.zeros(2, 240, 96)
    assert PoseDecoder()(PoseEncoder()(poses)).shape == poses.shape


def test_every_place_of_every_clip_is_as_likely():
    clips = [np.arange(length, dtype=float)[:, None] + 1000 * i for i, length in enumerate((FRAMES, FRAMES + 9))]
    first = _windows(clips, 11_000, np.random.default_rng(0))[:, 0, 0]
    places, count = np.unique(first, return_counts=True)
    assert places.tolist() == [0, *range(1000, 1010)]
    assert count == pytest.approx(1000, abs=150)


def test_training_restores_better_than_the_mean_pose_and_repeats_itself(data):
    told = []
    _, errors = train(data, 40, tell=told.append)
    assert errors["rms_deg"] < 0.9 * errors["mean_pose_rms_deg"]
    assert sum("left out" in line for line in told) == 1
    short, again, other = (train(data, 2, seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(short[name], again[name]) for name in short)
    assert not torch.equal(short["fc_mu.weight"], other["fc_mu.weight"])


def test_command_writes_what_evaluation_reads(data, tmp_path, capsys):
    assert main(["--data", str(data), "--out", str(tmp_path / "new"), "--steps", "2"]) == 0
    assert "degrees" in capsys.readouterr().out
    encoder = read_encoder(tmp_path / "new")
    poses = np.random.default_rng(0).normal(0, 0.3, (2, 240, 96))
    assert np.isfinite(gesture_features(encoder, poses)).all()
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "new")]) == 1
    error = capsys.readouterr().err.strip()
    assert "cannot be read" in error and "\n" not in error


def test_half_precision_keeps_the_features(tmp_path):
    torch.manual_seed(0)
    encoder = PoseEncoder().eval()
    save_encoder(encoder, tmp_path)
    poses = np.random.default_rng(0).normal(0, 0.3, (4, 240, 96))
    full, half = gesture_features(encoder, poses), gesture_features(read_encoder(tmp_path), poses)
    assert np.linalg.norm(full - half) < 0.01 * np.linalg.norm(full)


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_missing_and_damaged_weights_are_told(content, tmp_path):
    if content is not None:
        (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_encoder(tmp_path)


def test_shipped_encoder_sees_what_differs():
    assert (AUTOENCODER / WEIGHTS).stat().st_size < 6_000_000
    encoder = read_encoder(AUTOENCODER)
    rng = np.random.default_rng(0)
    time = np.arange(240)[None, :, None] / 30

    def motions(size: float) -> np.ndarray:
        """Hands that swing by `size` rad, [64, 240, 96]."""
        swing = np.sin(time * rng.uniform(2, 4, (64, 1, 96)) + rng.uniform(0, 6, (64, 1, 96)))
        return gesture_features(encoder, size * swing)

    calm, also_calm, lively = motions(0.1), motions(0.1), motions(0.3)
    assert frechet_feature_distance(calm, also_calm) < 0.5 * frechet_feature_distance(calm, lively)
