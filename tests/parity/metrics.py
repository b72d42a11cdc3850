# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published metrics against what the released code answered (parity facts 1.5 and 8)."""

from pathlib import Path

import numpy as np
import torch

from training import published_metrics as metrics
from training.gesture_autoencoder import gesture_features, load_encoder

from .common import TOLERANCE, Check, answers, compare, compare_all, read

# The released code's matrix square root of singular covariances is only that good, as metrics.json says.
SINGULAR_TOLERANCE = 2e-2
NUMBERS = {"f32": np.float32, "f64": np.float64}
GIVEN = r".+\.(loc_)?(real|fake)$|embed\.(state\.|\w+_poses$|features\d)"


def check(folder: Path) -> list[Check]:
    """All of a folder's metrics."""
    facts, tensors = read(folder, "metrics")
    features = _features(tensors)
    ours = {f"embed.{side}_features": value for side, value in features.items()}
    for pair in facts["pairs"]:
        for side in features:
            ours[f"{pair}.acceleration_2_{side}"] = metrics.second_differences(tensors[f"{pair}.{side}"])
    return [
        *(line for row in facts["results"] for line in _pair(row, tensors)),
        *compare_all(ours, answers(tensors, GIVEN)[""]),
        *_feature_distances(facts["embed"], tensors, features),
    ]


def _pair(row: dict, tensors: dict[str, np.ndarray]) -> list[Check]:
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
    if unknown := row.keys() - compared.keys() - {"pair", "dtype", "warnings"}:
        raise AssertionError(f"nothing to compare {label} {', '.join(sorted(unknown))} with")
    return [compare(f"{label} {name}", ours, row[name], rounding) for name, (ours, rounding) in compared.items()]


def _features(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the encoder of gestures makes of either side's poses."""
    prefix = "embed.state."
    state = {key.removeprefix(prefix): torch.from_numpy(value) for key, value in tensors.items() if prefix in key}
    poses = {side: tensors[f"embed.{side}_poses"].astype(np.float32) for side in ("real", "fake")}
    encoder = load_encoder(state, poses["real"].shape[1])
    return {side: gesture_features(encoder, value) for side, value in poses.items()}


def _feature_distances(facts: dict, tensors: dict[str, np.ndarray], features: dict[str, np.ndarray]) -> list[Check]:
    found = []
    for name in (key for key in facts if key.startswith("get_scores_on_")):
        what = name.removeprefix("get_scores_on_")  # "6": the poses above; "512_features": features as they are
        if what.endswith("_features"):
            stem = "features" + what.removesuffix("_features")
            real, fake = (tensors[f"embed.{stem}_{side}"].astype(np.float32) for side in ("real", "fake"))
        else:
            real, fake = features["real"], features["fake"]
        singular = len(real) <= real.shape[1]
        label = f"{what} FID2, singular: by the note in metrics.json" if singular else f"{what} FID2"
        allowed = SINGULAR_TOLERANCE if singular else TOLERANCE
        fid2, distance = metrics.frechet_feature_distance(real, fake), metrics.feature_distance(real, fake)
        found.append(compare(label, fid2, facts[name]["FID2"], allowed=allowed))
        found.append(compare(f"{what} F_dist", distance, facts[name]["F_dist"]))
    return found
