# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published metrics against the released code's answers and against what is known without it."""

import numpy as np
import pytest
import torch

from tests.parity.metrics import check
from training import published_metrics as metrics
from training.gesture_autoencoder import PREFIX, PoseEncoder, gesture_features, load_encoder


def motion(seed: int, frames: int = 120, channels: int = 48) -> np.ndarray:
    """A smooth random motion with a little noise, [frames, channels] rad."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 30
    waves = np.sin(time * rng.uniform(1, 12, 12) + rng.uniform(0, 6, 12))
    return (
        waves @ rng.normal(0, 0.1, (12, channels))
        + rng.normal(0, 0.3, channels)
        + rng.normal(0, 0.01, (frames, channels))
    )


def test_parity(shared_dir):
    found = check(shared_dir / "parity")
    assert len(found) > 100
    assert not [(name, error, allowed) for name, error, allowed in found if not error <= allowed]


def test_gesture_distance_of_identical_motions_is_zero():
    a = motion(0)
    assert abs(metrics.frechet_gesture_distance(a, a)) < 1e-7
    assert abs(metrics.frechet_gesture_distance(a.astype(np.float32), a.astype(np.float32))) < 1e-7
    assert metrics.wasserstein_gesture_distance(a, a) == pytest.approx(0, abs=1e-7)


def test_distances_are_symmetric():
    a, b = motion(0), motion(1)
    for distance in (metrics.frechet_gesture_distance, metrics.wasserstein_gesture_distance):
        assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-6)
        assert distance(a, b) > 0.01


def test_gesture_distance_of_a_shift_is_its_square():
    a = motion(0)
    assert metrics.frechet_gesture_distance(a, a + 0.15) == pytest.approx(48 * 0.15**2, rel=1e-6)


def test_gesture_distance_divides_by_the_real_frames():
    a, b = motion(0), motion(1, frames=90)
    assert metrics.frechet_gesture_distance(a, b) != pytest.approx(metrics.frechet_gesture_distance(b, a), rel=1e-2)


def test_frechet_distance_of_gaussians_with_the_same_axes():
    # Samples whose covariance is exactly the identity, so that the distance has a closed form.
    white = np.linalg.qr(motion(2, 200, 5) - motion(2, 200, 5).mean(axis=0))[0] * np.sqrt(199)
    deviations, shift = np.array([0.5, 1, 2, 3, 0.1]), np.arange(5.0)
    expected = np.sum((deviations - 1) ** 2) + np.sum(shift**2)
    assert metrics.frechet_feature_distance(white, white * deviations + shift) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_gaussians_with_other_axes():
    rng = np.random.default_rng(3)
    white = np.linalg.qr(motion(2, 200, 5) - motion(2, 200, 5).mean(axis=0))[0] * np.sqrt(199)
    mixed = white @ rng.normal(size=(5, 5))
    # Against white samples the root of the product is the root of the covariance: its singular values.
    deviations = np.linalg.svd(mixed - mixed.mean(axis=0), compute_uv=False) / np.sqrt(199)
    assert metrics.frechet_feature_distance(mixed, white) == pytest.approx(np.sum((deviations - 1) ** 2), rel=1e-9)


def test_frechet_distance_with_fewer_samples_than_features():
    rng = np.random.default_rng(4)
    few = rng.normal(size=(6, 64))
    assert metrics.frechet_feature_distance(few, few) == pytest.approx(0, abs=1e-4)
    assert metrics.frechet_feature_distance(few, few + 1) == pytest.approx(64, rel=1e-4)


def test_feature_distance_sums_over_features_and_averages_over_samples():
    assert metrics.feature_distance(np.zeros((2, 3)), np.array([[1, -1, 0], [0, 0, 4.0]])) == 3


def test_position_distance_of_a_known_shift():
    place = np.random.default_rng(5).normal(size=(50, 3))
    assert metrics.position_distance(place, place + [3, 4, 12]) == pytest.approx(13)
    assert metrics.position_distance(place[:, :2], place[:, :2] + [3, 4]) == pytest.approx(5)


def test_earth_mover_moves_nothing_between_permuted_mixtures():
    rng = np.random.default_rng(6)
    points, masses, order = rng.normal(size=(13, 4)), rng.dirichlet(np.ones(13)), rng.permutation(13)
    cost = np.linalg.norm(points[:, None] - points[order][None], axis=-1)
    assert metrics.earth_movers_distance(cost, masses, masses[order]) == pytest.approx(0, abs=1e-9)


def test_earth_mover_on_a_line_is_the_area_between_the_distributions():
    rng = np.random.default_rng(7)
    source, target = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9))
    cost = np.abs(np.subtract.outer(np.arange(9.0), np.arange(9.0)))
    expected = np.abs(np.cumsum(source - target)).sum()
    assert metrics.earth_movers_distance(cost, source, target) == pytest.approx(expected, abs=1e-9)


def test_earth_mover_with_different_numbers_of_masses():
    cost = np.array([[1.0, 2.0, 5.0], [4.0, 1.0, 1.0]])
    found = metrics.earth_movers_distance(cost, np.array([0.5, 0.5]), np.array([0.25, 0.5, 0.25]))
    assert found == pytest.approx(0.25 * 1 + 0.25 * 2 + 0.25 * 1 + 0.25 * 1)


def test_wasserstein_gesture_distance_ignores_offset_and_stays_within_one():
    a = motion(0)
    assert metrics.wasserstein_gesture_distance(a, a + 0.3) == pytest.approx(0, abs=1e-6)
    assert 0 < metrics.wasserstein_gesture_distance(a, 100 * a) <= 1


@pytest.mark.filterwarnings("ignore")  # scikit-learn says that there is only one cluster
def test_wasserstein_gesture_distance_of_two_still_hands_is_zero():
    assert metrics.wasserstein_gesture_distance(np.ones((60, 48)), np.zeros((60, 48))) == 0


def test_published_acceleration_is_not_the_second_difference():
    # One channel at 0, 1, 4, 9: distances from the last are 9, 8, 5; beyond the last of them 4, 3.
    squares = np.arange(4.0)[:, None] ** 2
    assert metrics.published_acceleration(squares) == 3.5
    assert metrics.smoothness(squares, np.zeros((4, 1))) == 3.5
    assert metrics.second_differences(np.hstack([squares, -squares])).tolist() == [4, 4]


def encoder_state(frames: int, channels: int) -> dict[str, torch.Tensor]:
    """A state dict as the release's file has it, with parts that are not needed."""
    torch.manual_seed(0)
    state = PoseEncoder(frames, channels, (8, 12, 10, 6), (20, 16), 14).state_dict()
    state = {PREFIX + key: torch.rand_like(value.float()) for key, value in state.items()}
    return state | {PREFIX + "fc_logvar.weight": torch.zeros(14, 14), "decoder.net.0.weight": torch.zeros(4, 32, 3)}


@pytest.mark.parametrize("frames", [60, 61, 62])
def test_encoder_takes_its_sizes_from_the_weights(frames):
    poses = np.random.default_rng(8).normal(size=(3, frames, 20))
    encoder = load_encoder(encoder_state(frames, 20), frames)
    features = gesture_features(encoder, poses)
    assert features.shape == (3, 14)
    # Evaluation mode: a sample's features do not depend on what else is in the batch.
    assert np.allclose(gesture_features(encoder, poses[:1]), features[:1], rtol=1e-5)


def test_encoder_for_another_length_is_refused():
    with pytest.raises(RuntimeError, match=r"out_net\.0\.weight"):
        load_encoder(encoder_state(60, 20), 70)
