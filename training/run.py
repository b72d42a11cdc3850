# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage of training under way: steps, checkpoints, validation and curves."""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from s2c_blender.errors import CANCELLED, UserError
from s2c_blender.model.config import ModelConfig
from s2c_blender.model.weights import save_model
from training import checkpoint
from training.attention import plain
from training.average import average_into, averaged
from training.curves import Curves
from training.dataset import Batch, MotionData, Steps
from training.processes import Place
from training.settings import StageSettings
from training.signals import stop_asked
from training.stages import VALIDATION_WINDOWS, GestureStage, PositionStage, sampled
from training.style_data import ExcerptData, style_files, write_encoder
from training.style_vae import ExcerptPairs, StyleStage

MODEL = "model"  # folder of a run with what it has learned so far
TOLD_EVERY = 100  # steps

Networks = StyleStage | PositionStage | GestureStage
Data = ExcerptData | MotionData


class Run:
    """A stage in training."""

    def __init__(
        self,
        out: Path,
        settings: StageSettings,
        place: Place,
        config: ModelConfig,
        networks: Networks,
        told: dict[str, Any],
        styles_of: Path | None,
    ):
        """`told`: what checkpoints say besides; `styles_of`: the model folder with the encoder of styles, if any."""
        self.out, self.settings, self.place, self.config = out, settings, place, config
        self.networks, self.told, self.styles_of = networks, told, styles_of
        trained = [value for value in networks.parameters() if value.requires_grad]
        matrices = [value for value in trained if sum(n > 1 for n in value.shape) > 1]
        others = [value for value in trained if sum(n > 1 for n in value.shape) <= 1]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self.average = averaged(networks)

    def go(self, data: Data, valid: Data | None, done: int, workers: int) -> None:
        """All steps from `done` on; `valid`, the validation split, for the process that writes; `workers` as in Job."""
        settings, place = self.settings, self.place
        model = DistributedDataParallel(self.networks) if place.world > 1 else self.networks
        batches = Steps(data, settings.batch, settings.seed, place.rank, settings.mishear)
        first = place.rank == 0
        if first:
            curves = Curves(self.out / "curves.csv", done)
        kept = done
        with stop_asked() as stop:
            begun = time.perf_counter()
            for step, batch in enumerate(batches.from_step(done, settings.steps, workers), done + 1):
                row = self._step(model, step, batch, bool(stop))
                row["seconds"], begun = time.perf_counter() - begun, time.perf_counter()
                stopping = row.pop("stopping")
                last = stopping or step == settings.steps
                if first:
                    curves.add(step, "train", **row)
                    if step % TOLD_EVERY == 0 or last:
                        _tell(step, settings.steps, row)
                    if not stopping and (step % settings.validate_every == 0 or last):
                        found = self.validate(valid)
                        curves.add(step, "valid", **found)
                        _tell(step, settings.steps, found)
                        begun = time.perf_counter()
                    if step % settings.keep_every == 0 or last:
                        self.keep(step)
                        kept = step
                if stopping:
                    told = f"Stopped after step {step} of {settings.steps}: the same command goes on from there."
                    raise UserError(told, CANCELLED)
        if first and kept == done:  # it was trained to its end before
            self._write_model()

    def _step(self, model: nn.Module, step: int, batch: Batch | ExcerptPairs, stop: bool) -> dict[str, float]:
        """Step number `step` (from 1): what its row of the curves says, and whether a process was asked to stop."""
        settings, place = self.settings, self.place
        words = np.random.SeedSequence([settings.seed, step, place.rank]).generate_state(2, np.uint32)
        torch.manual_seed(int(words[0]) << 32 | int(words[1]))  # of dropout, noise and diffusion steps
        rate = learning_rate(settings, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.networks.train()
        with self._autocast(), self._attention():
            losses = model(type(batch)(*(part.to(place.device, non_blocking=True) for part in batch)))
        self.optimiser.zero_grad()
        losses.sum().backward()
        norm = nn.utils.clip_grad_norm_(self.networks.parameters(), settings.clip)
        left, right, size, stopping = self._agreed(torch.stack([*losses.detach(), norm, losses.new_tensor(stop)]))
        if not math.isfinite(left + right + size):
            raise UserError(
                f"The loss is no number any more at step {step}: lower the learning rate of the configuration, "
                "and begin in another folder."
            )
        self.optimiser.step()
        average_into(self.average, self.networks, settings.average, step)
        return {"left": left, "right": right, "learning_rate": rate, "norm": size, "stopping": stopping > 0}

    def _agreed(self, numbers: Tensor) -> list[float]:
        """The mean of numbers [n] over all processes: all see the same ones and so do the same."""
        if self.place.world > 1:
            dist.all_reduce(numbers)
            numbers /= self.place.world
        return numbers.tolist()

    def _autocast(self) -> torch.autocast:
        half = self.settings.precision == "bfloat16"
        return torch.autocast(self.place.device.split(":")[0], torch.bfloat16, enabled=half)

    def _attention(self) -> AbstractContextManager:
        return plain() if self.place.device == "cpu" else nullcontext()

    def validate(self, valid: Data) -> dict[str, float]:
        """Write the averaged model and measure it on the validation split."""
        self._write_model()
        windows = valid.windows(VALIDATION_WINDOWS)
        size = self.settings.batch
        batches = [
            type(windows)(*(part[first : first + size].to(self.place.device) for part in windows))
            for first in range(0, len(windows[0]), size)
        ]
        with self._autocast():
            found = self.average.validate(batches, self.config)
        if isinstance(self.networks, GestureStage):
            found |= sampled(self.out / MODEL, valid, self.place.device)
        return found

    def _write_model(self) -> None:
        copied = style_files(self.styles_of, self.config) if self.styles_of else []
        save_model(self.out / MODEL, self.config, self.average.state(), copied=copied)
        if isinstance(self.average, StyleStage):
            write_encoder(self.out / MODEL, self.average.encoder)

    def keep(self, step: int) -> None:
        """Write a checkpoint."""
        tensors = checkpoint.state_of(self.networks, self.average, self.optimiser)
        checkpoint.save(self.out, step, tensors, self.told)


def learning_rate(settings: StageSettings, step: int) -> float:
    """The rate of a step (from 1): a linear rise, then a cosine down to a twentieth of the highest."""
    if step <= settings.warmup:
        return settings.learning_rate * step / settings.warmup
    part = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return settings.learning_rate * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * part)))


def _tell(step: int, steps: int, row: dict[str, float]) -> None:
    told = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
    print(f"step {step}/{steps}  {told}", flush=True)
