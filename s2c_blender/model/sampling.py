# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samplers of the reverse diffusion, each a table of numbers. NumPy only.

DDPM, DDIM and DPM-Solver++(2M) are all linear in what is known at a step, so one formula applies them (`Plan.step`),
whatever network or backend answers, and x0 may be limited or blended between windows in between.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .schedule import Schedule

Sampler = Literal["ddpm", "ddim", "dpm"]

FLOOR = -5.0  # log-SNR below which steps are not spread: even a pattern of whole windows is all noise there


@dataclass(frozen=True)
class Plan:
    """The S steps of a sampler: x_next = a x + b x0 + c x0_before + d noise.

    t [S], falling, are the steps of the schedule at which the network is asked; the last result is the motion.
    """

    t: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    d: np.ndarray

    def __len__(self) -> int:
        return len(self.t)

    def step(self, s: int, x: np.ndarray, x0: np.ndarray, before: np.ndarray | None, noise: np.ndarray | None):
        """What comes after x at the step numbered s, all of one shape and in float32.

        x0 is what the network answered for x; `before` its answer at step s - 1, not used where c[s] is 0, and `noise`
        is not used where d[s] is 0.
        """
        result = float(self.a[s]) * x + float(self.b[s]) * x0
        if self.c[s]:
            result += float(self.c[s]) * before
        if self.d[s]:
            result += float(self.d[s]) * noise
        return result


def make_plan(sampler: Sampler, schedule: Schedule, steps: int | None = None, eta: float = 0.0) -> Plan:
    """The plan of a sampler by its name; all steps of the schedule by default. `eta` is DDIM's.

    Raises ValueError when there are not so many steps, or for an unknown name.
    """
    steps = len(schedule.betas) if steps is None else steps
    if sampler == "ddpm":
        return ddpm(schedule, steps)
    if sampler == "ddim":
        return ddim(schedule, steps, eta)
    if sampler == "dpm":
        return dpm_solver(schedule, steps)
    raise ValueError(f"there is no sampler {sampler!r}; there are ddpm, ddim and dpm")


def ddpm(schedule: Schedule, steps: int | None = None) -> Plan:
    """Ancestral sampling (the S2C paper's Algorithm 1, parity fact 6.3); all steps of the schedule by default."""
    t = _times(schedule, len(schedule.betas) if steps is None else steps)
    if len(t) < len(schedule.betas):
        schedule = schedule.respaced(t[::-1])
    of_x0, of_x = (weight[::-1] for weight in schedule.posterior_mean)
    spread = np.sqrt(np.maximum(schedule.posterior_variance, 1e-20))[::-1]
    spread = np.append(spread[:-1], 0.0)  # the last step is the mean itself
    return Plan(t, of_x, of_x0, np.zeros(len(t)), spread)


def ddim(schedule: Schedule, steps: int, eta: float = 0.0) -> Plan:
    """Song et al. 2021, equation 12: deterministic with eta = 0, with eta = 1 DDPM's mean and variance."""
    t = _times(schedule, steps)
    now, after = _powers(schedule, t)
    # Of the noise left after the step, the share drawn anew, and its complement without cancellation at small powers.
    drawn = (1.0 - now / after) / (1.0 - now)
    kept = now * (1.0 - after) / (after * (1.0 - now))
    of_x = np.sqrt((1.0 - after) * (1.0 - eta**2 + eta**2 * kept) / (1.0 - now))
    of_x0 = np.sqrt(after) - of_x * np.sqrt(now)
    return Plan(t, of_x, of_x0, np.zeros(len(t)), eta * np.sqrt((1.0 - after) * drawn))


def dpm_solver(schedule: Schedule, steps: int) -> Plan:
    """DPM-Solver++(2M) for predictions of x0 (Lu et al. 2022, Algorithm 2).

    The first step has nothing before it and the last lands where no noise is left: both are of first order.
    """
    t = _times(schedule, steps)
    now, after = _powers(schedule, t)
    of_x = np.sqrt((1.0 - after) / (1.0 - now))
    of_x0 = np.sqrt(after) - of_x * np.sqrt(now)
    length = np.diff(_log_snr(np.append(now, 1.0)))
    extrapolated = np.zeros(len(t))
    extrapolated[1:-1] = 0.5 * length[1:-1] / length[:-2]
    return Plan(t, of_x, of_x0 * (1.0 + extrapolated), -of_x0 * extrapolated, np.zeros(len(t)))


def _times(schedule: Schedule, steps: int) -> np.ndarray:
    """Steps of the schedule to visit [steps], falling, from the noisiest to the cleanest.

    They are even in log-SNR, as DPM-Solver's authors advise: smooth motion is a few strong patterns, decided while
    nearly everything is noise, and many weak ones, decided at the end. Steps even in t pass over both.
    """
    total = len(schedule.betas)
    if not 1 <= steps <= total:
        raise ValueError(f"a sampler needs from 1 to {total} steps for this model, not {steps}")
    noisiness = -np.maximum(_log_snr(schedule.alpha_bar), FLOOR)
    even = np.linspace(noisiness[0], noisiness[-1], steps)
    t = np.rint(np.interp(even, noisiness, np.arange(total))).astype(np.int64)
    t[-1] = total - 1
    order = np.arange(steps)
    t = np.maximum.accumulate(t - order) + order  # no step twice
    return np.minimum(t, total - steps + order)[::-1]


def _log_snr(power: np.ndarray) -> np.ndarray:
    """Logarithm of signal to noise (amplitudes) for signal power in 0..1; infinite at the ends."""
    with np.errstate(divide="ignore"):
        return 0.5 * (np.log(power) - np.log1p(-power))


def _powers(schedule: Schedule, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signal power at each visited step and after it, [S] each; the last step ends at 1."""
    now = schedule.alpha_bar[t]
    return now, np.append(now[1:], 1.0)
