# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks share: reading fixtures, building a gesture network from one, and the error."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from s2c_blender.model.config import AudioConfig, FusionConfig, GestureConfig, ModelConfig
from s2c_blender.model.hands import DualStream
from s2c_blender.model.release import convert
from s2c_blender.model.weights import HANDS, load_into

TOLERANCE = 1e-4  # relative, float32

FUSIONS = {  # parity fact 5.5
    0: FusionConfig(kind="concat", place="before middle"),
    1: FusionConfig(kind="concat", place="after attention"),
    2: FusionConfig(kind="cross", place="before middle"),
    3: FusionConfig(kind="cross", place="after middle"),
    4: FusionConfig(kind="hcaa", place="after middle"),
}

Check = tuple[str, float, float]  # what was compared, its relative error, the error that is allowed


def read(folder: Path, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The facts and tensors of a fixture."""
    facts = json.loads((folder / f"{name}.json").read_text())
    return facts, load_file(folder / facts.get("file", f"{name}.safetensors"))


def compare(name: str, ours, theirs: np.ndarray) -> Check:
    """Largest difference, relative to the largest of the recorded numbers; both must have one shape and be finite."""
    ours = np.asarray(ours, np.float64)
    if ours.shape != theirs.shape:
        raise AssertionError(f"{name}: shape {ours.shape}, recorded {theirs.shape}")
    if not len(theirs.ravel()):
        raise AssertionError(f"{name}: nothing recorded")
    finite = np.isfinite(theirs)
    if (np.isfinite(ours) != finite).any():
        return name, float("inf"), TOLERANCE
    difference = np.abs(ours - theirs)[finite].max(initial=0.0)
    return name, float(difference / max(np.abs(theirs[finite]).max(initial=0.0), 1e-12)), TOLERANCE


def gesture_config(unet: dict) -> GestureConfig:
    """Our configuration for the released U-Net's."""
    return GestureConfig(
        channels=unet["channels"],
        dim=unet["dim"],
        dim_mults=tuple(unet["dim_mults"]),
        condition=unet["condition_dim"],
        guide="both" if unet["guide_dim"] == 6 else "own",
        refiner_layers=unet["num_layer"],
        causal_bias="batch of one",
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
