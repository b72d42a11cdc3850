# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HandMotion: both hands over time, and its exchange file (.npz)."""

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import curves
from .notes import NOTE

# What reading a damaged .npz may raise; RuntimeError: of compressions that zipfile does not know.
UNREADABLE = (KeyError, ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass
class HandMotion:
    """Two hands over N frames in the piano frame.

    position: the wrist joint, metres; rotation: axis-angle of each joint relative to its parent, radians, MANO order,
    the wrist's relative to the piano frame. `notes` carry the hand and finger that play them. `keys` holds, for every
    note, the four times (s) at which its key starts down, is down, starts up and is up again.
    """

    fps: float
    left_position: np.ndarray  # [N, 3]
    left_rotation: np.ndarray  # [N, 16, 3]
    right_position: np.ndarray  # [N, 3]
    right_rotation: np.ndarray  # [N, 16, 3]
    notes: np.ndarray  # NOTE [M]
    keys: np.ndarray  # [M, 4] s
    pedal: np.ndarray  # [K, 2] s
    start: float = 0.0  # s of frame 0 in the source audio; notes, keys and pedal count from frame 0
    meta: dict = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return (len(self.left_position) - 1) / self.fps

    def hand(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Position [N, 3] and rotation [N, 16, 3] of hand 0 (left) or 1 (right)."""
        if index:
            return self.right_position, self.right_rotation
        return self.left_position, self.left_rotation

    def hand_at(self, index: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of hand `index` at `times` [T] s, by cubics through the frames."""
        position, rotation = self.hand(index)
        turned = curves.rotvec(curves.sample_rotations(rotation, self.fps, times))
        return curves.sample(position, self.fps, times), turned

    def save(self, path: str | Path) -> None:
        """Write the .npz atomically: a reader sees the whole file or none."""
        path = Path(path)
        arrays = {
            "fps": np.float64(self.fps),
            "left_position": self.left_position.astype(np.float32),
            "left_rotation": self.left_rotation.astype(np.float32),
            "right_position": self.right_position.astype(np.float32),
            "right_rotation": self.right_rotation.astype(np.float32),
            "notes": self.notes,
            "keys": self.keys,
            "pedal": self.pedal,
            "start": np.float64(self.start),
            "meta": np.array(json.dumps(self.meta, sort_keys=True)),
        }
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | Path) -> "HandMotion":
        """Read a .npz; raises ValueError with one sentence when it is not a HandMotion file."""
        try:
            with np.load(path, allow_pickle=False) as data:
                motion = cls(
                    fps=float(data["fps"]),
                    left_position=data["left_position"].astype(np.float64),
                    left_rotation=data["left_rotation"].astype(np.float64),
                    right_position=data["right_position"].astype(np.float64),
                    right_rotation=data["right_rotation"].astype(np.float64),
                    notes=data["notes"],
                    keys=data["keys"],
                    pedal=data["pedal"],
                    start=float(data["start"]),
                    meta=json.loads(str(data["meta"])),
                )
        except FileNotFoundError:
            raise
        except (*UNREADABLE, SyntaxError) as error:
            raise ValueError(f"{Path(path).name} is not a HandMotion file ({error}).") from error
        frames = len(motion.left_position)
        shapes = [motion.hand(h)[i].shape for h in (0, 1) for i in (0, 1)]
        shapes += [motion.keys.shape, motion.pedal.shape[1:]]
        expected = [(frames, 3), (frames, 16, 3)] * 2 + [(len(motion.notes), 4), (2,)]
        if shapes != expected or motion.notes.dtype != NOTE or not motion.fps > 0:
            raise ValueError(f"{Path(path).name} is not a HandMotion file (array shapes or note fields differ).")
        return motion
