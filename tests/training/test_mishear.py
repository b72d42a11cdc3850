# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of transcribers: as many as meant, and scores stay scores."""

import numpy as np

from s2c_blender.core.keyboard import HIGHEST, LOWEST
from s2c_blender.core.notes import NOTE, Score, make_notes
from training.mishear import mishear


def music(seed: int = 0, chords: int = 200) -> Score:
    """Chords of three notes, a quarter of a second apart, each quieter or louder than the others."""
    rng = np.random.default_rng(seed)
    onset = np.repeat(0.5 + 0.25 * np.arange(chords), 3)
    pitch = np.repeat(rng.integers(24, 90, chords), 3) + np.tile([0, 4, 12], chords)
    notes = make_notes(onset, onset + 0.2, pitch, rng.integers(20, 110, len(onset)))
    return Score(notes, np.stack([np.arange(1.0, 50.0), np.arange(1.0, 50.0) + 0.8], axis=1))


def found(original: np.ndarray, heard: np.ndarray, within: float = 0.12) -> np.ndarray:
    """For every original note the nearest heard one of its pitch, or -1 where none is that near."""
    nearest = np.full(len(original), -1)
    for i, note in enumerate(original):
        same = np.flatnonzero(heard["pitch"] == note["pitch"])
        if len(same):
            best = same[np.abs(heard["onset"][same] - note["onset"]).argmin()]
            nearest[i] = best if abs(heard["onset"][best] - note["onset"]) < within else -1
    return nearest


def test_errors_are_as_many_and_as_large_as_meant():
    score = music()
    inner = np.tile([False, True, False], 200)
    missed, late, ghosts = [], [], []
    for seed in range(60):
        notes = mishear(score, np.random.default_rng(seed)).notes
        nearest = found(score.notes, notes)
        missed.append(nearest < 0)
        late.append((notes["onset"][nearest] - score.notes["onset"])[nearest >= 0])
        ghosts.append(len(notes) - (nearest >= 0).sum())
    missed = np.mean(missed, axis=0)
    assert 0.01 < missed.mean() < 0.04
    assert missed[inner].mean() > 1.3 * missed[~inner].mean()
    quiet = score.notes["velocity"] < np.median(score.notes["velocity"])
    assert missed[quiet].mean() > 1.5 * missed[~quiet].mean()
    assert 0.005 < np.concatenate(late).std() < 0.015
    assert 0.005 < np.mean(ghosts) / len(score.notes) < 0.02
    sizes = [np.abs(row).max() for row in late]
    assert min(sizes) < 0.012 < 0.05 < max(sizes)  # some lists are nearly clean, some are bad


def test_what_is_heard_is_a_score():
    score = music()
    before = score.notes.copy()
    for seed in range(30):
        heard = mishear(score, np.random.default_rng(seed))
        notes = heard.notes
        assert notes.dtype == NOTE
        assert (np.diff(notes["onset"]) >= 0).all()
        assert (notes["offset"] > notes["onset"]).all()
        assert notes["onset"].min() >= 0
        assert notes["pitch"].min() >= LOWEST
        assert notes["pitch"].max() <= HIGHEST
        assert notes["velocity"].min() >= 1
        assert notes["velocity"].max() <= 127
        for pitch in np.unique(notes["pitch"]):
            of_key = notes[notes["pitch"] == pitch]
            assert (of_key["onset"][1:] >= of_key["offset"][:-1]).all()
        assert (heard.pedal[:, 1] > heard.pedal[:, 0]).all()
        assert (heard.pedal[1:, 0] >= heard.pedal[:-1, 1]).all()
    np.testing.assert_array_equal(score.notes, before)


def test_the_same_generator_hears_the_same():
    one, other = (mishear(music(), np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.notes, other.notes)
    np.testing.assert_array_equal(one.pedal, other.pedal)
    assert len(mishear(music(), np.random.default_rng(4)).notes) != len(one.notes)


def test_nothing_is_heard_where_nothing_is_played():
    heard = mishear(Score(np.zeros(0, NOTE)), np.random.default_rng(0))
    assert len(heard.notes) == 0
    assert heard.pedal.shape == (0, 2)
