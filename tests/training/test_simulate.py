# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated data: a fair mix from the start, reproducible, and safe to stop at any moment."""

import errno
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.audio.midi import read_midi, write_midi
from s2c_blender.core import metrics
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.core.style import PERFORMERS
from s2c_blender.core.style import hands as styles_told
from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.model.camera import to_piano
from s2c_blender.model.mano import neutral
from tests.pianist.music import sampled
from training import layout, simulate
from training.corpus import Piece
from training.performers import HELD_OUT, KNOWN, MIXED


@pytest.fixture(autouse=True)
def signals():
    """The command line, called here, changes what a process does when it is asked to end."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def tune(start: int, seconds: float = 4.0) -> Score:
    """Both hands, four notes a second in the right one, louder and louder."""
    count = int(4 * seconds)
    onset = np.arange(count) / 4
    pitch = start + np.array([0, 2, 4, 5, 7, 5, 4, 2])[np.arange(count) % 8]
    right = make_notes(onset, onset + 0.2, pitch, 40 + np.arange(count) * 60 // count, RIGHT)
    left = make_notes(onset[::4], onset[::4] + 0.9, pitch[::4] - 24, [60] * len(onset[::4]), LEFT)
    notes = np.concatenate([right, left])
    return Score(notes[np.lexsort((notes["pitch"], notes["onset"]))])


def pieces(count: int = 40, seconds: float = 100.0) -> list[Piece]:
    """Every tenth valid, every tenth test."""
    splits = ("valid", "test", *["train"] * 8)
    return [Piece(f"p{i:03d}", splits[i % 10], tune(55 + i % 12, seconds)) for i in range(count)]


def test_every_beginning_is_a_mix_and_what_is_held_out_stays_so():
    tasks = list(itertools.islice(simulate.plan(pieces(), 0), 1000))
    for some in (tasks[:100], tasks[:500], tasks):
        share = {split: sum(t.split == split for t in some) / len(some) for split in layout.SPLITS}
        assert share == pytest.approx({"train": 0.92, "valid": 0.04, "test": 0.04}, abs=0.01)
        assert {t.performer for t in some if t.split == "train"} == {*KNOWN, MIXED}
        assert {t.performer for t in some if t.split == "valid"} <= {*KNOWN, MIXED}
        assert np.mean([t.performer == MIXED for t in some if t.split == "train"]) == pytest.approx(0.5, abs=0.1)
    sources = {split: {t.source for t in tasks if t.split == split} for split in layout.SPLITS}
    assert len(set.union(*sources.values())) == sum(map(len, sources.values())) == 40
    new = [t.performer in HELD_OUT for t in tasks if t.split == "test"]
    assert 0.2 < np.mean(new) < 0.8
    assert set(HELD_OUT) <= {t.performer for t in tasks if t.split == "test"} <= set(PERFORMERS)
    assert len({t.name for t in tasks}) == 1000


def test_clips_are_cuts_of_at_most_a_minute_that_cover_the_pieces():
    tasks = list(itertools.islice(simulate.plan(pieces(10), 0), 60))
    assert max(simulate.length_of(t) for t in tasks) < 60
    cuts = {(t.source, t.start) for t in tasks if t.split == "train"}
    assert len(cuts) == 8 * 3  # 100 s in three parts


def test_a_small_folder_needs_no_valid_and_no_test_pieces():
    tasks = list(itertools.islice(simulate.plan([Piece("only", "train", tune(60))], 0), 5))
    assert {t.split for t in tasks} == {"train"}
    few = Score(tune(60).notes[:3])
    with pytest.raises(UserError, match="No piece has"):
        next(simulate.plan([Piece("few", "train", few)], 0))


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """A user's folder with two short pieces."""
    folder = tmp_path_factory.mktemp("music")
    for i in range(2):
        write_midi(tune(60 + i), folder / f"tune{i}.mid")
    return folder


@pytest.fixture(scope="module")
def whole(music, tmp_path_factory) -> Path:
    """Data made in one go: four clips."""
    out = tmp_path_factory.mktemp("data") / "whole"
    made = run(out, music).communicate(timeout=300)[0]
    print(made)
    assert len(contents(out)) > 8 and "Done: 4 clips" in made
    return out


def run(out: Path, music: Path, **more) -> subprocess.Popen:
    """The command line on about four clips of six seconds."""
    command = [sys.executable, "-m", "training.simulate", str(out), "--scores", str(music)]
    command += ["--hours", "0.0055", "--jobs", "1"]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


def contents(folder: Path) -> dict[str, bytes]:
    """All finished files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def wait_for_a_clip(out: Path) -> None:
    """Until the first one is there."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not list(out.rglob("0*.json")):
        time.sleep(0.02)


def workers_of(process: subprocess.Popen) -> list[int]:
    """Process numbers of those that make clips."""
    command = ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(process.pid)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "spawn_main" in line]


def test_clips_hold_the_motion_that_plays_their_notes(whole):
    names = [name for split in layout.SPLITS for name in layout.read_split(whole, split)]
    assert len(names) == 4
    for name in names:
        clip, score = layout.read_clip(whole, name), read_midi(layout.midi_path(whole, name))
        assert set(score.notes["hand"]) == {LEFT, RIGHT} and len(set(score.notes["velocity"])) > 5
        assert np.isfinite(clip.hands).all() and (clip.hands[..., 0] == 1).all() and not clip.hands[..., 52:].any()
        assert np.abs(clip.hands[..., 3] - 25).max() < 0.5  # near the published depth
        camera = layout.read_camera(whole, name.split("/")[0])
        hands = [to_piano(clip.hands[s, :, 1:4], clip.hands[s, :, 4:52], camera, s, neutral()) for s in (LEFT, RIGHT)]
        motion = HandMotion(clip.fps, *hands[0], *hands[1], score.notes, np.zeros((len(score.notes), 4)), score.pedal)
        times, pads = sampled(motion)
        for side in (LEFT, RIGHT):
            only = pads.copy()
            only[:, 1 - side, :, 2] = 1.0  # the other hand is lifted far off
            mine = score.notes[score.notes["hand"] == side]
            found = metrics.accuracy(metrics.presses_by_hands(times, only), mine)
            assert found.f1 >= 0.97 and np.abs(found.offsets).mean() < 0.03
        meta = json.loads(layout.annotation_path(whole, name).read_text())["meta"]
        assert {"performer", "seed", "source", "start", "transposed", "tempo", "style"} == set(meta)
        left, right = styles_told(meta["style"])
        if (who := meta["performer"]) != MIXED:
            assert left == right == PERFORMERS[who]
        else:
            assert left != right


def test_killed_at_any_time_it_goes_on_to_the_same_bytes(whole, music, tmp_path):
    out = tmp_path / "data"
    process = run(out, music)
    wait_for_a_clip(out)
    for pid in (process.pid, *workers_of(process)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    done = contents(out)
    clips = [name for name in done if name.startswith("annotation") and not name.endswith("camera.json")]
    assert 1 <= len(clips) < 4 and all(done[name] == contents(whole)[name] for name in clips)
    assert {f"annotation/{name}.json" for name in layout.read_split(out, "train")} == set(clips)
    said = run(out, music).communicate(timeout=300)[0]
    assert f"{len(clips)} are there" in said
    assert contents(out) == contents(whole)


def test_another_seed_makes_other_clips(music):
    pieces = simulate.read_pieces(music, print)
    first, other = (list(itertools.islice(simulate.plan(pieces, seed), 10)) for seed in (0, 1))
    assert [t.name for t in first] != [t.name for t in other]
    assert simulate.camera_of("flat", 0) != simulate.camera_of("flat", 1)


def test_only_the_clips_of_one_split(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(simulate, "_all_done", lambda root, tasks, jobs: iter(made.append(tasks) or ()))
    simulate.simulate(tmp_path, pieces(), hours=1.0, seed=0, jobs=1, splits=["test"])
    assert made[0] and {task.split for task in made[0]} == {"test"}
    planned = [task.name for task in itertools.islice(simulate.plan(pieces(), 0), 1000) if task.split == "test"]
    assert [task.name for task in made[0]] == planned[: len(made[0])]


def test_trouble_in_a_worker_is_one_sentence(music, tmp_path):
    out = tmp_path / "data"
    out.mkdir()
    (out / "midi").write_text("a file where a folder should be")
    process = run(out, music)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 1 and "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"Cannot write to {out}:")


def test_a_full_disk_is_named(music, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(layout, "write_splits", full)
    monkeypatch.setattr(sys, "argv", ["simulate", str(tmp_path / "data"), "--scores", str(music), "--hours", "0.001"])
    assert simulate.main() == 1
    assert "the disk is full; make room and run the same command again" in capsys.readouterr().err


def test_a_disk_that_gets_full_ends_in_one_sentence_and_what_was_made_is_gone_on_with(whole, music, tmp_path):
    sizes = sorted(path.stat().st_size for path in whole.glob("annotation/*/*/*.json"))
    assert sizes[0] < sizes[-1]
    limit = sizes[-1] - 1  # of a file: as good as a full disk once the largest clip comes
    out = tmp_path / "data"
    process = run(out, music, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 1 and "Traceback" not in said
    assert "the disk is full; make room and run the same command again. What has been made is kept." in said
    assert contents(out).items() < contents(whole).items()
    run(out, music).communicate(timeout=300)
    assert contents(out) == contents(whole)


def test_a_worker_that_the_system_ends_is_one_sentence(music, tmp_path):
    process = run(tmp_path / "data", music)
    wait_for_a_clip(tmp_path / "data")
    os.kill(workers_of(process)[0], signal.SIGKILL)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == ENVIRONMENT and "Traceback" not in said
    assert said.splitlines()[-1].startswith("The system ended a process, perhaps for want of memory:")


def test_a_clip_that_the_pianist_refuses_is_left_out(monkeypatch, tmp_path, capsys):
    def refuse(*_, **__):
        raise UserError("No.")

    monkeypatch.setattr(simulate, "perform", refuse)
    task = next(simulate.plan(pieces(), 0))
    assert simulate.make(tmp_path, task) == 0.0
    assert capsys.readouterr().err.startswith(f"{task.name} is left out: ")


def test_data_of_another_seed_or_other_music_is_not_added_to(music, whole, monkeypatch, capsys, tmp_path):
    before = contents(whole)
    more = tmp_path / "music"
    shutil.copytree(music, more)
    write_midi(tune(70), more / "new.mid")
    for scores, seed in ((music, "1"), (more, "0")):
        given = ["simulate", str(whole), "--scores", str(scores), "--seed", seed, "--hours", "0.01"]
        monkeypatch.setattr(sys, "argv", given)
        assert simulate.main() == 1
        assert "holds data of another seed or other music" in capsys.readouterr().err
    assert contents(whole) == before


def test_the_first_to_write_decides_what_a_folder_is_made_from(music, tmp_path):
    music = simulate.read_pieces(music, print)
    simulate.check_origin(tmp_path, music, 3)
    simulate.check_origin(tmp_path, music, 3)
    with pytest.raises(UserError, match="another seed"):
        simulate.check_origin(tmp_path, music, 4)
    (tmp_path / "simulation.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        simulate.check_origin(tmp_path, music, 3)


@pytest.mark.parametrize("wrong", [["--hours", "0"], ["--jobs", "0"], ["--seed", "-1"], ["--hours", "nan"]])
def test_wrong_arguments_are_told(music, tmp_path, monkeypatch, capsys, wrong):
    monkeypatch.setattr(sys, "argv", ["simulate", str(tmp_path / "data"), "--scores", str(music), *wrong])
    assert simulate.main() == 2 and "--hours above 0" in capsys.readouterr().err
