# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder's networks run by ONNX Runtime: networks.TorchNetworks' sibling without PyTorch.

tools/onnx_export.py writes the files beside the weights. They hold both hands' networks in float32.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..audio.device import open_network
from ..errors import ENVIRONMENT, UserError
from .config import ModelConfig
from .weights import CONFIG, ONNX, SMALL

Condition = tuple[np.ndarray, np.ndarray]  # as hands.Condition, of one window


def files(folder: Path) -> list[Path]:
    """The files that a model folder needs for this."""
    return [folder / name for name in ONNX]


class OnnxNetworks:
    """The networks of a model folder on the processor. Raises UserError when its files are not of this model."""

    device = "cpu"

    def __init__(self, folder: Path, config: ModelConfig, paths: Sequence[Path] = ()):
        """`paths`: the two files, where they are not the folder's."""
        self._config = config
        paths = paths or files(folder)
        threads = 1 if sum(path.stat().st_size for path in paths) < SMALL else None
        (self._position, first), (self._gesture, second) = (open_network(path, threads) for path in paths)
        if {first.get("config"), second.get("config")} != {configured(folder)}:
            told = f"{paths[0]} was exported from another model: export this one again, or choose the backend torch."
            raise UserError(told, ENVIRONMENT)

    def hear(self, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As Networks.hear; what `condition` wants are each hand's refined features."""
        audio, positions = self._position.run(["audio", "positions"], {"window": window[None]})
        return audio, positions[0]

    def condition(self, audio: np.ndarray, positions: np.ndarray) -> Condition:
        """As Networks.condition."""
        return audio, guide(positions, self._config)[None]

    def answer(self, x: np.ndarray, t: np.ndarray, conditions: list[Condition]) -> np.ndarray:
        """As Networks.answer."""
        audio, shown = (np.concatenate(parts) for parts in zip(*conditions, strict=True))
        return self._gesture.run(["prediction"], {"x": x, "t": t, "audio": audio, "guide": shown})[0]


def guide(positions: np.ndarray, config: ModelConfig) -> np.ndarray:
    """As hands.guide, of one window: positions [2, W, 3] -> [2, 6 or 3, W], for a single stream only the first."""
    gesture = config.gesture
    channels_first = np.float32(gesture.guide_scale) * positions.transpose(0, 2, 1)
    if gesture.streams == "single" or gesture.guide == "both":
        channels_first = np.concatenate([channels_first, channels_first[::-1]], axis=1)
    return channels_first[0] if gesture.streams == "single" else channels_first


def configured(folder: Path) -> str:
    """What tells a model's configuration from another's."""
    return hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()
