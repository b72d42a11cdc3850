# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a folder of MIDI files to a model that plays: every command of training/README.md once, on very little."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.audio.midi import write_midi
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.model.weights import HANDS, read_config
from tests.conftest import REPO
from tests.training.tiny_data import write_config
from training.corpus import _split_of, read_pieces

STEPS = {"steps": 4, "validate_every": 4, "keep_every": 4}


def tune(seconds: float, lowest: int) -> Score:
    """Six notes a second in the right hand and three in the left."""
    onset = np.arange(0.0, seconds, 1 / 6)
    pitch = lowest + np.array([0, 4, 7, 12, 7, 4])[np.arange(len(onset)) % 6]
    right = make_notes(onset, onset + 0.15, pitch, 50 + np.arange(len(onset)) % 40, RIGHT)
    left = make_notes(onset[::2], onset[::2] + 0.3, pitch[::2] - 24, [60] * len(onset[::2]), LEFT)
    notes = np.concatenate([right, left])
    return Score(notes[np.lexsort((notes["pitch"], notes["onset"]))])


@pytest.fixture
def music(tmp_path) -> Path:
    """Two short pieces for training, and one for validation that is long enough to be measured."""
    folder = tmp_path / "music"
    folder.mkdir()
    names = [f"piece {number}.mid" for number in range(200)]
    for i, (split, seconds) in enumerate((("train", 1.5), ("train", 1.5), ("valid", 12.0))):
        name = next(n for n in names if _split_of(n) == split and not (folder / n).exists())
        write_midi(tune(seconds, 60 + i), folder / name)
    return folder


def run(module: str, *arguments) -> str:
    """A command's output on the terminal; it must do its work."""
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPO, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_music_to_a_model_that_plays(music, tmp_path):
    data, model, report, motion = (tmp_path / name for name in ("data", "model", "report", "motion.npz"))
    assert "Done: 13 clips" in run("training.simulate", data, "--scores", music, "--hours", "0.014", "--jobs", "1")

    config = write_config(tmp_path / "config.json", positions=STEPS, gestures=STEPS)
    options = ("--data", data, "--device", "cpu", "--threads", "1")
    run("training.train", "positions", config, *options, "--out", tmp_path / "run1")
    run("training.train", "gestures", config, *options, "--positions", tmp_path / "run1", "--out", tmp_path / "run2")
    run("training.export", tmp_path / "run2", model, "--precision", "float16")
    assert {path.name for path in model.iterdir()} == {"config.json", *(f"{hand}.safetensors" for hand in HANDS)}
    assert read_config(model) == read_config(tmp_path / "run2" / "model")

    few = ("--split", "valid", "--seeds", "1", "--clips", "1", "--threads", "1")
    run("training.evaluate", model, "--data", data, "--out", report, *few)
    found = json.loads(report.with_suffix(".json").read_text())
    assert found["tables"][0]["figures"]["model"]["fgd"]["mean"] > 0
    assert "| FGD" in report.with_suffix(".md").read_text()

    song = next(music.glob("*.mid"))
    run("s2c_blender", "--audio", song, "--model", model, "--motion", motion)
    played = HandMotion.load(motion)
    assert len(played.notes) == len(read_pieces(song.parent, print)[0].score.notes)
    assert np.isfinite(played.left_rotation).all() and np.isfinite(played.right_position).all()
