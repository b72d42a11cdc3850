# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of a data folder (layout.py) for training. What a step is taught depends on seed, step and rank only."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s2c_blender.core.keyboard import HIGHEST, LOWEST, key_x
from s2c_blender.core.notes import Score
from s2c_blender.errors import INPUT_FAILED, UserError
from s2c_blender.model.config import FPS, FrameConfig, ModelConfig
from s2c_blender.model.features import AHEAD, Recording, window_input
from s2c_blender.model.seen import SEGMENT, begins
from training.layout import read_split
from training.lessons import Lesson, Warn, load_lesson
from training.mishear import mishear

ANONYMOUS = 0.3  # share of windows of which the model is not told the style ...
SOME_PARTS = 0.15  # ... and of windows of which it is not told that of as many of the parts
ONE_PIECE = 0.5  # share of windows of which the style is told as some seconds of the clip show it, not all of it
LEAST_SPREAD = 0.02  # rad: channels that move less are not blown up to the size of the others
REACH = 0.9  # of positions within (-1, 1), which the predictor's tanh only just reaches
LEAST_REACH = 0.1  # m
BEYOND = 0.15  # share of windows that begin before their clip or end after it, as the last window of a piece does ...
FARTHEST = 0.6  # ... by at most this part of a window
MARGIN = AHEAD + 1.0  # s of notes before and after a window that tell of its fingers, also when misheard


class Batch(NamedTuple):
    """Windows as the networks take them; values normalised by FrameConfig."""

    heard: Tensor  # [B, N, F] finger rolls, or [B, L] sound
    positions: Tensor  # [B, 2, N, 3]
    poses: Tensor  # [B, 2, 48, N]
    valid: Tensor  # [B, 2, N] bool


def print_warning(sentence: str) -> None:
    """A warning on the terminal."""
    print(f"Warning: {sentence}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class MotionData:
    """Clips of a split, in memory, and the model that learns from them."""

    clips: list[Lesson]
    config: ModelConfig
    codes: list[np.ndarray] | None = None  # a clip's [2, pieces, parts, width], for models that know styles

    @classmethod
    def load(
        cls,
        root: Path,
        split: str,
        config: ModelConfig,
        cache: Path | None = None,
        warn: Warn = print_warning,
        names: list[str] | None = None,
    ) -> "MotionData":
        """Read the clips of "train", "valid" or "test"; those that cannot be used are told of and left out.

        `cache`: where converted clips are kept, `root`/cache if None; `names`: of the split's clips, all that are there
        by now if None. Raises UserError when no clip is left.
        """
        clips = []
        for name in read_split(root, split) if names is None else names:
            try:
                clip = load_lesson(root, name, config, cache or root / "cache", warn)
                if len(clip) < config.window:
                    raise UserError(f"{name} is shorter than the model's window of {config.window / FPS:g} s.")
            except UserError as error:
                if error.exit_code != INPUT_FAILED:
                    raise  # it is not the clip's fault
                warn(f"{error} It is left out.")
                continue
            clips.append(clip)
        if not clips:
            raise UserError(
                f"{root} has no usable clip for {split}: make data with training.simulate, or get it whole."
            )
        return cls(clips, config)

    @cached_property
    def ends(self) -> np.ndarray:
        """Running total [clips] of the places where a window can start."""
        return np.cumsum([len(clip) - self.config.window + 1 for clip in self.clips])

    def batch(self, step: int, size: int, seed: int = 0, rank: int = 0, misheard: float = 0.0) -> Batch:
        """The `size` windows of a step, from anywhere in the split; of `misheard` of them the notes have errors."""
        rng = np.random.default_rng([seed, step, rank])
        places = rng.integers(self.ends[-1], size=size)
        return self._gather([self._window(place, rng, misheard) for place in places])

    def windows(self, count: int) -> Batch:
        """At most `count` windows, evenly spread over the split, with the notes as they are, in their clips' styles."""
        total = self.ends[-1]
        places = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
        return self._gather([self._window(place) for place in places])

    def _window(
        self, place: int, rng: np.random.Generator | None = None, misheard: float = 0.0
    ) -> tuple[np.ndarray, ...]:
        """Heard, positions, poses and valid of the window at a place of all there are.

        With an rng it may reach beyond its clip, where nothing is valid; its notes have errors in `misheard` of the
        cases, and its style is told as `_told` says.
        """
        number, first = self.located(place)
        clip, frames = self.clips[number], self.config.window
        if rng and rng.random() < BEYOND:
            beyond = int(rng.integers(1, max(int(FARTHEST * frames), 1) + 1))
            before = rng.random() < 0.5 and clip.samples is None  # sound begins with its clip
            first = -beyond if before else len(clip) - frames + beyond
        score = near(clip.score, first / FPS - MARGIN, (first + frames) / FPS + MARGIN)
        if rng and rng.random() < misheard:
            score = mishear(score, rng)
        style = None
        if self.codes:
            style = self._told(number, first, rng) if rng else self.codes[number].mean(axis=1)
        heard = window_input(self.config, Recording(score, clip.samples, style), first, frames)
        place = np.arange(first, first + frames)
        part = place.clip(0, len(clip) - 1)
        return heard, clip.positions[:, part], clip.poses[:, part], clip.valid[:, part] & (part == place)

    def _told(self, number: int, first: int, rng: np.random.Generator) -> np.ndarray | None:
        """Codes [2, parts, width] for a window of a clip: the clip's mean, or of a piece elsewhere in it, which says
        nothing of the window itself; in ANONYMOUS of the cases none, in some not those of single parts."""
        if rng.random() < ANONYMOUS:
            return None
        clip, codes = self.clips[number], self.codes[number]
        begin = begins(len(clip))
        elsewhere = np.flatnonzero((begin >= first + self.config.window) | (begin + SEGMENT <= first))
        piece = rng.choice(elsewhere) if len(elsewhere) and rng.random() < ONE_PIECE else None
        told = codes.mean(axis=1) if piece is None else codes[:, piece].copy()
        if rng.random() < SOME_PARTS:
            told[rng.random(told.shape[:2]) < ANONYMOUS] = np.nan
        return told

    def located(self, place: int) -> tuple[int, int]:
        """The clip in which the window at a place of all there are lies, and the frame at which it begins."""
        number = int(np.searchsorted(self.ends, place, side="right"))
        return number, int(place - (self.ends[number - 1] if number else 0))

    def _gather(self, windows: list[tuple[np.ndarray, ...]]) -> Batch:
        heard, positions, poses, valid = (np.stack(parts) for parts in zip(*windows, strict=True))
        frame = self.config.frame
        positions = (positions - np.float32(frame.position_offset)) / np.float32(frame.position_scale)
        offset, scale = (np.float32(rows)[:, None] for rows in (frame.pose_offset, frame.pose_scale))  # [2, 1, 48 or 1]
        poses = ((poses - offset) / scale).swapaxes(2, 3)
        return Batch(*(torch.from_numpy(np.ascontiguousarray(part)) for part in (heard, positions, poses, valid)))

    def fitted(self) -> "MotionData":
        """The same clips for a model whose frame fits them.

        Poses: mean 0 and standard deviation 1 of each channel of each hand. Positions: all of them, and x over the
        whole keyboard, within (-REACH, REACH); one scale for all axes, so that a millimetre is worth the same in each.
        """
        poses = [np.concatenate([clip.poses[side, clip.valid[side]] for clip in self.clips]) for side in (0, 1)]
        scale = [np.maximum(hand.std(axis=0, dtype=float), LEAST_SPREAD) for hand in poses]
        seen = np.concatenate([clip.positions[clip.valid] for clip in self.clips]).astype(float)  # [frames, 3]
        low, high = seen.min(axis=0), seen.max(axis=0)
        if self.config.frame.kind == "piano":
            low[0], high[0] = min(low[0], key_x(LOWEST)), max(high[0], key_x(HIGHEST))
        frame = FrameConfig(
            self.config.frame.kind,
            position_scale=_numbers(np.full(3, max((high - low).max() / 2, LEAST_REACH) / REACH)),
            position_offset=_numbers((high + low) / 2),
            pose_scale=tuple(map(_numbers, scale)),
            pose_offset=tuple(_numbers(hand.mean(axis=0, dtype=float)) for hand in poses),
        )
        return replace(self, config=replace(self.config, frame=frame))


@dataclass(frozen=True)
class Steps(torch.utils.data.Dataset):
    """A run's batches by the number of their step, as a DataLoader takes them."""

    data: MotionData
    size: int
    seed: int
    rank: int
    misheard: float

    def __getitem__(self, step: int) -> Batch:
        return self.data.batch(step, self.size, self.seed, self.rank, self.misheard)

    def from_step(self, first: int, end: int, workers: int = 0) -> Iterator[Batch]:
        """The batches [first, end), prepared by `workers` processes besides this one."""
        loader = torch.utils.data.DataLoader(self, batch_size=None, sampler=range(first, end), num_workers=workers)
        return iter(loader)


def near(score: Score, start: float, end: float) -> Score:
    """The notes and pedal that sound in [start, end] (s), times unchanged."""
    notes = score.notes
    inside = (notes["offset"] > start) & (notes["onset"] < end)
    return Score(notes[inside], score.pedal[(score.pedal[:, 1] > start) & (score.pedal[:, 0] < end)])


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    """Six digits of each, as a configuration has them."""
    return tuple(float(f"{value:.6g}") for value in values)
