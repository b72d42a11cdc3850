# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips of a data folder (layout.py) as training and evaluation use them: at 30 fps, in the frame wanted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.audio.read import load_audio
from s2c_blender.core import curves
from s2c_blender.core.notes import LEFT, NOTE, RIGHT, Score
from s2c_blender.errors import UserError
from s2c_blender.model.calibration import calibrate
from s2c_blender.model.camera import Camera, to_piano
from s2c_blender.model.config import FPS
from s2c_blender.model.features import hearable
from s2c_blender.model.mano import neutral
from s2c_blender.pianist import with_hands
from training.layout import Clip, audio_path, midi_path, read_camera, read_clip


@dataclass(frozen=True)
class Motion:
    """Both hands, left first, at 30 fps, in the frame of the piano (m) or of the camera."""

    positions: np.ndarray  # [2, N, 3]
    poses: np.ndarray  # [2, N, 48] rad

    def __len__(self) -> int:
        """Frames."""
        return self.positions.shape[1]

    def __getitem__(self, frames: slice) -> "Motion":
        return Motion(self.positions[:, frames], self.poses[:, frames])


@dataclass(frozen=True)
class Recorded:
    """What a folder has of a clip, without its sound."""

    name: str  # performer/piece/clip
    motion: Motion  # in the camera's frame
    valid: np.ndarray  # [2, N] bool, where the hand was seen
    score: Score  # a hand for every note; empty without MIDI
    has_notes: bool


def performer_of(name: str) -> str:
    """Who plays the clip performer/piece/clip."""
    return name.split("/")[0]


def read_recorded(root: Path, name: str) -> Recorded:
    """A clip; UserError when its motion is missing, or a file of it is damaged."""
    motion, valid = at_30(read_clip(root, name))
    midi = midi_path(root, name)
    has_notes = midi.is_file()
    score = with_hands(read_midi(midi)) if has_notes else Score(np.zeros(0, NOTE))
    return Recorded(name, motion, valid, score, has_notes)


def at_30(clip: Clip) -> tuple[Motion, np.ndarray]:
    """A clip's motion at 30 fps, frame i at second i / 30, and where its hands were seen [2, N].

    Positions go along lines and rotations on the sphere; a frame is valid where both its neighbours were.
    """
    positions, poses, valid = clip.hands[:, :, 1:4], clip.hands[:, :, 4:52], clip.hands[:, :, 0] > 0.5
    if clip.fps == FPS:
        return Motion(positions, poses), valid
    last = valid.shape[1] - 1
    place = np.arange(int(last * FPS / clip.fps) + 1) * clip.fps / FPS  # in frames of the clip
    before, after = np.floor(place).astype(int), np.minimum(np.ceil(place).astype(int), last)
    share = (place - before)[:, None]

    def between(values: np.ndarray) -> np.ndarray:
        return (1 - share) * values[:, before] + share * values[:, after]

    times = place / clip.fps
    joints = poses.reshape(2, -1, 16, 3)
    turned = np.stack([curves.rotvec(curves.sample_rotations(hand, clip.fps, times)) for hand in joints])
    # The same rotation may be stored as a turn of more than half a circle: stay with how the clip has it.
    angle = np.linalg.norm(turned, axis=-1, keepdims=True)
    other = turned * (1 - 2 * np.pi / np.maximum(angle, 1e-9))
    near = between(poses).reshape(turned.shape)
    farther = np.linalg.norm(turned - near, axis=-1) > np.linalg.norm(other - near, axis=-1)
    turned = np.where(farther[..., None] & (angle > 1e-3), other, turned)
    return Motion(between(positions), turned.reshape(2, -1, 48)), valid[:, before] & valid[:, after]


def find_camera(root: Path, clip: Recorded) -> tuple[Camera | None, list[str]]:
    """The camera of a clip, and what is to be said of it, in sentences.

    Simulated performers' is known; that of filmed ones is found from the notes that their hands play, or is None.
    """
    if known := read_camera(root, performer_of(clip.name)):
        return known, []
    if not clip.has_notes:
        return None, ["Its notes are not known."]
    hands = zip(clip.motion.positions, clip.motion.poses, strict=True)
    found = calibrate(*hands, clip.score.notes, neutral(), FPS)
    return found.camera if found.confidence else None, found.warnings


def in_piano(motion: Motion, camera: Camera) -> Motion:
    """A motion from the camera's frame to the piano's."""
    hands = [to_piano(motion.positions[side], motion.poses[side], camera, side, neutral()) for side in (LEFT, RIGHT)]
    positions, rotations = (np.stack(parts) for parts in zip(*hands, strict=True))
    return Motion(positions, rotations.reshape(2, -1, 48))


def sound_file(root: Path, name: str) -> Path:
    """The sound of a clip; UserError when there is none."""
    if path := audio_path(root, name):
        return path
    raise UserError(f"{name} has no sound, which a model that listens needs: there is none in {root / 'audio'}.")


def hear(path: Path) -> np.ndarray:
    """A file's sound as models hear it, [L] at 16 kHz."""
    samples, rate = load_audio(path)
    return hearable(samples[:, 0], rate)
