# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a model, one command a stage; see README.md.

python -m training.train positions CONFIG --data DIR --out RUN
python -m training.train gestures CONFIG --data DIR --positions RUN --out RUN2
"""

import argparse
import json
import math
import sys
import time
import zlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from s2c_blender.audio.device import memory_told
from s2c_blender.errors import BAD_ARGUMENTS, CANCELLED, UserError
from s2c_blender.model.config import FPS, ModelConfig
from s2c_blender.model.weights import read_config, save_model
from s2c_blender.outputs import check_folder
from training import checkpoint
from training.average import average_into, averaged
from training.curves import Curves
from training.dataset import Batch, MotionData, Steps, print_warning
from training.processes import Place, joined, precision_warning, threads
from training.settings import HEARD, Stage, StageSettings, Training, read_training
from training.signals import stop_asked
from training.stages import VALIDATION_WINDOWS, GestureStage, PositionStage, sampled, trained_predictors

MODEL = "model"  # folder of a run with what it has learned so far
TOLD_EVERY = 100  # steps


@dataclass(frozen=True)
class Job:
    """One stage of one model, trained on one folder of data into another."""

    stage: Stage
    training: Training
    data: Path
    out: Path
    positions: Path | None = None  # run of the first stage, for the second
    hubert: Path | None = None  # for models that listen to sound
    cache: Path | None = None  # of converted clips; None: in the data folder
    workers: int = 0  # processes that prepare batches, besides the one that trains


def train(job: Job, place: Place) -> int:
    """Train a stage, from its last checkpoint on if it has one, and write `job.out`; the fingerprint of its data.

    Raises UserError when something is wrong with configuration, data, disk or loss, and when a signal stopped it.
    """
    check_folder(job.out)
    job.out.mkdir(parents=True, exist_ok=True)
    settings = getattr(job.training, job.stage)
    if not place.rank and (slow := precision_warning(place.device, settings.precision)):
        print_warning(slow)
    config, predictors = _begun(job)
    wanted = job.training.of(job.stage)
    if predictors:
        wanted["positions"] = checkpoint.checksum(dict(predictors.named_parameters()))
    found = checkpoint.load_last(job.out, print_warning)
    if found and found.told["run"] != wanted:
        raise UserError(f"{job.out} holds a run of another configuration, stage or positions: choose another folder.")
    data = _load(job, config, place)
    learned_from = fingerprint(data)
    if found and found.told["data"] != learned_from:
        raise UserError(
            f"{job.data} has other clips to learn from than when {job.out} was begun: let training.simulate finish "
            "first, then train into another folder."
        )
    if predictors and not place.rank:
        before = checkpoint.load_last(job.positions, _nothing)
        if before and before.told["data"] != learned_from:
            print_warning(f"the positions of {job.positions} were learned from other clips than {job.data} has now.")
    if found:
        config = replace(config, frame=ModelConfig.from_json(found.told["model"]).frame)
        data = replace(data, config=config)
    elif job.training.fit_frame and predictors is None:
        data = data.fitted()
        config = data.config
    torch.manual_seed(settings.seed)
    if predictors is None:
        networks: PositionStage | GestureStage = PositionStage(config)
        if not found:
            networks.begin_from(job.hubert)
    else:
        networks = GestureStage(config, predictors)
    with memory_told(place.device):
        told = {"run": wanted, "data": learned_from, "model": config.to_json()}
        run = _Run(job, settings, place, config, networks.to(place.device), told)
        if found:
            checkpoint.restore(found, run.networks, run.average, run.optimiser)
        run.go(data, found.step if found else 0)
    return learned_from


def fingerprint(data: MotionData) -> int:
    """CRC-32 of the clips' names and numbers of frames."""
    return zlib.crc32(json.dumps([(clip.name, len(clip)) for clip in data.clips]).encode())


def _begun(job: Job) -> tuple[ModelConfig, PositionStage | None]:
    """The model's configuration, and for the second stage the first one's networks and the frame it found."""
    config = job.training.model
    if job.stage == "positions":
        return config, None
    if job.positions is None:
        raise UserError(
            "The gestures build on positions: name the run that trained them with --positions.", BAD_ARGUMENTS
        )
    before = read_config(job.positions / MODEL)
    same = [name for name in HEARD if name != "frame" or not job.training.fit_frame]
    if different := [name for name in same if getattr(before, name) != getattr(config, name)]:
        told = f"{job.positions} was trained with another {different[0]} than this configuration's"
        raise UserError(f"{told}: train the positions again, or take its configuration.")
    config = replace(config, frame=before.frame)
    return config, trained_predictors(job.positions / MODEL, config)


def _load(job: Job, config: ModelConfig, place: Place) -> MotionData:
    """The training split; of several processes the first converts it and all take the clips it found; more may come."""
    data = None
    names: list[list[str]] = [[]]
    if not place.rank:
        data = MotionData.load(job.data, "train", config, job.cache, print_warning)
        names = [[clip.name for clip in data.clips]]
        print(f"{len(data.clips)} clips, {sum(map(len, data.clips)) / FPS / 3600:.2f} h to learn from", flush=True)
    if place.world > 1:
        dist.broadcast_object_list(names)
    if data is None:
        data = MotionData.load(job.data, "train", config, job.cache, _nothing, names[0])
        if len(data.clips) < len(names[0]):
            raise UserError(f"Process {place.rank} cannot read all clips of {job.data} that the first one read.")
    return data


def _nothing(sentence: str) -> None:
    """For warnings that another process gives."""


class _Run:
    """A stage in training."""

    def __init__(
        self,
        job: Job,
        settings: StageSettings,
        place: Place,
        config: ModelConfig,
        networks: PositionStage | GestureStage,
        told: dict[str, Any],
    ):
        """`told`: what checkpoints say besides."""
        self.job, self.settings, self.place, self.config = job, settings, place, config
        self.networks, self.told = networks, told
        trained = [value for value in networks.parameters() if value.requires_grad]
        matrices = [value for value in trained if sum(n > 1 for n in value.shape) > 1]
        others = [value for value in trained if sum(n > 1 for n in value.shape) <= 1]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self.average = averaged(networks)

    def go(self, data: MotionData, done: int) -> None:
        """All steps from `done` on."""
        settings, place = self.settings, self.place
        model = DistributedDataParallel(self.networks) if place.world > 1 else self.networks
        batches = Steps(data, settings.batch, settings.seed, place.rank, settings.mishear)
        first = place.rank == 0
        if first:
            valid = MotionData.load(self.job.data, "valid", self.config, self.job.cache)
            curves = Curves(self.job.out / "curves.csv", done)
        kept = done
        with stop_asked() as stop:
            begun = time.perf_counter()
            for step, batch in enumerate(batches.from_step(done, settings.steps, self.job.workers), done + 1):
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

    def _step(self, model: nn.Module, step: int, batch: Batch, stop: bool) -> dict[str, float]:
        """Step number `step` (from 1): what its row of the curves says, and whether a process was asked to stop."""
        settings, place = self.settings, self.place
        words = np.random.SeedSequence([settings.seed, step, place.rank]).generate_state(2, np.uint32)
        torch.manual_seed(int(words[0]) << 32 | int(words[1]))  # of dropout, noise and diffusion steps
        rate = learning_rate(settings, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.networks.train()
        with self._autocast(), self._attention():
            losses = model(Batch(*(part.to(place.device, non_blocking=True) for part in batch)))
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
        """On processors PyTorch's fused attention is slower in bfloat16 than its parts, backwards three times."""
        return sdpa_kernel(SDPBackend.MATH) if self.place.device == "cpu" else nullcontext()

    def validate(self, valid: MotionData) -> dict[str, float]:
        """Write the averaged model and measure it on the validation split."""
        self._write_model()
        windows = valid.windows(VALIDATION_WINDOWS)
        size = self.settings.batch
        batches = [
            Batch(*(part[first : first + size].to(self.place.device) for part in windows))
            for first in range(0, len(windows.valid), size)
        ]
        with self._autocast():
            found = self.average.validate(batches, self.config)
        if self.job.stage == "gestures":
            found |= sampled(self.job.out / MODEL, valid, self.place.device)
        return found

    def _write_model(self) -> None:
        save_model(self.job.out / MODEL, self.config, self.average.state())

    def keep(self, step: int) -> None:
        """Write a checkpoint."""
        tensors = checkpoint.state_of(self.networks, self.average, self.optimiser)
        checkpoint.save(self.job.out, step, tensors, self.told)


def learning_rate(settings: StageSettings, step: int) -> float:
    """The rate of a step (from 1): a linear rise, then a cosine down to a twentieth of the highest."""
    if step <= settings.warmup:
        return settings.learning_rate * step / settings.warmup
    part = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return settings.learning_rate * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * part)))


def _tell(step: int, steps: int, row: dict[str, float]) -> None:
    told = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
    print(f"step {step}/{steps}  {told}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train one stage of a model.")
    parser.add_argument("stage", choices=("positions", "gestures"))
    parser.add_argument("config", type=Path, help="training configuration, as in training/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder of clips in the layout of PianoMotion10M")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run; a run there goes on")
    parser.add_argument("--positions", type=Path, help="run of the first stage, for the second")
    parser.add_argument("--hubert", type=Path, help="folder of a trained HuBERT, for models that listen to sound")
    parser.add_argument("--cache", type=Path, help="folder for converted clips (default: cache in the data folder)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=threads(), help="threads of the processor")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches, for fast devices")
    given = parser.parse_args(arguments)
    try:
        torch.set_num_threads(given.threads)
        training = read_training(given.config)
        job = Job(
            given.stage, training, given.data, given.out, given.positions, given.hubert, given.cache, given.workers
        )
        with joined(given.device) as place:
            train(job, place)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
