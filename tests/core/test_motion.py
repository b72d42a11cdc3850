# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exchange file."""

import numpy as np
import pytest

from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes


@pytest.fixture
def motion():
    rng = np.random.default_rng(0)
    notes = make_notes([0.5, 0.2], [0.9, 0.4], [64, 60], [80, 70], [1, 0], [2, 4])
    hands = [rng.normal(size=shape) for shape in ((9, 3), (9, 16, 3)) * 2]
    return HandMotion(
        60.0, *hands, notes, rng.normal(size=(2, 4)), np.array([[0.0, 1.0]]), start=3.25, meta={"seed": 7}
    )


def test_round_trip(tmp_path, motion):
    motion.save(tmp_path / "a.npz")
    again = HandMotion.load(tmp_path / "a.npz")
    assert np.allclose(again.left_rotation, motion.left_rotation, atol=1e-6)
    assert (again.notes == motion.notes).all() and np.allclose(again.keys, motion.keys)
    assert (again.start, again.meta, again.fps) == (3.25, {"seed": 7}, 60.0)
    assert [f.name for f in tmp_path.iterdir()] == ["a.npz"]


def test_nothing_is_left_when_writing_fails(tmp_path, motion):
    motion.meta = {"not": object()}
    with pytest.raises(TypeError):
        motion.save(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_foreign_files_are_refused_in_one_sentence(tmp_path, motion):
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", fps=np.array([{"run": "me"}], object))
    motion.left_position = motion.left_position[:4]
    motion.save(tmp_path / "short.npz")
    for name in ("text", "other", "pickle", "short"):
        with pytest.raises(ValueError, match=rf"{name}\.npz is not a HandMotion file"):
            HandMotion.load(tmp_path / f"{name}.npz")


def test_cutting_a_score_moves_its_times_to_zero():
    score = Score(
        make_notes([0.5, 2.0, 5.0], [3.0, 4.0, 6.0], [60, 62, 64], [70] * 3), np.array([[0.0, 2.5], [2.6, 9.0]])
    )
    part = score.cut(1.0, 2.0)
    assert part.notes["pitch"].tolist() == [62]
    assert part.notes["onset"][0] == 1.0 and part.notes["offset"][0] == 2.0
    assert part.pedal.tolist() == [[0.0, 1.5], [1.6, 2.0]]
