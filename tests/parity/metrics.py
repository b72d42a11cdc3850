# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published metrics against what the released code answered (parity facts 1.5 and 8)."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from training import published_metrics as metrics
from training.gesture_autoencoder import gesture_features, load_encoder

TOLERANCE = 1e-4
# The released code's matrix square root of singular covariances is only that good, as its authors' README says.
SINGULAR_TOLERANCE = 2e-2
NUMBERS = {"f32": np.float32, "f64": np.float64}


def check(folder: Path) -> list[tuple[str, float, float]]:
    """What was compared in a folder of fixtures: name, relative error, and the error that is allowed."""
    facts = json.loads((folder / "metrics.json").read_text())
    tensors = load_file(folder / "metrics.safetensors")
    found = [line for row in facts["results"] for line in _pair(row, tensors)]
    for pair in facts["pairs"]:
        for side in ("real", "fake"):
            ours = metrics.second_differences(tensors[f"{pair}.{side}"])
            error = _error(ours, tensors[f"{pair}.acceleration_2_{side}"])
            found.append((f"{pair} second differences {side}", error, TOLERANCE))
    return found + _features(facts["embed"], tensors)


def _pair(row: dict, tensors: dict[str, np.ndarray]) -> list[tuple[str, float, float]]:
    """One pair of motions in one precision.

    Differences of nearly equal numbers carry the released code's own rounding. An error below that is no error:
    `rounding` says for each quantity how large it is, in the quantity's unit.
    """
    kind = NUMBERS[row["dtype"]]
    names = ("real", "fake", "loc_real", "loc_fake")
    real, fake, place, fake_place = (tensors[f"{row['pair']}.{name}"].astype(kind) for name in names)
    eps = float(np.finfo(kind).eps)
    power = (np.sum(np.square(real, dtype=float)) + np.sum(np.square(fake, dtype=float))) / len(real)
    length = np.sqrt(power)  # of a pose
    # FGD subtracts traces of this size (float32 rows of the project's own fixtures are off by up to 6e-6 of it), and
    # takes roots of eigenvalues: where a covariance is singular, of zeros that have become rounding errors.
    singular = len(real) <= real.shape[1]
    of_fgd = (10.0 * np.sqrt(eps) if singular else 500.0 * eps) * power
    of_wgd = 1e-6  # of 1: distances that are zero come out of rounded products
    of_pose, of_place = 100.0 * eps * length, eps * np.abs(place).max()
    compared = {
        "fid": (metrics.frechet_gesture_distance(real, fake), of_fgd),
        "fid_swapped": (metrics.frechet_gesture_distance(fake, real), of_fgd),
        "MW2": (metrics.wasserstein_gesture_distance(real, fake), of_wgd),
        "loc_distance_xy": (metrics.position_distance(place[:, :2], fake_place[:, :2]), of_place),
        "loc_distance_xyz": (metrics.position_distance(place, fake_place), of_place),
        "acceleration_real": (metrics.published_acceleration(real), of_pose),
        "acceleration_fake": (metrics.published_acceleration(fake), of_pose),
        "smoothness": (metrics.smoothness(real, fake), of_pose),
        "acceleration_2_mean_real": (metrics.second_differences(real).mean(), of_pose),
        "acceleration_2_mean_fake": (metrics.second_differences(fake).mean(), of_pose),
    }
    label = f"{row['pair']} {row['dtype']}"
    return [
        (f"{label} {name}", _error(ours, row[name], rounding), TOLERANCE) for name, (ours, rounding) in compared.items()
    ]


def _features(facts: dict, tensors: dict[str, np.ndarray]) -> list[tuple[str, float, float]]:
    """The encoder of gestures, and the distances between its features."""
    prefix = "embed.state."
    state = {key.removeprefix(prefix): torch.from_numpy(value) for key, value in tensors.items() if prefix in key}
    poses = [tensors[f"embed.{side}_poses"].astype(np.float32) for side in ("real", "fake")]
    encoder = load_encoder(state, poses[0].shape[1])
    features = [gesture_features(encoder, side) for side in poses]
    found = [
        (f"features {side}", _error(ours, tensors[f"embed.{side}_features"]), TOLERANCE)
        for side, ours in zip(("real", "fake"), features, strict=True)
    ]
    for name in (key for key in facts if key.startswith("get_scores_on_")):
        what = name.removeprefix("get_scores_on_")  # "6": the poses above; "512_features": features as they are
        if what.endswith("_features"):
            stem = "features" + what.removesuffix("_features")
            real, fake = (tensors[f"embed.{stem}_{side}"].astype(np.float32) for side in ("real", "fake"))
        else:
            real, fake = features
        singular = len(real) <= real.shape[1]
        fid = _error(metrics.frechet_feature_distance(real, fake), facts[name]["FID2"])
        found += [
            (f"{what} FID2", fid, SINGULAR_TOLERANCE if singular else TOLERANCE),
            (f"{what} F_dist", _error(metrics.feature_distance(real, fake), facts[name]["F_dist"]), TOLERANCE),
        ]
    return found


def _error(ours: float | np.ndarray, theirs: float | np.ndarray, rounding: float = 0.0) -> float:
    """Largest difference, relative to their largest value; what is below `rounding` stays below TOLERANCE."""
    return float(np.max(np.abs(ours - theirs)) / max(np.max(np.abs(theirs)), rounding / TOLERANCE))
