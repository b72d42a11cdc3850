# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Styles read off motions, without knowing what is played. Figures are printed with -rP."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from s2c_blender.audio.midi import read_midi
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import NOTE
from s2c_blender.core.style import PERFORMERS, Style
from s2c_blender.errors import UserError
from s2c_blender.pianist import Performer, perform
from s2c_blender.pianist.likeness import style_of
from tests.conftest import REPO


@cache
def played(name: str) -> HandMotion:
    """Six seconds of Für Elise, without its notes."""
    score = read_midi(REPO / "demo" / "fur_elise.mid").cut(0.0, 6.0)
    motion = perform(score, performer=Performer.of(PERFORMERS[name]), seed=4)[0]
    return replace(motion, notes=np.zeros(0, NOTE), keys=np.zeros((0, 4)), pedal=np.zeros((0, 2)))


@cache
def seen(name: str) -> Style:
    return style_of(played(name))[1]


def test_height_curvature_and_lift_are_seen():
    found = {name: seen(name) for name in ("flat", "highwrist", "hammer", "economical")}
    for name, style in found.items():
        print(name, style.wrist.height, style.index_middle)
    assert found["highwrist"].wrist.height > found["flat"].wrist.height + 30  # mm; 62 between the performers
    assert found["highwrist"].wrist.pitch < found["flat"].wrist.pitch - 4
    assert found["hammer"].index_middle.curve[1] > found["flat"].index_middle.curve[1] + 8
    assert found["hammer"].index_middle.lift[0] > found["economical"].index_middle.lift[0] + 5
    assert found["hammer"].index_middle.hover > found["economical"].index_middle.hover + 4


def test_the_rate_of_the_motion_hardly_matters():
    motion = played("highwrist")
    half = {
        f"{side}_{kind}": getattr(motion, f"{side}_{kind}")[::2]
        for side in ("left", "right")
        for kind in ("position", "rotation")
    }
    slower = style_of(replace(motion, fps=motion.fps / 2, **half))[1]
    assert slower.wrist.height == pytest.approx(seen("highwrist").wrist.height, abs=4)


def test_a_hand_that_does_not_play_moves_like_the_other():
    motion = played("flat")
    away = motion.left_position + [0.0, 0.0, 1.0]
    left, right = style_of(replace(motion, left_position=away))
    assert left == right


def test_what_shows_no_style_is_refused():
    motion = played("flat")
    away = {f"{side}_position": getattr(motion, f"{side}_position") + [0.0, 0.0, 1.0] for side in ("left", "right")}
    with pytest.raises(UserError, match="enough keys"):
        style_of(replace(motion, **away))
    short = {f"{s}_{k}": getattr(motion, f"{s}_{k}")[:60] for s in ("left", "right") for k in ("position", "rotation")}
    with pytest.raises(UserError, match="2 s"):
        style_of(replace(motion, **short))
