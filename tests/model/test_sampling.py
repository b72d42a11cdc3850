# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampler tables: coefficients, and what they make of signals whose perfect denoiser is known."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from s2c_blender.model.sampling import Plan, ddim, ddpm, dpm_solver, make_plan
from s2c_blender.model.schedule import Schedule, cosine, linear, make_schedule

SCHEDULES = [cosine(1000), linear(1000), cosine(20), linear(20)]
NAMES = ["cosine 1000", "linear 1000", "cosine 20", "linear 20"]
# Variances of independent Gaussian signals, from fine detail to what a whole window of smooth motion adds up to.
VARIANCES = np.array([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0])


def denoised(schedule: Schedule, t: int, x: np.ndarray) -> np.ndarray:
    """The best x0 [..., V] for noisy signals x of VARIANCES [V]."""
    power = schedule.alpha_bar[t]
    return np.sqrt(power) * VARIANCES / (power * VARIANCES + 1.0 - power) * x


def sampled(plan: Plan, schedule: Schedule, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    before = None
    for s, t in enumerate(plan.t):
        x0 = denoised(schedule, t, x)
        x, before = plan.step(s, x, x0, before, rng.normal(size=x.shape) if rng else None), x0
    return x


def gains(plan: Plan, schedule: Schedule) -> np.ndarray:
    """Standard deviations [V] of a deterministic sampler's results over the true ones."""
    return sampled(plan, schedule, np.ones(len(VARIANCES))) / np.sqrt(VARIANCES)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=NAMES)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
def test_steps_fall_from_the_noisiest_to_the_cleanest(sampler, schedule):
    total = len(schedule.betas)
    for steps in {1, 2, 3, 7, 10, total // 2, total - 1, total}:
        plan = make_plan(sampler, schedule, steps)
        assert len(plan) == len(plan.t) == steps
        assert plan.t[0] == total - 1
        assert (np.diff(plan.t) < 0).all()
        assert plan.t[-1] >= 0 and (steps == 1 or plan.t[-1] == 0)
        for table in (plan.a, plan.b, plan.c, plan.d):
            assert table.shape == (steps,) and table.dtype == np.float64 and np.isfinite(table).all()
        # The motion is the last x0 itself.
        assert (plan.a[-1], plan.b[-1], plan.c[-1], plan.d[-1]) == pytest.approx((0, 1, 0, 0), abs=1e-9)
    assert (make_plan(sampler, schedule).t == np.arange(total)[::-1]).all()


def test_wrong_numbers_of_steps_and_names_are_refused():
    for steps in (0, -1, 21):
        for sampler in ("ddpm", "ddim", "dpm"):
            with pytest.raises(ValueError, match=f"from 1 to 20 steps for this model, not {steps}"):
                make_plan(sampler, cosine(20), steps)
    with pytest.raises(ValueError, match="no sampler 'euler'"):
        make_plan("euler", cosine(20), 10)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=NAMES)
def test_ddim_with_eta_1_is_ddpm(schedule):
    total = len(schedule.betas)
    for steps in (total, total // 2, 10):
        one, other = ddpm(schedule, steps), ddim(schedule, steps, eta=1.0)
        assert (one.t == other.t).all()
        for name in "abcd":
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=NAMES)
def test_first_order_solver_is_ddim(schedule):
    """Without extrapolation from the step before, DPM-Solver++ and DDIM are the same formula."""
    solver, plain = dpm_solver(schedule, 10), ddim(schedule, 10)
    np.testing.assert_allclose(solver.a, plain.a, rtol=1e-12)
    np.testing.assert_allclose(solver.b + solver.c, plain.b, rtol=1e-12)
    assert (solver.c[[0, -1]] == 0).all() and (solver.c[2:-1] < 0).all()


def test_a_signal_that_is_known_is_found():
    """When the network knows x0, every sampler ends there, and is on the way where the forward process would be."""
    rng = np.random.default_rng(0)
    truth, start = rng.normal(size=(2, 50))
    for sampler in ("ddim", "dpm"):
        plan = make_plan(sampler, cosine(1000), 12)
        power = cosine(1000).alpha_bar[plan.t]
        noise = (start - np.sqrt(power[0]) * truth) / np.sqrt(1 - power[0])
        x = start
        for s in range(len(plan)):
            np.testing.assert_allclose(x, np.sqrt(power[s]) * truth + np.sqrt(1 - power[s]) * noise, atol=1e-9)
            x = plan.step(s, x, truth, truth, None)
        np.testing.assert_allclose(x, truth, atol=1e-9)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_few_steps_of_the_solver_keep_the_variance_of_coarse_and_fine(kind):
    """The choice of steps matters here: 10 even in t give a gain of 0.3 to 0.5 at one end or the other."""
    schedule = make_schedule(kind, 1000)
    assert np.abs(gains(dpm_solver(schedule, 10), schedule) - 1).max() < 0.05
    assert np.abs(gains(dpm_solver(schedule, 20), schedule) - 1).max() < 0.03
    assert np.abs(gains(ddim(schedule, 1000), schedule) - 1).max() < 0.02


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_ancestral_sampling_has_the_right_variance(kind):
    schedule = make_schedule(kind, 1000)
    for plan, tolerance in ((ddpm(schedule), 0.04), (ddpm(schedule, 100), 0.1), (ddim(schedule, 1000, 0.5), 0.03)):
        variance = np.ones(len(VARIANCES))  # followed exactly, step by step
        for s, t in enumerate(plan.t):
            factor = plan.a[s] + plan.b[s] * denoised(schedule, t, np.ones(len(VARIANCES)))
            variance = factor**2 * variance + plan.d[s] ** 2
        assert np.abs(np.sqrt(variance / VARIANCES) - 1).max() < tolerance


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_the_solver_is_of_second_order(kind):
    """For the same noise its error against the same motion falls with the square of the steps, DDIM's in proportion."""
    schedule = make_schedule(kind, 1000)
    x = np.random.default_rng(1).normal(size=(200, len(VARIANCES)))
    power = schedule.alpha_bar[-1]
    exact = x * np.sqrt(VARIANCES / (power * VARIANCES + 1 - power))  # the probability flow of a Gaussian

    def error(plan: Plan) -> float:
        return float(np.sqrt(np.mean((sampled(plan, schedule, x) - exact) ** 2 / VARIANCES)))

    solver = [error(dpm_solver(schedule, steps)) for steps in (10, 20, 40)]
    plain = [error(ddim(schedule, steps)) for steps in (10, 20, 40, 1000)]
    assert solver[0] / solver[2] > 7 and plain[0] / plain[2] < 4.5
    assert solver[1] < 0.02 and solver[0] < plain[2]
    assert plain[3] < 0.01


@pytest.fixture(scope="module")
def recorded(shared_dir) -> dict[str, np.ndarray]:
    return load_file(shared_dir / "parity" / "sampler_tiny.safetensors")


@pytest.mark.parametrize("kind, steps", [("cosine", 1000), ("cosine", 20), ("linear", 1000)])
def test_ddpm_is_the_published_sampler(recorded, kind, steps):
    plan, buffers = ddpm(make_schedule(kind, steps)), f"sched.{kind}.{steps}."
    np.testing.assert_allclose(plan.a[::-1], recorded[buffers + "posterior_mean_coef2"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(plan.b[::-1], recorded[buffers + "posterior_mean_coef1"], rtol=1e-5, atol=1e-7)
    spread = np.exp(0.5 * recorded[buffers + "posterior_log_variance_clipped"])
    np.testing.assert_allclose(plan.d[::-1][1:], spread[1:], rtol=1e-5)
    assert plan.d[-1] == 0


def test_steps_lead_along_the_recorded_trajectory(recorded):
    plan = ddpm(cosine(20))
    for hand in ("left", "right"):
        x = recorded["noise.init"][0].astype(np.float32)
        for s in range(4):
            noise = recorded[f"noise.{hand}"][s, 0].astype(np.float32)
            x = plan.step(s, x, recorded[f"b1.trace_x0.{hand}"][s], None, noise)
            np.testing.assert_allclose(x, recorded[f"b1.trace.{hand}"][s], rtol=1e-4, atol=1e-5)
            assert x.dtype == np.float32
