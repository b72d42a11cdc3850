# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the style encoder, and models that learn with its codes."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from s2c_blender.core.notes import RIGHT, Score, make_notes
from s2c_blender.core.style import PARTS
from s2c_blender.core.style import PERFORMERS as MANNERS
from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.config import StyleConfig
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator
from s2c_blender.model.seen import MOTION, SEEN, segments
from s2c_blender.model.style_codes import encode, load_encoder
from s2c_blender.model.weights import PERFORMERS, STYLE, read_config
from tests.training.tiny_data import SPLITS, TINY, write_config, write_data
from training import export, style_ablation, style_data, style_metrics, style_report, train
from training.dataset import ANONYMOUS, SOME_PARTS, MotionData
from training.processes import Place
from training.settings import read_training
from training.style_data import ExcerptData, codes_of_clip, excerpt, trained_encoder
from training.style_vae import FOREIGN, VALUES, StyleStage, as_values

STYLED = {
    "model": {
        "audio": TINY["model"]["audio"] | {"cues": True, "style": {"codes": "parts", "width": 3, "hidden": 8}},
        "gesture": TINY["model"]["gesture"] | {"part_aware": True, "part_width": 8, "wrist": True},
    },
}
SETTINGS = {"steps": 6, "batch": 4, "warmup": 2, "validate_every": 3, "keep_every": 2, "precision": "float32"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("styles") / "data", seconds=6.0)


@pytest.fixture(scope="module")
def config(data):
    told = json.loads(write_config(data.parent / "config.json", **STYLED).read_text())
    for stage in ("styles", "positions", "gestures"):
        told[stage] = SETTINGS
    (data.parent / "config.json").write_text(json.dumps(told))
    return data.parent / "config.json"


def run(stage, config, data, out, **options):
    train.train(train.Job(stage, read_training(config), data, out, **options), Place("cpu", 0, 1))
    return out


@pytest.fixture(scope="module")
def styles(data, config):
    return run("styles", config, data, data.parent / "styles")


@pytest.fixture(scope="module")
def positions(data, config, styles):
    return run("positions", config, data, data.parent / "positions", styles=styles)


@pytest.fixture(scope="module")
def gestures(data, config, positions):
    return run("gestures", config, data, data.parent / "gestures", positions=positions)


def test_the_encoder_is_kept_with_codes_of_the_performers(styles, data, config):
    model = read_training(config).model
    encoder = trained_encoder(styles / "model", model.audio.style)
    told = json.loads((styles / "model" / "performers.json").read_text())
    clips = MotionData.load(data, "train", model).clips
    found = np.concatenate([codes_of_clip(encoder, c).reshape(-1, 4, 3) for c in clips if c.name.startswith("ann")])
    assert set(told) == {"ann", "bob"} and set(told["ann"]) == set(PARTS)
    np.testing.assert_allclose(list(told["ann"].values()), found.mean(axis=0), atol=1e-3)
    rows = list(csv.DictReader((styles / "curves.csv").open()))
    assert {"motion", "information", "kept", "critic"} <= {k for row in rows for k, v in row.items() if v}


def test_a_model_has_the_encoder_that_it_learned_with(styles, positions, gestures, tmp_path):
    assert export.main([str(gestures), str(tmp_path / "model")]) == 0
    for folder in (positions / "model", gestures / "model", tmp_path / "model"):
        for name in (STYLE, PERFORMERS):
            assert (folder / name).read_bytes() == (styles / "model" / name).read_bytes()


def test_without_pytorch_the_codes_are_the_same(styles, data, config):
    model = read_training(config).model
    clip = MotionData.load(data, "valid", model).clips[0]
    seen = segments(excerpt(clip, 1, 0, len(clip)))
    found = encode(load_encoder(styles / "model"), seen, model.audio.style)
    expected = codes_of_clip(trained_encoder(styles / "model", model.audio.style), clip)[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_styles_make_other_motion_and_none_is_nobodys(gestures, data):
    model = read_config(gestures / "model")
    clip = MotionData.load(data, "valid", model).clips[0]
    generator = Generator(gestures / "model", device="cpu")
    codes = np.random.default_rng(0).normal(size=(2, 4, 3))
    made = [
        generator.generate(Recording(clip.score, style=style), 40)[1]
        for style in (None, np.full((2, 4, 3), np.nan), codes)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 1e-4


def test_windows_are_told_a_style_of_their_clip_or_none(styles, data, config):
    model = read_training(config).model
    motion = MotionData.load(data, "train", model)  # three clips of 180 frames: two excerpts each, from 0 and 60
    codes = [np.full((2, 2, 4, 3), 1.0 + i) + np.array([-0.1, 0.1])[None, :, None, None] for i in range(3)]
    motion = MotionData(motion.clips, model, codes)
    heard = motion.batch(1, 600).heard.numpy()[:, 0, -32:].reshape(-1, 8, 4)
    known = heard[..., 3] == 1
    assert not heard[~known].any()
    assert known.any(axis=1).mean() == pytest.approx(1 - ANONYMOUS, abs=0.06)
    some = known.any(axis=1) & ~known.all(axis=1)
    assert some.mean() == pytest.approx((1 - ANONYMOUS) * SOME_PARTS, abs=0.04)
    whole = heard[known.all(axis=1)][:, 0, 0].astype(float)
    assert set(whole.round(1)) == {round(c + d, 1) for c in (1.0, 2.0, 3.0) for d in (-0.1, 0.0, 0.1)}
    told = motion.windows(5).heard.numpy()[:, 0, -32:].reshape(-1, 8, 4)
    assert set(told[:, 0, 0].astype(float).round(3)) <= {1.0, 2.0, 3.0} and (told[..., 3] == 1).all()


@pytest.mark.parametrize(("first", "excerpts"), [(0, {1.1}), (28, {1.1}), (29, set()), (60, set()), (148, {0.9})])
def test_the_style_is_not_told_by_the_window_itself(data, config, first: int, excerpts: set):
    model = read_training(config).model  # windows of 32 frames
    clips = MotionData.load(data, "train", model).clips[:1]
    codes = [np.full((2, 2, 4, 3), 1.0) + np.array([-0.1, 0.1])[None, :, None, None]]
    motion = MotionData(clips, model, codes)
    told = [motion._told(0, first, np.random.default_rng(seed)) for seed in range(200)]
    found = {round(float(np.nanmean(one)), 1) for one in told if one is not None and np.isfinite(one).any()}
    assert found == excerpts | {1.0}


def test_the_codes_tell_the_styles_values_where_they_are_known(data, config):
    model = read_training(config).model
    stage = StyleStage(model.audio.style)
    clips = MotionData.load(data, "train", model)
    values = [np.full((2, 4, VALUES), value, np.float32) for value in (-1.0, np.nan, 1.0)]
    batch = ExcerptData(clips, values).batch(0, 64)
    assert set(batch.values[batch.values.isfinite()].tolist()) == {-1.0, 1.0}
    unknown = batch.values.isnan().flatten(1).all(dim=1)
    found = stage.parts_of_loss(batch)["values"]
    assert unknown.any() and (found[unknown] == 0).all() and (found[~unknown] > 0).all()
    assert (as_values(MANNERS["lyrical"])[0] != as_values(MANNERS["hammer"])[0]).any()


def test_a_training_of_styles_that_has_not_ended_is_told(styles, data, config, tmp_path):
    shutil.copytree(styles, tmp_path / "styles")
    (tmp_path / "styles" / "model" / "performers.json").unlink()
    with pytest.raises(UserError, match="let the training of the styles finish"):
        run("positions", config, data, tmp_path / "positions", styles=tmp_path / "styles")


def learned(excerpts: ExcerptData, model, steps: int) -> StyleStage:
    """A stage after some steps."""
    torch.manual_seed(0)
    stage = StyleStage(model.audio.style)
    stage.begin_from(*excerpts.usual())
    optimiser = torch.optim.AdamW([v for v in stage.parameters() if v.requires_grad], 3e-3)
    for step in range(steps):
        loss = stage(excerpts.batch(step, 12)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return stage


@pytest.fixture(scope="module")
def postures(data, config) -> MotionData:
    """The same music by hands whose fingers have three postures: neither notes nor wrists tell which."""
    rng = np.random.default_rng(0)
    motion = MotionData.load(data, "train", read_training(config).model)
    offsets = np.pad(rng.normal(0, 0.5, (3, 45)), ((0, 0), (3, 0))).astype(np.float32)
    clip = motion.clips[0]
    clips = [dataclasses.replace(clip, poses=clip.poses + offset) for offset in offsets]
    return dataclasses.replace(motion, clips=clips)


def test_codes_of_the_same_clip_restore_its_motion_better_than_anothers(postures):
    stage = learned(ExcerptData(postures), postures.config, 100)

    def missed(shown: int, wanted: int) -> float:
        seen = [stage.normal(torch.from_numpy(excerpt(postures.clips[n], 1, 0, 120))[None]) for n in (shown, wanted)]
        with torch.no_grad():
            made = stage.decode(seen[1], stage.encoder.normalised(seen[0])[0])
        return float((made - seen[1])[..., :MOTION].abs().mean())

    own = np.mean([missed(n, n) for n in range(3)])
    others = np.mean([missed(n, m) for n in range(3) for m in range(3) if n != m])
    assert others > 1.5 * own


def test_codes_learn_to_tell_values(postures):
    values = [np.full((2, 4, VALUES), value, np.float32) for value in (-1.0, 0.0, 1.0)]
    for of_clip in values:
        of_clip[:, 0] = np.nan  # else fingers' codes would tell the wrist's, and spies would have them unlearn theirs
    excerpts = ExcerptData(postures, values)
    stage = learned(excerpts, postures.config, 100)
    found = stage.validate([excerpts.windows(24)], postures.config)["values"]
    assert found < 0.3  # 0.67 for who answers with the mean


def test_what_spies_gain_the_encoder_loses():
    codes = torch.randn(3, 4, 3, requires_grad=True)
    values = torch.randn(3, 4, VALUES)
    torch.manual_seed(0)
    stage = StyleStage(read_style())
    stage._values_missed(codes, values)["spied"].sum().backward()
    turned = codes.grad.clone()
    assert not turned[:, 0].any() and turned[:, 1:].any()  # the wrist's own code may tell
    codes.grad = None
    told = sum(((spy(codes[:, i]) - values[:, 0]) ** 2).mean(dim=1).sum() for i, spy in enumerate(stage.spies, 1))
    told.backward()
    torch.testing.assert_close(turned, -FOREIGN * codes.grad)


def test_what_is_decoded_has_the_change_that_belongs_to_it():
    torch.manual_seed(0)
    stage = StyleStage(read_style())
    stage.begin_from(np.linspace(-1, 1, SEEN), np.linspace(0.5, 2, SEEN))
    made = stage.decode(torch.rand(2, 50, SEEN), torch.randn(2, 4, 3)).detach()
    raw = made * stage.encoder.scale + stage.encoder.offset
    change = np.gradient(raw[..., :MOTION].numpy(), 1 / 30, axis=1)
    np.testing.assert_allclose(raw[:, 1:-1, MOTION : 2 * MOTION], change[:, 1:-1], rtol=1e-3, atol=1e-3)


def read_style() -> StyleConfig:
    return StyleConfig("parts", 3, 8)


def test_what_is_missing_is_told(data, config, tmp_path):
    with pytest.raises(UserError, match="--styles") as told:
        run("positions", config, data, tmp_path / "a")
    assert told.value.exit_code == BAD_ARGUMENTS
    plain = write_config(tmp_path / "plain.json")
    with pytest.raises(UserError, match="knows no styles"):
        run("styles", plain, data, tmp_path / "b")


def test_a_report_says_how_styles_are_followed(gestures, data, tmp_path, monkeypatch, capsys):
    """Tiny networks follow nothing; but all that is asked for is measured, and a fair judge is fair."""
    monkeypatch.setattr(style_metrics, "_STEPS", 30)
    for module in (style_metrics, style_report):
        monkeypatch.setattr(module, "KNOWN", ("ann", "bob"))
    told = json.loads((gestures / "model" / "performers.json").read_text())
    folder = tmp_path / "model"
    shutil.copytree(gestures / "model", folder)
    (folder / "performers.json").write_text(json.dumps(told | {"classical": told["ann"]}))
    command = [str(folder), "--data", str(data), "--out", str(tmp_path / "report"), "--clips", "1", "--seconds", "8"]
    assert style_report.main([*command, "--seeds", "2"]) == 0
    result = json.loads((tmp_path / "report.json").read_text())
    assert result["chance"] == 0.5
    assert set(result["asked"]) == set(result["performers"]) == set(PARTS)
    assert set(result["swapped"]) == {"named", "kept", "moved", "others", "alone"}
    assert (tmp_path / "report.md").read_text() in capsys.readouterr().out


def test_the_ablation_trains_alike_and_says_who_is_named(config, tmp_path, monkeypatch, capsys):
    splits = SPLITS | {"test": ["ann/two/3", "ann/three/4"]}
    data = write_data(tmp_path / "data", seconds=9.0, splits=splits)
    monkeypatch.setattr(style_metrics, "_STEPS", 5)
    for module in (style_metrics, style_report):
        monkeypatch.setattr(module, "KNOWN", ("ann", "bob"))
    written = style_data.write_performers

    def with_classical(folder, *what):
        written(folder, *what)
        told = json.loads((folder / "performers.json").read_text())
        (folder / "performers.json").write_text(json.dumps(told | {"classical": told["ann"]}))

    monkeypatch.setattr(train, "write_performers", with_classical)
    monkeypatch.setattr(style_ablation, "SECONDS", 8)
    out = tmp_path / "out"
    command = [str(config), "--data", str(data), "--out", str(out), "--seeds", "1", "--threads", "1"]
    assert style_ablation.main([*command, "--device", "cpu", "--clips", "2"]) == 0
    result = json.loads((out / "ablation.json").read_text())
    assert list(result["values"]) == [style_ablation.BASE, style_ablation.PLAIN, style_ablation.WHOLE]
    assert all(0 <= of["named"][0] <= 1 and of["fgd"][0] > 0 for of in result["values"].values())
    models = {name: read_config(out / name.replace(" ", "-") / "seed0" / "model") for name in result["values"]}
    base, plain, whole = models.values()
    assert base.gesture.part_aware and not plain.gesture.part_aware and plain.audio == base.audio
    assert whole.audio.style.codes == "hand" and whole.gesture.part_aware
    assert "named: thumb" in capsys.readouterr().out


def test_judges_know_performers_who_differ(data, config, monkeypatch):
    """Ann's and Bob's clips differ in the phases of their joints only; a judge names them in what it learned from."""
    monkeypatch.setattr(style_metrics, "_STEPS", 60)
    monkeypatch.setattr(style_metrics, "KNOWN", ("ann", "bob"))
    clips = MotionData.load(data, "train", read_training(config).model)
    judge = style_metrics.Judge(ExcerptData(clips))
    right = [
        name == clip.name.split("/")[0]
        for clip in clips.clips
        for side in (0, 1)
        for name in judge.names_of(excerpt(clip, side, 0, len(clip)))
    ]
    assert np.mean(right) > 0.8


def test_responses_are_of_the_strokes():
    """Louder tones from higher up: the lift goes with loudness, the wrist that stays still with nothing."""
    onset = np.arange(1.0, 13.0, 0.5)
    velocity = np.linspace(30, 120, len(onset)).astype(int)
    score = Score(make_notes(onset, onset + 0.3, 64, velocity, RIGHT, 1))
    time = np.arange(14 * 30) / 30
    position = np.tile([0.0, -0.05, 0.06], (len(time), 1))
    rotation = np.zeros((len(time), 16, 3))
    for begin, loud in zip(onset, velocity, strict=True):
        rotation[:, 1, 0] += loud / 127 * 0.6 * np.exp(-(((time - begin + 0.15) / 0.06) ** 2))
    found = style_metrics.responses(position, rotation.reshape(-1, 48), score, RIGHT)
    assert len(found) == len(onset) and np.allclose(found[:, 0], velocity / 127)
    assert np.allclose(found[:, 1], 1 + (np.abs(onset[:, None] - onset) < 0.5).sum(axis=1) - 1)
    r = style_metrics.correlations([found])
    assert abs(r["loudness to lift"]) > 0.95 and abs(r["loudness to speed"]) > 0.9
    assert r["loudness to bounce"] == 0.0
