# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks share: reading fixtures, building a gesture network from one, and the error."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from s2c_blender.model.config import AudioConfig, FusionConfig, GestureConfig, ModelConfig, RefinerConfig
from s2c_blender.model.hands import DualStream
from s2c_blender.model.release import convert, sha256
from s2c_blender.model.weights import HANDS, load_into

TOLERANCE = 1e-4  # relative, float32
BATCH = re.compile(r"(?:b(\d+)(?:row(\d+))?\.)?")  # before the name of an answer

FUSIONS = {  # parity fact 5.5
    0: FusionConfig(kind="concat", place="before middle"),
    1: FusionConfig(kind="concat", place="after attention"),
    2: FusionConfig(kind="cross", place="before middle"),
    3: FusionConfig(kind="cross", place="after middle"),
    4: FusionConfig(kind="hcaa", place="after middle"),
}

Check = tuple[str, float, float]  # what was compared, its relative error, the error that is allowed


def read(folder: Path, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The facts and tensors of a fixture; AssertionError when the tensors are not those of the facts."""
    facts = json.loads((folder / f"{name}.json").read_text())
    path = folder / facts.get("file", f"{name}.safetensors")
    if "sha256" in facts and sha256(path) != facts["sha256"]:
        raise AssertionError(f"{path.name} has another sha256 than recorded")
    return facts, load_file(path)


def answers(tensors: dict[str, np.ndarray], given: str) -> dict[str, dict[str, np.ndarray]]:
    """All that was recorded except inputs: batch ("", "b2.", "b1row1.") -> name -> answer.

    The names of inputs match `given` (at their beginning).
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, value in tensors.items():
        if not re.match(given, name):
            batch = BATCH.match(name)[0]
            found.setdefault(batch, {})[name.removeprefix(batch)] = value
    if not found:
        raise AssertionError("no answers are recorded")
    return found


def rows(batch: str) -> slice:
    """The clips of the inputs that are in a batch: "" all, "b2." the first two, "b1row1." the second alone."""
    count, first = (int(number or 0) for number in BATCH.match(batch).groups())
    return slice(first, first + count) if batch else slice(None)


def compare_all(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[Check]:
    """Every recorded answer with ours; AssertionError for one that we have nothing for."""
    if unknown := theirs.keys() - ours.keys():
        raise AssertionError(f"nothing to compare {', '.join(prefix + name for name in sorted(unknown))} with")
    return [compare(prefix + name, ours[name], value) for name, value in theirs.items()]


def compare(name: str, ours, theirs, rounding: float = 0.0, allowed: float = TOLERANCE) -> Check:
    """Largest difference, relative to the largest of the recorded numbers; both must have one shape and be finite.

    A difference below `rounding`, which the recorded numbers themselves may be off by, stays below TOLERANCE.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise AssertionError(f"{name}: shape {ours.shape}, recorded {theirs.shape}")
    if not theirs.size:
        raise AssertionError(f"{name}: nothing recorded")
    finite = np.isfinite(theirs)
    if (np.isfinite(ours) != finite).any():
        return name, float("inf"), allowed
    difference = np.abs(ours[finite] - theirs[finite]).max(initial=0.0)
    scale = max(np.abs(theirs[finite]).max(initial=0.0), rounding / TOLERANCE, 1e-12)
    return name, float(difference / scale), allowed


def gesture_config(unet: dict) -> GestureConfig:
    """Our configuration for the released U-Net's."""
    return GestureConfig(
        channels=unet["channels"],
        dim=unet["dim"],
        dim_mults=tuple(unet["dim_mults"]),
        condition=unet["condition_dim"],
        guide="both" if unet["guide_dim"] == 6 else "own",
        refiner=RefinerConfig(unet["num_layer"], causal_bias="batch of one"),
        fusion=FUSIONS[unet["feature_fusion"]],
    )


def gesture_networks(folder: Path, name: str) -> DualStream:
    """Both hands' networks of a U-Net fixture; some leave weights to another's file."""
    facts, tensors = read(folder, name)
    base = facts["weights"]["base_file"]
    sources = tensors if base == facts["file"] else load_file(folder / base) | tensors
    config = facts["config"]
    model = ModelConfig(
        window=config["seq_length"],
        audio=AudioConfig("hubert", {"hidden_size": config["condition_dim"]}),
        gesture=gesture_config(config),
    )
    networks = DualStream(model).eval()
    for hand in HANDS:
        state = {f"model.{key}": torch.from_numpy(sources[f"{hand}.{key}"]).float() for key in facts["state_dict_keys"]}
        ours = convert(state, model.gesture.fusion.kind)
        load_into(getattr(networks, hand), {key.removeprefix("gesture."): value for key, value in ours})
    return networks
