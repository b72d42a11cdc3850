# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HuBERT and the position predictor against what the released ones answered (parity facts 1.4, 3 and 4)."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from s2c_blender.model.config import AudioConfig, GestureConfig, ModelConfig, PositionConfig, RefinerConfig
from s2c_blender.model.features import normalised
from s2c_blender.model.position import PositionNet
from s2c_blender.model.release import convert
from s2c_blender.model.weights import load_into

from .common import Check, answers, compare_all, read, rows


@torch.no_grad()
def check(folder: Path, name: str) -> list[Check]:
    """Every recorded stage, clips in a batch (normalised together) and alone."""
    facts, tensors = read(folder, name)
    network = _network(facts, tensors)
    found = []
    for batch, recorded in answers(tensors, r"(in|state)\.").items():
        found += compare_all(_stages(network, tensors["in.audio"][rows(batch)]), recorded, batch)
    return found


def _network(facts: dict, tensors: dict[str, np.ndarray]) -> PositionNet:
    args = facts["piano2posi_args"]
    state = {f"piano2posi.{key}": torch.from_numpy(tensors[f"state.{key}"]).float() for key in facts["state_dict_keys"]}
    position = PositionConfig(
        width=args["feature_dim"],
        refiner=RefinerConfig(args["num_layer"], causal_bias="batch of one", bias_period=args["period"]),
        head_hidden=len(state["piano2posi.bs_map_r.0.bias"]),
    )
    config = ModelConfig(
        window=args["frame_num"],
        audio=AudioConfig(encoder="hubert", hubert=facts["hubert_config"]),
        position=position,
        gesture=GestureConfig(dim_mults=(1,)),  # none is made: it shall allow any window
    )
    network = PositionNet(config).eval()
    load_into(network, {key.removeprefix("position."): value for key, value in convert(state, "hcaa")})
    return network


def _stages(network: PositionNet, audio: np.ndarray) -> dict[str, np.ndarray]:
    """All that a fixture records, by its names. PositionNet's own forward gives `hidden` and `position`."""
    hubert = network.encoder.hubert
    heard = torch.from_numpy(normalised(audio))
    caught: dict[str, torch.Tensor] = {"input_values": heard}

    def catch(stage: str):
        return lambda module, inputs, output: caught.update({stage: output[0] if isinstance(output, tuple) else output})

    watched = {
        "conv_features": hubert.feature_extractor,
        "projected": hubert.feature_projection,
        "pos_conv": hubert.encoder.pos_conv_embed,
        **{f"hubert_layer{i}": layer for i, layer in enumerate(hubert.encoder.layers)},
        "mapped": network.mapped,
        "tf_encoder": network.transformer.encoder,
        "tf_decoder": network.transformer.decoder,
    }
    hooks = [module.register_forward_hook(catch(stage)) for stage, module in watched.items()]
    caught["hidden"], caught["position"] = network(heard)
    for hook in hooks:
        hook.remove()
    features = caught["conv_features"]
    resampled = F.interpolate(features, size=network.frames, mode="linear", align_corners=True)
    caught |= {"conv_features": features.transpose(1, 2), "interpolated": resampled.transpose(1, 2)}
    return {stage: value.numpy() for stage, value in caught.items()}
