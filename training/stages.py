# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two stages of training: networks with the loss they are trained by, and what is measured in between."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.config import ModelConfig
from s2c_blender.model.diffusion import Diffusion
from s2c_blender.model.encoders import local_hubert
from s2c_blender.model.features import Recording
from s2c_blender.model.generator import Generator
from s2c_blender.model.hands import make_hands
from s2c_blender.model.position import PositionNet
from s2c_blender.model.weights import HANDS, load_into, load_state, misfit
from training.dataset import Batch, MotionData
from training.lessons import Lesson
from training.published_metrics import frechet_gesture_distance, position_distance, second_differences

VALIDATION_WINDOWS, SAMPLED_CLIPS = 64, 12

State = dict[str, dict[str, Tensor]]  # hand -> name as in a model folder -> value


class PositionStage(nn.Module):
    """Stage 1: both hands' position predictors, which share nothing (parity fact 6.4)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.left, self.right = PositionNet(config), PositionNet(config)
        self._listens = config.audio.encoder == "hubert"
        if self._listens:
            for net in (self.left, self.right):
                net.encoder.hubert.feature_extractor.requires_grad_(False)  # as the release does
                net.encoder.hubert.masked_spec_embed.requires_grad_(False)  # which no output depends on

    def begin_from(self, hubert: Path | None) -> None:
        """Give models that listen to sound a trained HuBERT, from a local folder; UserError when there is none."""
        if not self._listens:
            return
        if hubert is None:
            raise UserError("This model begins from a trained HuBERT: name its folder with --hubert.", BAD_ARGUMENTS)
        state = local_hubert(hubert).state_dict()
        for net in (self.left, self.right):
            wanted = {name: tuple(value.shape) for name, value in net.encoder.hubert.state_dict().items()}
            if problem := misfit(wanted, state):
                raise UserError(f"The HuBERT in {hubert} is not the configured one ({problem}): choose another.")
            net.encoder.hubert.load_state_dict(state)

    def train(self, mode: bool = True) -> "PositionStage":
        """As of any module, but without dropout in HuBERT, as the release trains it."""
        super().train(mode)
        if self._listens:
            for net in (self.left, self.right):
                net.encoder.hubert.eval()
        return self

    def hear(self, heard: Tensor) -> tuple[Tensor, Tensor]:
        """A batch's `heard` -> features [B, 2, N, F] and positions [B, 2, N, 3], a hand each."""
        features, positions = zip(*(net(heard) for net in (self.left, self.right)), strict=True)
        return torch.stack(features, dim=1), torch.stack(positions, dim=1)

    def forward(self, batch: Batch) -> Tensor:
        """Each hand's loss [2]: L1 of position and of its first difference, over the frames in which it was seen."""
        miss = self.hear(batch.heard)[1] - batch.positions
        both = batch.valid[:, :, 1:] & batch.valid[:, :, :-1]
        return _mean_size(miss, batch.valid) + _mean_size(miss.diff(dim=2), both)

    def state(self) -> State:
        """What a model folder has of this stage."""
        return {
            hand: {f"position.{name}": value for name, value in net.state_dict().items()}
            for hand, net in zip(HANDS, (self.left, self.right), strict=True)
        }

    @torch.no_grad()
    def validate(self, batches: list[Batch], config: ModelConfig) -> dict[str, float]:
        """Losses, and the mean horizontal distance PD in mm (where the frame's unit is the metre), of each hand."""
        found = {hand: [] for hand in (LEFT, RIGHT)}
        for batch in batches:
            positions = self.hear(batch.heard)[1].float().cpu().numpy()
            for hand, distances in found.items():
                seen = batch.valid[:, hand].cpu().numpy()
                ours, true = (
                    (part[seen] * config.frame.position_scale)[:, :2]
                    for part in (positions[:, hand], batch.positions[:, hand].cpu().numpy())
                )
                distances.append((position_distance(true, ours), len(ours)) if len(ours) else (0.0, 0))
        told = _losses(torch.stack([self(batch) for batch in batches]))
        for hand, name in enumerate(HANDS):
            total = sum(count for _, count in found[hand])
            told[f"pd_{name}"] = 1000.0 * sum(distance * count for distance, count in found[hand]) / max(total, 1)
        return told


class GestureStage(nn.Module):
    """Stage 2: the gesture networks, shown the positions that frozen predictors answer with, as when they are used."""

    def __init__(self, config: ModelConfig, predictors: PositionStage):
        super().__init__()
        self.hands = make_hands(config)
        self.diffusion = Diffusion(config.diffusion)
        self._config = config
        self._steps = config.diffusion.steps
        self.frozen = (predictors.requires_grad_(False).eval(),)  # in a tuple: no part of what is trained

    def to(self, device: str) -> "GestureStage":
        """As of any module, with the frozen predictors."""
        self.frozen[0].to(device)
        return super().to(device)

    def forward(self, batch: Batch) -> Tensor:
        """Each hand's loss [2] at random steps of the diffusion; the noise is the hands' own, the step the same.

        The steps of a batch are one from each of as many equal parts of the diffusion: as random, with less noise in
        the loss, which differs greatly between steps.
        """
        noise = torch.randn(self._shape(batch), device=batch.poses.device)
        return self._loss(batch, noise, self._spread(batch, torch.rand(len(batch.poses))))

    def _spread(self, batch: Batch, places: Tensor) -> Tensor:
        """Diffusion steps [B], each at a place (0 to 1) of its part."""
        t = ((torch.arange(len(places)) + places) / len(places) * self._steps).long()
        return t.clamp(max=self._steps - 1).to(batch.poses.device)  # sums just below the end are rounded up to it

    def _loss(self, batch: Batch, noise: Tensor, t: Tensor) -> Tensor:
        with torch.no_grad():
            features, positions = self.frozen[0].hear(batch.heard)
        condition = self.hands.condition(features, positions)
        return self.diffusion.loss(self.hands, self._clean(batch, positions), noise, t, condition, batch.valid)

    def _shape(self, batch: Batch) -> tuple[int, ...]:
        """Of what the networks move."""
        windows, hands, _, frames = batch.poses.shape
        return windows, hands, self._config.gesture.outputs, frames

    def _clean(self, batch: Batch, positions: Tensor) -> Tensor:
        """What is made of noise [B, 2, outputs, N]: poses, and how the wrist is off the predicted `positions`."""
        if not self._config.gesture.wrist:
            return batch.poses
        frame = self._config.frame
        scale = batch.positions.new_tensor(frame.position_scale) / frame.wrist_scale
        return torch.cat([batch.poses, ((batch.positions - positions) * scale).transpose(2, 3)], dim=2)

    def state(self) -> State:
        """What a model folder has of both stages."""
        states = self.frozen[0].state()
        for hand, net in self.hands.named_children():
            states[hand] |= {f"gesture.{name}": value for name, value in net.state_dict().items()}
        return states

    @torch.no_grad()
    def validate(self, batches: list[Batch], config: ModelConfig) -> dict[str, float]:
        """Losses of each hand, with the same noise and evenly spread steps each time."""
        random = torch.Generator().manual_seed(0)
        losses = []
        for batch in batches:
            t = self._spread(batch, torch.full((len(batch.poses),), 0.5))
            noise = torch.randn(self._shape(batch), generator=random).to(batch.poses.device)
            losses.append(self._loss(batch, noise, t))
        return _losses(torch.stack(losses))


def trained_predictors(folder: Path, config: ModelConfig) -> PositionStage:
    """The position predictors of a model folder; UserError when they are not there or of other sizes."""
    with torch.device("meta"):
        stage = PositionStage(config)
    for hand, net in zip(HANDS, (stage.left, stage.right), strict=True):
        load_into(net, load_state(folder, hand, "position."))
    return stage


def sampled(folder: Path, data: MotionData, device: str) -> dict[str, float]:
    """What a model folder makes of the beginnings of some clips, in their style if it knows styles.

    Of each hand its motion's mean acceleration over the truth's, and the mean FGD (rad^2).
    """
    generator = Generator(folder, device=device)
    chosen = np.unique(np.linspace(0, len(data.clips) - 1, SAMPLED_CLIPS).astype(int))
    styles = [data.codes[i].mean(axis=1) if data.codes else None for i in chosen]
    found = [
        _compared(generator, data.clips[i], style, seed)
        for seed, (i, style) in enumerate(zip(chosen, styles, strict=True))
    ]
    ours, true, fgd = np.array(found).transpose(1, 2, 0).mean(axis=-1)  # [2] each
    told: dict[str, float] = {}
    for hand, name in enumerate(HANDS):
        told |= {f"acceleration_{name}": ours[hand] / max(true[hand], 1e-9), f"fgd_{name}": fgd[hand]}
    return told


def _compared(
    generator: Generator, clip: Lesson, style: np.ndarray | None, seed: int
) -> tuple[list[float], list[float], list[float]]:
    """Mean acceleration of the model's and of the true poses, and FGD, of each hand in a clip's first window."""
    frames = generator.config.window
    _, poses = generator.generate(Recording(clip.score, clip.samples, style), frames, seed)
    true = clip.poses[:, :frames]
    return (
        [second_differences(hand).mean() for hand in poses],
        [second_differences(hand).mean() for hand in true],
        [frechet_gesture_distance(real, ours) for real, ours in zip(true, poses, strict=True)],
    )


def _mean_size(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over valid [B, 2, n] frames of the size of values [B, 2, n, 3] -> [2]."""
    sizes = (values.float().abs().mean(dim=3) * valid).sum(dim=(0, 2))
    return sizes / valid.sum(dim=(0, 2)).clamp(min=1)


def _losses(losses: Tensor) -> dict[str, Any]:
    """Losses [batches, 2] as what a curve shows of them."""
    return dict(zip(HANDS, losses.float().mean(dim=0).tolist(), strict=True))
