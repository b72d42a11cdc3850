# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound files of all kinds to samples, exactly timed, and a sentence for each that is none."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from s2c_blender.audio.read import RATE, load_audio, resample_blocks
from s2c_blender.errors import UserError

CLICK = 0.75  # s


def click_track(rate: int, seconds: float = 6.0) -> np.ndarray:
    """A tone that begins with a click; stereo, the right channel at half the volume."""
    time = np.arange(int(seconds * rate)) / rate
    tone = 0.2 * np.sin(2 * np.pi * 440 * time) * (time > CLICK)
    tone[int(CLICK * rate)] = 0.9
    return np.stack([tone, tone / 2], axis=1)


def click_of(samples: np.ndarray) -> float:
    """When a click track's click sounds, s."""
    return np.abs(samples[:, 0]).argmax() / RATE


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("rate", [44100, 48000, 22050])
def test_formats_and_rates(tmp_path, name, rate):
    soundfile.write(tmp_path / name, click_track(rate), rate)
    samples, got = load_audio(tmp_path / name)
    assert (got, samples.dtype, samples.shape[1]) == (RATE, np.float32, 1)
    assert len(samples) == pytest.approx(6.0 * RATE, abs=RATE * 0.05)
    assert click_of(samples) == pytest.approx(CLICK, abs=0.001)
    steady = samples[2 * RATE : 4 * RATE, 0]
    assert steady.std() * np.sqrt(2) == pytest.approx(0.15, rel=0.02)  # the channels' mean
    part, _ = load_audio(tmp_path / name, start=0.5, duration=1.0)
    assert len(part) == RATE
    assert click_of(part) == pytest.approx(CLICK - 0.5, abs=0.001)
    packed, _ = load_audio((tmp_path / name).read_bytes())
    assert (packed == samples).all()


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 44099, 96000])
def test_resampling_in_blocks_is_resampling_at_once(rate):
    rng = np.random.default_rng(rate)
    sound = rng.standard_normal(5 * rate).astype(np.float32)
    cuts = np.sort(rng.integers(0, len(sound), 4))
    parts = np.concatenate(list(resample_blocks(iter(np.split(sound, cuts)), rate, RATE)))
    whole = np.concatenate(list(resample_blocks(iter([sound]), rate, RATE)))
    assert len(parts) == len(whole) == np.ceil(len(sound) * RATE / rate)
    assert np.abs(parts - whole).max() < 1e-5


def test_resampling_keeps_a_tone_and_drops_what_is_too_high():
    time = np.arange(96000) / 96000
    for frequency, level in ((1000, 1.0), (30000, 0.0)):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        out = np.concatenate(list(resample_blocks(iter([tone]), 96000, RATE)))[2000:-2000]
        assert out.std() * np.sqrt(2) == pytest.approx(level, abs=1e-3)


def box(kind: bytes, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + kind + body


FTYP = box(b"ftyp", b"isom0000")
SILENT_VIDEO = FTYP + box(b"mdat", bytes(100)) + box(b"moov", box(b"hdlr", b"\0\0\0\0vide"))
SOUND_VIDEO = FTYP + box(b"moov", box(b"hdlr", b"\0\0\0\0vide") + box(b"hdlr", b"\0\0\0\0soun"))


def test_what_is_no_sound(tmp_path):
    files = {
        "empty.wav": (b"", "is empty"),
        "noise.mp3": (bytes(range(256)) * 20, "not a sound that can be read"),
        "silent.mp4": (SILENT_VIDEO, "video without sound"),
        "silent.mkv": (b"\x1aE\xdf\xa3...V_MPEG4...", "video without sound"),
        "silent.avi": (b"RIFF....AVI ...vids...", "video without sound"),
        "cut.mp4": (SILENT_VIDEO[:50], "may be damaged"),
    }
    for name, (data, words) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=words) as told:
            load_audio(tmp_path / name)
        assert str(told.value).startswith(name)
        if data:
            with pytest.raises(UserError, match=f"The packed sound .*{words}"):
                load_audio(data)
    with pytest.raises(UserError, match="does not exist"):
        load_audio(tmp_path / "missing.wav")
    with pytest.raises(UserError, match="is a folder"):
        load_audio(tmp_path)
    with pytest.raises(UserError, match="packed sound is empty"):
        load_audio(b"")


def test_a_sound_that_only_blender_reads(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aud", None)  # as if Blender's sound library were not there
    (tmp_path / "a.mp4").write_bytes(SOUND_VIDEO)
    with pytest.raises(UserError, match="convert it to WAV"):
        load_audio(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (np.zeros(0), {}, "holds no sound"),
        (np.zeros(4000), {}, r"only 0\.09 s"),
        (np.zeros(RATE), {"start": 5.0}, "holds no sound 5 s or later"),
        (np.zeros(RATE), {"start": 0.9}, r"only 0\.10 s"),
        (np.full(RATE, np.nan), {}, "no sound .NaN"),
    ],
)
def test_too_little_sound(tmp_path, samples, options, words):
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=words):
        load_audio(tmp_path / "a.wav", **options)


def test_a_damaged_file_says_where(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.flac", rng.uniform(-0.5, 0.5, 10 * RATE), RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 50_000] = bytes(50_000)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.flac is damaged \d+\.\d s in"):
        load_audio(tmp_path / "a.flac")


PEAK = """
import resource, sys
from s2c_blender.audio.read import load_audio
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
samples, rate = load_audio(sys.argv[1])
print(samples.nbytes / 2**20, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_memory_is_what_the_mono_signal_takes(tmp_path, repo):
    """Ten minutes in eight channels are 920 MB at once, and 101 MB as what is returned."""
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 48000, 8) as file:
        for _ in range(60):
            file.write(np.zeros((480_000, 8), np.int16))
    run = [sys.executable, "-c", PEAK, str(tmp_path / "long.flac")]
    out = subprocess.run(run, cwd=repo, capture_output=True, text=True, check=True).stdout.split()
    result, taken = map(float, out)
    assert result == pytest.approx(101, abs=1)
    assert taken < result + 150


WITH_BLENDER = """
import os, sys
import bpy
import numpy as np
from s2c_blender.audio.read import load_audio
scene, (wav, mkv) = bpy.context.scene, sys.argv[1:]
scene.render.fps, scene.frame_start, scene.frame_end = 24, 0, 24 * 6
editor = scene.sequence_editor or scene.sequence_editor_create()
(editor.strips if hasattr(editor, "strips") else editor.sequences).new_sound("a", wav, 1, 0)
bpy.ops.sound.mixdown(filepath=mkv, container="MATROSKA", codec="AAC", format="S16")
whole, rate = load_audio(mkv)
part, _ = load_audio(mkv, start=0.5, duration=1.0)
packed, _ = load_audio(open(mkv, "rb").read(), name="a.mkv")
clicks = [np.abs(x[:, 0]).argmax() / rate for x in (whole, part, packed)]
print("CLICKS", *clicks, len(part), flush=True)
os._exit(0)
"""


def test_blender_reads_what_soundfile_cannot(tmp_path, repo):
    bpy = pytest.importorskip("bpy", reason="needs the bpy module")
    if bpy.app.version < (4, 5):
        pytest.skip("this bpy has no sound")
    soundfile.write(tmp_path / "a.wav", click_track(48000), 48000)
    run = [sys.executable, "-c", WITH_BLENDER, str(tmp_path / "a.wav"), str(tmp_path / "a.mkv")]
    out = subprocess.run(
        run, cwd=repo, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": "."}
    )
    words = next(line for line in out.stdout.splitlines() if line.startswith("CLICKS")).split()
    whole, part, packed, length = map(float, words[1:])
    assert whole == pytest.approx(CLICK, abs=0.03)  # an encoder may add a block before the sound
    assert part == pytest.approx(whole - 0.5, abs=0.001)
    assert (packed, length) == (whole, RATE)
