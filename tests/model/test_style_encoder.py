# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the style encoder sees of a motion, and what its codes depend on."""

import numpy as np
import pytest
import torch

from s2c_blender.core.hand import mirror
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes
from s2c_blender.model.config import StyleConfig
from s2c_blender.model.seen import MOTION, PLAYED, SEEN, SEGMENT, own_channels, part_channels, seen_in, segments
from s2c_blender.model.style_encoder import StyleEncoder

CONFIG = StyleConfig("parts", width=3, hidden=8)
PARTS = ("wrist", "thumb", "index_middle", "ring_little")


def hand(frames: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(frames, 3)).cumsum(axis=0) * 0.01, rng.normal(size=(frames, 48)) * 0.2


def melody(side: int) -> Score:
    """A tune of the right hand, or its mirror image in the middle of the keyboard, e' flat / d'."""
    onset = np.arange(8) * 0.3
    pitch = 60 + np.array([4, 7, 12, 9, 4, 0, 2, 4])
    pitch = pitch if side == RIGHT else 129 - 1 - pitch
    return Score(make_notes(onset, onset + 0.2, pitch, 70, side, [0, 2, 4, 3, 1, 0, 1, 2]))


def test_a_left_hand_is_seen_as_the_right_hand_that_mirrors_it():
    position, rotation = hand()
    turned = mirror(position, rotation.reshape(-1, 16, 3))
    right = seen_in(position, rotation, melody(RIGHT), RIGHT)
    left = seen_in(turned[0], turned[1].reshape(-1, 48), melody(LEFT), LEFT)
    assert right.shape == (90, SEEN) and right.dtype == np.float32
    np.testing.assert_allclose(left[:, : 2 * MOTION], right[:, : 2 * MOTION], atol=1e-5)
    played = right[:, -PLAYED:].reshape(90, 5, 8), left[:, -PLAYED:].reshape(90, 5, 8)
    np.testing.assert_array_equal(*(part[..., [0, 1, 4, 6]] for part in played))  # strokes, held, next, last


def test_where_on_the_keyboard_a_hand_is_does_not_show_in_its_motion():
    position, rotation = hand()
    here, there = (seen_in(position + [x, 0, 0], rotation, melody(RIGHT), RIGHT) for x in (0.0, 0.3))
    np.testing.assert_allclose(here, there, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("part", range(4))
def test_a_code_depends_on_what_its_part_shows_only(part: int):
    torch.manual_seed(0)
    encoder = StyleEncoder(CONFIG).eval()
    seen = torch.randn(1, 80, SEEN)
    before = encoder(seen)[0]
    for channel in range(MOTION):
        other = seen.clone()
        other[..., channel] += torch.randn(80)
        changed = (encoder(other)[0] - before).abs().amax(dim=(0, 2)) > 1e-6
        assert changed[part] == (channel in part_channels(PARTS[part]))


def test_one_code_for_the_whole_hand():
    mean, log_variance = StyleEncoder(StyleConfig("hand", width=5, hidden=8))(torch.randn(2, 70, SEEN))
    assert mean.shape == log_variance.shape == (2, 1, 5)


def test_parts_move_every_channel_once():
    assert sorted(c for part in PARTS for c in own_channels(part)) == list(range(MOTION))


@pytest.mark.parametrize(("frames", "pieces"), [(60, 1), (119, 1), (120, 1), (121, 2), (600, 5), (700, 6)])
def test_long_motions_are_seen_piece_by_piece(frames: int, pieces: int):
    seen = np.arange(frames, dtype=np.float32)[:, None].repeat(SEEN, axis=1)
    found = segments(seen)
    assert found.shape == (pieces, min(frames, SEGMENT), SEEN)
    assert set(found[..., 0].ravel()) == set(range(frames))
    assert np.abs(np.diff(found[..., 0], axis=1)).max() <= 1.0  # no jumps
