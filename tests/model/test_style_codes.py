# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of performers, mixtures and motions, and what a model does with them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, NOTE, RIGHT, Score, make_notes
from s2c_blender.core.style import PARTS, hands
from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.generate import generate
from s2c_blender.job import Job, knows_styles
from s2c_blender.likeness import told_by_motion
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator, Sampling, _Listener
from s2c_blender.model.prior import Request, prepare
from s2c_blender.model.style_codes import at_30, codes_of, codes_seen, load_encoder, notes_seen, told_codes
from s2c_blender.pianist import perform
from tests.model.tiny_model import STYLED, TINY, write_model, write_styles

STYLE = STYLED.audio.style
PERFORMERS = {"classical": 1.0, "flat": 3.0, "pop": -1.0}  # every number of their codes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = write_model(tmp_path_factory.mktemp("styled") / "model", STYLED)
    return write_styles(path, STYLED, PERFORMERS)


@pytest.fixture(scope="module")
def tune() -> Score:
    onset = np.arange(12) * 0.25
    right = make_notes(onset, onset + 0.2, 72 + np.array([0, 2, 4, 5, 7, 9, 11, 12, 11, 9, 7, 5]), 70, RIGHT)
    left = make_notes(onset[::3], onset[::3] + 0.6, 48 + np.array([0, 7, 4, 5]), 60, LEFT)
    notes = np.concatenate([left, right])
    return Score(notes[np.argsort(notes["onset"], kind="stable")])


@pytest.fixture(scope="module")
def played(tune) -> HandMotion:
    return perform(tune, fps=60)[0]


@pytest.mark.parametrize(
    ("told", "left", "right"),
    [
        ({"both": "flat"}, [3, 3, 3, 3], [3, 3, 3, 3]),
        ({}, [1, 1, 1, 1], [1, 1, 1, 1]),  # the classical pianist
        ({"both": {"flat": 0.5}}, [2, 2, 2, 2], [2, 2, 2, 2]),
        ({"both": {"flat": 0.5, "pop": 1.5}}, [-1, -1, -1, -1], [-1, -1, -1, -1]),
        ({"left": {"thumb": "pop", "wrist": {"flat": 1.5}}}, [4, -1, 1, 1], [1, 1, 1, 1]),
        ({"right": "mine", "codes": {"mine": {part: [7.0] * 3 for part in PARTS}}}, [1, 1, 1, 1], [7, 7, 7, 7]),
    ],
)
def test_mixtures_count_from_the_classical_performer(folder, told: dict, left: list, right: list):
    found = codes_of(told, folder, STYLE)
    assert found.shape == (2, 4, 3)
    np.testing.assert_allclose(found, np.array([left, right])[:, :, None] * np.ones(3))


def test_what_the_model_does_not_know_is_told(folder, tmp_path):
    with pytest.raises(UserError, match='how "mine" moves') as told:
        prepare(Request(folder, style={"both": "mine", "own": {}}), has_sound=False)
    assert told.value.exit_code == BAD_ARGUMENTS
    plain = write_model(tmp_path / "plain", TINY)
    prepared = prepare(Request(plain, style={"both": "flat"}), has_sound=False)
    assert prepared.codes is None and "knows no styles" in prepared.warnings[0]
    with pytest.raises(UserError, match="weight of the style goes from 0 to 3; 5 is"):
        prepare(Request(folder, style={"both": "flat"}, style_weight=5.0), has_sound=False)
    (folder / "performers.json").rename(tmp_path / "kept")
    (folder / "performers.json").write_text("[1]")
    with pytest.raises(UserError, match="damaged"):
        codes_of({"both": "flat"}, folder, STYLE)
    (tmp_path / "kept").replace(folder / "performers.json")
    whole = (folder / "style.npz").read_bytes()
    for damaged in (b"", whole[:1000], whole[:3000] + b"x" + whole[3001:]):
        (tmp_path / "style.npz").write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            load_encoder(tmp_path)
    for codes in (5, {"a": 3}, {"a": {"wrist": "x"}}, {"a": {"wrist": [float("nan")]}}):
        with pytest.raises(UserError, match="cannot be understood"):
            codes_of({"both": "a", "codes": codes}, folder, STYLE)


def test_who_is_not_asked_for_is_the_classical_performer(folder):
    plain = prepare(Request(folder), has_sound=False)
    np.testing.assert_array_equal(plain.codes, codes_of({"both": "classical"}, folder, STYLE))
    assert prepare(Request(folder, style_weight=0.0), has_sound=False).codes is None


def test_models_of_other_performers_count_from_their_mean(tmp_path):
    folder = write_styles(write_model(tmp_path / "filmed", STYLED), STYLED, {"ann": 1.0, "bob": 5.0})
    np.testing.assert_allclose(codes_of({}, folder, STYLE), 3.0)
    mine = {"both": {"mine": 0.5}, "codes": {"mine": {part: [7.0] * 3 for part in PARTS}}}
    np.testing.assert_allclose(codes_of(mine, folder, STYLE), 5.0)


def test_what_is_played_is_seen_in_the_motion(played, tune):
    found = notes_seen(played)
    assert found.dtype == NOTE and (np.diff(found["onset"]) >= 0).all()
    assert sorted(found["pitch"].tolist()) == sorted(tune.notes["pitch"].tolist())
    for note in played.notes:
        same = found[(found["pitch"] == note["pitch"]) & (np.abs(found["onset"] - note["onset"]) < 0.06)]
        assert len(same) == 1 and same[0]["hand"] == note["hand"] and same[0]["finger"] == note["finger"]


def test_a_style_is_seen_in_any_motion_at_any_rate(folder, played):
    codes = codes_seen(played, folder, STYLE)
    assert codes.shape == (2, 4, 3) and np.isfinite(codes).all()
    np.testing.assert_allclose(codes_seen(at_30(played), folder, STYLE), codes, atol=1e-4)
    np.testing.assert_allclose(told_codes(codes)[0]["wrist"], codes[0, 0], atol=1e-4)


def test_a_hand_that_plays_nothing_moves_like_the_other(folder, tune):
    notes = tune.notes[tune.notes["hand"] == RIGHT]
    codes = codes_seen(perform(Score(notes), fps=60)[0], folder, STYLE)
    np.testing.assert_array_equal(codes[0], codes[1])


def test_motions_without_a_style_are_told(folder, played):
    still = replace(
        played, left_position=played.left_position + [0, 0, 0.3], right_position=played.right_position + 0.3
    )
    with pytest.raises(UserError, match="No hand plays any key"):
        codes_seen(still, folder, STYLE)
    short = {name: getattr(played, name)[:60] for name in ("left_position", "left_rotation")}
    short |= {name: getattr(played, name)[:60] for name in ("right_position", "right_rotation")}
    with pytest.raises(UserError, match=r"cannot be seen in 1\.0 s"):
        codes_seen(replace(played, **short), folder, STYLE)


def test_the_weight_leads_from_nobodys_style_over_the_asked_one_and_beyond(folder, tune):
    generator = Generator(folder, device="cpu")
    style = codes_of({"both": "flat"}, folder, STYLE)

    def poses(style, weight: float) -> np.ndarray:
        recording = Recording(tune, style=style)
        return generator.generate(recording, 70, 3, Sampling(steps=2, style_weight=weight))[1]

    asked, exaggerated, plain = poses(style, 1.0), poses(style, 1.5), poses(None, 1.0)
    assert np.abs(asked - plain).max() > 1e-3
    assert np.abs(exaggerated - asked).max() > 1e-4
    np.testing.assert_array_equal(poses(None, 2.0), plain)
    np.testing.assert_array_equal(poses(style, 0.0), plain)
    # Close to 1 guided motion is close to what is not guided, close to 0 to nobody's.
    assert np.abs(poses(style, 1.001) - asked).max() < 0.1 * np.abs(exaggerated - asked).max()
    assert np.abs(poses(style, 0.001) - plain).max() < 0.1 * np.abs(asked - plain).max()


def test_guided_positions_go_from_nobodys_to_the_styles(folder, tune):
    generator = Generator(folder, device="cpu")
    style = codes_of({"both": "flat"}, folder, STYLE)
    listeners = [
        _Listener(generator, Recording(tune, style=codes), 70, 16, weight)
        for codes, weight in ((None, None), (style, None), (style, 2.0))
    ]
    nobodys, styled, guided = (listener._hear(0)[1] for listener in listeners)
    assert np.abs(styled - nobodys).max() > 1e-4
    np.testing.assert_allclose(guided, nobodys + 2.0 * (styled - nobodys), atol=1e-6)


def test_a_job_plays_in_the_style_and_says_so(folder, tune, tmp_path):
    write_midi(tune, tmp_path / "tune.mid")
    told = {"both": "pop", "expression": 0.5}
    jobs = [
        Job(str(tmp_path / "tune.mid"), model=str(folder), steps=2, device="cpu", style=style, raw=str(tmp_path / name))
        for name, style in (("a.npz", None), ("b.npz", told), ("c.npz", {"both": "pop"}))
    ]
    results = [generate(job) for job in jobs]
    assert results[1].report["style"] == results[1].motion.meta["style"] == told
    raw = [HandMotion.load(job.raw).right_rotation for job in jobs]
    assert np.abs(raw[1] - raw[0]).max() > 1e-3  # the model's own motion, not the pianist's alone
    assert np.abs(raw[1] - raw[2]).max() > 1e-4  # it responds less to the music
    assert json.loads(json.dumps(told)) == told


def test_the_style_of_a_motion_is_told_to_pianist_and_model(folder, played, tmp_path):
    told = told_by_motion(played, str(folder))
    codes = codes_of(told, folder, STYLE)
    np.testing.assert_allclose(codes, codes_seen(played, folder, STYLE), atol=1e-4)
    assert hands(told) == hands(told_by_motion(played, str(tmp_path)))  # a folder that knows no styles
    assert knows_styles(str(folder)) and not knows_styles(str(tmp_path))
    softer = told | {"left": {"all": {"left": 0.5}}, "right": {"all": {"left": 1.0}}}
    np.testing.assert_allclose(codes_of(softer, folder, STYLE)[0], 0.5 + 0.5 * codes[0], atol=1e-4)
    np.testing.assert_allclose(codes_of(softer, folder, STYLE)[1], codes[0], atol=1e-4)


def test_codes_of_another_model_are_refused(folder, played, tmp_path):
    wider = {"both": "mine", "codes": {"mine": {part: [0.0] * 5 for part in PARTS}}}
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    state = load_encoder(folder)
    np.savez(other / "style.npz", **state | {"offset": state["offset"] + 1.0})
    copied = {"both": "left"} | {k: v for k, v in told_by_motion(played, str(other)).items() if "code" in k}
    for told in (wider, copied):
        with pytest.raises(UserError, match="copy that style from a motion again"):
            codes_of(told, folder, STYLE)
