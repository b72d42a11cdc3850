# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks hear, and the configuration that says which."""

import json
from dataclasses import replace

import numpy as np
import pytest

from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.model import config as configs
from s2c_blender.model.config import ModelConfig
from s2c_blender.model.features import KEYS, NOTE_FEATURES, Recording, hearable, note_roll, window_input

SCORE = Score(
    make_notes([0.0, 1.01, 2.0], [0.5, 1.5, 2.1], [21, 60, 108], [127, 64, 1], LEFT), np.array([[0.1, 1.0], [1.2, 1.3]])
)


def test_onsets_tell_loudness_and_the_time_within_a_frame():
    roll = note_roll(SCORE, 0, 90)
    assert roll.shape == (90, NOTE_FEATURES)
    onsets = roll[:, :KEYS]
    np.testing.assert_allclose(onsets.sum(axis=0)[[0, 39, 87]], np.array([127, 64, 1]) / 127, rtol=1e-6)
    time = (onsets[:, 39] @ np.arange(90)) / onsets[:, 39].sum() / 30
    assert time == pytest.approx(1.01, abs=1e-6)
    assert np.count_nonzero(onsets) == 4  # those on a frame need one


def test_sustains_and_pedal_cover_their_time():
    roll = note_roll(SCORE, 0, 90)
    held = roll[:, 2 * KEYS : 3 * KEYS]
    assert held.max() <= 1.0
    assert held[:, 39].sum() / 30 == pytest.approx(0.49, abs=1e-6)
    assert held[:, 0].sum() / 30 == pytest.approx(0.5 + 0.5 / 30 - 0.5 / 30, abs=0.02)  # half of frame 0 lies before it
    assert roll[:, -1].sum() / 30 == pytest.approx(1.0, abs=1e-6)
    assert roll[15, -1] == 1.0
    assert roll[33, -1] == 0.0


@pytest.mark.parametrize(("hand", "rolls"), [(LEFT, [0, 2]), (RIGHT, [1, 3]), (UNKNOWN, [0, 1, 2, 3])])
def test_a_note_is_in_the_rolls_of_its_hand(hand: int, rolls: list[int]):
    roll = note_roll(Score(make_notes([0.5], [0.8], [60], [100], hand)), 0, 60)
    there = roll[:, :-1].reshape(60, 4, KEYS).any(axis=0)
    assert np.argwhere(there).tolist() == [[which, 39] for which in rolls]


def test_windows_of_the_roll_are_cut_from_the_whole():
    whole = note_roll(SCORE, 0, 120)
    for first, frames in ((0, 40), (25, 40), (31, 60), (61, 59)):
        np.testing.assert_allclose(note_roll(SCORE, first, frames), whole[first : first + frames], atol=1e-6)
    assert not note_roll(SCORE, 100, 40).any()


def test_a_note_struck_again_is_not_lost():
    score = Score(make_notes([0.0, 0.52], [0.5, 0.8], [60, 60], [50, 90]))
    onsets = note_roll(score, 0, 40)[:, 39]
    assert onsets.sum() == pytest.approx(140 / 127, rel=1e-5)
    assert onsets[0] == pytest.approx(50 / 127, rel=1e-5)


def test_hearable_sound_has_no_offset_and_unit_loudness():
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    samples = (0.1 + 0.01 * tone + 0.001 * rng.standard_normal(44100)).astype(np.float32)
    heard = hearable(samples, 44100)
    assert len(heard) == 16000
    assert heard.dtype == np.float32
    assert heard.mean() == pytest.approx(0, abs=1e-4)
    assert heard.std() == pytest.approx(1, abs=1e-3)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() == 440


def test_windows_of_sound_end_in_silence():
    recording = Recording(SCORE, np.arange(20000, dtype=np.float32))
    window = window_input(configs.published(), recording, 30, 30)
    assert len(window) == 16000
    assert window[0] == 16000
    assert window[3999] == 19999
    assert not window[4000:].any()
    assert not window_input(configs.published(), recording, 90, 30).any()
    with pytest.raises(ValueError, match="only notes"):
        window_input(configs.published(), Recording(SCORE), 0, 30)


@pytest.mark.parametrize("config", [configs.published(), configs.small(), ModelConfig()], ids=["big", "small", "empty"])
def test_configurations_survive_json(config: ModelConfig):
    config = replace(config, meta={"source": "a test"})
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["gesture"].update(dim="big"), "gesture.dim must be int"),
        (lambda d: d["gesture"]["fusion"].update(kind="sum"), "gesture.fusion.kind must be one of"),
        (lambda d: d.update(colour=1), "has no field colour"),
        (lambda d: d["frame"].update(position_scale=[1, 2]), "frame.position_scale must be a list"),
        (lambda d: d.update(position=3), "position must be an object"),
        (lambda d: d.update(window=100), "window must be a multiple of 8"),
        (lambda d: d.update(window=0), "window must be at least 1, not 0"),
        (
            lambda d: d["position"]["refiner"].update(heads=5),
            r"position.width must be a multiple of 5 \(position.refiner.heads\), not 192",
        ),
        (lambda d: d["position"]["refiner"].update(heads=-1), "position.refiner.heads must be at least 1"),
        (lambda d: d["position"]["refiner"].update(bias_period=0), "position.refiner.bias_period must be at least 1"),
        (lambda d: d["gesture"]["refiner"].update(heads=7), "gesture.condition must be a multiple of 7"),
        (lambda d: d["gesture"].update(dim=20), "gesture.dim must be a multiple of 8"),
        (lambda d: d["gesture"].update(dim_mults=[]), "gesture.dim_mults must have at least one"),
        (lambda d: d["gesture"].update(dim_mults=[1, 0]), "gesture.dim_mults must be at least 1"),
        (lambda d: d["gesture"]["fusion"].update(heads=7), "last of dim_mults must be a multiple of 7"),
        (lambda d: d["gesture"]["fusion"].update(kind="concat"), "gesture.fusion.place must not be"),
        (lambda d: d["diffusion"].update(steps=0), "diffusion.steps must be at least 1"),
        (lambda d: d["diffusion"].update(steps=19), "diffusion.steps must be at least 20"),
        (lambda d: d["frame"].update(position_scale=[1, 0, 1]), "frame.position_scale must not be 0"),
        (lambda d: d["frame"].update(pose_scale=[[1.0] * 47 + [0], [1.0]]), "frame.pose_scale must not be 0"),
        (lambda d: d["frame"].update(pose_offset=[[1.0], [1.0, 2.0]]), "frame.pose_offset must be two lists"),
        (lambda d: d["gesture"]["refiner"].update(dropout="1"), "gesture.refiner.dropout must be float"),
        (lambda d: d["gesture"]["refiner"].update(dropout=1.0), "refiner.dropout must be at least 0 and below 1"),
        (lambda d: d["diffusion"].update(clamp=0), "diffusion.clamp must be above 0"),
        (lambda d: d["gesture"].update(streams="single"), 'gesture.fusion.kind must be "none" where a single'),
        (lambda d: d["frame"].update(position_offset=[1, 10**400, 1]), "frame.position_offset must be float"),
        (lambda d: d["frame"].update(position_offset=[1, float("nan"), 1]), "NaN is no number"),
        (lambda d: d["diffusion"].update(velocity_weight=float("inf")), "Infinity is no number"),
        (lambda d: d["audio"].update(encoder="hubert"), "audio.hubert must have a hidden_size of at least 1, not None"),
        (lambda d: d["audio"].update(encoder="hubert", hubert={"hidden_size": "8"}), "hidden_size of at least 1"),
        (lambda d: d.update(format="1"), "not a model configuration of format 1"),
        (lambda d: d.update(format=99), "made by a newer version of this extension"),
    ],
)
def test_a_wrong_configuration_is_told(change, told: str):
    data = json.loads(configs.small().to_json())
    change(data)
    with pytest.raises(ValueError, match=told):
        ModelConfig.from_json(json.dumps(data))


def test_numbers_too_large_to_be_finite_are_told():
    text = configs.small().to_json().replace('"velocity_weight": 0.0', '"velocity_weight": 1e999')
    with pytest.raises(ValueError, match=r"diffusion.velocity_weight must be a finite number, not inf"):
        ModelConfig.from_json(text)
