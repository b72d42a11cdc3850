# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: outputs, report, exit codes, and one sentence for everything that can go wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from s2c_blender import cli
from s2c_blender import generate as generation
from s2c_blender.audio.midi import read_midi, write_midi
from s2c_blender.cli import single
from s2c_blender.cli.arguments import SUFFIXES
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.model import prior
from s2c_blender.model.config import small

REPO = Path(__file__).parents[2]
PIANIST = ("--generator", "pianist")  # needs no model, and is quick


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A scale of both hands, as MIDI."""
    onset = np.arange(8) * 0.25
    pitch = np.concatenate([60 + np.array([0, 2, 4, 5, 7, 9, 11, 12]), 48 - np.arange(8)])
    notes = make_notes(np.tile(onset, 2), np.tile(onset, 2) + 0.2, pitch, 80)
    write_midi(Score(notes), tmp_path / "song.mid")
    return tmp_path / "song.mid"


@pytest.fixture
def run(capsys, tmp_path):
    """Function (*arguments) -> exit code, report, stderr."""

    def call(*arguments) -> tuple[int, dict, str]:
        code = cli.main([str(a) for a in arguments])
        printed = capsys.readouterr()
        return code, json.loads(printed.out or "{}"), printed.err

    return call


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Missing())
from s2c_blender.__main__ import leave, main
leave(main({arguments}))
"""


def in_process(*arguments, missing: tuple[str, ...] = (), **options) -> subprocess.Popen:
    """The command in a process of its own, where some packages are not installed."""
    code = WITHOUT.replace("{missing}", repr(missing)).replace("{arguments}", repr([str(a) for a in arguments]))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPO, **pipes, **options)


def finished(process: subprocess.Popen, seconds: float = 60) -> tuple[int, dict, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, json.loads(out or "{}"), err


def parts_left(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if ".part" in p.name]


def test_the_style_of_an_action_needs_blender(song, tmp_path):
    words = ("--audio", song, "--style-from", tmp_path / "shot.blend:Hand.R", "--motion", tmp_path / "x.npz")
    code, report, _ = finished(in_process(*words, missing=("bpy",)))
    assert code == 3 and "bpy is not installed" in report["error"]
    assert report["error"].endswith("run this inside Blender, or give --style-from a motion's .npz.")


def test_motion_and_midi_need_no_blender(song, tmp_path):
    motion, notes = tmp_path / "hands.npz", tmp_path / "notes.mid"
    command = ("--audio", song, "--motion", motion, "--midi", notes, *PIANIST)
    code, report, err = finished(in_process(*command, missing=("bpy", "torch", "transkun")))
    assert code == 0, err
    assert report["exit_code"] == 0
    assert (report["notes_found"], report["notes_played"], report["dropped"]) == (16, 16, [])
    assert report["outputs"] == {"motion": str(motion), "midi": str(notes)}
    assert {"reading", "playing", "total"} <= report["seconds"].keys()
    assert report["times_real_time"] > 0
    assert report["peak_memory_mb"] > 10
    hands = HandMotion.load(motion)
    assert hands.meta["source"] == "song.mid"
    assert hands.meta["seed"] == 0
    assert len(read_midi(notes).notes) == 16
    assert "playing" in err


def test_same_seed_same_bytes_other_seed_other_motion(song, tmp_path, run):
    files = [tmp_path / f"{i}.npz" for i in range(3)]
    for file, seed in zip(files, (5, 5, 6), strict=True):
        assert run("--audio", song, "--motion", file, "--seed", seed, "--quiet", *PIANIST)[0] == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    one, other = HandMotion.load(files[0]), HandMotion.load(files[2])
    assert not np.array_equal(one.right_rotation, other.right_rotation)


def test_a_part_of_the_music(song, tmp_path, run):
    code, report, _ = run("--audio", song, "--motion", tmp_path / "a.npz", "--start", 0.5, "--duration", 0.5, *PIANIST)
    assert code == 0
    assert report["notes_found"] == 4
    motion = HandMotion.load(tmp_path / "a.npz")
    assert motion.start == 0.5
    assert motion.notes["onset"].min() == pytest.approx(0.0, abs=1e-3)


def test_fps_of_the_motion_file(song, tmp_path, run):
    assert run("--audio", song, "--motion", tmp_path / "a.npz", *PIANIST)[0] == 0
    assert run("--audio", song, "--motion", tmp_path / "b.npz", "--fps", "24000/1001", *PIANIST)[0] == 0
    full, slow = HandMotion.load(tmp_path / "a.npz"), HandMotion.load(tmp_path / "b.npz")
    assert slow.fps == pytest.approx(24000 / 1001)
    assert slow.duration == pytest.approx(full.duration, abs=1 / 23)
    at = np.abs(np.arange(len(full.left_position)) / full.fps - 10 / slow.fps).argmin()
    assert np.abs(slow.left_position[10] - full.left_position[at]).max() < 0.01


def test_quiet_is_quiet(song, tmp_path, run):
    assert run("--audio", song, "--motion", tmp_path / "a.npz", "--quiet", *PIANIST)[2] == ""


def test_how_much_is_told(song, tmp_path, run):
    def told(level: str, *more) -> str:
        return run("--audio", song, "--motion", tmp_path / "a.npz", "--log-level", level, *PIANIST, *more)[2]

    assert told("error") == "" and told("warning") == ""
    assert "playing ... " in told("info")
    (tmp_path / "empty.mid").write_bytes(b"")
    assert "Traceback" in told("debug", "--audio", tmp_path / "empty.mid")
    assert told("error", "--audio", tmp_path / "empty.mid").startswith("Error: empty.mid is empty")


def test_progress_as_open_job_description_runners_read_it(song, tmp_path, capsys):
    assert cli.main(["--audio", str(song), "--motion", str(tmp_path / "a.npz"), "--openjd", "--quiet", *PIANIST]) == 0
    *lines, report = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["openjd_progress: 0.0", "openjd_status: reading"] and lines[-1] == "openjd_progress: 100.0"
    assert json.loads(report)["exit_code"] == 0
    assert cli.main(["--audio", str(tmp_path), "--motion", str(tmp_path / "a.npz"), "--openjd", *PIANIST]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("openjd_fail")]
    assert told == [f"openjd_fail: {tmp_path} is a folder; choose an audio or MIDI file."]


def test_the_backend_reaches_the_job(song, tmp_path, run, monkeypatch):
    jobs = []

    def caught(job, tell):
        jobs.append(job)
        return generation.generate(job, tell)

    monkeypatch.setattr(single, "generate", caught)
    for backend in ("torch", "onnx"):
        code, _, err = run("--audio", song, "--motion", tmp_path / "a.npz", "--backend", backend, *PIANIST)
        assert code == 0, err
    assert [job.backend for job in jobs] == ["torch", "onnx"]


def test_check(run, monkeypatch):
    from s2c_blender import self_check

    found = [
        self_check.Finding("disk", True, "There is room."),
        self_check.Finding("device", False, "None.", "Buy one."),
    ]
    monkeypatch.setattr(self_check, "check", lambda **options: found if options.get("device") == "cuda" else found[:1])
    code, report, err = run("--check", "--device", "cuda")
    assert (code, report["exit_code"]) == (1, 1)
    assert report["findings"][1] == {"name": "device", "ok": False, "told": "None.", "cure": "Buy one."}
    assert "ok: disk: There is room." in err and "PROBLEM: device: None. Buy one." in err
    assert run("--check")[0] == 0


def test_export_of_a_motion_made_before(song, tmp_path, run):
    assert run("--audio", song, "--motion", tmp_path / "a.npz", "--seed", 4, *PIANIST)[0] == 0
    code, report, err = run("--from-motion", tmp_path / "a.npz", "--motion", tmp_path / "b.npz", "--fps", 24)
    assert code == 0, err
    assert (report["source"], report["seed"], report["notes_played"]) == ("song.mid", 4, 16)
    assert HandMotion.load(tmp_path / "b.npz").fps == 24
    (tmp_path / "text.npz").write_text("no motion")
    for name, told in (("text.npz", "is not a HandMotion file"), ("none.npz", "does not exist")):
        code, report, _ = run("--from-motion", tmp_path / name, "--motion", tmp_path / "c.npz")
        assert (code, told in report["error"]) == (1, True)
    code, report, _ = run("--from-motion", tmp_path / "a.npz", "--midi", tmp_path / "c.mid")
    assert (code, "leave out --midi" in report["error"]) == (2, True)


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    assert "--audio" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert "S2C Piano Hands" in capsys.readouterr().out


BAD_ARGUMENTS = [
    ([], "Nothing to play: give --audio"),
    (["--audio", "SONG"], "Nothing to write"),
    (["--audio", "SONG", "--motion", "x.txt"], "needs a name ending in .npz"),
    (["--audio", "SONG", "--motion", "absent/x.npz"], "does not exist"),
    (["--audio", "SONG", "--motion", "x.npz", "--start", "-1"], "invalid seconds"),
    (["--audio", "SONG", "--motion", "x.npz", "--duration", "0"], "invalid length"),
    (["--audio", "SONG", "--motion", "x.npz", "--fps", "0"], "invalid frame rate"),
    (["--audio", "SONG", "--render", "x.mp4", "--resolution", "99"], "invalid resolution"),
    (["--audio", "SONG", "--motion", "x.npz", "--sed", "soon"], "unrecognized"),
    (["--audio", "SONG", "--motion", "x.npz", "--seed", "soon"], "invalid seed"),
    (["--audio", "SONG", "--motion", "x.npz", "--creativity", "1.1"], "invalid fraction"),
    (["--audio", "SONG", "--motion", "x.npz", "--generator", "violinist"], "invalid choice"),
    (
        ["--audio", "SONG", "--motion", "x.npz", *PIANIST, "--model", "m", "--steps", "3"],
        "leave out --model and --steps",
    ),
    (["--audio", "SONG", "--raw", "x.npz", *PIANIST], "leave out --raw"),
    (["--audio", "SONG", "--render", "x.mp4", "--frames", "5-3"], "invalid frames"),
    (["--audio", "SONG", "--render", "x.avi"], "ending in .mp4 or .png"),
    (["--audio", "SONG", "--motion", "x.npz", "--backend", "abacus"], "invalid choice"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD_ARGUMENTS, ids=[s for _, s in BAD_ARGUMENTS])
def test_bad_arguments(arguments, sentence, song, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, _, err = run(*[song if a == "SONG" else a for a in arguments])
    assert code == 2
    assert sentence in err
    assert sorted(tmp_path.iterdir()) == before


BAD_INPUTS = {
    "absent.wav": (None, "does not exist"),
    "empty.wav": (b"", "is empty"),
    "corrupt.wav": (b"RIFF\x00\x00\x00\x00WAVEnothing of the kind", "corrupt.wav"),
    "text.mp3": (b"Dear diary, today I did not practise. " * 50, "text.mp3"),
    "corrupt.mid": (b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk\x00\x00", "corrupt.mid"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_inputs(name, tmp_path, run):
    content, sentence = BAD_INPUTS[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, report, err = run("--audio", tmp_path / name, "--motion", tmp_path / "x.npz", *PIANIST)
    assert (code, report["exit_code"]) == (1, 1)
    assert sentence in report["error"]
    assert f"Error: {report['error']}\n" in err
    assert "\n" not in report["error"]
    assert "Traceback" not in err
    assert not (tmp_path / "x.npz").exists()


def test_a_folder_and_a_part_without_notes(song, tmp_path, run):
    code, report, _ = run("--audio", tmp_path, "--motion", tmp_path / "x.npz", *PIANIST)
    assert (code, "is a folder" in report["error"]) == (1, True)
    code, report, _ = run("--audio", song, "--motion", tmp_path / "x.npz", "--start", 100, *PIANIST)
    assert code == 1
    assert report["error"] == "No piano notes were found in song.mid in the chosen part: is it a recording of a piano?"


def test_a_video_without_sound(tmp_path, run):
    ffmpeg = shutil.which("ffmpeg")
    if not ffmpeg:
        pytest.skip("needs ffmpeg")
    film = tmp_path / "film.mp4"
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", "color=s=32x32:d=1", str(film)], check=True, timeout=30)
    code, report, _ = run("--audio", film, "--motion", tmp_path / "x.npz", *PIANIST)
    assert code == 1
    assert "film.mp4" in report["error"]


def test_silence(tmp_path, run):
    pytest.importorskip("torch")
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "silence.wav", np.zeros(32000, np.float32), 16000)
    command = ("--audio", tmp_path / "silence.wav", "--motion", tmp_path / "x.npz", "--cache", tmp_path)
    code, report, _ = run(*command, *PIANIST)
    assert code == 1
    assert report["error"].startswith("No piano notes were found")


def test_no_pytorch(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(32000, np.float32), 16000)
    command = ("--audio", tmp_path / "a.wav", "--motion", tmp_path / "x.npz", "--cache", tmp_path, *PIANIST)
    code, report, err = finished(in_process(*command, missing=("torch", "onnxruntime")))
    assert code == 3
    assert "torch" in report["error"] and "ONNX Runtime" in report["error"]
    assert "Traceback" not in err


@pytest.fixture
def bundled(tmp_path, monkeypatch) -> Path:
    """A tiny model in the place of the one that comes with the extension."""
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from tests.model.tiny_model import TINY, write_model

    folder = write_model(tmp_path / "bundled", TINY)
    monkeypatch.setattr(generation, "BUNDLED", folder)
    return folder


def test_the_bundled_model_plays(song, bundled, tmp_path, run):
    motion, raw = tmp_path / "x.npz", tmp_path / "raw.npz"
    code, report, err = run(
        "--audio", song, "--motion", motion, "--raw", raw, "--seed", 3, "--steps", 2, "--generator", "model"
    )
    assert code == 0, err
    assert {"reading", "imagining", "playing"} <= report["seconds"].keys()
    assert "imagining" in err
    assert report["outputs"] == {"motion": str(motion), "raw": str(raw)}
    played, imagined = HandMotion.load(motion), HandMotion.load(raw)
    assert (played.meta["generator"], played.meta["creativity"], played.meta["prior"]["steps"]) == ("model", 1.0, 2)
    assert imagined.meta["raw"] and imagined.fps == 30
    assert np.array_equal(imagined.keys, played.keys)
    assert not np.allclose(imagined.right_position[15], played.right_position[30], atol=0.01)  # it knows no music


def test_without_the_bundled_model_the_user_is_told(song, tmp_path, run, monkeypatch):
    monkeypatch.setattr(generation, "BUNDLED", tmp_path / "none")
    monkeypatch.setattr(prior, "BUNDLED", tmp_path / "none")
    code, report, _ = run("--audio", song, "--motion", tmp_path / "x.npz", "--generator", "model")
    assert code == 3
    assert "no gesture model in it" in report["error"] and "--generator pianist" in report["error"]
    assert not (tmp_path / "x.npz").exists()


def test_a_model_without_pytorch(song, tmp_path):
    """The model is looked at without PyTorch, and what is missing is told before the work."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(small().to_json())
    command = ("--audio", song, "--motion", tmp_path / "x.npz", "--model", tmp_path / "model")
    code, report, err = finished(in_process(*command, missing=("torch", "safetensors")))
    assert code == 3
    assert "needs PyTorch and safetensors" in report["error"] and "--generator pianist" in report["error"]
    assert "reading" not in err and "Traceback" not in err


def test_no_bpy(song, tmp_path):
    process = in_process("--audio", song, "--out", tmp_path / "x.blend", *PIANIST, missing=("bpy",))
    code, report, _ = finished(process)
    assert code == 3
    assert "bpy is not installed" in report["error"]


def test_read_only_output(song, run):
    folder = Path("/proc/self") if Path("/proc/self").is_dir() else Path("/System")
    code, report, _ = run("--audio", song, "--motion", folder / "x.npz", *PIANIST)
    assert code == 3
    assert report["error"].startswith(str(folder))


@pytest.mark.parametrize("option", ["--motion", "--out", "--fbx"])
def test_full_disk(option, song, tmp_path):
    """A limit on the size of files stands for a full disk: writing fails half-way, as there."""
    resource = pytest.importorskip("resource", reason="needs limits as Unix has them")
    if option != "--motion":
        pytest.importorskip("bpy")
    path = tmp_path / f"x{SUFFIXES[option[2:]][0]}"
    path.write_bytes(b"old")
    folder = tmp_path / "tmp"
    folder.mkdir()
    limit = 20_000
    process = in_process(
        "--audio",
        song,
        option,
        path,
        *PIANIST,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=os.environ | {"TMPDIR": str(folder)},
    )
    code, report, err = finished(process)
    assert code == 3, err
    assert "disk" in report["error"]
    assert path.read_bytes() == b"old"
    assert not parts_left(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_cancelled(how, tmp_path):
    onset = np.arange(4000) * 0.2
    write_midi(Score(make_notes(onset, onset + 0.1, 50 + np.arange(4000) % 24, 80)), tmp_path / "long.mid")
    command = ("--audio", tmp_path / "long.mid", "--motion", tmp_path / "x.npz", "--midi", tmp_path / "x.mid", *PIANIST)
    process = in_process(*command)
    line = ""
    while not line.startswith("playing"):
        line = process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(how)
    code, report, err = finished(process)
    assert code == 130
    assert report["error"] == "Cancelled."
    assert "Traceback" not in err
    assert not (tmp_path / "x.npz").exists()
    assert not parts_left(tmp_path)


def test_a_worker_with_another_python(song, tmp_path, run):
    code, report, _ = run("--audio", song, "--motion", tmp_path / "x.npz", "--python", sys.executable, *PIANIST)
    assert code == 0
    assert report["notes_played"] == 16
    code, report, _ = run("--audio", song, "--motion", tmp_path / "y.npz", "--python", tmp_path / "python")
    assert code == 3
    assert "cannot be started" in report["error"]


def test_everything_at_once(song, tmp_path):
    """In a process of its own, because it must also end: bpy 4.2 and 4.5 crash or hang when something is left."""
    bpy = pytest.importorskip("bpy")
    names = {"out": "x.blend", "fbx": "x.fbx", "glb": "x.glb", "motion": "x.npz", "render": "x.mp4", "midi": "x.mid"}
    options = [part for option, name in names.items() for part in (f"--{option}", tmp_path / name)]
    look = (*PIANIST, "--resolution", "64x36", "--fps", "24", "--duration", "0.5", "--camera", "top")
    look += ("--frames", "1-6")
    code, report, err = finished(in_process("--audio", song, *options, *look), 120)
    assert code == 0, err
    assert report["outputs"] == {option: str(tmp_path / name) for option, name in names.items()}
    assert all((tmp_path / name).stat().st_size > 50 for name in names.values())
    assert not parts_left(tmp_path)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "x.blend"))
    scene = bpy.context.scene
    motion = HandMotion.load(tmp_path / "x.npz")
    assert (scene.frame_start, scene.frame_end) == (1, 1 + np.ceil(motion.duration * 24 - 1e-6))
    assert scene.camera.name == "Camera.Top"
    assert scene.sync_mode == "AUDIO_SYNC"
    views = [area.spaces.active for screen in bpy.data.screens for area in screen.areas if area.type == "VIEW_3D"]
    assert views
    assert all(view.region_3d.view_perspective == "CAMERA" for view in views)
    assert {"Hand.L.take-001", "Hand.R.take-001"} <= set(bpy.data.actions.keys())


def test_the_strip_of_the_open_file(song, tmp_path, capsys, monkeypatch):
    """As `blender -b file.blend --command piano_hands`; the recording is transcribed by a stand-in."""
    bpy = pytest.importorskip("bpy")
    from s2c_blender.blender import scene as scenes
    from s2c_blender.errors import UserError
    from s2c_blender.generate import generate
    from tests.blender.sample import clicks

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    assert cli.main(["--out", str(tmp_path / "x.blend")], in_blender=True) == 1
    assert "no sound strip" in json.loads(capsys.readouterr().out)["error"]
    try:
        scenes.add_sound(scene, clicks(tmp_path / "clicks.wav"), 50, 1.0, 2.0)
    except UserError:
        pytest.skip("this bpy was built without sound")
    jobs = []

    def played(job, report, *_rest):
        jobs.append(job)
        job.source = str(song)
        result = generate(job)
        report |= result.report
        return result.motion

    monkeypatch.setattr(single, "_in_worker", played)
    assert cli.main(["--out", str(tmp_path / "x.blend"), "--start", "0.5", *PIANIST], in_blender=True) == 0
    assert jobs[0].start == pytest.approx(1.5)
    assert jobs[0].duration == pytest.approx(1.5)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["warnings"] == []
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "x.blend"))
    scene = bpy.context.scene
    first = bpy.data.actions["Hand.R.take-001"].frame_range[0]
    assert first == 50 + 0.5 * 24
    assert scene.frame_start == 1
    assert scene.frame_end >= 250
    assert len(bpy.data.sounds) == 1
