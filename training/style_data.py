# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Excerpts of clips for training the style encoder (style_vae.py), and the codes that it finds in clips."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from s2c_blender.core.style import PARTS, hands
from s2c_blender.errors import UserError
from s2c_blender.model.config import FPS, ModelConfig, StyleConfig
from s2c_blender.model.seen import SEGMENT, seen_in, segments
from s2c_blender.model.style_codes import LOUDNESS, load_encoder, told_codes
from s2c_blender.model.style_encoder import StyleEncoder
from s2c_blender.model.weights import PERFORMERS, STYLE, load_into
from s2c_blender.outputs import whole_file

from . import layout
from .clips import performer_of
from .dataset import MARGIN, MotionData, near
from .lessons import Lesson
from .performers import MIXED
from .style_vae import VALUES, ExcerptPairs, as_values

SHORTEST = 2 * FPS  # frames of an excerpt of which codes are made; the longest are a window
HEARD = 0.5  # share of the excerpts that codes are made of in which loudness is known
FITTED = 500  # excerpts of which mean and spread are taken


@dataclass(frozen=True)
class ExcerptData:
    """Excerpts of the clips of a split."""

    motion: MotionData
    values: list[np.ndarray] | None = None  # of each clip [2, parts, VALUES], nan where not known; None: of none

    @classmethod
    def of(cls, motion: MotionData, root: Path) -> "ExcerptData":
        """With the styles that the clips' annotations below `root` tell."""
        return cls(motion, [known_values(root, clip.name) for clip in motion.clips])

    @property
    def clips(self) -> list[Lesson]:
        """All there are."""
        return self.motion.clips

    def batch(self, step: int, size: int, seed: int = 0, rank: int = 0, misheard: float = 0.0) -> ExcerptPairs:
        """`size` pairs of excerpts, each from one hand of one clip; `misheard` is for other kinds of data."""
        rng = np.random.default_rng([seed, step, rank])
        return self._pairs(rng.integers(self.motion.ends[-1], size=size), rng)

    def windows(self, count: int) -> ExcerptPairs:
        """`count` pairs, evenly spread over the split, the same each time."""
        return self._pairs(np.linspace(0, self.motion.ends[-1] - 1, count).astype(int), np.random.default_rng(0))

    def _pairs(self, places: np.ndarray, rng: np.random.Generator) -> ExcerptPairs:
        """The first of each pair from near a place, the second from anywhere in its clip."""
        window = self.motion.config.window
        length, segment = int(rng.integers(min(SHORTEST, window), window + 1)), min(SEGMENT, window)
        sides = rng.integers(2, size=len(places))
        shown, wanted = [], []
        values = np.full((len(places), len(PARTS), VALUES), np.nan, np.float32)
        for row, (place, side) in enumerate(zip(places, sides, strict=True)):
            number, first = self.motion.located(place)
            clip = self.clips[number]
            if self.values:
                values[row] = self.values[number][side]
            shown.append(excerpt(clip, side, first, length, heard=rng.random() < HEARD))
            wanted.append(excerpt(clip, side, int(rng.integers(len(clip) - segment + 1)), segment))
        return ExcerptPairs(*(torch.from_numpy(np.stack(part)) for part in (shown, wanted, sides, values)))

    def usual(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of what is seen [SEEN], of excerpts of the whole split; spread 1 where nothing varies."""
        rng = np.random.default_rng(0)
        some = []
        for place in np.linspace(0, self.motion.ends[-1] - 1, FITTED).astype(int):
            number, first = self.motion.located(place)
            some.append(excerpt(self.clips[number], int(rng.integers(2)), first, self.motion.config.window))
        seen = np.concatenate(some).astype(float)
        spread = seen.std(axis=0)
        return seen.mean(axis=0), np.where(spread > 1e-4, spread, 1.0)


def known_values(root: Path, name: str) -> np.ndarray:
    """The values of both hands' styles [2, parts, VALUES] that a clip's annotation tells; nan where it tells none."""
    told = layout.read_meta(root, name).get("style")
    if told is None:
        return np.full((2, len(PARTS), VALUES), np.nan, np.float32)
    return np.stack([as_values(style) for style in hands(told)])


def excerpt(clip: Lesson, side: int, first: int, length: int, heard: bool = True) -> np.ndarray:
    """What is seen of a hand in the frames [first, first + length) of a clip, [length, SEEN].

    Where it is not `heard`, all notes are of one loudness, as when a style is copied from keyframes (style_codes).
    """
    part = slice(first, first + length)
    score = near(clip.score, first / FPS - MARGIN, (first + length) / FPS + MARGIN)
    if not heard:
        score.notes["velocity"] = LOUDNESS  # near() has copied them
    return seen_in(clip.positions[side, part], clip.poses[side, part], score, side, first)


@torch.inference_mode()
def codes_of_clip(encoder: StyleEncoder, clip: Lesson) -> np.ndarray:
    """Codes of a clip's hands in excerpts of SEGMENT frames, [2, excerpts, parts, width] float32."""
    device = encoder.offset.device
    seen = [segments(excerpt(clip, side, 0, len(clip))) for side in (0, 1)]
    found = encoder(torch.from_numpy(np.concatenate(seen)).to(device))[0].cpu().numpy()
    return found.reshape(2, -1, *found.shape[1:])


def write_encoder(folder: Path, encoder: StyleEncoder) -> None:
    """Write the encoder's arrays into a model folder."""
    arrays = {name: value.detach().cpu().numpy() for name, value in encoder.state_dict().items()}
    with whole_file(folder / STYLE) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def style_files(folder: Path, config: ModelConfig) -> list[Path]:
    """The encoder and the performers' codes of a model folder, none if its model knows no styles.

    UserError when one is missing: the training of the styles has not come to its end.
    """
    if config.audio.style.codes == "none":
        return []
    found = [folder / name for name in (STYLE, PERFORMERS)]
    for path in found:
        if not path.is_file():
            raise UserError(f"{path} is missing: let the training of the styles finish first.")
    return found


def trained_encoder(folder: Path, style: StyleConfig) -> StyleEncoder:
    """The encoder of a model folder; UserError when it is not there or of other sizes."""
    with torch.device("meta"):
        encoder = StyleEncoder(style)
    load_into(encoder, {name: torch.from_numpy(value) for name, value in load_encoder(folder).items()})
    return encoder.requires_grad_(False).eval()


def write_performers(folder: Path, clips: list[Lesson], codes: list[np.ndarray]) -> None:
    """Write the mean codes of every named performer of clips, of both hands together, into a model folder."""
    found = defaultdict(list)
    for clip, of_clip in zip(clips, codes, strict=True):
        flat = of_clip.reshape(-1, *of_clip.shape[2:])
        found[performer_of(clip.name)].append(flat)
    found.pop(MIXED, None)
    means = {name: np.concatenate(of).mean(axis=0, dtype=float) for name, of in sorted(found.items())}
    told = {name: told_codes(mean[None])[0] for name, mean in means.items()}
    with whole_file(folder / PERFORMERS) as part:
        part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
