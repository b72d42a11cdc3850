# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules, a whole reverse diffusion and the training loss against what the released code gave (parity fact 1.3)."""

from pathlib import Path

import numpy as np
import torch

from s2c_blender.model.config import DiffusionConfig
from s2c_blender.model.diffusion import Diffusion
from s2c_blender.model.hands import Condition, DualStream
from s2c_blender.model.release_config import schedule_buffers
from s2c_blender.model.sampling import ddpm
from s2c_blender.model.schedule import make_schedule
from s2c_blender.model.weights import HANDS
from s2c_blender.model.windows import START, sample

from .common import Check, compare, gesture_networks, read

PREDICTIONS = {"pred_v": "v", "pred_x0": "x0", "pred_noise": "noise"}


@torch.no_grad()
def check(folder: Path, name: str) -> list[Check]:
    """All of a sampler fixture."""
    facts, tensors = read(folder, name)
    config = facts["config"]
    networks = gesture_networks(folder, Path(facts["weights_file"].split()[0]).stem)
    return [
        *_schedules(tensors),
        *_trajectory(networks, config, tensors, slice(None), ""),
        *_trajectory(networks, config, tensors, slice(0, 1), "b1."),
        *_losses(networks, config, tensors, facts["training_loss"]["values"]),
    ]


def _schedules(tensors: dict[str, np.ndarray]) -> list[Check]:
    found = []
    for name in (key for key in tensors if key.startswith("sched.")):
        _, kind, steps, buffer = name.split(".")
        with np.errstate(divide="ignore", invalid="ignore"):
            schedule = make_schedule(kind, int(steps))
            if buffer.startswith("loss_weight"):
                prediction = PREDICTIONS[buffer.removeprefix("loss_weight_") if "pred" in buffer else "pred_v"]
                ours = schedule.loss_weight(prediction)
            else:
                ours = schedule_buffers(schedule)[buffer]
        found.append(compare(name, ours.astype(np.float32), tensors[name]))
    return found


def _both(tensors: dict[str, np.ndarray], name: str, rows: slice) -> torch.Tensor:
    """Both hands' `name` as [B, 2, C, N]."""
    return torch.from_numpy(np.stack([tensors[f"{name}_{hand}"][rows] for hand in HANDS], axis=1))


def _condition(networks: DualStream, tensors: dict[str, np.ndarray], rows: slice) -> Condition:
    features = _both(tensors, "in.cond", rows).transpose(2, 3)
    refined = [net.refine(features[:, i]) for i, net in enumerate((networks.left, networks.right))]
    return Condition(torch.stack(refined, dim=1), _both(tensors, "in.guide", rows))


def _trajectory(networks: DualStream, config: dict, tensors: dict[str, np.ndarray], rows: slice, prefix: str):
    """The reverse diffusion with the recorded random numbers: its end, and for one clip its way there."""
    condition = _condition(networks, tensors, rows)
    schedule = make_schedule(config["beta_schedule"], config["timesteps"])
    prediction = PREDICTIONS[config["objective"]]
    states, clean = [], []

    def predict(x: np.ndarray, t: np.ndarray, _conditions: list) -> np.ndarray:
        output = networks(torch.from_numpy(x), torch.from_numpy(t), condition).numpy()
        states.append(x)
        clean.append(schedule.x0(prediction, output, x, t))
        return clean[-1]

    def recorded(clip: int, step: int, shape: tuple[int, int, int]) -> np.ndarray:
        if step == START:
            return np.repeat(tensors["noise.init"][None, clip], 2, axis=0).astype(np.float32)
        return np.stack([tensors[f"noise.{hand}"][step, clip] for hand in HANDS]).astype(np.float32)

    count = len(condition.audio)
    shape = (2, config["channels"], config["seq_length"])
    end = sample(predict, ddpm(schedule), recorded, [None] * count, shape)
    states.append(end)
    found = []
    for i, hand in enumerate(HANDS):
        found.append(compare(f"{prefix}out.{hand}", end[:, i], tensors[f"{prefix}out.{hand}"]))
        if f"{prefix}trace.{hand}" in tensors:
            way, x0 = tensors[f"{prefix}trace.{hand}"], tensors[f"{prefix}trace_x0.{hand}"]
            found.append(compare(f"{prefix}trace.{hand}", np.stack([x[0, i] for x in states[1:]]), way))
            kept = [*clean[: len(x0) - 1], clean[-1]]
            found.append(compare(f"{prefix}trace_x0.{hand}", np.clip([x[0, i] for x in kept], -1, 1), x0))
    return found


def _losses(networks: DualStream, config: dict, tensors: dict[str, np.ndarray], values: dict) -> list[Check]:
    every = slice(None)
    x0, noise, t = _both(tensors, "loss.x0", every), _both(tensors, "loss.noise", every), tensors["loss.t"]
    condition = _condition(networks, tensors, every)
    steps = config["timesteps"], config["beta_schedule"]
    noisy = Diffusion(DiffusionConfig(*steps)).noisy(x0, noise, torch.from_numpy(t))
    found = [compare(f"loss.x_t_{hand}", noisy[:, i], tensors[f"loss.x_t_{hand}"]) for i, hand in enumerate(HANDS)]
    for name, recorded in values.items():
        objective, velocity, acceleration = name.split(";")  # "pred_v;vel=0.1;acc=0.1"
        weights = [float(part.split("=")[1]) for part in (velocity, acceleration)]
        diffusion = Diffusion(DiffusionConfig(*steps, PREDICTIONS[objective], "shared", *weights))
        ours = diffusion.loss(networks, x0, noise, torch.from_numpy(t), condition)
        found.append(compare(f"loss {name}", ours, np.array([recorded[hand] for hand in HANDS])))
    return found
