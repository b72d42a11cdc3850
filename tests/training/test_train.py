# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: it learns, goes on after a kill as if nothing had been, and on two processes as one."""

import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from s2c_blender.errors import BAD_ARGUMENTS, CANCELLED, UserError
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator
from s2c_blender.model.weights import load_state, read_config
from tests.conftest import REPO
from tests.training.tiny_data import SPLITS, write_config, write_data
from training import checkpoint, export, train
from training.layout import annotation_path
from training.processes import Place, threads
from training.run import Run, learning_rate
from training.settings import StageSettings, read_training

ENVIRON = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def config(data) -> Path:
    return write_config(data.parent / "config.json")


@pytest.fixture(scope="module")
def positions(data, config) -> Path:
    """A run of the first stage."""
    return finished(data, config, "positions", data.parent / "positions")


@pytest.fixture(scope="module")
def gestures(data, config, positions) -> Path:
    """A run of the second stage."""
    return finished(data, config, "gestures", data.parent / "gestures", "--positions", positions)


def arguments(data: Path, config: Path, stage: str, out: Path, *more) -> list[str]:
    given = [stage, config, "--data", data, "--out", out, "--device", "cpu", "--threads", "1", *more]
    return [str(part) for part in given]


def finished(data: Path, config: Path, stage: str, out: Path, *more) -> Path:
    assert train.main(arguments(data, config, stage, out, *more)) == 0
    return out


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """All of a run's last checkpoint."""
    return checkpoint.load_last(run, pytest.fail).tensors


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same(ours: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(ours[name], expected[name])] == []


def test_positions_are_learned(data, tmp_path):
    stage = {"steps": 150, "batch": 8, "learning_rate": 5e-3, "average": 0.9, "validate_every": 75, "keep_every": 150}
    run = finished(data, write_config(tmp_path / "c.json", positions=stage), "positions", tmp_path / "run")
    valid = [row for row in rows(run) if row["split"] == "valid"]
    assert [row["step"] for row in valid] == ["75", "150"]
    assert float(valid[1]["pd_right"]) < 100  # mm; what answers the mean is 200 off
    assert float(valid[1]["left"]) < 0.8 * float(rows(run)[0]["left"])
    for row in rows(run):
        assert math.isfinite(float(row["left"]) + float(row["right"]))


def test_a_run_says_how_it_went(gestures):
    split = [row["split"] for row in rows(gestures)]
    assert split == [*["train"] * 6, "valid"] * 2
    assert [int(row["step"]) for row in rows(gestures)] == [*range(1, 7), 6, *range(7, 13), 12]
    for row in rows(gestures):
        told = ["learning_rate", "norm", "seconds"]
        if row["split"] == "valid":
            told = [f"{what}_{hand}" for what in ("acceleration", "fgd") for hand in ("left", "right")]
        assert all(float(row[name]) > 0 for name in ("left", "right", *told))


def test_a_run_ends_in_a_model_that_plays(data, positions, gestures):
    config = read_config(gestures / train.MODEL)
    assert config.frame == read_config(positions / train.MODEL).frame
    assert len(config.frame.pose_scale[0]) == 48
    for hand in ("left", "right"):
        ours, before = (load_state(run / train.MODEL, hand, "position.") for run in (gestures, positions))
        assert_same(ours, before)  # frozen
    average = {name.removeprefix("average."): t for name, t in tensors(gestures).items() if name.startswith("average.")}
    stored = load_state(gestures / train.MODEL, "left", "gesture.")
    assert_same(stored, {n.removeprefix("hands.left."): t for n, t in average.items() if n.startswith("hands.left.")})
    clip = train.MotionData.load(data, "test", config).clips[0]
    where, poses = Generator(gestures / train.MODEL, device="cpu").generate(Recording(clip.score), 50)
    assert where.shape == (2, 50, 3)
    assert poses.shape == (2, 50, 48)
    assert np.isfinite(poses).all()


def test_a_model_is_stored_in_half_precision(gestures, tmp_path, capsys):
    assert export.main([str(gestures), str(tmp_path / "model")]) == 0
    assert read_config(tmp_path / "model") == read_config(gestures / train.MODEL)
    assert load_file(tmp_path / "model" / "left.safetensors")["gesture.out.weight"].dtype == torch.float16
    stored, learned = (load_state(folder, "right", "") for folder in (tmp_path / "model", gestures / train.MODEL))
    assert stored.keys() == learned.keys()
    assert all(torch.allclose(stored[name], value, atol=1e-3) for name, value in learned.items())
    assert export.main([str(tmp_path / "none"), str(tmp_path / "other")]) == 1
    assert "holds no model" in capsys.readouterr().err


def test_killed_at_any_time_and_started_again_it_ends_with_the_same_weights(data, config, positions, tmp_path):
    changes = {"steps": 24, "validate_every": 100, "keep_every": 3}
    config = write_config(tmp_path / "c.json", gestures=changes)
    # All in processes of their own: what other tests have loaded or set in this one may change the last bits.
    folders = through, run = tmp_path / "through", tmp_path / "killed"
    straight, command = (
        [sys.executable, "-m", "training.train", *arguments(data, config, "gestures", out, "--positions", positions)]
        for out in folders
    )
    subprocess.run(straight, env=ENVIRON, check=True, stdout=subprocess.DEVNULL)
    rng, kills = random.Random(3), 0
    while kills < 3:
        process = subprocess.Popen(command, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted = min(last_step(run) + rng.randint(2, 7), 22)
        while last_step(run) < wanted and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        assert kills or process.returncode
    subprocess.run(command, env=ENVIRON, check=True, stdout=subprocess.DEVNULL)
    assert_same(tensors(run), tensors(through))
    assert [row["step"] for row in rows(run)] == [row["step"] for row in rows(through)]
    assert [row["left"] for row in rows(run)] == [row["left"] for row in rows(through)]


def last_step(run: Path) -> int:
    """The last whole row of a run's curves."""
    path = run / "curves.csv"
    lines = path.read_text().split("\n")[1:-1] if path.is_file() else []
    return int(lines[-1].split(",")[0]) if lines else 0


def test_asked_to_stop_it_keeps_what_it_has(data, config, tmp_path, capsys, monkeypatch):
    step = Run._step

    def asked(self, model, number, batch, stop):
        if number == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, model, number, batch, stop)

    monkeypatch.setattr(Run, "_step", asked)
    run = tmp_path / "run"
    assert train.main(arguments(data, config, "positions", run)) == CANCELLED
    assert "Stopped after step 6 of 12" in capsys.readouterr().err
    assert checkpoint.load_last(run, pytest.fail).step == 6
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.undo()
    finished(data, config, "positions", run)
    through = finished(data, config, "positions", tmp_path / "through")
    assert_same(tensors(run), tensors(through))


def test_a_run_goes_on_with_the_clips_that_it_began_with_only(data, config, positions, tmp_path, capsys):
    folder, run = tmp_path / "set", tmp_path / "run"
    shutil.copytree(data, folder)
    short = write_config(tmp_path / "c.json", positions={"steps": 2})
    finished(folder, short, "positions", run)
    name = SPLITS["train"][1]
    annotation_path(folder, name).rename(tmp_path / "later.json")  # as if it were not made yet
    assert train.main(arguments(folder, short, "positions", run)) == 1
    assert "has other clips to learn from than when" in capsys.readouterr().err
    model = ("gestures", tmp_path / "gestures", "--positions", positions)
    finished(folder, write_config(tmp_path / "c.json", gestures={"steps": 1}), *model)
    assert "were learned from other clips" in capsys.readouterr().err
    (tmp_path / "later.json").rename(annotation_path(folder, name))
    finished(folder, write_config(tmp_path / "c.json", positions={"steps": 2}), "positions", run)
    assert "other clips" not in capsys.readouterr().err


def test_a_finished_run_is_left_as_it_is(data, config, positions, gestures, capsys):
    before = tensors(gestures)
    finished(data, config, "gestures", gestures, "--positions", positions)
    assert_same(tensors(gestures), before)
    assert len(rows(gestures)) == 14


def test_a_run_of_another_configuration_is_not_gone_on_with(data, positions, tmp_path, capsys):
    other = write_config(tmp_path / "c.json", positions={"learning_rate": 0.1})
    assert train.main(arguments(data, other, "positions", positions)) == 1
    assert "another configuration" in capsys.readouterr().err
    other = write_config(tmp_path / "c.json", gestures={"learning_rate": 0.1})  # of no interest to the first stage
    assert train.main(arguments(data, other, "positions", positions)) == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no training configuration"),
        ('{"model": {}, "positions": {"batch": 0}}', "batch must be at least 1"),
        ('{"model": {}, "positions": {"bach": 8}}', "positions has no field bach"),
        ('{"model": {"window": 7}}', "window must be a multiple of 8"),
        ('{"positions": {}}', "model"),
    ],
)
def test_wrong_configurations_are_told_of(data, tmp_path, capsys, content, told):
    (tmp_path / "c.json").write_text(content)
    assert train.main(arguments(data, tmp_path / "c.json", "positions", tmp_path / "run")) == BAD_ARGUMENTS
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_gestures_want_the_positions_they_build_on(data, config, positions, tmp_path, capsys):
    assert train.main(arguments(data, config, "gestures", tmp_path / "run")) == BAD_ARGUMENTS
    assert "--positions" in capsys.readouterr().err
    model = json.loads(config.read_text())["model"] | {"audio": {"width": 4, "layers": 1}}
    other = write_config(tmp_path / "c.json", model=model)
    assert train.main(arguments(data, other, "gestures", tmp_path / "run", "--positions", positions)) == 1
    assert "another audio" in capsys.readouterr().err


def test_gestures_do_not_go_on_with_other_positions(data, config, gestures, tmp_path, capsys):
    other = finished(data, write_config(tmp_path / "c.json", positions={"seed": 9}), "positions", tmp_path / "other")
    assert train.main(arguments(data, config, "gestures", gestures, "--positions", other)) == 1
    assert "positions" in capsys.readouterr().err


def test_a_loss_that_is_no_number_ends_the_run_with_its_checkpoint_whole(data, tmp_path, capsys):
    wild = write_config(tmp_path / "c.json", positions={"learning_rate": 1e30, "warmup": 8})
    assert train.main(arguments(data, wild, "positions", tmp_path / "run")) == 1
    assert "lower the learning rate" in capsys.readouterr().err


def test_two_processes_train_one_model(data, config, positions, gestures, tmp_path):
    run = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.two_ranks", *arguments(data, config, "gestures", run, "--positions", positions)]
    done = subprocess.run(command, env=ENVIRON, cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ranks = [load_file(tmp_path / f"two.rank{rank}.safetensors") for rank in (0, 1)]
    assert_same(ranks[1], ranks[0])
    ours = {name.removeprefix("weights."): value for name, value in tensors(run).items() if name.startswith("weights.")}
    assert_same(ours, ranks[0])
    alone = tensors(gestures)
    assert any(not torch.equal(value, alone[f"weights.{name}"]) for name, value in ours.items())
    assert [int(row["step"]) for row in rows(run)] == [int(row["step"]) for row in rows(gestures)]


def test_another_process_takes_the_clips_of_the_first(data, config, tmp_path, monkeypatch):
    job = train.Job("positions", read_training(config), data, tmp_path)
    model, sent = job.training.model, [SPLITS["train"][2], SPLITS["train"][0]]  # one more came since

    def broadcast(names: list) -> None:
        names[:] = [sent]

    monkeypatch.setattr(train.dist, "broadcast_object_list", broadcast)
    assert [clip.name for clip in train._load(job, model, Place("cpu", 1, 2)).clips] == sent
    assert [clip.name for clip in train._load(job, model, Place("cpu")).clips] == SPLITS["train"]
    sent.append("ann/one/9")
    with pytest.raises(UserError, match="Process 1 cannot read all clips"):
        train._load(job, model, Place("cpu", 1, 2))


def test_the_processes_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    found = [threads()]
    for count in ("4", "16"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", count)
        found.append(threads())
    assert found == [10, 2, 1]


def test_learning_rate_rises_and_falls():
    settings = StageSettings(steps=100, warmup=10, learning_rate=2.0)
    rates = [learning_rate(settings, step) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == 2.0
    assert rates[54] == pytest.approx(2.0 * (0.05 + 0.95 / 2))
    assert rates[-1] == pytest.approx(0.1)
    assert (np.diff(rates[:10]) > 0).all()
    assert (np.diff(rates[9:]) < 0).all()


@pytest.mark.parametrize("path", sorted((REPO / "training" / "configs").glob("*.json")), ids=lambda path: path.stem)
def test_shipped_configurations_can_be_read(path):
    assert read_training(path).model.audio.encoder == "notes"
