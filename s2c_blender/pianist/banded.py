# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linear system of one Gauss-Newton step: a block a frame, smoothness over time, ties between fingers."""

import numpy as np
from scipy.linalg import solveh_banded

from .kinematics import DOF
from .performer import Performer

BAND = 3 * DOF
CAUTIOUS_STEP = np.array([0.004] * 3 + [0.04] * 19)  # what a step costs under damping 1
SPREADS = np.array([10, 13, 16, 19])  # q entries of the four fingers' spreads; +1 flex1, +2 flex2
TIES = [(SPREADS[a] + k, SPREADS[a + 1] + k) for a in range(3) for k in (1, 2)]  # flexions of neighbours
_TRIANGLES = [np.triu_indices(size) for size in range(11)]  # made once: they are asked for with every contact


class Normal:
    """The normal equations H step = -g, one block a frame; of H only the upper triangle is kept.

    Here and where rows for it are made, frames run along the last axis: numpy then loops over long rows.
    """

    def __init__(self, frames: int):
        self.h = np.zeros((DOF, DOF, frames))
        self.g = np.zeros((DOF, frames))

    def add(self, columns: np.ndarray, rows: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> None:
        """rows [R, C, N] = d residual [R, N] / d q[columns [C]], ascending, with weights [R, N]."""
        weighted = rows * weight[:, None]
        for i, column in enumerate(columns):
            self.h[column, columns[i:]] += np.einsum("rn,rcn->cn", weighted[:, i], rows[:, i:])
        self.g[columns] += np.einsum("rcn,rn->cn", weighted, residual)

    def add_some(self, frames: np.ndarray, columns: np.ndarray, row: np.ndarray, residual: np.ndarray, weight: float):
        """row [C, n] = d residual [n] / d q[columns [C]], ascending, in some frames [n]."""
        weighted = row * weight
        i, j = _TRIANGLES[len(columns)]
        self.h[columns[i, None], columns[j, None], frames] += weighted[i] * row[j]
        self.g[columns[:, None], frames] += weighted * residual

    def add_diagonal(self, columns: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> None:
        """residual [C, N] of q's own entries `columns`, with weights [C, N]."""
        self.h[columns, columns] += weight
        self.g[columns] += weight * residual


def smoothness_bands(frames: int, fps: float, p: Performer) -> np.ndarray:
    """Squared accelerations and jerks as a banded matrix in lower form [3 + 1, frames, DOF] (lag, frame, q's entry)."""
    bands = np.zeros((4, frames, DOF))
    second = (fps**2 / p.acceleration) ** 2
    third = (fps**3 / p.jerk) ** 2
    for stencil, weight in (((1, -2, 1), second), ((-1, 3, -3, 1), third)):
        for start in range(len(stencil)):
            for lag in range(len(stencil) - start):
                stop = frames - len(stencil) + 1 + start
                bands[lag, start:stop] += stencil[start] * stencil[start + lag] * weight
    return bands


def banded_product(bands: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The symmetric banded matrix times q [frames, DOF]."""
    out = bands[0] * q
    for lag in range(1, len(bands)):
        out[:-lag] += bands[lag, :-lag] * q[lag:]
        out[lag:] += bands[lag, :-lag] * q[:-lag]
    return out


def tie_gradient(q: np.ndarray, weight: float) -> np.ndarray:
    """Gradient [frames, DOF] of neighbouring fingers' different angular speeds: weight * (change of difference)^2."""
    g = np.zeros_like(q)
    for a, b in TIES:
        change = weight * np.diff(q[:, a] - q[:, b])
        force = np.zeros(len(q))
        force[1:] += change
        force[:-1] -= change
        g[:, a] += force
        g[:, b] -= force
    return g


def add_ties(band: np.ndarray, weight: float, history: int, future: int) -> None:
    """The same term's second derivatives into the band [BAND + 1, frames, DOF]; fixed frames before and after it."""
    ends = np.full(band.shape[1], 2.0 * weight)
    if not future:
        ends[-1] = weight
    if not history:
        ends[0] = weight
    for a, b in TIES:  # a < b
        band[0, :, a] += ends
        band[0, :, b] += ends
        band[b - a, :, a] -= ends
        band[DOF, :-1, a] -= weight
        band[DOF, :-1, b] -= weight
        band[DOF + b - a, :-1, a] += weight
        band[DOF + a - b, :-1, b] += weight


def solve_step(
    normal: Normal, smooth: np.ndarray, tie: float, history: int, future: int, damping: np.ndarray
) -> np.ndarray:
    """Solve (H + smoothness + ties + damping [frames, 1]) step = -g; [frames, DOF]."""
    frames = normal.g.shape[1]
    # In memory a column's band lies together as LAPACK wants it: turning it round would take nearly as long as solving.
    band = np.zeros((frames, DOF, BAND + 1)).transpose(2, 0, 1)
    for i in range(DOF):
        band[: DOF - i, :, i] = normal.h[i, i:]
    for lag in range(4):
        band[lag * DOF] += smooth[lag]
    add_ties(band, tie, history, future)
    band[0] += damping / CAUTIOUS_STEP**2
    step = solveh_banded(
        band.reshape(BAND + 1, -1), -normal.g.T.ravel(), lower=True, overwrite_ab=True, check_finite=False
    )
    return step.reshape(frames, DOF)
