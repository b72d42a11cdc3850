# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What evaluation compares: clips of a split, with what is heard in them and what their performer's hands did."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import LEFT, RIGHT, UNKNOWN, Score
from s2c_blender.core.style import Style
from s2c_blender.errors import UserError
from s2c_blender.model.camera import Camera
from s2c_blender.model.config import FPS
from s2c_blender.model.features import Recording
from s2c_blender.pianist import fingered

from .clips import Motion, find_camera, hear, in_piano, performer_of, read_recorded, sound_file
from .performers import MIXED

WINDOW = 240  # frames of the published metrics


def windows(motion: Motion) -> list[Motion]:
    """Its whole windows of 240 frames, one after the other."""
    return [motion[first : first + WINDOW] for first in range(0, len(motion) - WINDOW + 1, WINDOW)]


@dataclass(frozen=True)
class Take:
    """One clip, or its beginning."""

    name: str  # performer/piece/clip
    truth: Motion  # in the camera's frame, whole windows
    camera: Camera | None
    recording: Recording  # of the whole clip, as models get it
    notes: Score  # of the whole clip, a hand for each
    has_notes: bool
    styles: tuple[Style, Style] | None = None  # the performer's, as another clip shows them to the pianist ...
    codes: Mapping[str, np.ndarray] = field(default_factory=dict)  # ... and to models that know styles, by name

    @property
    def score(self) -> Score:
        """The notes within the motion's time."""
        return self.notes.cut(0.0, (len(self.truth) - 1) / FPS)

    @property
    def fingered(self) -> Score:
        """The same, those that can be played, with the fingers that models are told."""
        return self.recording.score.cut(0.0, (len(self.truth) - 1) / FPS)

    def in_frame(self, kind: str) -> Motion | None:
        """What the performer did, in the frame of that name; None where the clip does not tell."""
        return self.truth if kind == "camera" else self.in_piano(self.truth, "camera")

    def in_piano(self, motion: Motion, kind: str) -> Motion | None:
        """A motion from the frame `kind` to the piano's, None where this clip's camera is not known."""
        if kind == "piano":
            return motion
        return in_piano(motion, self.camera) if self.camera else None


def shown_beside(root: Path, name: str, names: list[str], seconds: float | None) -> HandMotion | None:
    """Another clip of the performer of clip `name` among `names`, of another piece where there is one; None without.

    Hands that are mixed move in another style in each clip.
    """
    if performer_of(name) == MIXED:
        return None
    others = [other for other in sorted(names) if performer_of(other) == performer_of(name) and other != name]
    others.sort(key=lambda other: other.rpartition("/")[0] == name.rpartition("/")[0])
    for other in others:
        try:
            take = read_take(root, other, seconds, notes=True, camera=True)
        except UserError:
            continue  # it is told where it is to be played
        motion, score = take.in_frame("piano"), take.score
        rotations = motion.poses.reshape(2, len(motion), 16, 3)
        hands = (motion.positions[LEFT], rotations[LEFT], motion.positions[RIGHT], rotations[RIGHT])
        return HandMotion(FPS, *hands, score.notes, np.zeros((len(score.notes), 4)), score.pedal)
    return None


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
        performer, piece = performer_of(name), name.rpartition("/")[0]
        if piece not in of_performer[performer]:
            of_performer[performer].append(piece)
        places[name] = (of_piece[piece], of_performer[performer].index(piece), performer)
        of_piece[piece] += 1
    return sorted(pool, key=places.__getitem__)[:count]


def read_take(
    root: Path,
    name: str,
    seconds: float | None,
    *,
    sound: bool = False,
    notes: bool = False,
    camera: bool = False,
    unlabelled: bool = False,
) -> Take:
    """A clip of a folder in PianoMotion10M's layout, cut to whole windows within `seconds`.

    `sound`, `notes`, `camera`: what must be known of it; `unlabelled`: the notes' hands must not, as in a recording.
    UserError when something is not known, or the clip is damaged or too short.
    """
    clip = read_recorded(root, name)
    limit = len(clip.motion) if seconds is None else min(len(clip.motion), round(seconds * FPS))
    whole = limit // WINDOW * WINDOW
    if not whole:
        raise UserError(f"{name} is shorter than the {WINDOW // FPS} s of a window.")
    if notes and not clip.has_notes:
        raise UserError(f"{name} has no MIDI file, which a model that reads notes needs.")
    score = clip.score
    if unlabelled:
        score = replace(score, notes=score.notes.copy())
        score.notes["hand"] = UNKNOWN
    recording = Recording(fingered(score)[0], hear(sound_file(root, name)) if sound else None)
    place, _ = find_camera(root, clip)
    if camera and place is None:
        raise UserError(f"{name} does not tell where its piano is, which a model in the piano's frame needs.")
    return Take(name, clip.motion[:whole], place, recording, score, clip.has_notes)
