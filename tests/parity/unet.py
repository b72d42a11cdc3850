# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gesture networks against what the released ones answered (parity facts 1.2 and 5)."""

import re
from pathlib import Path

import numpy as np
import torch

from s2c_blender.model.hands import Condition, DualStream
from s2c_blender.model.release_config import PREDICTIONS
from s2c_blender.model.schedule import make_schedule
from s2c_blender.model.weights import HANDS

from .common import Check, answers, compare, compare_all, gesture_networks, read, rows


@torch.no_grad()
def check(folder: Path, name: str) -> list[Check]:
    """Every recorded intermediate and output of one fusion mode, in a batch and alone."""
    facts, tensors = read(folder, name)
    networks = gesture_networks(folder, name)
    found = []
    for batch, recorded in answers(tensors, r"(in|left|right)\.").items():
        inputs = {k[3:]: torch.from_numpy(v[rows(batch)]) for k, v in tensors.items() if k.startswith("in.")}
        ours = _answers(networks, inputs, facts.get("x0_eps_schedule", ""))
        found += compare_all({f"out.{key}": value for key, value in ours.items()}, recorded, batch)
    for hand, coupling in facts.get("lambda_full", {}).items():
        found.append(compare(f"lambda {hand}", getattr(networks, hand).fusion.coupling(), coupling))
    return found


def _answers(networks: DualStream, inputs: dict[str, torch.Tensor], schedule: str) -> dict[str, np.ndarray]:
    """All that a fixture records, by its names."""
    t = inputs["t"]
    x = torch.stack([inputs[f"x_{hand}"] for hand in HANDS], dim=1)
    guide = torch.stack([inputs[f"guide_{hand}"] for hand in HANDS], dim=1)
    nets = [getattr(networks, hand) for hand in HANDS]
    refined = [net.refine(inputs[f"cond_{hand}"].transpose(1, 2)) for net, hand in zip(nets, HANDS, strict=True)]
    condition = Condition(torch.stack(refined, dim=1), guide)
    descents = [net.down(x[:, i], t, refined[i], guide[:, i]) for i, net in enumerate(nets)]
    # "cosine, T=1000, objective pred_v, no clipping", which is also what holds where it says nothing
    kind, steps, objective = (
        found[1] if (found := re.search(pattern, schedule)) else usual
        for pattern, usual in ((r"(cosine|linear)", "cosine"), (r"T ?= ?(\d+)", "1000"), (r"(pred_\w+)", "pred_v"))
    )
    diffusion, prediction = make_schedule(kind, int(steps)), PREDICTIONS[objective]
    outputs = networks(x, t, condition)
    answers = {}
    for i, hand in enumerate(HANDS):
        own, other = descents[i], descents[1 - i]
        answers[f"xcond_{hand}"] = refined[i]
        answers[f"down_{hand}.x"], answers[f"down_{hand}.r"], answers[f"down_{hand}.t"] = own.x, own.stem, own.time
        answers |= {f"down_{hand}.h{n}": skip for n, skip in enumerate(own.skips)}
        answers[f"fusion_{hand}"] = nets[i].fuse(own, other)
        answers[f"v_{hand}"] = outputs[:, i]
        noisy = x[:, i].numpy()
        x0 = diffusion.x0(prediction, outputs[:, i].numpy(), noisy, t.numpy())
        answers[f"x0_{hand}"], answers[f"eps_{hand}"] = x0, diffusion.noise(x0, noisy, t.numpy())
    return {name: np.asarray(value) for name, value in answers.items()}
