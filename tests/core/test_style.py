# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Styles: mixed part by part, stronger and weaker, told in files."""

import json
from dataclasses import fields

import numpy as np
import pytest

from s2c_blender.core import style
from s2c_blender.core.style import PARTS, PERFORMERS, Style, hands, mixed, told_by, vector
from s2c_blender.errors import UserError
from s2c_blender.pianist import Performer


def values(one: Style) -> np.ndarray:
    return np.stack([vector(getattr(one, part)) for part in PARTS])


def test_the_default_style_is_the_default_pianist():
    usual, made = Performer(), Performer.of(Style())
    assert all(np.array_equal(getattr(usual, f.name), getattr(made, f.name)) for f in fields(Performer))
    assert hands({}) == (Style(), Style())


@pytest.mark.parametrize("name", PERFORMERS)
def test_a_named_performer_is_met_exactly(name):
    assert np.allclose(values(hands({"both": name})[0]), values(PERFORMERS[name]), atol=1e-12)
    assert name in style.DESCRIPTIONS


def test_shares_lie_between_and_beyond():
    half = mixed({"wrist": {"lyrical": 0.5, "highwrist": 0.5}})
    assert half.wrist.height == (62 + 102) / 2 and half.wrist.sway == 8 and half.thumb == Style().thumb
    assert mixed({"wrist": {"lyrical": 0.5}}).wrist.sway == 7  # the rest is classical
    strong = mixed({part: {"hammer": 1.5} for part in PARTS})
    assert strong.index_middle.lift[0] == 30  # 34 would be beyond what is played well
    assert strong.index_middle.hover == 26  # 30.5, too
    assert strong.thumb.hover == 17


def test_expression_scales_what_loudness_and_tempo_change():
    none, usual, double = (hands({"both": "percussive", "expression": e})[0] for e in (0, 1, 2))
    assert none.index_middle.lift == (10, 0, 0) and none.wrist.bounce == (7, 0)
    assert none.index_middle.strike[0] == pytest.approx(none.index_middle.strike[1], abs=11)  # within the limits
    assert usual == PERFORMERS["percussive"]
    assert double.index_middle.lift[2] == 12 and double.wrist.bounce == (7, 24)
    assert double.wrist.height == usual.wrist.height and double.thumb.curve == usual.thumb.curve


def test_hands_and_parts_are_told_one_by_one():
    left, right = hands({"both": "flat", "left": {"thumb": "hammer"}, "right": {"all": "pop", "wrist": {"heavy": 1}}})
    assert left.thumb == PERFORMERS["hammer"].thumb and left.wrist == PERFORMERS["flat"].wrist
    assert right.ring_little == PERFORMERS["pop"].ring_little and right.wrist == PERFORMERS["heavy"].wrist


def test_own_performers():
    own = {"mine": {"wrist": [80, 0, 0, 0, 0, 0, 0.27, 0.55, 0.25]}}
    left, right = hands({"own": own, "right": {"wrist": "mine"}})
    assert right.wrist.height == 80 and right.thumb == Style().thumb and left == Style()


WRONG = [{"both": "nobody"}, {"both": {"thumb": 3}}, {"middle": "flat"}, {"both": {"flat": "much"}}, {"own": 3}]
WRONG += [{"both": {"flat": "NaN"}}, {"own": {"x": {"wrist": 5}}}, {"expression": float("nan")}]


@pytest.mark.parametrize("told", WRONG)
def test_what_cannot_be_understood_is_told(told):
    with pytest.raises(UserError):
        hands(told)


def test_files(tmp_path):
    path = tmp_path / "style.json"
    path.write_text(json.dumps({"both": "lyrical", "expression": 0.5}))
    assert told_by(str(path)) == {"both": "lyrical", "expression": 0.5} and told_by("flat") == {"both": "flat"}
    for text in ("{", "[1]", '{"both": "nobody"}'):
        path.write_text(text)
        with pytest.raises(UserError):
            told_by(str(path))
    with pytest.raises(UserError, match="no performer and no file"):
        told_by(str(tmp_path / "none.json"))
