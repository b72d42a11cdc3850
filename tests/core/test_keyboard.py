# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyboard's geometry against the facts of a real one."""

import numpy as np
import pytest

from s2c_blender.core import keyboard

ALL = np.arange(keyboard.LOWEST, keyboard.HIGHEST + 1)


def test_88_keys_52_white_1222_mm_wide():
    white = ALL[~keyboard.is_black(ALL)]
    assert len(ALL) == 88 and len(white) == 52
    x = keyboard.key_x(white)
    assert np.allclose(np.diff(x), 0.0235) and x[-1] - x[0] + 0.0235 == pytest.approx(1.222)
    assert x[0] == pytest.approx(-x[-1])


def test_black_keys_lean_as_they_do():
    def lean(pitch):  # from the crack between its white neighbours, to the treble
        return float(keyboard.key_x(pitch) - (keyboard.key_x(pitch - 1) + keyboard.key_x(pitch + 1)) / 2)

    assert lean(61) < -0.001 and lean(66) < -0.001  # C sharp, F sharp to the left
    assert lean(63) > 0.001 and lean(70) > 0.001  # D sharp, A sharp to the right
    assert lean(68) == pytest.approx(0)  # G sharp in the middle


def test_tails_lie_between_the_black_keys_and_overlap_none():
    for pitch in ALL[~keyboard.is_black(ALL)]:
        left, right = keyboard.tail_edges(int(pitch))
        assert right - left > 0.0125 - 0.002
        for black in (pitch - 1, pitch + 1):
            if keyboard.LOWEST <= black <= keyboard.HIGHEST and keyboard.is_black(black):
                near = keyboard.key_x(black)
                assert (
                    near + keyboard.BLACK_BASE_WIDTH / 2 <= left + 1e-9
                    or near - keyboard.BLACK_BASE_WIDTH / 2 >= right - 1e-9
                )


def test_full_dip_is_10_mm_at_the_front_and_nothing_at_the_hinge():
    assert keyboard.drop_at(0.0, keyboard.DIP_ANGLE) == pytest.approx(0.010)
    assert keyboard.drop_at(keyboard.HINGE_Y, keyboard.DIP_ANGLE) == 0
