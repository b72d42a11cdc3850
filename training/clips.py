# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One clip of a data folder as the model is taught it: 30 fps, in the frame of its configuration, kept in a cache."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.audio.read import load_audio
from s2c_blender.core import curves
from s2c_blender.core.notes import LEFT, NOTE, RIGHT, Score
from s2c_blender.errors import UserError
from s2c_blender.model.calibration import calibrate
from s2c_blender.model.camera import to_piano
from s2c_blender.model.config import FPS, ModelConfig
from s2c_blender.model.features import hearable
from s2c_blender.model.mano import neutral
from s2c_blender.outputs import one_sentence, whole_file
from s2c_blender.pianist import with_hands
from training.layout import Clip, annotation_path, audio_path, midi_path, read_camera, read_clip

FORMAT = 2  # of what is cached
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Motion:
    """A clip at 30 fps, hands in the order left, right."""

    name: str
    positions: np.ndarray  # [2, N, 3] float32, in the units of the model's frame
    poses: np.ndarray  # [2, N, 48] float32, rad
    valid: np.ndarray  # [2, N] bool, where the hand was seen
    score: Score
    samples: np.ndarray | None = None  # [L] float32, 16 kHz, for models that listen to sound

    def __len__(self) -> int:
        """Frames."""
        return self.valid.shape[1]


def load_motion(root: Path, name: str, config: ModelConfig, cache: Path, warn: Warn) -> Motion:
    """A clip from the cache, or converted and put there; UserError, one sentence, when it cannot be used."""
    kind, listens = config.frame.kind, config.audio.encoder == "hubert"
    sources = [
        annotation_path(root, name),
        midi_path(root, name),
        root / "annotation" / _performer(name) / "camera.json",
    ]
    if not sources[1].is_file() and (kind == "piano" or not listens):
        raise UserError(f"{name} has no notes: {sources[1]} is missing.")
    stamp = " ".join([f"{FORMAT}", *map(_stamp, sources)])
    kept = cache / kind / f"{name}.npz"
    motion = _read(kept, name, stamp, warn)
    if motion is None:
        motion = _converted(root, name, kind, warn)
        _write(kept, motion, stamp)
    return replace(motion, samples=_sound(root, name, cache)) if listens else motion


def _performer(name: str) -> str:
    return name.split("/")[0]


def _stamp(path: Path) -> str:
    """What changes when a file does."""
    if not path.is_file():
        return "none"
    status = path.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


def _converted(root: Path, name: str, kind: str, warn: Warn) -> Motion:
    """A clip read from its own files."""
    clip, midi = read_clip(root, name), midi_path(root, name)
    score = with_hands(read_midi(midi)) if midi.is_file() else Score(np.zeros(0, NOTE))
    hands = [(clip.hands[side, :, 1:4], clip.hands[side, :, 4:52]) for side in (LEFT, RIGHT)]
    if kind == "piano":
        camera = read_camera(root, _performer(name)) or _found_camera(clip, hands, score, warn)
        hands = [to_piano(*hands[side], camera, side, neutral()) for side in (LEFT, RIGHT)]
    positions = np.stack([position for position, _ in hands])
    poses = np.stack([pose.reshape(-1, 48) for _, pose in hands])
    valid = clip.hands[:, :, 0] > 0.5
    if clip.fps != FPS:
        positions, poses, valid = _at_30_fps(positions, poses, valid, clip.fps)
    return Motion(name, positions.astype(np.float32), poses.astype(np.float32), valid, score)


def _found_camera(clip: Clip, hands: list, score: Score, warn: Warn):
    """The camera of a filmed clip, from the notes that its hands play."""
    found = calibrate(*hands, score.notes, neutral(), clip.fps)
    if not found.confidence:
        raise UserError(f"{clip.name} does not show where its keyboard is ({' '.join(found.warnings)})")
    for told in found.warnings:
        warn(f"{clip.name}: {told}")
    return found.camera


def _at_30_fps(positions: np.ndarray, poses: np.ndarray, valid: np.ndarray, fps: float) -> tuple[np.ndarray, ...]:
    """Positions along lines and rotations on the sphere; a frame is valid where both its neighbours were."""
    last = valid.shape[1] - 1
    place = np.arange(int(last / fps * FPS) + 1) / FPS * fps  # in frames of the clip
    before, after = np.floor(place).astype(int), np.minimum(np.ceil(place).astype(int), last)
    share = (place - before)[:, None]

    def between(values: np.ndarray) -> np.ndarray:
        return (1 - share) * values[:, before] + share * values[:, after]

    turned = np.stack([curves.rotvec(curves.sample_rotations(p.reshape(-1, 16, 3), fps, place / fps)) for p in poses])
    # The same rotation may be stored as a turn of more than half a circle: stay with how the clip has it.
    angle = np.linalg.norm(turned, axis=-1, keepdims=True)
    other = turned * (1 - 2 * np.pi / np.maximum(angle, 1e-9))
    near = between(poses).reshape(turned.shape)
    farther = np.linalg.norm(turned - near, axis=-1) > np.linalg.norm(other - near, axis=-1)
    turned = np.where(farther[..., None] & (angle > 1e-3), other, turned)
    return between(positions), turned.reshape(2, -1, 48), valid[:, before] & valid[:, after]


def _read(path: Path, name: str, stamp: str, warn: Warn) -> Motion | None:
    """What the cache has of a clip, if that is still what its files say."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["stamp"]) != stamp:
                return None
            score = Score(kept["notes"], kept["pedal"])
            return Motion(name, kept["positions"], kept["poses"], kept["valid"], score)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        warn(f"{path} is damaged ({error}): it is made again.")
        return None


def _write(path: Path, motion: Motion, stamp: str) -> None:
    _make_folder(path.parent)
    arrays = {"positions": motion.positions, "poses": motion.poses, "valid": motion.valid}
    with whole_file(path) as part:
        np.savez(part, stamp=np.array(stamp), notes=motion.score.notes, pedal=motion.score.pedal, **arrays)


def _sound(root: Path, name: str, cache: Path) -> np.ndarray:
    """A clip's sound as models hear it, [L], left on the disk until it is used."""
    source = audio_path(root, name)
    if source is None:
        raise UserError(f"{name} has no sound: there is no file for it in {root / 'audio'}.")
    path = cache / "sound" / f"{name}.npy"
    if not path.is_file() or path.stat().st_mtime_ns < source.stat().st_mtime_ns:
        samples, rate = load_audio(source)
        _make_folder(path.parent)
        with whole_file(path) as part:
            np.save(part, hearable(samples[:, 0], rate))
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _make_folder(folder: Path) -> None:
    with one_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
