# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of S2C's published evaluation, number for number (parity fact 8).

Names in brackets are the released code's. Motions are poses [N, C] of one sequence, axis-angle in radians; the
published figures are for N = 240 frames, C = 48 channels of one hand, the network's output without smoothing.

The released code computes in the float32 of its network. Here everything is summed in float64, which makes float32
input exact to its own rounding; only `wasserstein_gesture_distance` keeps the type, since the clusters it finds may
depend on it.
"""

import numpy as np
from scipy.optimize import linprog
from sklearn.decomposition import IncrementalPCA
from sklearn.mixture import GaussianMixture

POSE_COMPONENTS, POSE_CLUSTERS = 10, 13  # of WGD: principal components and Gaussians for each motion


def frechet_gesture_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """FGD (`fid`): Frechet distance between the poses of two motions [N, C], rad^2.

    Both covariances are divided by the real motion's number of frames, as published. Identical motions give zero
    within 1e-8 of the mean squared pose, so the result may be slightly negative. The released code in float32 is off
    by about 1e-5 of that, by 1e-3 where a covariance is singular.
    """
    frames = len(real)
    moments = []
    for motion in (np.asarray(real, float), np.asarray(fake, float)):
        mean = motion.mean(axis=0)
        moments += [mean, (motion.T @ motion - frames * np.outer(mean, mean)) / (frames - 1)]
    mean_a, cov_a, mean_b, cov_b = moments
    # The trace of the square root is the sum of the square roots of the product's eigenvalues. Those that should be
    # zero come out as small numbers of either sign; the real part leaves the negative ones out.
    root = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).astype(complex)).real.sum()
    return float(np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * root)


def frechet_feature_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """FID2: Frechet distance between two sets of gesture features [samples, F], see gesture_autoencoder.py.

    With fewer samples than features the covariances are singular and the released code's matrix square root is not
    exact; here no root of a covariance is needed. With A and B the centred samples over root (samples - 1), whose
    squares A'A and B'B are the covariances, the trace of the root of A'A B'B is the sum of the singular values of AB'.
    """
    real, fake = np.asarray(real, float), np.asarray(fake, float)
    a, b = ((x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (real, fake))
    a, b = (np.linalg.qr(x, mode="r") if len(x) > x.shape[1] else x for x in (a, b))  # the same square, fewer rows
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    apart = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    return float(apart + np.sum(a**2) + np.sum(b**2) - 2.0 * root)


def feature_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """F_dist: mean over samples of the L1 distance between paired features [samples, F], summed over F."""
    return float(np.abs(np.asarray(real, float) - np.asarray(fake, float)).sum(axis=1).mean())


def wasserstein_gesture_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """WGD (`MW2`), 0 to 1: what it costs to turn one motion's mixture of Gaussians into the other's.

    Each motion [N >= 13, C >= 10] is reduced by principal components of its own, so that a constant offset of the
    pose does not count and the axes of the two need not correspond. Only the Gaussians' means and weights enter;
    distances are divided by the largest one. Two motions without any movement give 0.
    """
    (weights_a, means_a), (weights_b, means_b) = _mixture(real), _mixture(fake)
    cost = np.linalg.norm(means_a[:, None] - means_b[None], axis=-1)
    return earth_movers_distance(cost / (cost.max() or 1.0), weights_a, weights_b)


def _mixture(motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [K] and means [K, 10] of the Gaussians that describe a motion [N, C] in its own principal axes."""
    reduced = IncrementalPCA(POSE_COMPONENTS, batch_size=16).fit_transform(motion)
    fitted = GaussianMixture(POSE_CLUSTERS, random_state=0, max_iter=200).fit(reduced)
    return fitted.weights_.astype(float), fitted.means_.astype(float)


def earth_movers_distance(cost: np.ndarray, source: np.ndarray, target: np.ndarray) -> float:
    """Least cost of moving the masses `source` [A] onto `target` [B] at `cost` [A, B] a unit; both sum up to 1.

    Solved exactly, as a linear program over how much goes from where to where.
    """
    rows = np.kron(np.eye(len(source)), np.ones(len(target)))  # what leaves each source
    columns = np.kron(np.ones(len(source)), np.eye(len(target)))  # what arrives at each target
    masses = np.concatenate([source / source.sum(), target / target.sum()])
    plan = linprog(cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=masses, method="highs")
    if not plan.success:
        raise ArithmeticError(f"no transport plan: {plan.message}")
    return float(plan.fun)


def position_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """PD (`loc_distance`): mean Euclidean distance over frames between wrist positions [N, D], in their unit.

    The published figures use only x and y of the camera frame, un-normalised: give it those two columns.
    """
    return float(np.linalg.norm(np.asarray(real, float) - np.asarray(fake, float), axis=1).mean())


def published_acceleration(motion: np.ndarray) -> float:
    """`acceleration`, rad: mean distance of the poses [N, C] from the last one, beyond that of the last but one.

    The released code means it as second difference over time, but subtracts the last frame instead of the next; for
    the true one see `second_differences`.
    """
    motion = np.asarray(motion, float)
    away = np.linalg.norm(motion[:-1] - motion[-1], axis=1)
    return float((away[:-1] - away[-1]).mean())


def smoothness(real: np.ndarray, fake: np.ndarray) -> float:
    """Smoothness: how far the published acceleration of two motions [N, C] differs, rad."""
    return abs(published_acceleration(fake) - published_acceleration(real))


def second_differences(motion: np.ndarray) -> np.ndarray:
    """`acceleration_2`, rad: sum over channels of the size of the second difference of poses [N, C] -> [N - 2]."""
    return np.abs(np.diff(np.asarray(motion, float), n=2, axis=0)).sum(axis=1)
