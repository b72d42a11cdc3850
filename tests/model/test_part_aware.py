# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part-aware style and attention in the denoiser: what each part sees, and what stays as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from s2c_blender.core.hand import FINGER_JOINTS
from s2c_blender.core.style import PARTS
from s2c_blender.model.config import AudioConfig, ModelConfig, StyleConfig
from s2c_blender.model.cues import OF_HAND, SHARED
from s2c_blender.model.features import notes_width, style_width
from s2c_blender.model.hands import DualStream, OnePass
from s2c_blender.model.parts import CHANNELS, WRIST
from s2c_blender.model.position import PositionNet
from tests.model.tiny_model import TINY, W

STYLE = StyleConfig("parts", width=3, hidden=8)
AUDIO = AudioConfig("notes", width=8, layers=2, cues=True, style=STYLE)
PLAIN = replace(TINY, audio=AUDIO, gesture=replace(TINY.gesture, wrist=True))
AWARE = replace(PLAIN, gesture=replace(PLAIN.gesture, part_aware=True, part_width=8))
LEFT_CODES, RIGHT_CODES = -2 * style_width(AUDIO), -style_width(AUDIO)  # where their codes begin in a window


def heard(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, W, notes_width(AUDIO), generator=torch.Generator().manual_seed(seed))


def answer(networks: DualStream, window: torch.Tensor) -> torch.Tensor:
    """Of a batch of windows, with the same positions, steps and noise each time."""
    random = torch.Generator().manual_seed(1)
    torch.manual_seed(3)
    encoders = [PositionNet(networks.config).eval() for _ in range(2)]
    features = torch.stack([encoder(window)[0] for encoder in encoders], dim=1)
    positions = torch.rand(2, 2, W, 3, generator=random)
    x = torch.randn(2, 2, networks.config.gesture.outputs, W, generator=random)
    return networks(x, torch.tensor([5, 60]), networks.condition(features, positions))


def with_random_weights(config: ModelConfig) -> DualStream:
    torch.manual_seed(0)
    networks = DualStream(config).eval()
    for name, value in networks.named_parameters():
        if "part_" in name:
            torch.nn.init.normal_(value, std=0.3)
    return networks


def test_parts_have_all_channels_once():
    assert sorted(c for channels in CHANNELS.values() for c in channels) == list(range(WRIST + 3))
    assert CHANNELS["thumb"] == [3 * joint + axis for joint in FINGER_JOINTS[0] for axis in range(3)]
    assert CHANNELS["wrist"] == [0, 1, 2, 48, 49, 50]


@torch.inference_mode()
def test_new_modules_change_nothing_before_they_learn():
    torch.manual_seed(0)
    plain, aware = DualStream(PLAIN).eval(), DualStream(AWARE).eval()
    missing = aware.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys and all(".part_" in name for name in missing.missing_keys)
    assert torch.allclose(answer(plain, heard()), answer(aware, heard()), atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("part", range(len(PARTS)))
def test_the_style_of_a_part_reaches_only_its_own_rows_at_the_end(part: int):
    networks = with_random_weights(AWARE)
    out = networks.left.part_out
    x, style = torch.rand(1, 8, W), torch.rand(1, style_width(AUDIO))
    other = style.clone()
    width = STYLE.width + 1
    other[:, part * width : (part + 1) * width] += 1.0
    changed = (out(x, style, networks.left.out) - out(x, other, networks.left.out)).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.nonzero().flatten().tolist() == sorted(CHANNELS[PARTS[part]])


@torch.inference_mode()
def test_a_hand_sees_its_own_style_and_cues():
    net = with_random_weights(AWARE).left
    window = heard()
    features = torch.cat([window, torch.zeros(2, W, 8)], dim=2)  # as the encoder gives them
    told = net.refine(features)[:, AWARE.gesture.condition :]
    assert told.shape[1] == OF_HAND + SHARED + style_width(AUDIO)
    assert torch.equal(told[:, -style_width(AUDIO) :].transpose(1, 2), window[..., LEFT_CODES:RIGHT_CODES])


@torch.inference_mode()
def test_parts_attend_mostly_to_what_is_near():
    aware = with_random_weights(AWARE).right.part_aware
    x, time = torch.randn(1, 51, W), torch.randn(1, 32)
    cues, style = torch.zeros(1, OF_HAND + SHARED, W), torch.rand(1, style_width(AUDIO))
    moved = cues.clone()
    moved[..., W // 2] = 3.0
    aware.nearness.fill_(3.0)  # 12 a second: frames a second off count e^-12 of the own one
    change = (aware(x, time, cues, style) - aware(x, time, moved, style)).abs().amax(dim=(0, 1))
    assert change[W // 2 - 3 : W // 2 + 4].min() > 100 * change[[0, 1, W - 2, W - 1]].max() > 0


@torch.inference_mode()
def test_both_hands_in_one_pass_agree():
    networks = with_random_weights(AWARE)
    expected = answer(networks, heard())
    together = OnePass(networks)
    networks.forward = lambda *inputs: together(*inputs)
    np.testing.assert_allclose(answer(networks, heard()), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"audio": replace(AUDIO, cues=False)}, "gesture.part_aware needs audio.cues"),
        ({"audio": replace(AUDIO, style=StyleConfig())}, "gesture.part_aware needs audio.cues"),
        (
            {"gesture": replace(AWARE.gesture, streams="single", fusion=replace(AWARE.gesture.fusion, kind="none"))},
            "gesture.part_aware needs a network for each hand",
        ),
        ({"audio": replace(AUDIO, encoder="hubert", hubert={"hidden_size": 8})}, "need notes"),
    ],
)
def test_configurations_without_a_network_are_refused(changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        replace(AWARE, **changes)
