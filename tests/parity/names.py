# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and shapes of a full-size released checkpoint against those of our networks (parity fact 9)."""

import json
from pathlib import Path

import torch

from s2c_blender.model.config import AudioConfig, ModelConfig, PositionConfig
from s2c_blender.model.release import convert, expected

from .common import Check, gesture_config


def check(folder: Path) -> list[Check]:
    """Either spelling becomes exactly our networks' names and shapes; the error is the number of those that do not."""
    facts = json.loads((folder / "keys_full.json").read_text())
    upstream = facts["configuration"]
    stage1 = upstream["piano2posi"]
    config = ModelConfig(
        audio=AudioConfig("hubert", upstream["hubert"]),
        position=PositionConfig(width=stage1["feature_dim"], layers=stage1["num_layer"]),
        gesture=gesture_config(upstream["unet"]),
    )
    ours = expected(config)
    other = facts["alternative_spelling"]["keys"]
    found = []
    for spelling, keys in (("new spelling", {}), ("old spelling", other)):
        state = {
            keys.get(name, name): torch.empty(shape, device="meta") for name, (shape, _) in facts["state_dict"].items()
        }
        theirs = {name: tuple(value.shape) for name, value in convert(state, config.gesture.fusion.kind)}
        found.append((spelling, float(len(ours.items() ^ theirs.items())), 0.5))
    return found
