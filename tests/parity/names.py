# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and shapes of a full-size released checkpoint against those of our networks (parity facts 8 and 9).

Errors are numbers of names, so one is too many.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

import torch

from s2c_blender.model.config import AudioConfig, ModelConfig, PositionConfig, RefinerConfig
from s2c_blender.model.release import BUFFERS, convert, expected
from training.gesture_autoencoder import PREFIX, load_encoder

from .common import FUSIONS, TOLERANCE, Check, gesture_config

Names = dict[str, tuple[int, ...]]


def check(folder: Path) -> list[Check]:
    """Either spelling and any fusion becomes exactly our networks' names and shapes; the counts fit the shapes."""
    facts = json.loads((folder / "keys_full.json").read_text())
    upstream = facts["configuration"]
    stage1 = upstream["piano2posi"]
    config = ModelConfig(
        audio=AudioConfig(encoder="hubert", hubert=upstream["hubert"]),
        position=PositionConfig(width=stage1["feature_dim"], refiner=RefinerConfig(stage1["num_layer"])),
        gesture=gesture_config(upstream["unet"]),
    )
    recorded = _shapes(facts["state_dict"])
    other = facts["alternative_spelling"]["keys"]
    ours = expected(config)
    steps = (upstream["diffusion"]["timesteps"],)
    buffers = {name: shape for name, shape in recorded.items() if "." not in name}
    return [
        _differences("new spelling", ours, _converted(recorded, config)),
        _differences("old spelling", ours, _converted({other.get(k, k): v for k, v in recorded.items()}, config)),
        _differences("buffers", dict.fromkeys(BUFFERS, steps), buffers),
        *_fusions(facts.get("unet_keys_that_depend_on_fusion", {}), recorded, config),
        *_counts(facts.get("counts", {}), recorded),
        *_embedding(facts.get("embedding_net", {}), upstream["diffusion"]["seq_length"]),
    ]


def _fusions(facts: dict, recorded: Names, config: ModelConfig) -> list[Check]:
    """The U-Net of each fusion mode: what mode 4 has, less what is absent, and what only this mode has."""
    unet = {name: shape for name, shape in recorded.items() if name.startswith("model.")}
    found = []
    for mode, keys in facts.items():
        absent = {f"model.{name}" for name in keys["absent_compared_with_fusion4"]}
        own = {f"model.{name}": shape for name, shape in _shapes(keys["only_in_this_mode"]).items()}
        theirs = {name: shape for name, shape in unet.items() if name not in absent} | own
        fused = replace(config, gesture=replace(config.gesture, fusion=FUSIONS[int(mode)]))
        ours = {name: shape for name, shape in expected(fused).items() if name.startswith("gesture.")}
        found.append(_differences(f"fusion {mode}", ours, _converted(theirs, fused)))
        found.append((f"fusion {mode} number of keys", float(abs(len(theirs) - keys["n_keys"])), TOLERANCE))
    return found


def _counts(counts: dict, recorded: Names) -> list[Check]:
    """Numbers of parameters, in all and below each beginning of a name, follow from the shapes."""
    sizes = {name: math.prod(shape) for name, shape in recorded.items()}

    def below(start: str) -> int:
        return sum(size for name, size in sizes.items() if f"{name}.".startswith(f"{start}."))

    ours = {
        "total_params": below("model") + below("piano2posi"),
        "model": below("model"),
        "piano2posi": below("piano2posi"),
        "hubert": below("piano2posi.audio_encoder_cont"),
        "buffers": sum(size for name, size in sizes.items() if "." not in name),
        "state_dict_entries": len(sizes),
    } | {start: below(start) for start in counts.get("by_prefix", {})}
    theirs = counts | counts.get("by_prefix", {})
    return [(f"count {name}", float(abs(ours[name] - theirs[name])), TOLERANCE) for name in ours if name in theirs]


def _embedding(facts: dict, frames: int) -> list[Check]:
    """The encoder of gestures takes these tensors; its decoder and `fc_logvar` are left out."""
    if not facts:
        return []
    shapes = _shapes(facts["state_dict"])
    encoder = load_encoder({name: torch.zeros(shape) for name, shape in shapes.items()}, frames)
    ours = {f"{PREFIX}{name}": tuple(value.shape) for name, value in encoder.state_dict().items()}
    used = {name: shape for name, shape in shapes.items() if not name.startswith(("decoder.", f"{PREFIX}fc_logvar."))}
    return [_differences("embedding net", ours, used)]


def _shapes(recorded: dict) -> Names:
    """Recorded as name -> [shape, dtype]."""
    return {name: tuple(shape) for name, (shape, _) in recorded.items()}


def _converted(shapes: Names, config: ModelConfig) -> Names:
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    return {name: tuple(value.shape) for name, value in convert(state, config.gesture.fusion.kind)}


def _differences(what: str, ours: Names, theirs: Names) -> Check:
    return what, float(len(ours.items() ^ theirs.items())), TOLERANCE
