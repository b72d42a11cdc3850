# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the networks hear, and the configuration that says which."""

import json
from dataclasses import replace

import numpy as np
import pytest

from s2c_blender.core.keyboard import key_x
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.model import config as configs
from s2c_blender.model.config import ModelConfig
from s2c_blender.model.cues import CUES, OF_HAND, cues
from s2c_blender.model.cues import NAMES as CUE_NAMES
from s2c_blender.model.features import (
    NOTE_FEATURES,
    OF_FINGER,
    Recording,
    finger_roll,
    hearable,
    notes_width,
    of_hand,
    window_input,
)

SCORE = Score(
    make_notes([0.0, 1.01, 2.0], [0.5, 1.5, 2.1], [21, 61, 108], [127, 64, 1], [LEFT, RIGHT, RIGHT], [4, 0, 4]),
    np.array([[0.1, 1.0], [1.2, 1.3]]),
)
LITTLE, THUMB = 4, 5  # of the left hand, of the right


def fingers(roll: np.ndarray) -> np.ndarray:
    """A roll as [frames, 10, OF_FINGER], without the pedal."""
    return roll[:, :-1].reshape(len(roll), 10, OF_FINGER)


def test_strokes_tell_loudness_and_the_time_within_a_frame():
    roll = finger_roll(SCORE, 0, 90)
    assert roll.shape == (90, NOTE_FEATURES)
    strokes = fingers(roll)[:, :, 0]
    np.testing.assert_allclose(strokes.sum(axis=0)[[LITTLE, THUMB, 9]], np.array([127, 64, 1]) / 127, rtol=1e-6)
    time = (strokes[:, THUMB] @ np.arange(90)) / strokes[:, THUMB].sum() / 30
    assert time == pytest.approx(1.01, abs=1e-6)
    assert np.count_nonzero(strokes) == 4  # those on a frame need one


def test_held_keys_and_pedal_cover_their_time():
    roll = finger_roll(SCORE, 0, 90)
    held = fingers(roll)[:, :, 1]
    assert held.max() <= 1.0
    assert held[:, THUMB].sum() / 30 == pytest.approx(0.49, abs=1e-6)
    assert held[:, LITTLE].sum() / 30 == pytest.approx(0.5, abs=0.02)  # half of frame 0 lies before it
    assert roll[:, -1].sum() / 30 == pytest.approx(1.0, abs=1e-6)
    assert roll[15, -1] == 1.0
    assert roll[33, -1] == 0.0


def test_fingers_are_where_their_keys_are():
    roll = fingers(finger_roll(SCORE, 0, 90))
    np.testing.assert_allclose(roll[40, THUMB, :4], [0, 1, key_x(61) / key_x(108), 1], atol=1e-6)  # black
    np.testing.assert_allclose(roll[10, LITTLE, :4], [0, 1, key_x(21) / key_x(108), 0], atol=1e-6)
    assert np.flatnonzero(roll.any(axis=(0, 2))).tolist() == [LITTLE, THUMB, 9]
    notes = SCORE.notes.copy()
    notes["finger"][1] = UNKNOWN
    assert not fingers(finger_roll(Score(notes), 0, 90))[:, THUMB].any()


def test_windows_of_the_roll_are_cut_from_the_whole():
    whole = finger_roll(SCORE, 0, 120)
    for first, frames in ((0, 40), (25, 40), (31, 60), (61, 59)):
        np.testing.assert_allclose(finger_roll(SCORE, first, frames), whole[first : first + frames], atol=1e-6)
    assert not finger_roll(SCORE, 200, 40).any()


def test_fingers_know_what_comes_next_and_what_was():
    """The thumb's keys at 2 s and, after a rest, at 8 s: each comes nearer and goes away, and is forgotten in 4 s."""
    score = Score(make_notes([2.0, 8.0], [2.5, 8.5], [50, 70], [90, 90], RIGHT, 0))
    after, which_after, before, which_before = fingers(finger_roll(score, 0, 400))[:, THUMB, 4:].T
    seconds = np.arange(400) / 30
    np.testing.assert_allclose(after[:61], 0.3 / (0.3 + 2.0 - seconds[:61]), rtol=1e-5)
    assert not after[61:119].any()  # the next one is more than 4 s ahead
    assert (np.diff(after[121:241]) > 0).all()
    assert not after[241:].any()
    assert not before[:75].any()
    np.testing.assert_allclose(before[75:194], 0.3 / (0.3 + seconds[75:194] - 2.5), rtol=1e-5)
    assert not before[196:255].any()
    x = key_x(np.array([50, 70])) / key_x(108)
    np.testing.assert_allclose(which_after, after * np.where(seconds <= 2.0, *x), atol=1e-6)
    np.testing.assert_allclose(which_before, before * np.where(seconds < 8.5, *x), atol=1e-6)


def test_cues_and_style_are_told_where_the_model_knows_them():
    style = configs.StyleConfig("parts", width=2)
    audio = configs.AudioConfig("notes", cues=True, style=style)
    config = replace(configs.small(), audio=audio)
    codes = np.arange(16.0).reshape(2, 4, 2)
    codes[1, 3] = np.nan
    told, untold = (window_input(config, Recording(SCORE, style=codes), 0, 20) for codes in (codes, None))
    assert told.dtype == np.float32 and told.shape == (20, notes_width(audio))
    np.testing.assert_array_equal(told[:, :NOTE_FEATURES], finger_roll(SCORE, 0, 20))
    heard = slice(NOTE_FEATURES, NOTE_FEATURES + CUES)
    np.testing.assert_array_equal(told[:, heard], cues(SCORE, 0, 20))
    left = np.array([0, 1, 1, 2, 3, 1, 4, 5, 1, 6, 7, 1])
    assert (told[:, -24:-12] == left).all()
    assert (told[:, -12:] == [8, 9, 1, 10, 11, 1, 12, 13, 1, 0, 0, 0]).all()  # the last part in nobody's style
    assert not untold[:, -24:].any()
    moved = window_input(config, Recording(SCORE, expression=0.5), 0, 20)
    np.testing.assert_allclose(moved[:, heard], 0.5 * told[:, heard])
    for side in (LEFT, RIGHT):
        heard, style = of_hand(audio, side)
        assert [CUE_NAMES[c - NOTE_FEATURES].split()[0] for c in heard[:OF_HAND]] == [("left", "right")[side]] * OF_HAND
        assert heard[OF_HAND:] == list(range(NOTE_FEATURES + 2 * OF_HAND, NOTE_FEATURES + CUES))
        assert (told[0, style] == told[0, (-24 if side == LEFT else -12) :][:12]).all()


def test_a_note_struck_again_is_not_lost():
    score = Score(make_notes([0.0, 0.52], [0.5, 0.8], [60, 60], [50, 90], RIGHT, 1))
    strokes = fingers(finger_roll(score, 0, 40))[:, 6, 0]
    assert strokes.sum() == pytest.approx(140 / 127, rel=1e-5)
    assert strokes[0] == pytest.approx(50 / 127, rel=1e-5)


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
