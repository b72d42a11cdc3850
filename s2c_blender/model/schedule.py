# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise schedules of the diffusion and what follows from a network's output (parity facts 6.1, 6.2). NumPy only."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

Prediction = Literal["v", "x0", "noise"]  # what a network answers with
Weighting = Literal["snr", "even", "detail"]  # of the steps in the loss


@dataclass(frozen=True)
class Schedule:
    """Betas [T] (float64) of the forward process x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise."""

    betas: np.ndarray

    @cached_property
    def alpha_bar(self) -> np.ndarray:
        """Signal power left after each step, [T]: the product of 1 - beta."""
        return np.cumprod(1.0 - self.betas)

    @cached_property
    def alpha_bar_before(self) -> np.ndarray:
        """Signal power before each step, [T]; 1 before the first."""
        return np.append(1.0, self.alpha_bar[:-1])

    @cached_property
    def posterior_variance(self) -> np.ndarray:
        """Variance [T] of x_{t-1} given x_t and x_0 (Ho et al. 2020, equation 7)."""
        return self.betas * (1.0 - self.alpha_bar_before) / (1.0 - self.alpha_bar)

    @cached_property
    def posterior_mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights [T] of x_0 and of x_t in the mean of x_{t-1} given both (Ho et al. 2020, equation 7)."""
        of_x0 = self.betas * np.sqrt(self.alpha_bar_before) / (1.0 - self.alpha_bar)
        of_xt = (1.0 - self.alpha_bar_before) * np.sqrt(1.0 - self.betas) / (1.0 - self.alpha_bar)
        return of_x0, of_xt

    def loss_weight(self, prediction: Prediction, kind: Weighting = "snr") -> np.ndarray:
        """Weight [T] of the training loss on what is predicted.

        "snr": as of a plain loss on the noise, whatever is predicted. "even": all steps alike. "detail": as of a loss
        on the clean motion whose weight is the signal-to-noise ratio, kept from 1 to 5: little noise counts more
        than in "even", as in min-SNR weighting (Hang et al. 2023); what is made of noise alone counts the same.
        """
        snr = self.alpha_bar / (1.0 - self.alpha_bar)
        if kind == "even":
            return np.ones_like(snr)
        of_noise = {"v": snr / (snr + 1.0), "x0": snr, "noise": np.ones_like(snr)}[prediction]
        return of_noise if kind == "snr" else of_noise / snr * snr.clip(1.0, 5.0)

    def respaced(self, times: np.ndarray) -> "Schedule":
        """The same process seen only at `times` (increasing steps of this schedule)."""
        kept = self.alpha_bar[times]
        return Schedule(1.0 - kept / np.append(1.0, kept[:-1]))

    def x0(self, prediction: Prediction, output: np.ndarray, x: np.ndarray, t: np.ndarray):
        """The clean motion that `output` [B, ...] of the network means for noisy x [B, ...] at steps t [B]."""
        if prediction == "x0":
            return output
        signal = np.sqrt(self.alpha_bar[t]).astype(np.float32).reshape(-1, *[1] * (x.ndim - 1))
        noise = np.sqrt(1.0 - self.alpha_bar[t]).astype(np.float32).reshape(signal.shape)
        return signal * x - noise * output if prediction == "v" else (x - noise * output) / signal

    def noise(self, x0: np.ndarray, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The noise [B, ...] that leads from x0 to x at steps t [B]."""
        shape = (-1, *[1] * (x.ndim - 1))
        scale = np.sqrt(1.0 / self.alpha_bar[t]).astype(np.float32).reshape(shape)
        ratio = np.sqrt(1.0 / self.alpha_bar[t] - 1.0).astype(np.float32).reshape(shape)
        return (scale * x - x0) / ratio


def linear(steps: int) -> Schedule:
    """Betas from 1e-4 to 0.02 for 1000 steps, scaled for others (Ho et al. 2020; the S2C paper's choice).

    Raises ValueError below 20 steps, where the scaled betas would pass 1.
    """
    if steps < 20:
        raise ValueError("a linear schedule needs at least 20 steps")
    scale = 1000.0 / steps
    return Schedule(np.linspace(1e-4 * scale, 0.02 * scale, steps))


def cosine(steps: int) -> Schedule:
    """Signal power that falls as a squared cosine (Nichol & Dhariwal 2021; the S2C release's choice)."""
    u = np.arange(steps + 1) / steps
    alpha_bar = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
    return Schedule(np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], 0.999))


def make_schedule(kind: Literal["linear", "cosine"], steps: int) -> Schedule:
    """The schedule a configuration names."""
    return {"linear": linear, "cosine": cosine}[kind](steps)
