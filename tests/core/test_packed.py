# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions as bytes inside a .blend: small, true, and safe to read."""

from dataclasses import replace

import numpy as np
import pytest

from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.core.packed import PLACE, TURN, pack, unpack
from s2c_blender.pianist import perform


@pytest.fixture(scope="module")
def motion() -> HandMotion:
    onset = np.arange(0.3, 6.0, 0.2)
    pitch = 60 + np.array([0, 4, 7, 12, 7, 4] * 5)[: len(onset)]
    left = make_notes(onset[::2], onset[::2] + 0.3, pitch[::2] - 24, 70)
    score = Score(np.concatenate([make_notes(onset, onset + 0.15, pitch, 80), left]), np.array([[1.0, 2.0]]))
    played, _ = perform(score, fps=60.0)
    return replace(played, start=1.5, meta={"seed": 3})


def test_what_is_unpacked_is_what_was_packed(motion):
    found = unpack(pack(motion))
    for side in (0, 1):
        for before, after, step in zip(motion.hand(side), found.hand(side), (PLACE, TURN), strict=True):
            assert before.shape == after.shape
            assert np.abs(before - after).max() <= step / 2 + 1e-9
    for name in ("fps", "start", "meta"):
        assert getattr(found, name) == getattr(motion, name)
    for name in ("notes", "keys", "pedal"):
        np.testing.assert_array_equal(getattr(found, name), getattr(motion, name))


def test_packing_again_changes_nothing(motion):
    once = unpack(pack(motion))
    twice = unpack(pack(once))
    np.testing.assert_array_equal(once.right_rotation, twice.right_rotation)
    np.testing.assert_array_equal(once.left_position, twice.left_position)


def test_ten_minutes_take_less_than_six_megabytes(motion):
    whole = pack(motion)
    assert len(whole) / motion.duration * 600 < 6e6


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"PK\3\4" + bytes(100)])
def test_damaged_bytes_are_told(motion, damage):
    with pytest.raises(ValueError, match="no packed motion"):
        unpack(damage(pack(motion)))
