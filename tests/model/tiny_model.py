# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model folders with small random networks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from s2c_blender.core.style import PARTS
from s2c_blender.model.config import (
    HUBERT_LARGE,
    AudioConfig,
    DiffusionConfig,
    FrameConfig,
    GestureConfig,
    ModelConfig,
    PositionConfig,
    RefinerConfig,
    StyleConfig,
)
from s2c_blender.model.hands import make_hands
from s2c_blender.model.position import PositionNet
from s2c_blender.model.style_encoder import StyleEncoder
from s2c_blender.model.weights import HANDS, PERFORMERS, STYLE, save_model

W = 64
TINY = ModelConfig(
    window=W,
    audio=AudioConfig("notes", width=8, layers=2),
    position=PositionConfig(width=16, refiner=RefinerConfig(1, hidden=32)),
    gesture=GestureConfig(dim=8, condition=16, refiner=RefinerConfig(1, hidden=32)),
    diffusion=DiffusionConfig(100, "linear", "v", "decoupled"),
    frame=FrameConfig("piano", (0.7, 0.3, 0.3), (0.0, 0.1, 0.2)),
)
STYLED = replace(
    TINY,
    audio=AudioConfig("notes", width=8, layers=2, cues=True, style=StyleConfig("parts", width=3, hidden=8)),
    gesture=replace(TINY.gesture, wrist=True, part_aware=True, part_width=8),
)
HUBERT = HUBERT_LARGE | {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
}


def write_model(folder: Path, config: ModelConfig, **options) -> Path:
    """A model folder with random weights."""
    torch.manual_seed(0)
    gestures = dict(make_hands(config).named_children())
    states = {}
    for hand in HANDS:
        parts = {"position": PositionNet(config), **({"gesture": gestures[hand]} if hand in gestures else {})}
        states[hand] = {f"{part}.{k}": v for part, net in parts.items() for k, v in net.state_dict().items()}
    save_model(folder, config, states, **options)
    return folder


def write_styles(folder: Path, config: ModelConfig, performers: dict[str, float]) -> Path:
    """A random style encoder beside a model, and performers who have the same number in all of their codes."""
    torch.manual_seed(0)
    state = StyleEncoder(config.audio.style).state_dict()
    np.savez(folder / STYLE, **{name: value.numpy() for name, value in state.items()})
    width = config.audio.style.width
    told = {name: {part: [number] * width for part in PARTS} for name, number in performers.items()}
    (folder / PERFORMERS).write_text(json.dumps(told), encoding="utf-8")
    return folder
