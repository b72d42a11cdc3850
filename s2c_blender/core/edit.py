# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user wants changed in a motion that is already there: a span of it anew, and poses set by hand."""

import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .hand import FINGER_JOINTS

_SHAPES = {"time": (), "side": (), "position": (3,), "rotation": (16, 3), "pad": (5, 3)}


@dataclass(frozen=True)
class Span:
    """The part of a motion from second `first` to second `last`."""

    first: float
    last: float


@dataclass
class Pins:
    """P moments at which one hand is to be where the user put it, in HandMotion's terms; NaN: not asked for.

    Of a finger either all three joints are asked for or none; the wrist's place and turn, and a pad's place, each as a
    whole.
    """

    time: np.ndarray  # [P] s of the motion
    side: np.ndarray  # [P] LEFT or RIGHT
    position: np.ndarray  # [P, 3] m, the wrist joint in the piano frame
    rotation: np.ndarray  # [P, 16, 3] rad, axis-angle as in HandMotion
    pad: np.ndarray  # [P, 5, 3] m, fingertip pads thumb .. little in the piano frame

    def __post_init__(self):
        for field in fields(self):
            array = np.asarray(getattr(self, field.name), int if field.name == "side" else float)
            if array.shape != (len(self.time), *_SHAPES[field.name]):
                raise ValueError(f"{field.name} of pins has the shape {array.shape}.")
            setattr(self, field.name, array)
        asked = np.isfinite(self.rotation).all(2)[:, FINGER_JOINTS]  # [P, 5, 3]
        if (asked.any(2) != asked.all(2)).any():
            raise ValueError("Pins ask for some joints of a finger only.")

    @classmethod
    def free(cls, time: np.ndarray, side: np.ndarray | int) -> "Pins":
        """Pins at `time` [P] s that ask for nothing yet; side [P], or one for all."""
        time = np.asarray(time, float)
        empty = [np.full((len(time), *_SHAPES[name]), np.nan) for name in ("position", "rotation", "pad")]
        return cls(time, np.broadcast_to(side, len(time)).copy(), *empty)

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, which: np.ndarray) -> "Pins":
        """Those of a mask or of indices [K]."""
        return Pins(*(getattr(self, field.name)[which] for field in fields(self)))

    def within(self, span: Span) -> np.ndarray:
        """Mask [P] of the pins inside a span."""
        return (self.time >= span.first) & (self.time <= span.last)

    def save(self, path: str | Path) -> None:
        """Write a .npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> "Pins":
        """Read a .npz; ValueError with one sentence when it holds no pins."""
        try:
            with np.load(path, allow_pickle=False) as data:
                return cls(*(data[field.name] for field in fields(cls)))
        except FileNotFoundError:
            raise
        except (KeyError, TypeError, ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{Path(path).name} holds no pins ({error}).") from error


def around(pins: Pins, length: float, *, room: float = 0.8) -> list[tuple[Span, np.ndarray]]:
    """Spans that reach `room` s to both sides of pins, within a motion of `length` s, and the pins [P] mask of each.

    Pins whose spans would meet share one.
    """
    groups: list[list[int]] = []
    for n in np.argsort(pins.time, kind="stable"):
        if groups and pins.time[n] - pins.time[groups[-1][-1]] < 2 * room:
            groups[-1].append(int(n))
        else:
            groups.append([int(n)])
    spans = []
    for group in groups:
        mask = np.isin(np.arange(len(pins)), group)
        first, last = pins.time[group[0]] - room, pins.time[group[-1]] + room
        spans.append((Span(max(first, 0.0), min(last, length)), mask))
    return spans
