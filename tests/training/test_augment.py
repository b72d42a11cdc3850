# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variations of a piece stay playable and keep what they are not told to change."""

import numpy as np

from s2c_blender.core.keyboard import HIGHEST, LOWEST
from s2c_blender.core.notes import LEFT, Score, make_notes
from training.augment import LEAD, vary


def score(pitches: list[int], pedal=((0.1, 0.9),)) -> Score:
    """Quarter notes touching each other, in the left hand."""
    onset = 0.25 * np.arange(len(pitches))
    notes = make_notes(onset, onset + 0.25, pitches, range(40, 40 + len(pitches)), LEFT)
    return Score(notes, np.array(pedal, float).reshape(-1, 2))


def test_every_key_once_and_never_off_the_piano():
    middle = {vary(score([60, 67]), np.random.default_rng(i))[1] for i in range(200)}
    assert middle == set(range(-5, 7))
    for pitches in ([LOWEST, 40], [HIGHEST, 90], [LOWEST, HIGHEST]):
        for i in range(50):
            varied = vary(score(pitches), np.random.default_rng(i))[0].notes["pitch"]
            assert varied.min() >= LOWEST and varied.max() <= HIGHEST
    assert vary(score([LOWEST, HIGHEST]), np.random.default_rng(0))[1] == 0


def test_tempo_and_timing_vary_within_bounds_and_the_rest_stays():
    for i in range(30):
        before = score([60, 60, 62, 62, 64, 65, 67, 60])
        after, shift, tempo = vary(before, np.random.default_rng(i))
        assert 0.8 <= tempo <= 1.2
        assert LEAD[0] - 0.02 <= after.notes["onset"][0] <= LEAD[1] + 0.02
        assert np.abs(np.diff(after.notes["onset"]) - 0.25 / tempo).max() < 0.03
        assert (after.notes["pitch"] - shift == before.notes["pitch"]).all()
        assert (after.notes["velocity"] == before.notes["velocity"]).all() and (after.notes["hand"] == LEFT).all()
        assert np.allclose(np.diff(after.pedal), 0.8 / tempo)


def test_a_struck_key_has_come_up_before():
    for i in range(30):
        notes = vary(score([60] * 12), np.random.default_rng(i))[0].notes
        assert (notes["offset"] > notes["onset"]).all()
        assert (notes["onset"][1:] - notes["offset"][:-1] > 0.029).all()


def test_same_numbers_same_variation_and_the_piece_is_left_alone():
    piece = score([60, 64, 67, 72])
    kept = piece.notes.copy()
    first, again = (vary(piece, np.random.default_rng(5))[0].notes for _ in range(2))
    assert (first == again).all() and (piece.notes == kept).all()
