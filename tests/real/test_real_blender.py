# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built zip in real Blender executables: install, generate without a window, reopen and look, uninstall.

Blenders in Debian roots have no network here and see of this machine only the demo, these scripts and the tests' own
folder: no PyTorch, no other Python.
"""

import hashlib
import json
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import pytest

from s2c_blender.core.keyboard import DIP_ANGLE
from s2c_blender.core.motion import HandMotion
from s2c_blender.model.weights import ONNX
from tools import extension
from tools.blender_root import Blender

ID = "s2c_piano_hands"
MODULE = f"bl_ext.user_default.{ID}"
RECORDING = Path(__file__).parents[2] / "demo" / "fur_elise.flac"
HALF_DIP = DIP_ANGLE / 2
SLACK = 0.05  # s between a note and its key, as DESIGN counts a hit
# What Blender itself writes: about any extension, and pictures of saved files.
BLENDERS_OWN = ("blender/config/userpref.blend", "blender/extensions/.cache/compat.dat", "home/.cache/thumbnails/")


@dataclass
class Installed:
    """A Blender with the extension installed and enabled, and in `home` all folders that it may write to unasked.

    Of this machine it sees `visible`.
    """

    blender: Blender
    home: Path
    visible: list[Path]

    def run(self, *arguments: str | Path, timeout: float = 300):
        folders = {"BLENDER_USER_RESOURCES": "blender", "HOME": "home", "TMPDIR": "tmp"}
        for name in folders.values():
            (self.home / name).mkdir(exist_ok=True)
        env = {variable: str(self.home / name) for variable, name in folders.items()}
        return self.blender.run(*arguments, env=env, timeout=timeout, alone_with=self.visible)

    def install(self, zip_file: Path) -> None:
        words = ("--command", "extension", "install-file", "-r", "user_default", "--enable", zip_file)
        done = self.run(*words)
        if not done.stdout:  # Blender 4.3 once ended without a word, and did its work when it was asked again
            done = self.run(*words)
        assert done.returncode == 0 and f'STATUS Installed "{ID}"' in done.stdout, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr

    def files(self) -> set[str]:
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}

    def python(self, code: str) -> str:
        """Run a piece of Python with the extension on, and return what it prints between two marks."""
        marked = f"import sys; print('<<<'); {code}; print('>>>'); sys.stdout.flush()"
        done = self.run("-b", "--python-exit-code", "9", "--python-expr", marked)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split("<<<\n")[1].split("\n>>>")[0]

    def piano_hands(self, *arguments: str | Path, file: Path | None = None):
        """The extension's command; returns the finished process and its JSON report (None if it wrote none)."""
        done = self.run("-b", *([file] if file else []), "--command", "piano_hands", *arguments)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return done, json.loads(lines[-1]) if lines else None


@pytest.fixture(scope="session")
def zip_file(real_blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip for this platform and this Blender's Python, built now from this checkout."""
    [path] = extension.build([extension.this_platform()], tmp_path_factory.mktemp("zip"), [real_blender.python])
    return path


def alone(blender: Blender, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home.mkdir(exist_ok=True)
    return Installed(blender, home, [tmp_path_factory.getbasetemp(), RECORDING.parent, Path(__file__).parent])


@pytest.fixture(scope="session")
def installed(real_blender: Blender, zip_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    ready = alone(real_blender, tmp_path_factory.mktemp(f"home-{real_blender.name}"), tmp_path_factory)
    ready.install(zip_file)
    return ready


@pytest.fixture(scope="session")
def midi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds for two hands: a scale up in the right, chords in the left, one track each."""
    song = mido.MidiFile(ticks_per_beat=480)
    right = [(60 + step, 1, number * 0.25) for number, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]
    left = [(pitch, 4, start) for start in (0.0, 1.0) for pitch in (48, 52, 55)]
    for part in (right, left):
        events = [(s, "note_on", p) for p, _, s in part] + [(s + 0.23 * n, "note_off", p) for p, n, s in part]
        track, before = mido.MidiTrack(), 0
        for seconds, kind, pitch in sorted(events):
            ticks = round((seconds + 0.5) * 960)  # 120 beats a minute
            track.append(mido.Message(kind, note=pitch, velocity=70, time=ticks - before))
            before = ticks
        song.tracks.append(track)
    path = tmp_path_factory.mktemp("midi") / "scale.mid"
    song.save(path)
    return path


def inspect(installed: Installed, file: Path) -> dict:
    """Reopen a file in the same Blender without extensions and say what moves in it."""
    out = file.with_suffix(".json")
    script = Path(__file__).with_name("inspect_file.py")
    done = installed.run("-b", "--factory-startup", file, "--python-exit-code", "9", "-P", script, "--", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


def presses(seen: dict, start_frame: float) -> list[tuple[int, float]]:
    """(pitch, seconds since `start_frame`) of each time a key passes half its dip on the way down, in order of time."""
    times = (np.array(seen["frames"]) - start_frame) / seen["fps"]
    found = []
    for pitch, angles in seen["keys"].items():
        down = np.array(angles) > HALF_DIP
        found += [(int(pitch), float(times[i + 1])) for i in np.flatnonzero(down[1:] & ~down[:-1])]
    return sorted(found, key=lambda press: press[1])


def assert_plays(seen: dict, motion: HandMotion, start_frame: float) -> None:
    """Each note is one press of its own key at its own time, nothing else is pressed, and both hands move."""
    wanted = [(int(n["pitch"]), float(n["onset"])) for n in motion.notes]
    found = presses(seen, start_frame)
    assert sorted(p for p, _ in found) == sorted(p for p, _ in wanted)
    for pitch in {p for p, _ in wanted}:
        ours = sorted(t for p, t in found if p == pitch)
        theirs = sorted(t for p, t in wanted if p == pitch)
        np.testing.assert_allclose(ours, theirs, atol=SLACK, err_msg=f"key {pitch}")
    for hand, path in seen["wrists"].items():
        assert np.ptp(np.array(path), axis=0).max() > 0.005, f"the wrist of {hand} stands still"
        moving = [bone for bone, spread in seen["spread"][hand].items() if spread > 0.02]
        assert len(moving) >= 8, f"of {hand} only {moving} move"


def test_repository_itself_validates_and_builds(real_blender: Blender, repo: Path, tmp_path: Path):
    env = {"BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    checked = real_blender.run("--command", "extension", "validate", repo, env=env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    built = real_blender.run(
        "--command", "extension", "build", "--source-dir", repo, "--output-dir", tmp_path, env=env, timeout=300
    )
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = tmp_path.glob("*.zip")
    top = {name.split("/")[0] for name in zipfile.ZipFile(path).namelist()}
    assert {"__init__.py", "blender_manifest.toml", "s2c_blender", "rigs"} <= top
    assert not top & {"tests", "tools", "build", "out", "demo", "dev.py", ".venv", ".git", ".ci"}


def test_zip_has_the_locked_wheels_and_the_networks_and_nothing_else_large(real_blender: Blender, zip_file: Path):
    archive = zipfile.ZipFile(zip_file)
    wheels = {name.split("/")[-1]: archive.read(name) for name in archive.namelist() if name.endswith(".whl")}
    assert {wheel.split("-")[0].lower() for wheel in wheels} == set(extension.BUNDLED)
    locked = extension.lock_file(real_blender.python).read_text()
    assert all(hashlib.sha256(data).hexdigest() in locked for data in wheels.values())
    tag = f"cp{real_blender.python.replace('.', '')}"
    assert {wheel.split("-")[2] for wheel in wheels if "-cp" in wheel} == {tag}
    manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert sorted(manifest["wheels"]) == sorted(f"./wheels/{wheel}" for wheel in wheels)
    large = {
        info.filename for info in archive.infolist() if info.file_size > 5e6 and not info.filename.endswith(".whl")
    }
    model = [f"s2c_blender/model/bundled/{name}" for name in ("left.safetensors", "right.safetensors", *ONNX)]
    assert large == {"s2c_blender/audio/bundled/transcriber.onnx", *model}
    assert zip_file.stat().st_size < extension.LARGEST


def test_alone_and_enabled_with_its_wheels_and_blenders_numpy(installed: Installed, repo: Path):
    """What the other tests here rest upon: no network, no PyTorch, nothing from outside the zip but Blender's own."""
    code = (
        "import json, numpy, scipy, soundfile, mido, onnxruntime, importlib.util, addon_utils, socket, pathlib; "
        f"print(json.dumps([[n for _, n in socket.if_nameindex()], pathlib.Path({str(repo / '.venv')!r}).exists(), "
        f"bool(importlib.util.find_spec('torch')), addon_utils.check('{MODULE}')[1], "
        "*(m.__file__ for m in (numpy, scipy, soundfile, mido, onnxruntime))]))"
    )
    networks, environment, torch, enabled, numpy, *wheels = json.loads(installed.python(code))
    if installed.blender.root:
        assert networks == ["lo"] and not environment
    assert enabled and not torch
    assert str(installed.home) not in numpy
    assert all(path.startswith(str(installed.home)) for path in wheels), wheels


def test_midi(installed: Installed, midi: Path, tmp_path: Path):
    blend, npz = tmp_path / "scale.blend", tmp_path / "scale.npz"
    done, report = installed.piano_hands("--audio", midi, "--out", blend, "--motion", npz, "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["notes_found"] == report["notes_played"] == 14 and report["dropped"] == []
    motion = HandMotion.load(npz)
    assert set(motion.notes["hand"][motion.notes["pitch"] >= 60]) == {1}
    assert set(motion.notes["hand"][motion.notes["pitch"] < 60]) == {0}
    seen = inspect(installed, blend)
    assert seen["all_keys"] == list(range(21, 109))
    assert_plays(seen, motion, start_frame=seen["range"][0])


def test_fbx_and_video(installed: Installed, midi: Path, tmp_path: Path):
    fbx, video = tmp_path / "scale.fbx", tmp_path / "scale.mp4"
    small = ["--duration", "1", "--fps", "12", "--resolution", "64x36"]
    done, report = installed.piano_hands("--audio", midi, "--fbx", fbx, "--render", video, *small)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fbx.read_bytes().startswith(b"Kaydara FBX Binary") and video.read_bytes()[4:8] == b"ftyp"
    assert {path.name for path in tmp_path.iterdir()} == {fbx.name, video.name} and report["warnings"] == []


def test_one_zip_plays_a_recording_and_goes_without_traces(
    real_blender: Blender, zip_file: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """The main promise: six seconds of a recording as a strip, at frame 24 of a scene of 24 frames a second."""
    mine = alone(real_blender, tmp_path / "home", tmp_path_factory)
    mine.python("print()")  # so that Blender has made what it always makes
    before = mine.files()
    mine.install(zip_file)
    strip = tmp_path / "strip.blend"
    code = (
        "import bpy; s = bpy.context.scene; s.render.fps = 24; e = s.sequence_editor or s.sequence_editor_create(); "
        f"strips = e.strips if hasattr(e, 'strips') else e.sequences; "
        f"n = strips.new_sound(name='piano', filepath={str(RECORDING)!r}, channel=1, frame_start=24); "
        f"n.frame_final_end = 24 + 6 * 24; bpy.ops.wm.save_as_mainfile(filepath={str(strip)!r}); "
        f"import pathlib; user = pathlib.Path(bpy.utils.extension_path_user({MODULE!r}, path='pytorch', create=True)); "
        "(user / 'large').write_bytes(bytes(9)); print()"
    )
    mine.python(code)
    blend, npz = tmp_path / "played.blend", tmp_path / "played.npz"
    done, report = mine.piano_hands("--out", blend, "--motion", npz, file=strip)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["notes_played"] == 28
    seen = inspect(mine, blend)
    assert seen["fps"] == 24 and any(RECORDING.name in sound for sound in seen["sounds"])
    assert_plays(seen, HandMotion.load(npz), start_frame=24)

    assert any("scipy" in path for path in mine.files() - before)
    done = mine.run("--command", "extension", "remove", ID)
    assert done.returncode == 0, done.stdout + done.stderr
    left = {path for path in mine.files() - before if (mine.home / path).is_file()}
    assert [path for path in left if not path.startswith(BLENDERS_OWN)] == []
    done = mine.run("-b", "--python-expr", "import bpy; assert not hasattr(bpy.types.Scene, 'piano_hands')")
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--audio", "/no/such/file.wav", "--motion", "{out}.npz"], 1, "file.wav"),
        (["--out", "{out}.blend"], 1, "strip"),
        (["--audio", "{midi}"], 2, "--out"),
        (["--audio", "{midi}", "--out", "{out}.blend", "--python", "/no/such/python"], 3, "python"),
    ],
    ids=["missing file", "no strip", "nothing to write", "no such python"],
)
def test_exit_codes(installed: Installed, midi: Path, tmp_path: Path, arguments: list[str], code: int, word: str):
    out = tmp_path / "nothing"
    done, report = installed.piano_hands(*(a.format(out=out, midi=midi) for a in arguments))
    assert done.returncode == code, done.stdout + done.stderr
    assert word in report["error"] and report["exit_code"] == code
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_option_is_a_bad_argument(installed: Installed):
    done, _ = installed.piano_hands("--no-such-option")
    assert done.returncode == 2 and "--no-such-option" in done.stderr
