# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation: which clips, the tables, and whole runs with tiny models."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score, make_notes
from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.camera import Camera, to_camera
from s2c_blender.model.config import AudioConfig, FrameConfig
from s2c_blender.model.generator import Generator
from s2c_blender.model.mano import neutral
from s2c_blender.model.weights import load_state, read_config, write_hand
from tests.model.tiny_model import HUBERT, STYLED, TINY, write_model, write_styles
from tests.training.two_hands import play, truth_of
from training import layout
from training.clips import at_30
from training.evaluate import evaluate, main
from training.gesture_autoencoder import PoseEncoder
from training.players import PERFORMERS, PIANIST, Scored
from training.players import STYLED as STYLED_PIANIST
from training.report import Column, Table, markdown
from training.takes import choose, read_take
from training.train_autoencoder import save_encoder

CAMERA = Camera(offset=np.array([0.0, 0.05, 0.0]))


@pytest.fixture(scope="module")
def played():
    """10 s of both hands at 30 fps, and the score."""
    return play()


def test_chosen_clips_are_spread_over_performers_and_pieces():
    names = [f"{performer}/{piece}/{clip}" for performer in "ab" for piece in "xyz" for clip in range(5)]
    names += ["c/x/0"]
    assert choose(names, None) == names and sorted(choose(names, 99)) == sorted(names)
    three, six = choose(names, 3), choose(names, 7)
    assert {name[0] for name in three} == set("abc") and choose(names[::-1], 3) == three
    assert sorted(name[:3] for name in six) == ["a/x", "a/y", "a/z", "b/x", "b/y", "b/z", "c/x"]


def test_other_rates_are_read_between_their_frames():
    rows = np.zeros((2, 101, 62))
    rows[:, :, 1] = np.arange(101) / 50  # x in seconds
    rows[0, 20, 0] = rows[1, :, 0] = 1  # seen at 0.4 s
    turn = 3 * np.arange(101) / 50  # rad about z, which no vector of less than half a turn tells without a jump
    rows[1, :, 6] = np.where(turn > np.pi, turn - 2 * np.pi, turn)
    motion, valid = at_30(layout.Clip("a/b/c", 50.0, rows))
    assert motion.positions[0, :, 0] == pytest.approx(np.arange(61) / 30)
    np.testing.assert_allclose(np.exp(1j * motion.poses[1, :, 2]), np.exp(0.1j * np.arange(61)), atol=1e-4)
    assert np.flatnonzero(valid[0]).tolist() == [12] and valid[1].all()


def scores(*sums: tuple[float, float], features: float | None = None) -> list[Scored]:
    """Performances of one clip, one a seed."""
    made = np.random.default_rng(0).normal(size=(3, 4))
    return [Scored({"pd_left_mm": s}, made + features if features is not None else np.zeros((0, 0))) for s in sums]


def test_figures_over_clips_are_sums_over_sums():
    column = Column("a", [scores((10, 10), (30, 10)), scores((60, 20), (0, 0))])
    assert column.ratios(np.array([[1, 1], [2, 0]]))["pd_left_mm"].tolist() == [[70 / 30, 3], [1, 3]]


def test_table_has_spread_over_seeds_and_interval_over_clips():
    rng = np.random.default_rng(1)
    clips = rng.uniform(1, 9, 12)
    real = [np.random.default_rng(0).normal(size=(3, 4)) for _ in clips]
    a = Column("a", [scores((x, 1), (x + 1, 1), features=0) for x in clips])
    b = Column("b", [scores((x + 2, 1), (x + 3, 1), features=2) for x in clips])
    c = Column("c", [scores((y, 1), (y, 1)) for y in rng.permutation(clips)])
    result = Table("T", [a, b, c], [("b", "a"), ("c", "a")], real, [f"{n}" for n in range(12)]).as_dict()
    assert result["figures"]["a"]["pd_left_mm"] == pytest.approx({"mean": clips.mean() + 0.5, "sd": np.sqrt(0.5)})
    assert result["figures"]["a"]["fid2"]["mean"] == pytest.approx(0, abs=1e-6)
    assert result["figures"]["b"]["fid2"]["mean"] == pytest.approx(4 * 2**2)
    assert result["figures"]["b"]["f_dist"]["mean"] == pytest.approx(4 * 2)
    paired = result["differences"]["b - a"]["pd_left_mm"]
    assert paired == pytest.approx({"mean": 2, "low": 2, "high": 2})  # by clip: what clips differ in does not count
    loose = result["differences"]["c - a"]["pd_left_mm"]
    assert loose["low"] < -0.5 < loose["high"] and loose["mean"] == pytest.approx(-0.5)
    text = markdown({"notes": ["n"], "tables": [result], "skipped": {}})
    assert "| PD in space, left (mm) | 2.0 [2.0, 2.0] * |" in text and "| a | b | c |" in text


def test_clips_of_one_piece_are_drawn_together():
    """Twelve clips that differ between three pieces only tell no more than three."""
    values = np.repeat([1.0, 2.0, 6.0], 4)
    columns = [Column("a", [scores((x, 1)) for x in values]), Column("b", [scores((0, 1)) for _ in values])]
    none = [np.zeros((0, 0))] * 12

    def width(pieces: list[str]) -> float:
        [found] = Table("T", columns, [("a", "b")], none, pieces).as_dict()["differences"].values()
        return found["pd_left_mm"]["high"] - found["pd_left_mm"]["low"]

    assert width([f"{n // 4}" for n in range(12)]) > 1.5 * width([f"{n}" for n in range(12)])


def test_one_clip_has_no_interval():
    columns = [Column("a", [scores((1, 1))]), Column("b", [scores((2, 1))])]
    result = Table("T", columns, [("a", "b")], [np.zeros((0, 0))], ["piece"]).as_dict()
    assert result["differences"]["a - b"]["pd_left_mm"] == {"mean": -1.0, "low": None, "high": None}
    assert result["figures"]["a"]["pd_left_mm"]["sd"] is None


@pytest.fixture(scope="module")
def data(played, tmp_path_factory):
    """A folder of clips: three good ones of two performers, one damaged, one too short."""
    root = tmp_path_factory.mktemp("data")
    motion, score = played
    rows = np.ones((2, len(motion.left_position), 62))
    for side in (LEFT, RIGHT):
        rows[side, :, 1:4], rows[side, :, 4:52] = to_camera(*motion.hand(side), CAMERA, side, neutral())
    names = ["one/a/0", "one/b/0", "two/a/0", "one/broken/0", "two/short/0"]
    for name in names:
        part = rows[:, :100] if "short" in name else rows
        layout.write_clip(root, layout.Clip(name, 30.0, part), score, {})
    layout.annotation_path(root, "one/broken/0").write_text('{"left": [')
    for performer in ("one", "two"):
        layout.write_camera(root, performer, CAMERA)
    layout.write_splits(root, {"train": [], "valid": ["one/a/0"], "test": names})
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory, played):
    """A model that moves a little about the performers' mean pose."""
    truth = truth_of(played[0])
    means = truth.poses.mean(axis=1)
    place = tuple(truth.positions.mean(axis=(0, 1)))
    frame = FrameConfig("piano", (0.3, 0.02, 0.02), place, ((0.02,), (0.02,)), tuple(map(tuple, means)))
    return write_model(tmp_path_factory.mktemp("models") / "tiny", replace(TINY, frame=frame))


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder")
    save_encoder(PoseEncoder(), folder)
    return folder


def test_a_whole_run(data, model, autoencoder, tmp_path, capsys):
    command = [str(model), "--data", str(data), "--out", str(tmp_path / "report"), "--seeds", "2"]
    assert main([*command, "--seconds", "10", "--autoencoder", str(autoencoder)]) == 0
    result = json.loads((tmp_path / "report.json").read_text())
    assert sorted(result["clips"]) == ["one/a/0", "one/b/0", "two/a/0"] and result["windows"] == 3
    assert set(result["skipped"]) == {"one/broken/0", "two/short/0"}
    [table] = result["tables"]
    raw = table["figures"]
    assert list(raw) == ["tiny", PERFORMERS]
    assert raw[PERFORMERS]["onset_near"]["mean"] == 1.0 > raw["tiny"]["onset_near"]["mean"]
    assert raw["tiny"]["diversity_deg"]["mean"] > 0 and raw["tiny"]["fid2"]["mean"] > 0
    text = (tmp_path / "report.md").read_text()
    for told in (
        "# Evaluation",
        "PD in space, left",
        "± ",
        "one/broken/0: ",
        "2 clips were left out",
        "performers: one, two",
    ):
        assert told in text
    assert "left out. " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_clips_of_one_performer_and_what_the_position_networks_say(data, model, tmp_path):
    config = read_config(model)
    moving = write_model(tmp_path / "moving", replace(config, gesture=replace(config.gesture, wrist=True)))
    result = evaluate([moving], data, performers=["two"], seeds=1, seconds=8, autoencoder=None)
    assert result["clips"] == ["two/a/0"] and set(result["skipped"]) == {"two/short/0"}
    figures = result["tables"][0]["figures"]["moving"]
    positions = Generator(moving).predict_positions(read_take(data, "two/a/0", 8).recording, 240)
    truth = read_take(data, "two/a/0", 8, camera=True).in_frame("piano")
    away = 1e3 * np.linalg.norm((positions - truth.positions)[..., :2], axis=2).mean(axis=1)
    assert figures["pd_predicted_mm_left"]["mean"] == pytest.approx(away[LEFT])
    assert figures["pd_predicted_mm"]["mean"] == pytest.approx(away.mean())
    assert figures["pd_predicted_mm"]["mean"] != pytest.approx(figures["pd_xy_mm"]["mean"], rel=1e-3)


def test_hands_that_are_not_told_are_found(data):
    told, found = (read_take(data, "one/a/0", 10, unlabelled=unlabelled) for unlabelled in (False, True))
    assert (found.score.notes["hand"] == UNKNOWN).all() and (told.score.notes["hand"] != UNKNOWN).all()
    assert set(found.recording.score.notes["hand"]) <= {LEFT, RIGHT}
    assert (found.fingered.notes["finger"] >= 0).all()


def test_finished_motion_stands_beside_the_pianist_alone(data, model, autoencoder):
    result = evaluate([model], data, split="valid", seeds=1, pipeline=True, autoencoder=autoencoder)
    finished = result["tables"][1]["figures"]
    assert list(finished) == ["tiny", PIANIST, PERFORMERS]
    # The clip was played by this pianist, so nobody can be nearer to it.
    assert finished[PIANIST]["key_f1"]["mean"] == 1.0
    for name in ("fgd_clip", "pd_left_mm"):
        assert finished[PIANIST][name]["mean"] < finished["tiny"][name]["mean"]
    assert finished["tiny"]["key_f1"]["mean"] > 0.9
    assert finished[PERFORMERS]["jerk_wrists"]["mean"] > 0
    assert f"tiny - {PIANIST}" in result["tables"][1]["differences"]


def test_models_and_pianist_in_the_performers_own_style(data, played, tmp_path):
    """It is seen in another clip of theirs; who has none other is left out."""
    folder = write_model(tmp_path / "styled", replace(STYLED, frame=TINY.frame))
    write_styles(folder, STYLED, {"classical": 0.5})
    torch.manual_seed(0)
    for hand in ("left", "right"):  # what is new begins at zero and would not hear of a style
        state = load_state(folder, hand, "")
        state |= {name: torch.randn(value.shape) * 0.3 for name, value in state.items() if ".part_" in name}
        write_hand(folder, hand, state)
    common = {"seeds": 1, "clips": None, "seconds": 8, "autoencoder": None}
    plain = evaluate([folder], data, **common)
    told = evaluate([folder], data, in_style=True, pipeline=True, **common)
    assert (
        sorted(told["clips"]) == ["one/a/0", "one/b/0"]
        and "no other clip by its performer" in told["skipped"]["two/a/0"]
    )
    raw, finished = (table["figures"] for table in told["tables"])
    assert raw["styled"]["fgd"]["mean"] != plain["tables"][0]["figures"]["styled"]["fgd"]["mean"]
    assert list(finished) == ["styled", PIANIST, STYLED_PIANIST, PERFORMERS]
    assert f"styled - {STYLED_PIANIST}" in told["tables"][1]["differences"]
    assert any("seen in another clip" in note for note in told["notes"])


def test_the_same_model_twice_differs_in_nothing(data, model, tmp_path):
    other = tmp_path / "copy"
    other.mkdir()
    for file in model.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    result = evaluate([model, other], data, seeds=1, clips=None, autoencoder=None)
    first, second = (result["tables"][0]["figures"][name] for name in ("tiny", "copy"))
    first.pop("real_time"), second.pop("real_time")
    assert first == second and "diversity_deg" not in first and "fid2" not in first
    assert all(cell["mean"] == 0 for cell in result["tables"][0]["differences"]["copy - tiny"].values())
    assert any("no gesture autoencoder" in note for note in result["notes"])


def test_a_camera_model_is_measured_in_its_own_frame(data, tmp_path):
    folder = write_model(tmp_path / "seen", replace(TINY, frame=FrameConfig()))
    result = evaluate([folder], data, seeds=1, clips=None, autoencoder=None)
    figures = result["tables"][0]["figures"]["seen"]
    assert 0 <= figures["onset_near"]["mean"] < 0.5 and figures["pd_xy_mm"]["mean"] > 0


def test_filmed_clips_with_sound_and_without_notes(data, autoencoder, tmp_path):
    root = tmp_path / "filmed"
    clip = layout.read_clip(data, "one/a/0")
    layout.write_clip(
        root, layout.Clip("ann/waltz/1", 30.0, clip.hands), Score(make_notes([1.0], [2.0], [60], [70])), {}
    )
    layout.midi_path(root, "ann/waltz/1").unlink()
    layout.write_splits(root, {"train": [], "valid": [], "test": ["ann/waltz/1"]})
    listener = write_model(
        tmp_path / "listener", replace(TINY, audio=AudioConfig("hubert", HUBERT), frame=FrameConfig())
    )
    with pytest.raises(UserError, match="has no sound"):
        evaluate([listener], root, autoencoder=autoencoder)
    sound = root / "audio" / "ann" / "waltz" / "1.wav"
    sound.parent.mkdir(parents=True)
    soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, 16000 * 9), 16000)
    result = evaluate([listener], root, seeds=1, autoencoder=autoencoder)
    figures = result["tables"][0]["figures"]
    assert list(figures) == ["listener"] and "fgd" in figures["listener"]
    assert not {"onset_near", "fid2"} & figures["listener"].keys()
    assert any(note.startswith("FID2, F_dist and figures of keys leave out") for note in result["notes"])
    assert any(note == "Figures of keys leave out clips without MIDI." for note in result["notes"])
    with pytest.raises(UserError, match="has no MIDI file"):
        evaluate([write_model(tmp_path / "reader", TINY)], root, autoencoder=None)


def test_filmed_clips_with_notes_are_calibrated(data, tmp_path):
    root = tmp_path / "filmed"
    clip = layout.read_clip(data, "one/a/0")
    score = read_take(data, "one/a/0", None, notes=True).recording.score
    layout.write_clip(root, layout.Clip("ann/waltz/1", 30.0, clip.hands), score, {})
    take = read_take(root, "ann/waltz/1", None, notes=True)
    known = read_take(data, "one/a/0", None, notes=True)
    distance = np.linalg.norm(take.in_frame("piano").positions - known.in_frame("piano").positions, axis=-1)
    assert distance.mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["MODEL", "--data", "nowhere"], "cannot be read", 1),
        (["nowhere", "--data", "DATA"], "holds no model", 1),
        (["MODEL", "MODEL", "--data", "DATA"], "named twice", BAD_ARGUMENTS),
        (["MODEL", "--data", "DATA", "--split", "train"], "No clip of train", 1),
        (["MODEL", "--data", "DATA", "--autoencoder", "nowhere"], "train the gesture autoencoder", 1),
        (["MODEL", "--data", "DATA", "--out", "nowhere/report"], "does not exist", BAD_ARGUMENTS),
    ],
)
def test_errors_are_one_sentence(arguments, told, code, data, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = {"MODEL": str(model), "DATA": str(data)}
    assert main(["--out", "report", *(words.get(word, word) for word in arguments)]) == code
    error = capsys.readouterr().err.strip()
    assert told in error and "\n" not in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_model_that_answers_nonsense_is_told(data, model, tmp_path):
    from safetensors.numpy import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    state = load_file(broken / "left.safetensors")
    state["gesture.final.weight" if "gesture.final.weight" in state else sorted(state)[0]][:] = np.nan
    save_file(state, broken / "left.safetensors")
    with pytest.raises(UserError, match="no numbers"):
        evaluate([broken], data, seeds=1, clips=None, autoencoder=None)
