# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips in PianoMotion10M's layout: what is written is read, what is damaged is told in one sentence."""

import json

import numpy as np
import pytest

from s2c_blender.audio.midi import read_midi
from s2c_blender.core import hand
from s2c_blender.core.notes import LEFT, RIGHT
from s2c_blender.errors import UserError
from s2c_blender.model.camera import Camera, to_camera, to_piano
from s2c_blender.model.mano import neutral
from s2c_blender.pianist import perform
from tests.pianist.music import line
from training import layout

NAME = "flat/0001/000007"


@pytest.fixture(scope="module")
def motion():
    return perform(line([60, 62, 64, 65], 3, start=0.5), fps=30)[0]


@pytest.fixture
def written(tmp_path, motion):
    """A folder with one clip; the camera that saw it."""
    camera = Camera(1.1, np.array([0.05, -0.03, 0.01]), 0.03, -0.02, 0.01)
    hands = np.ones((2, len(motion.left_position), layout.ROW))
    hands[..., 52:] = 0
    for side in (LEFT, RIGHT):
        hands[side, :, 1:4], hands[side, :, 4:52] = to_camera(*motion.hand(side), camera, side, neutral())
    layout.write_clip(tmp_path, layout.Clip(NAME, 30, hands), line([60, 62, 64, 65], 3), {"performer": "flat"})
    layout.write_camera(tmp_path, "flat", camera)
    return tmp_path, hands


def test_the_motion_comes_back_within_a_tenth_of_a_millimetre(written, motion):
    root, hands = written
    clip, camera = layout.read_clip(root, NAME), layout.read_camera(root, "flat")
    assert clip.fps == 30 and np.abs(clip.hands - hands).max() < 1e-5
    for side in (LEFT, RIGHT):
        back = to_piano(clip.hands[side, :, 1:4], clip.hands[side, :, 4:52], camera, side, neutral())
        pads, wanted = (hand.forward_kinematics(*m, left=side == LEFT)[1] for m in (back, motion.hand(side)))
        assert np.linalg.norm(pads - wanted, axis=-1).max() < 1e-4


def test_published_fields_and_notes_are_there(written):
    root, _ = written
    content = json.loads(layout.annotation_path(root, NAME).read_text())
    assert {"left", "right", "fps", "bv", "start_frame", "adjust", "meta"} == set(content)
    notes = read_midi(layout.midi_path(root, NAME)).notes
    assert list(notes["pitch"]) == [60, 62, 64, 65] and (notes["velocity"] == 70).all()
    assert not list(root.rglob("*.part"))


def test_adjust_moves_y_and_z(written):
    root, hands = written
    path = layout.annotation_path(root, NAME)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"adjust": [9, 0.5, -0.25]}))
    moved = layout.read_clip(root, NAME).hands - hands
    assert np.allclose(moved[:, :, 1:4], [0, 0.5, -0.25], atol=1e-5)


def test_filmed_performers_have_no_camera_and_sound_is_found(written):
    root, _ = written
    assert layout.read_camera(root, "1467634") is None and layout.audio_path(root, NAME) is None
    sound = root / "audio" / f"{NAME}.mp3"
    sound.parent.mkdir(parents=True)
    sound.touch()
    assert layout.audio_path(root, NAME) == sound


def test_a_split_names_the_clips_that_are_there(written):
    root, _ = written
    layout.write_splits(root, {"train": ["flat/0001/000009", NAME], "valid": [], "test": []})
    assert layout.read_split(root, "train") == [NAME] and layout.read_split(root, "valid") == []
    (root / "test.txt").unlink()
    with pytest.raises(UserError, match=r"test\.txt cannot be read"):
        layout.read_split(root, "test")


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: b"{",
        lambda c: b"[]",
        lambda c: json.dumps({"left": c["left"]}).encode(),
        lambda c: json.dumps(c | {"left": [], "right": []}).encode(),
        lambda c: json.dumps(c | {"left": [row[:61] for row in c["left"]]}).encode(),
        lambda c: json.dumps(c | {"fps": 0}).encode(),
        lambda c: json.dumps(c | {"adjust": "no"}).encode(),
        lambda c: json.dumps(c | {"right": [[float("nan")] * 62 for _ in c["right"]]}).encode(),
    ],
)
def test_damaged_clips_are_named(written, damage):
    root, _ = written
    path = layout.annotation_path(root, NAME)
    path.write_bytes(damage(json.loads(path.read_text())))
    with pytest.raises(UserError, match=r"000007\.json"):
        layout.read_clip(root, NAME)


def test_a_damaged_camera_is_named(written):
    root, _ = written
    (root / "annotation" / "flat" / "camera.json").write_text('{"offset": [0, 0, 0], "lens": 1}')
    with pytest.raises(UserError, match=r"camera\.json is not a camera"):
        layout.read_camera(root, "flat")
