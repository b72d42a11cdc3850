# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules, a whole reverse diffusion and the training loss against what the released code gave (parity fact 1.3)."""

import re
from pathlib import Path

import numpy as np
import torch

from s2c_blender.model.config import DiffusionConfig
from s2c_blender.model.diffusion import Diffusion
from s2c_blender.model.hands import Condition, DualStream
from s2c_blender.model.release_config import PREDICTIONS, schedule_buffers
from s2c_blender.model.sampling import ddpm
from s2c_blender.model.schedule import make_schedule
from s2c_blender.model.weights import HANDS
from s2c_blender.model.windows import START, sample

from .common import Check, answers, compare, compare_all, gesture_networks, read, rows


@torch.no_grad()
def check(folder: Path, name: str) -> list[Check]:
    """All of a sampler fixture."""
    facts, tensors = read(folder, name)
    config = facts["config"]
    networks = gesture_networks(folder, Path(facts["weights_file"].split()[0]).stem)
    found = []
    for batch, recorded in answers(tensors, r"in\.|noise\.|loss\.(t$|x0_|noise_)").items():
        ours = _schedules(recorded) | _noisy(config, tensors)
        if any(re.match(r"(out|trace)", key) for key in recorded):
            ours |= _trajectory(networks, config, tensors, rows(batch), recorded)
        found += compare_all(ours, recorded, batch)
    return found + _losses(networks, config, tensors, facts.get("training_loss", {}).get("values", {}))


def _schedules(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {}
    for name in (key for key in tensors if key.startswith("sched.")):
        _, kind, steps, buffer = name.split(".")
        with np.errstate(divide="ignore", invalid="ignore"):
            schedule = make_schedule(kind, int(steps))
            if buffer.startswith("loss_weight"):
                prediction = PREDICTIONS[buffer.removeprefix("loss_weight_") if "pred" in buffer else "pred_v"]
                ours = schedule.loss_weight(prediction)
            else:
                ours = schedule_buffers(schedule)[buffer]
        found[name] = ours.astype(np.float32)
    return found


def _both(tensors: dict[str, np.ndarray], name: str, rows: slice) -> torch.Tensor:
    """Both hands' `name` as [B, 2, C, N]."""
    return torch.from_numpy(np.stack([tensors[f"{name}_{hand}"][rows] for hand in HANDS], axis=1))


def _condition(networks: DualStream, tensors: dict[str, np.ndarray], rows: slice) -> Condition:
    features = _both(tensors, "in.cond", rows).transpose(2, 3)
    refined = [net.refine(features[:, i]) for i, net in enumerate((networks.left, networks.right))]
    return Condition(torch.stack(refined, dim=1), _both(tensors, "in.guide", rows))


def _trajectory(
    networks: DualStream, config: dict, tensors: dict[str, np.ndarray], rows: slice, recorded: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The reverse diffusion with the recorded random numbers: its end, and for the first clip its way there.

    Of the clean motions on that way as many are recorded as were wanted: the first ones and the very last.
    """
    condition = _condition(networks, tensors, rows)
    schedule = make_schedule(config["beta_schedule"], config["timesteps"])
    prediction = PREDICTIONS[config["objective"]]
    states, clean = [], []

    def predict(x: np.ndarray, t: np.ndarray, _conditions: list) -> np.ndarray:
        output = networks(torch.from_numpy(x), torch.from_numpy(t), condition).numpy()
        states.append(x)
        clean.append(schedule.x0(prediction, output, x, t))
        return clean[-1]

    def noise(clip: int, step: int, shape: tuple[int, int, int]) -> np.ndarray:
        if step == START:
            return np.repeat(tensors["noise.init"][rows][None, clip], 2, axis=0).astype(np.float32)
        return np.stack([tensors[f"noise.{hand}"][step, rows][clip] for hand in HANDS]).astype(np.float32)

    count = len(condition.audio)
    shape = (2, config["channels"], config["seq_length"])
    end = sample(predict, ddpm(schedule), noise, [None] * count, shape)
    states.append(end)
    found = {}
    for i, hand in enumerate(HANDS):
        kept = [*clean[: len(recorded.get(f"trace_x0.{hand}", clean)) - 1], clean[-1]]
        found[f"out.{hand}"] = end[:, i]
        found[f"trace.{hand}"] = np.stack([x[0, i] for x in states[1:]])
        found[f"trace_x0.{hand}"] = np.clip([x[0, i] for x in kept], -1, 1)
    return found


def _noisy(config: dict, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The training's noisy motions, by their names."""
    if "loss.t" not in tensors:
        return {}
    every = slice(None)
    x0, noise = _both(tensors, "loss.x0", every), _both(tensors, "loss.noise", every)
    diffusion = Diffusion(DiffusionConfig(steps=config["timesteps"], schedule=config["beta_schedule"]))
    noisy = diffusion.noisy(x0, noise, torch.from_numpy(tensors["loss.t"]))
    return {f"loss.x_t_{hand}": noisy[:, i].numpy() for i, hand in enumerate(HANDS)}


def _losses(networks: DualStream, config: dict, tensors: dict[str, np.ndarray], values: dict) -> list[Check]:
    if not values:
        return []
    every = slice(None)
    x0, noise, t = _both(tensors, "loss.x0", every), _both(tensors, "loss.noise", every), tensors["loss.t"]
    condition = _condition(networks, tensors, every)
    found = []
    for name, recorded in values.items():
        objective, velocity, acceleration = name.split(";")  # "pred_v;vel=0.1;acc=0.1"
        weights = [float(part.split("=")[1]) for part in (velocity, acceleration)]
        diffusion = Diffusion(
            DiffusionConfig(
                steps=config["timesteps"],
                schedule=config["beta_schedule"],
                prediction=PREDICTIONS[objective],
                velocity_weight=weights[0],
                acceleration_weight=weights[1],
            )
        )
        ours = diffusion.loss(networks, x0, noise, torch.from_numpy(t), condition)
        found.append(compare(f"loss {name}", ours, np.array([recorded[hand] for hand in HANDS])))
    return found
