# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model folder's networks run by PyTorch: import this where that is wanted only. Its sibling is onnx_networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..audio.device import choose_device, memory_told
from .config import ModelConfig, Precision
from .hands import Condition, OnePass, make_hands
from .position import PositionNet
from .weights import HANDS, load_into, load_state

Heard = TypeVar("Heard")
Conditioned = TypeVar("Conditioned")


class Networks(Protocol[Heard, Conditioned]):
    """What a generator asks of the networks, whatever runs them: arrays go in and come out."""

    device: str

    def hear(self, window: np.ndarray) -> tuple[Heard, np.ndarray]:
        """A window as features.window_input gives it -> what `condition` wants of it, positions [2, W, 3]."""

    def condition(self, heard: Heard, positions: np.ndarray) -> Conditioned:
        """What is known of a window's motion beforehand: what was heard, and positions [2, W, 3] float32."""

    def answer(self, x: np.ndarray, t: np.ndarray, conditions: list[Conditioned]) -> np.ndarray:
        """The prediction [B, 2, C, W] for noisy windows x at steps t [B], a condition each."""


class TorchNetworks:
    """The networks of a model folder on a device, in one precision.

    `compiled` hands the gesture networks to torch.compile, `one_pass` stacks the hands (hands.OnePass); docs/model.md
    says where they pay. Raises UserError for weights that are missing or do not fit, or without PyTorch's device.
    """

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        compiled: bool = False,
        one_pass: bool = False,
    ):
        self.device = choose_device(device)[0]
        self.dtype = getattr(torch, precision)
        with memory_told(self.device):
            with torch.device("meta"):
                predictors = [PositionNet(config) for _ in HANDS]
            self.positions = [
                self._loaded(net, folder, hand, "position.") for net, hand in zip(predictors, HANDS, strict=True)
            ]
            with torch.device("meta"):
                self.hands = make_hands(config)
            for hand, network in self.hands.named_children():
                setattr(self.hands, hand, self._loaded(network, folder, hand, "gesture."))
            self.denoise: Callable[[Tensor, Tensor, Condition], Tensor] = (
                OnePass(self.hands) if one_pass else self.hands
            )
            if compiled:
                self.denoise = torch.compile(self.denoise)

    def _loaded(self, network: nn.Module, folder: Path, hand: str, prefix: str) -> nn.Module:
        load_into(network, load_state(Path(folder), hand, prefix, self.dtype))
        return network.to(self.device).eval()

    @torch.inference_mode()
    def hear(self, window: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """As Networks.hear; what `condition` wants are features [1, 2, W, F]."""
        heard = torch.from_numpy(window)[None].to(self.device, self.dtype)
        features, positions = zip(*(network(heard) for network in self.positions), strict=True)
        return torch.stack(features, dim=1), torch.cat(positions).float().cpu().numpy()

    @torch.inference_mode()
    def condition(self, features: Tensor, positions: np.ndarray) -> Condition:
        """As Networks.condition."""
        return self.hands.condition(features, torch.from_numpy(positions)[None].to(features))

    @torch.inference_mode()
    def answer(self, x: np.ndarray, t: np.ndarray, conditions: list[Condition]) -> np.ndarray:
        """As Networks.answer."""
        condition = Condition(*(torch.cat(parts) for parts in zip(*conditions, strict=True)))
        noisy = torch.from_numpy(x).to(self.device, self.dtype)
        return self.denoise(noisy, torch.from_numpy(t).to(self.device), condition).float().cpu().numpy()
