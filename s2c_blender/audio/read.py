# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any sound file to the mono signal that transcription listens to.

Sound is read in blocks, mixed down and resampled on the way, so that three hours of it take no more memory than their
mono signal (1.9 GB), whatever the file holds.
"""

import io
import os
import tempfile
from collections.abc import Iterator
from math import gcd
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
from scipy import signal

from ..errors import UserError
from .files import checked_file

RATE = 44100  # Hz, what the transcription model was trained on
SHORTEST = 0.5  # s; less holds no music
BLOCK = 20.0  # s read at a time
HALF_WIDTH = 16  # resampling filter: zero crossings on each side


def load_audio(
    source: str | Path | bytes, start: float = 0.0, duration: float | None = None, name: str = "The packed sound"
) -> tuple[np.ndarray, int]:
    """Samples float32 [n, 1] and their rate (44100 Hz) of a sound or video file, or of a packed sound's bytes.

    `start` and `duration` (s) choose a part; `name` is what messages call a sound given as bytes.
    """
    if isinstance(source, bytes):
        if not source:
            raise UserError(f"{name} is empty (0 bytes); choose another sound.")
    else:
        source = checked_file(source)
        name = source.name
    with tempfile.TemporaryDirectory(prefix="piano_hands_") as folder:
        rate, frames, blocks = _open(source, name, start, duration, Path(folder) / "sound.flac")
        samples = _collect(blocks, rate, frames, name)
    if not len(samples):
        where = f" {start:g} s or later" if start > 0 else ""
        raise UserError(f"{name} holds no sound{where}; choose another file or range.")
    if len(samples) < SHORTEST * RATE:
        raise UserError(f"{name} gives only {len(samples) / RATE:.2f} s of sound; at least {SHORTEST} s are needed.")
    return samples[:, None], RATE


def resample_blocks(blocks: Iterator[np.ndarray], rate: int, target: int) -> Iterator[np.ndarray]:
    """Mono blocks at `rate` to mono blocks at `target` Hz; joined, they equal the joined input resampled at once."""
    if rate == target:
        yield from blocks
        return
    up, down = target // gcd(rate, target), rate // gcd(rate, target)
    taps = 2 * HALF_WIDTH * max(up, down) + 1
    window = signal.firwin(taps, 1 / max(up, down), window=("kaiser", 8.0))
    margin = -(-HALF_WIDTH * max(up, down) // up)  # input samples the filter reaches to each side
    margin = -(-margin // down) * down  # whole periods, so that every block begins on an output sample
    pending, before = np.zeros(0, np.float32), 0  # samples not done yet, and how many of them are only context
    for block in blocks:
        pending = np.concatenate([pending, block])
        ready = (len(pending) - before - margin) // down * down  # with their whole context at hand
        if ready > 0:
            out = signal.resample_poly(pending, up, down, window=window)
            yield out[before // down * up : (before + ready) // down * up].astype(np.float32)
            kept = max(before + ready - margin, 0)
            pending, before = pending[kept:], before + ready - kept
    if len(pending) > before:
        yield signal.resample_poly(pending, up, down, window=window)[before // down * up :].astype(np.float32)


class _StraightFile(soundfile.SoundFile):
    """A sound file that is read straight on: soundfile seeks after every read, which damages an mp3 at each seam."""

    def seekable(self) -> bool:
        """False, so that reading does not seek."""
        return False


def _open(
    source: Path | bytes, name: str, start: float, duration: float | None, decoded: Path
) -> tuple[int, int, Iterator[np.ndarray]]:
    """Rate, expected frames, and the mono blocks of the chosen part; `decoded` is a file that may be made for it."""
    try:
        file = _StraightFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except soundfile.LibsndfileError as error:
        if not _decode_with_blender(source, name, decoded):
            raise UserError(_cannot_read(source, name)) from error
        file = _StraightFile(decoded)
    first = round(start * file.samplerate)
    wanted = file.frames - first if duration is None else min(round(duration * file.samplerate), file.frames - first)
    return file.samplerate, max(wanted, 0), _soundfile_blocks(file, first, wanted, name)


def _soundfile_blocks(file, first: int, wanted: int, name: str) -> Iterator[np.ndarray]:
    """Mono blocks of an open soundfile, from frame `first`, at most `wanted` frames."""
    with file:
        try:
            _skip(file, min(first, file.frames))
            while wanted > 0:
                block = file.read(min(int(BLOCK * file.samplerate), wanted), dtype="float32", always_2d=True)
                if not len(block):
                    return  # mp3 headers promise more than a cut-off file holds
                wanted -= len(block)
                yield block.mean(axis=1)
        except soundfile.LibsndfileError as error:
            at = file.tell() / file.samplerate
            raise UserError(f"{name} is damaged {at:.1f} s in; try another copy of it.") from error


def _skip(file, frames: int) -> None:
    """Go to a frame of an open soundfile."""
    if file.format != "MP3":
        file.seek(frames)
        return
    while frames > 0:  # seeking in an mp3 loses what a frame borrows from the frames before it
        step = min(frames, int(BLOCK * file.samplerate))
        file.read(step, dtype="float32")
        frames -= step


def _decode_with_blender(source: Path | bytes, name: str, flac: Path) -> bool:
    """Decode what only Blender's audio library reads (m4a, videos) to a FLAC file; False where that fails.

    Straight through, because asking that library for a part can land some milliseconds off.
    """
    aud = _blenders_sound_library()
    if aud is None:
        return False
    if isinstance(source, bytes):  # aud reads files only
        path = flac.with_name("packed" + Path(name).suffix)
        path.write_bytes(source)
        source = path
    try:
        sound = aud.Sound(str(source))
        rate, _ = sound.specs  # raises where decoding would take the whole process down
        sound.write(str(flac), int(rate), 2, aud.FORMAT_S16, aud.CONTAINER_FLAC, aud.CODEC_FLAC, 0, 16384)
    except aud.error:
        return False
    return True


def _blenders_sound_library() -> ModuleType | None:
    """The module `aud`, which comes with Blender; None elsewhere, and in builds without sound."""
    try:
        import aud
    except ImportError:
        return None
    return aud


def _collect(blocks: Iterator[np.ndarray], rate: int, frames: int, name: str) -> np.ndarray:
    """The blocks at RATE as one float32 array, grown in place because joining would need twice the memory."""
    samples = np.empty(int(frames * RATE / rate) + RATE, np.float32)
    filled = 0
    for block in resample_blocks(blocks, rate, RATE):
        if not np.isfinite(block).all():
            raise UserError(f"{name} holds values that are no sound (NaN or infinity); export it again.")
        if filled + len(block) > len(samples):
            samples.resize(2 * (filled + len(block)), refcheck=False)
        samples[filled : filled + len(block)] = block
        filled += len(block)
    samples.resize(filled, refcheck=False)
    return samples


def _cannot_read(source: Path | bytes, name: str) -> str:
    """One sentence about a file that nothing here decodes."""
    if isinstance(source, bytes):
        head = source[:12]
    else:
        with source.open("rb") as file:
            head = file.read(12)
    kind = _container(head)
    tracks = b"" if kind is None else source if isinstance(source, bytes) else _track_list(source, kind)
    picture, sound = _TRACK_MARKS.get(kind, (b"", b""))
    if kind and sound in tracks and _blenders_sound_library() is None:
        return f"{name} cannot be decoded without Blender's sound library; convert it to WAV, FLAC, MP3, OGG or Opus."
    if kind and picture in tracks and sound not in tracks:
        return f"{name} is a video without sound; choose a file that has a sound track."
    return f"{name} is not a sound that can be read; it may be damaged or of an unknown kind."


# What the usual containers' lists of tracks say where there is a picture, and where there is sound.
_TRACK_MARKS = {"mp4": (b"vide", b"soun"), "matroska": (b"V_", b"A_"), "avi": (b"vids", b"auds")}


def _container(head: bytes) -> str | None:
    """Which video container a file's first 12 bytes announce."""
    if head[4:8] in (b"ftyp", b"moov", b"wide", b"mdat"):
        return "mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def _track_list(path: Path, kind: str) -> bytes:
    """The part of a container that lists its tracks."""
    with path.open("rb") as file:
        if kind != "mp4":
            return file.read(1 << 20)
        while len(header := file.read(8)) == 8:
            size = int.from_bytes(header[:4], "big")
            skipped = 8
            if size == 1:  # a 64-bit size follows
                size, skipped = int.from_bytes(file.read(8), "big"), 16
            if header[4:] == b"moov":
                return file.read(max(size - skipped, 0))
            if size < skipped:
                break
            file.seek(size - skipped, os.SEEK_CUR)
    return b""
