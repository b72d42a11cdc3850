# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder at work: what is heard -> both hands' positions and gestures, of any length."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..audio.device import choose_backend, memory_told
from .config import Precision
from .features import Recording, window_input
from .onnx_networks import OnnxNetworks, files
from .sampling import Sampler, make_plan
from .schedule import make_schedule
from .weights import HANDS, read_config
from .windows import ramp, sample_long, seeded, starts


@dataclass(frozen=True)
class Sampling:
    """How the reverse diffusion runs."""

    sampler: Sampler = "dpm"
    steps: int = 10
    overlap: int | None = None  # frames that neighbouring windows share; None: a quarter of a window
    batch: int = 4  # windows in one call of the networks
    creativity: float = 1.0  # how far takes of different seeds differ: see windows.seeded
    style_weight: float = 1.0  # how far answers go from nobody's style to the one asked for (classifier-free guidance)


class Generator:
    """The networks of a model folder on a device, in one precision, and the sampler around them.

    `compiled` and `one_pass` as in networks.TorchNetworks. Raises UserError for a folder that is no model, without the
    device or backend asked for, or without a package that the model needs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        backend: str = "auto",
        precision: Precision = "float32",
        compiled: bool = False,
        one_pass: bool = False,
    ):
        self.folder = folder = Path(folder)
        self.config = read_config(folder)
        self.schedule = make_schedule(self.config.diffusion.schedule, self.config.diffusion.steps)
        if choose_backend("torch" if compiled or one_pass else backend, device, files(folder)) == "onnx":
            with memory_told("cpu"):
                self.networks = OnnxNetworks(folder, self.config)
        else:
            from .networks import TorchNetworks

            self.networks = TorchNetworks(
                folder, self.config, device=device, precision=precision, compiled=compiled, one_pass=one_pass
            )

    def generate(
        self,
        recording: Recording,
        frames: int,
        seed: int = 0,
        sampling: Sampling = Sampling(),
        on_progress: Callable[[float], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions [2, frames, 3] in the units of FrameConfig and poses [2, frames, 48] in radians, left hand first.

        The same seed gives the same motion on a device, whatever `batch` is but for rounding. `on_progress` may raise
        to stop. Raises UserError when the device's memory does not suffice.
        """
        plan = make_plan(sampling.sampler, self.schedule, sampling.steps)
        overlap = self.config.window // 4 if sampling.overlap is None else sampling.overlap
        if sampling.style_weight == 0.0:
            recording = replace(recording, style=None)
        guided = recording.style is not None and sampling.style_weight != 1.0
        listener = _Listener(self, recording, frames, overlap, sampling.style_weight if guided else None)
        shape = (len(HANDS), self.config.gesture.outputs, frames)
        with memory_told(self.networks.device):
            pieces = sample_long(
                partial(self._guided, sampling.style_weight) if guided else self._predict,
                plan,
                seeded(seed, self.config.diffusion.initial_noise, sampling.creativity),
                listener.condition,
                shape,
                window=self.config.window,
                overlap=overlap,
                batch=sampling.batch,
                clamp=self.config.diffusion.clamp,
                on_progress=on_progress,
            )
            moved = np.concatenate(list(pieces), axis=-1).transpose(0, 2, 1)  # [2, N, outputs]
        frame, positions = self.config.frame, self._unscaled(listener.positions)
        scale, offset = (np.array(rows)[:, None] for rows in (frame.pose_scale, frame.pose_offset))  # [2, 1, C]
        poses, wrist = np.split(moved, [self.config.gesture.channels], axis=2)
        if self.config.gesture.wrist:
            positions += wrist * frame.wrist_scale
        return positions, poses * scale + offset

    def predict_positions(self, recording: Recording, frames: int) -> np.ndarray:
        """What the position networks alone answer, [2, frames, 3] as of `generate`: no diffusion moves the wrists."""
        listener = _Listener(self, recording, frames, self.config.window // 4, None)
        for first in listener.starts:
            listener.condition(first)
        return self._unscaled(listener.positions)

    def _unscaled(self, positions: np.ndarray) -> np.ndarray:
        return positions * np.array(self.config.frame.position_scale) + np.array(self.config.frame.position_offset)

    def _predict(self, x: np.ndarray, t: np.ndarray, conditions: list[Any]) -> np.ndarray:
        """x0 [B, 2, C, W] for noisy windows x at steps t."""
        return self.schedule.x0(self.config.diffusion.prediction, self.networks.answer(x, t, conditions), x, t)

    def _guided(self, weight: float, x: np.ndarray, t: np.ndarray, conditions: list[Any]) -> np.ndarray:
        """As _predict, for pairs of conditions without and with the style (Ho and Salimans 2022, classifier-free)."""
        every = [one for pair in zip(*conditions, strict=True) for one in pair]
        plain, styled = np.split(self._predict(np.concatenate([x, x]), np.concatenate([t, t]), every), 2)
        return plain + weight * (styled - plain)


class _Listener:
    """Conditions of the windows of a recording, in the order in which they are asked for.

    Positions of neighbouring windows are blended where they overlap, so that all windows see the same ones. Where a
    `weight` of the style is given, conditions are pairs without and with it, and both are shown positions that go so
    far from nobody's to the style's.
    """

    def __init__(self, generator: Generator, recording: Recording, frames: int, overlap: int, weight: float | None):
        self._generator, self._recording, self._overlap, self._weight = generator, recording, overlap, weight
        self._window = generator.config.window
        self.starts = starts(frames, self._window, overlap)
        self._heard: dict[int, tuple[Any, np.ndarray]] = {}
        self._ramp = ramp(overlap)[:, None]
        self.positions = np.zeros((len(HANDS), frames, 3))  # filled as the windows come

    def condition(self, first: int) -> Any:
        """The condition of the window that starts at frame `first`."""
        heard, positions = self._hear(first)
        positions = positions.copy()
        hop = self.starts.step
        if first > 0:
            own, before = positions[:, : self._overlap], self._hear(first - hop)[1][:, hop:]
            positions[:, : self._overlap] = self._ramp * own + (1 - self._ramp) * before
        if first != self.starts[-1]:
            own, after = positions[:, hop:], self._hear(first + hop)[1][:, : self._overlap]
            positions[:, hop:] = self._ramp * after + (1 - self._ramp) * own
        self._heard.pop(first - hop, None)
        kept = self.positions[:, first : first + self._window]
        kept[:] = positions[:, : kept.shape[1]]
        networks = self._generator.networks
        if self._weight is None:
            return networks.condition(heard, positions)
        return tuple(networks.condition(one, positions) for one in heard)

    def _hear(self, first: int) -> tuple[Any, np.ndarray]:
        if first not in self._heard:
            heard, positions = self._listen(self._recording, first)
            if self._weight is not None:
                plain, nobodys = self._listen(replace(self._recording, style=None), first)
                heard, positions = (plain, heard), nobodys + self._weight * (positions - nobodys)
            self._heard[first] = heard, positions
        return self._heard[first]

    def _listen(self, recording: Recording, first: int) -> tuple[Any, np.ndarray]:
        window = window_input(self._generator.config, recording, first, self._window)
        return self._generator.networks.hear(window)
