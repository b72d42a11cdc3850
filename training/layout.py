# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders in the layout of PianoMotion10M, so that its clips and simulated ones can be read alike.

    annotation/<performer>/<piece>/<clip>.json   left and right (rows), fps, bv, start_frame, adjust, and meta
    annotation/<performer>/camera.json           the camera of simulated performers; real ones are calibrated
    midi/<performer>/<piece>/<clip>.mid, audio/<performer>/<piece>/<clip>.mp3 (or .wav, .flac)
    train.txt, valid.txt, test.txt               one name "<performer>/<piece>/<clip>" a line

A row has 62 numbers: 1 where the hand was seen, 3 of MANO's translation, 48 of its pose (axis-angle, rad), 10 of its
shape; the camera's frame, the left hand stored as a right one in a mirror (parity facts 7).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from s2c_blender.audio.files import whole_file
from s2c_blender.audio.midi import write_midi
from s2c_blender.core.notes import Score
from s2c_blender.errors import UserError
from s2c_blender.model.camera import Camera

SPLITS = ("train", "valid", "test")
ROW = 62
_DECIMALS = 5  # a hundredth of a millimetre
_SOUNDS = (".wav", ".flac", ".mp3")


@dataclass(frozen=True)
class Clip:
    """Both hands of one clip as published."""

    name: str  # performer/piece/clip
    fps: float
    hands: np.ndarray  # [2, N, 62] rows, LEFT then RIGHT


def annotation_path(root: Path, name: str) -> Path:
    """Where the motion of a clip is."""
    return root / "annotation" / f"{name}.json"


def midi_path(root: Path, name: str) -> Path:
    """Where the notes of a clip are."""
    return root / "midi" / f"{name}.mid"


def audio_path(root: Path, name: str) -> Path | None:
    """The sound of a clip, where there is one."""
    return next((path for s in _SOUNDS if (path := root / "audio" / f"{name}{s}").is_file()), None)


def write_clip(root: Path, clip: Clip, score: Score, meta: dict) -> None:
    """Write a clip's notes, then its motion; each file appears whole or not at all, the motion last."""
    for path in (midi_path(root, clip.name), annotation_path(root, clip.name)):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_midi(score, midi_path(root, clip.name))
    left, right = np.round(clip.hands, _DECIMALS).tolist()
    content = {"left": left, "right": right, "fps": clip.fps, "bv": clip.name.split("/")[1], "start_frame": 0}
    content |= {"adjust": [0, 0, 0], "meta": meta}
    _write_json(annotation_path(root, clip.name), content)


def read_clip(root: Path, name: str) -> Clip:
    """Read the motion of a clip; UserError when it is missing or damaged.

    `adjust` moves the translation in y and z, as the released code does; where one hand's rows are fewer than the
    other's, both end with it.
    """
    path = annotation_path(root, name)
    content = _read_json(path)
    try:
        frames = min(len(content["left"]), len(content["right"]))
        hands = np.array([content[side][:frames] for side in ("left", "right")], float)
        adjust = np.array(content.get("adjust") or [0, 0, 0], float)
        if hands.shape[1:] != (frames, ROW) or not frames or not np.isfinite(hands).all():
            raise ValueError(f"rows are not {ROW} finite numbers")
        hands[:, :, 2:4] += adjust[1:3]
        fps = float(content["fps"])
        if not 1 <= fps <= 1000:
            raise ValueError(f"{fps} frames a second")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not an annotation of hands ({error}); copy or make this clip again.") from error
    return Clip(name, fps, hands)


def read_meta(root: Path, name: str) -> dict:
    """What a clip's annotation tells besides its motion; nothing where it has no `meta`, as filmed ones."""
    meta = _read_json(annotation_path(root, name)).get("meta")
    return meta if isinstance(meta, dict) else {}


def write_splits(root: Path, names: dict[str, list[str]]) -> None:
    """Write train.txt, valid.txt and test.txt; they may name clips that are still to come."""
    for split in SPLITS:
        with whole_file(root / f"{split}.txt") as file:
            file.write("".join(f"{name}\n" for name in names[split]).encode())


def read_split(root: Path, split: str) -> list[str]:
    """Names of a split's clips in the file's order, without those whose motion is not there (yet)."""
    try:
        names = (root / f"{split}.txt").read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{root / split}.txt cannot be read ({error}); name a folder of clips.") from error
    return [name for line in names if (name := line.strip()) and annotation_path(root, name).is_file()]


def write_camera(root: Path, performer: str, camera: Camera) -> None:
    """Keep how a performer's piano stands in front of the camera."""
    path = root / "annotation" / performer / "camera.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_json(path, asdict(camera) | {"offset": camera.offset.tolist()})


def read_camera(root: Path, performer: str) -> Camera | None:
    """The camera of a simulated performer, None for a filmed one."""
    path = root / "annotation" / performer / "camera.json"
    if not path.is_file():
        return None
    content = _read_json(path)
    try:
        return Camera(**(content | {"offset": np.array(content["offset"], float).reshape(3)}))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a camera ({error}); make the data again.") from error


def _write_json(path: Path, content: dict) -> None:
    with whole_file(path) as file:
        file.write(json.dumps(content, separators=(",", ":")).encode())


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); copy or make this clip again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not an annotation; copy or make this clip again.")
    return content
