# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What evaluation compares: clips of a split, with what is heard in them and what their performer's hands did."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2c_blender.audio.midi import read_midi
from s2c_blender.audio.read import load_audio
from s2c_blender.core.notes import LEFT, NOTE, RIGHT, Score
from s2c_blender.errors import UserError
from s2c_blender.model.calibration import calibrate
from s2c_blender.model.camera import Camera, to_piano
from s2c_blender.model.config import FPS
from s2c_blender.model.features import Recording, hearable
from s2c_blender.model.mano import neutral
from s2c_blender.pianist import with_hands

from . import layout

WINDOW = 240  # frames of the published metrics


@dataclass(frozen=True)
class Motion:
    """Both hands, left first, at 30 fps, in the frame of the piano (m) or of the camera."""

    positions: np.ndarray  # [2, N, 3]
    poses: np.ndarray  # [2, N, 48] rad

    def __len__(self) -> int:
        return self.positions.shape[1]

    def __getitem__(self, frames: slice) -> "Motion":
        return Motion(self.positions[:, frames], self.poses[:, frames])

    def windows(self) -> list["Motion"]:
        """Its whole windows of 240 frames, one after the other."""
        return [self[first : first + WINDOW] for first in range(0, len(self) - WINDOW + 1, WINDOW)]


@dataclass(frozen=True)
class Take:
    """One clip, or its beginning."""

    name: str  # performer/piece/clip
    truth: Motion  # in the camera's frame, whole windows
    camera: Camera | None
    recording: Recording  # of the whole clip
    has_notes: bool

    @property
    def score(self) -> Score:
        """The notes within the motion's time."""
        return self.recording.score.cut(0.0, (len(self.truth) - 1) / FPS)

    def in_frame(self, kind: str) -> Motion | None:
        """What the performer did, in the frame of that name; None where the clip does not tell."""
        return self.truth if kind == "camera" else self.in_piano(self.truth, "camera")

    def in_piano(self, motion: Motion, kind: str) -> Motion | None:
        """A motion from the frame `kind` to the piano's, None where this clip's camera is not known."""
        if kind == "piano":
            return motion
        if self.camera is None:
            return None
        hands = [
            to_piano(motion.positions[side], motion.poses[side], self.camera, side, neutral()) for side in (LEFT, RIGHT)
        ]
        positions, rotations = (np.stack(parts) for parts in zip(*hands, strict=True))
        return Motion(positions, rotations.reshape(2, -1, 48))


def choose(names: list[str], count: int | None) -> list[str]:
    """At most `count` of the clips performer/piece/clip, spread over performers first, then over pieces.

    The choice depends only on the names; all of them in their order without a count.
    """
    if count is None:
        return names
    pool = sorted(names)
    random.Random(0).shuffle(pool)
    of_piece, of_performer = Counter(), defaultdict(list)
    places = {}
    for name in pool:
        performer, piece = name.split("/")[0], name.rpartition("/")[0]
        if piece not in of_performer[performer]:
            of_performer[performer].append(piece)
        places[name] = (of_piece[piece], of_performer[performer].index(piece), performer)
        of_piece[piece] += 1
    return sorted(pool, key=places.__getitem__)[:count]


def read_take(
    root: Path, name: str, seconds: float | None, *, sound: bool = False, notes: bool = False, camera: bool = False
) -> Take:
    """A clip of a folder in PianoMotion10M's layout, cut to whole windows within `seconds`.

    `sound`, `notes`, `camera`: what must be known of it. UserError when it is not, or the clip is damaged or too short.
    """
    clip = layout.read_clip(root, name)
    motion = at_30(clip)
    limit = len(motion) if seconds is None else min(len(motion), round(seconds * FPS))
    whole = limit // WINDOW * WINDOW
    if not whole:
        raise UserError(f"{name} is shorter than the {WINDOW // FPS} s of a window.")
    midi = layout.midi_path(root, name)
    if notes and not midi.is_file():
        raise UserError(f"{name} has no MIDI file, which a model that reads notes needs.")
    score = with_hands(read_midi(midi)) if midi.is_file() else None
    samples = None
    if sound:
        path = layout.audio_path(root, name)
        if path is None:
            raise UserError(f"{name} has no sound, which a model that listens needs.")
        heard, rate = load_audio(path)
        samples = hearable(heard[:, 0], rate)
    recording = Recording(score or Score(np.zeros(0, NOTE)), samples)
    place = layout.read_camera(root, name.split("/")[0]) or _found(motion, score)
    if camera and place is None:
        raise UserError(f"{name} does not tell where its piano is, which a model in the piano's frame needs.")
    return Take(name, motion[:whole], place, recording, score is not None)


def _found(motion: Motion, score: Score | None) -> Camera | None:
    """The camera of a filmed clip from the notes that its hands play, None where they do not show it."""
    if score is None:
        return None
    seen = list(zip(motion.positions, motion.poses, strict=True))
    found = calibrate(*seen, score.notes, neutral(), FPS)
    return found.camera if found.confidence else None


def at_30(clip: layout.Clip) -> Motion:
    """A clip's motion at 30 fps, frame i at second i / 30, by straight lines between its own frames."""
    rows = clip.hands[:, :, 1:52]
    if clip.fps != FPS:
        place = np.arange(int((rows.shape[1] - 1) * FPS / clip.fps) + 1) * clip.fps / FPS
        before = np.minimum(place.astype(int), rows.shape[1] - 2)
        share = (place - before)[:, None]
        rows = (1 - share) * rows[:, before] + share * rows[:, before + 1]
    return Motion(rows[..., :3], rows[..., 3:])
