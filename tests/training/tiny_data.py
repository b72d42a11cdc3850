# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small folder of clips whose wrists follow their notes, and a small model to be trained on it."""

import json
from pathlib import Path

import numpy as np

from s2c_blender.core.keyboard import key_x
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.model.camera import Camera, to_camera
from s2c_blender.model.mano import neutral
from training.layout import ROW, Clip, write_camera, write_clip, write_splits

CAMERA = Camera(scale=1.1, offset=np.array([0.02, 0.05, -0.03]), yaw=0.02, pitch=-0.05)
SPLITS = {
    "train": ["ann/one/0", "ann/one/1", "bob/two/0"],
    "valid": ["bob/two/1"],
    "test": ["bob/two/2"],
}
TINY = {
    "model": {
        "window": 32,
        "audio": {"width": 8, "layers": 1},
        "position": {"width": 16, "refiner": {"layers": 1, "hidden": 16}, "head_hidden": 8},
        "gesture": {
            "dim": 8,
            "dim_mults": [1, 2],
            "condition": 16,
            "refiner": {"layers": 1, "hidden": 16},
            "fusion": {"heads": 2},
        },
        "diffusion": {"schedule": "linear", "initial_noise": "decoupled", "clamp": 6.0, "steps": 100},
        "frame": {"kind": "piano"},
    },
    "fit_frame": True,
    "positions": {"steps": 12, "batch": 4, "warmup": 2, "validate_every": 6, "keep_every": 2, "precision": "float32"},
    "gestures": {"steps": 12, "batch": 4, "warmup": 2, "validate_every": 6, "keep_every": 2, "precision": "float32"},
}


def score(rng: np.random.Generator, seconds: float) -> Score:
    """Notes every fifth of a second, low ones for the left hand and high ones for the right."""
    onset = np.repeat(np.arange(0.1, seconds - 0.3, 0.2), 2)
    low, high = rng.integers(30, 55, len(onset) // 2), rng.integers(62, 90, len(onset) // 2)
    pitch = np.stack([low, high], axis=1).ravel()
    hand = np.tile([LEFT, RIGHT], len(onset) // 2)
    notes = make_notes(onset, onset + 0.15, pitch, rng.integers(40, 100, len(onset)), hand)
    return Score(notes, np.array([[0.5, 1.0], [1.2, 1.9]]))


def motion(rng: np.random.Generator, played: Score, fps: float, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Wrists [2, N, 3] above the notes and waving rotations [2, N, 16, 3], in the piano frame."""
    time = np.arange(frames) / fps
    positions, rotations = [], []
    for side in (LEFT, RIGHT):
        notes = played.notes[played.notes["hand"] == side]
        x = np.interp(time, notes["onset"], key_x(notes["pitch"]))
        positions.append(np.stack([x, -0.08 + 0.01 * np.sin(3 * time), 0.05 + 0.005 * np.cos(5 * time)], axis=1))
        phase = rng.uniform(0, 6, (16, 3))
        rotations.append(0.2 * np.sin(4 * time[:, None, None] + phase))
    return np.stack(positions), np.stack(rotations)


def as_clip(name: str, positions: np.ndarray, rotations: np.ndarray, fps: float) -> Clip:
    """Motion in the piano frame as CAMERA sees it."""
    hands = np.zeros((2, positions.shape[1], ROW))
    hands[:, :, 0] = 1
    for side in (LEFT, RIGHT):
        seen = to_camera(positions[side], rotations[side], CAMERA, side, neutral())
        hands[side, :, 1:4], hands[side, :, 4:52] = seen
    return Clip(name, fps, hands)


def write_data(root: Path, seconds: float = 3.0, fps: float = 30.0, splits: dict[str, list[str]] = SPLITS) -> Path:
    """A data folder with the clips of `splits`, by Ann and Bob."""
    rng = np.random.default_rng(5)
    root.mkdir(parents=True, exist_ok=True)
    for performer in ("ann", "bob"):
        write_camera(root, performer, CAMERA)
    for name in [name for names in splits.values() for name in names]:
        played = score(rng, seconds)
        positions, rotations = motion(rng, played, fps, int(seconds * fps))
        write_clip(root, as_clip(name, positions, rotations, fps), played, {})
    write_splits(root, splits)
    return root


def write_config(path: Path, **changes: dict) -> Path:
    """TINY as a file, with changes to its parts."""
    path.write_text(
        json.dumps(
            {name: part | changes.get(name, {}) if isinstance(part, dict) else part for name, part in TINY.items()}
        ),
        encoding="utf-8",
    )
    return path
