# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips (clips.py) as a model is taught them, in the frame of its configuration, kept in a cache."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from s2c_blender.core.notes import Score
from s2c_blender.errors import UserError
from s2c_blender.model.config import ModelConfig
from s2c_blender.outputs import one_sentence, whole_file
from s2c_blender.pianist import fingered
from training.clips import Motion, find_camera, hear, in_piano, performer_of, read_recorded, sound_file
from training.fingers import fingered_by
from training.layout import annotation_path, midi_path

FORMAT = 5  # of what is cached
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Lesson(Motion):
    """A clip's motion, float32, in the frame of the model, and what is heard in it."""

    name: str
    valid: np.ndarray  # [2, N] bool, where the hand was seen
    score: Score
    samples: np.ndarray | None = None  # [L] float32, 16 kHz, for models that listen to sound


def load_lesson(root: Path, name: str, config: ModelConfig, cache: Path, warn: Warn) -> Lesson:
    """A clip from the cache, or converted and put there; UserError, one sentence, when it cannot be used."""
    kind, listens = config.frame.kind, config.audio.encoder == "hubert"
    sources = [
        annotation_path(root, name),
        midi_path(root, name),
        root / "annotation" / performer_of(name) / "camera.json",
    ]
    if not sources[1].is_file() and (kind == "piano" or not listens):
        raise UserError(f"{name} has no notes: {sources[1]} is missing.")
    stamp = " ".join([f"{FORMAT}", *map(_stamp, sources)])
    kept = cache / kind / f"{name}.npz"
    lesson = _read(kept, name, stamp, warn)
    if lesson is None:
        lesson = _converted(root, name, kind, warn)
        _write(kept, lesson, stamp)
    return replace(lesson, samples=_sound(root, name, cache)) if listens else lesson


def _stamp(path: Path) -> str:
    """What changes when a file does."""
    if not path.is_file():
        return "none"
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


def _converted(root: Path, name: str, kind: str, warn: Warn) -> Lesson:
    """A clip read from its own files."""
    clip = read_recorded(root, name)
    motion, score = clip.motion, clip.score
    if kind == "piano":
        camera, told = find_camera(root, clip)
        if camera is None:
            raise UserError(f"{name} does not show where its keyboard is ({' '.join(told)})")
        for sentence in told:
            warn(f"{name}: {sentence}")
        motion = in_piano(motion, camera)
        score = fingered_by(motion, score)
    else:
        score, _ = fingered(score)  # the motion does not show them without a keyboard
    return Lesson(motion.positions.astype(np.float32), motion.poses.astype(np.float32), name, clip.valid, score)


def _read(path: Path, name: str, stamp: str, warn: Warn) -> Lesson | None:
    """What the cache has of a clip, if that is still what its files say."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["stamp"]) != stamp:
                return None
            score = Score(kept["notes"], kept["pedal"])
            return Lesson(kept["positions"], kept["poses"], name, kept["valid"], score)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        warn(f"{path} is damaged ({error}): it is made again.")
        return None


def _write(path: Path, lesson: Lesson, stamp: str) -> None:
    _make_folder(path.parent)
    arrays = {"positions": lesson.positions, "poses": lesson.poses, "valid": lesson.valid}
    with whole_file(path) as part:
        np.savez(part, stamp=np.array(stamp), notes=lesson.score.notes, pedal=lesson.score.pedal, **arrays)


def _sound(root: Path, name: str, cache: Path) -> np.ndarray:
    """A clip's sound as models hear it, [L], left on the disk until it is used."""
    source = sound_file(root, name)
    path = cache / "sound" / f"{name}.npy"
    if not path.is_file() or path.stat().st_mtime_ns < source.stat().st_mtime_ns:
        _make_folder(path.parent)
        with whole_file(path) as part:
            np.save(part, hear(source))
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _make_folder(folder: Path) -> None:
    with one_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
