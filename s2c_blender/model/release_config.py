# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a published checkpoint: what its tensors' shapes tell, held against what its arguments say.

Shapes decide; arguments that say otherwise are refused, since then the files do not belong together. What neither tells
(heads, the length of the bias's periods) is as published (parity facts 2 to 6).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .config import (
    FPS,
    HUBERT_LARGE,
    AudioConfig,
    CausalBias,
    DiffusionConfig,
    FusionConfig,
    GestureConfig,
    ModelConfig,
    PositionConfig,
    RefinerConfig,
)
from .schedule import Schedule, make_schedule

# --fusion 0 to 4
FUSIONS = (
    ("concat", "before middle"),
    ("concat", "after attention"),
    ("cross", "before middle"),
    ("cross", "after middle"),
    ("hcaa", "after middle"),
)
PREDICTIONS = {"pred_v": "v", "pred_x0": "x0", "pred_noise": "noise"}  # --obj
# Arguments that have more values upstream than there are networks here.
ONLY = {
    "args.txt": {"encoder_type": "transformer", "hidden_type": "audio_f", "remap_noise": True, "xyz_guide": True},
    "args_posi.txt": {"encoder_type": "transformer", "latest_layer": "tanh"},
}
HUBERT = "piano2posi.audio_encoder_cont."  # what the audio encoder's tensors begin with
HUBERT_HEAD = 64  # channels of one attention head, in every published HuBERT


def incomplete(what: str) -> UserError:
    """The error for a checkpoint without its audio encoder."""
    return UserError(
        f"{what} lacks tensors of its audio encoder: give the folder of hubert-large-ls960-ft with --hubert."
    )


class Shapes(dict):
    """Name -> shape of a checkpoint's tensors; UserError for a name that it lacks."""

    def __missing__(self, name: str):
        if name.startswith(HUBERT):
            raise incomplete("The checkpoint")
        raise UserError(f"The checkpoint has no {name}: it is none of the S2C release.")

    def count(self, pattern: str) -> int:
        """How many numbers follow the beginning `pattern` in names."""
        return len({found[1] for name in self if (found := re.match(rf"{pattern}(\d+)\.", name))})


class Arguments:
    """What a file of training arguments says, as far as it says anything."""

    def __init__(self, path: Path):
        self.name = path.name
        try:
            self.values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            told = error.strerror if isinstance(error, OSError) else "it is no JSON"
            raise UserError(f"{path} cannot be read ({told}): get this file of the release again.") from error
        if not isinstance(self.values, dict):
            raise UserError(f"{path} holds no training arguments: get this file of the release again.")
        for key, only in ONLY.get(self.name, {}).items():
            if self.values.get(key, only) != only:
                raise UserError(f"{self.name} asks for {key} {self.values[key]!r}, but only {only!r} is supported.")

    def agree(self, key: str, found: Any) -> Any:
        """`found`, unless the arguments say something else."""
        if (said := self.values.get(key, found)) != found:
            raise UserError(
                f"{self.name} says {key} is {said!r}, but the weights have {found!r}: the files do not belong together."
            )
        return found

    def number(self, key: str, default: int) -> int:
        """A whole positive number, or the published one where none is given."""
        value = self.values.get(key, default)
        if type(value) is not int or value < 1:
            raise UserError(f"{self.name} says {key} is {value!r}, which should be a whole number above 0.")
        return value


def release_config(
    shapes: Shapes, buffers: Mapping[str, np.ndarray], args: Arguments, args_posi: Arguments, causal_bias: CausalBias
) -> ModelConfig:
    """The configuration of one hand's checkpoint (both hands must have the same).

    `shapes` has the release's names; `buffers` are the tensors of its diffusion, [T] each. UserError where the files
    contradict each other or ask for something that there is not.
    """
    return ModelConfig(
        window=args.number("train_sec", 8) * FPS,
        audio=AudioConfig("hubert", _hubert(shapes, args_posi.values.get("hubert_config", {}))),
        position=_position(shapes, args_posi, causal_bias),
        gesture=_gesture(shapes, args, causal_bias),
        diffusion=_diffusion(buffers, args),
    )


def _position(shapes: Shapes, args: Arguments, causal_bias: CausalBias) -> PositionConfig:
    prefix = "piano2posi."
    return PositionConfig(
        width=args.agree("feature_dim", shapes[f"{prefix}audio_feature_map_cont.weight"][0]),
        refiner=RefinerConfig(
            args.agree("num_layer", shapes.count(rf"{prefix}transformer_encoder\.layers\.")),
            hidden=shapes[f"{prefix}transformer_encoder.layers.0.linear1.weight"][0],
            causal_bias=causal_bias,
            bias_period=args.number("period", 30),
        ),
        head_hidden=shapes[f"{prefix}bs_map_r.0.weight"][0],
    )


def _gesture(shapes: Shapes, args: Arguments, causal_bias: CausalBias) -> GestureConfig:
    condition, channels = shapes["model.cond_feature_map.weight"]
    dim, stem, _ = shapes["model.init_conv.weight"]
    if stem != 2 * condition + 6:
        raise UserError("The checkpoint is guided by other positions than those of both hands: that is not supported.")
    levels = range(shapes.count(r"model\.downs\."))
    mults = tuple(shapes[f"model.downs.{level}.3.weight"][0] // dim for level in levels)
    args.agree("bs_dim", 2 * channels)
    return GestureConfig(
        channels=channels,
        dim=args.agree("unet_dim", dim),
        dim_mults=mults,
        condition=condition,
        refiner=RefinerConfig(
            args.agree("num_layer", shapes.count(r"model\.transformer_encoder\.layers\.")),
            hidden=shapes["model.transformer_encoder.layers.0.linear1.weight"][0],
            causal_bias=causal_bias,
        ),
        fusion=_fusion(shapes, args, dim * mults[-1]),
    )


def _fusion(shapes: Shapes, args: Arguments, width: int) -> FusionConfig:
    """The kind by the tensors there are; only the arguments tell the two kinds of cross-attention apart."""
    if "model.diff_attn.lambda_q_left" in shapes:
        args.agree("fusion", 4)
        return FusionConfig(*FUSIONS[4], heads=width // shapes["model.diff_attn.lambda_q_left"][0])
    if "model.cross_attn.norm.weight" not in shapes:
        return FusionConfig(*FUSIONS[args.agree("fusion", 0)])
    if shapes["model.mid_block2.block1.proj.weight"][1] == 2 * width:
        return FusionConfig(*FUSIONS[args.agree("fusion", 1)])
    number = args.number("fusion", 4)
    if number not in (2, 3):
        raise UserError(f"{args.name} says fusion is {number!r}, but the weights are of fusion 2 or 3.")
    return FusionConfig(*FUSIONS[number])


def _diffusion(buffers: Mapping[str, np.ndarray], args: Arguments) -> DiffusionConfig:
    """Schedules are computed, so the checkpoint's must be one of ours; what is predicted shows in its loss weights."""
    steps = args.agree("timesteps", len(buffers["betas"]))
    for kind in ("cosine", "linear"):
        if kind == "linear" and steps < 20:
            continue
        schedule = make_schedule(kind, steps)
        with np.errstate(divide="ignore", invalid="ignore"):  # betas of 1 make infinities in what is not used
            ours = schedule_buffers(schedule)
            weights = {name: schedule.loss_weight(what) for name, what in PREDICTIONS.items()}
        if all(_close(buffers[name], values) for name, values in ours.items()):
            found = [name for name, weight in weights.items() if _close(buffers["loss_weight"], weight)]
            if found:
                return DiffusionConfig(steps, kind, PREDICTIONS[args.agree("obj", found[0])])
    raise UserError("The checkpoint's noise schedule is neither cosine nor linear: it is not supported.")


def schedule_buffers(schedule: Schedule) -> dict[str, np.ndarray]:
    """The tensors [T] in which a checkpoint keeps its schedule (parity fact 6.1), except for the loss weights."""
    kept, before = schedule.alpha_bar, schedule.alpha_bar_before
    of_x0, of_xt = schedule.posterior_mean
    return {
        "betas": schedule.betas,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(kept),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - kept),
        "log_one_minus_alphas_cumprod": np.log(1 - kept),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / kept),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / kept - 1),
        "posterior_variance": schedule.posterior_variance,
        "posterior_log_variance_clipped": np.log(np.maximum(schedule.posterior_variance, 1e-20)),
        "posterior_mean_coef1": of_x0,
        "posterior_mean_coef2": of_xt,
    }


def _close(theirs: np.ndarray, ours: np.ndarray) -> bool:
    return theirs.shape == ours.shape and np.allclose(theirs, ours, rtol=1e-4, atol=1e-6, equal_nan=True)


def _hubert(shapes: Shapes, said: Any) -> dict:
    """HubertConfig's fields that make the network; `said` may give those that shapes do not tell."""
    if not isinstance(said, dict):
        raise UserError("args_posi.txt has a hubert_config that is no object of settings.")
    prefix = HUBERT
    convolutions = [
        shapes[f"{prefix}feature_extractor.conv_layers.{i}.conv.weight"]
        for i in range(shapes.count(re.escape(f"{prefix}feature_extractor.conv_layers.")))
    ]
    positional = shapes[f"{prefix}encoder.pos_conv_embed.conv.parametrizations.weight.original1"]
    hidden = positional[0]
    found = {
        "hidden_size": hidden,
        "num_hidden_layers": shapes.count(re.escape(f"{prefix}encoder.layers.")),
        "intermediate_size": shapes[f"{prefix}encoder.layers.0.feed_forward.intermediate_dense.weight"][0],
        "conv_dim": [out for out, _, _ in convolutions],
        "conv_kernel": [kernel for _, _, kernel in convolutions],
        "num_conv_pos_embeddings": positional[2],
        "num_conv_pos_embedding_groups": hidden // positional[1],
    }
    for key, value in found.items():
        if said.get(key, value) != value:
            raise UserError(
                f"args_posi.txt says {key} of HuBERT is {said[key]!r}, but the weights have {value!r}: "
                "the files do not belong together."
            )
    assumed = HUBERT_LARGE | {"num_attention_heads": hidden // HUBERT_HEAD}
    config = found | {key: said.get(key, value) for key, value in assumed.items() if key not in found}
    if len(config["conv_stride"]) != len(convolutions) or not config["num_attention_heads"]:
        raise UserError("The checkpoint's HuBERT is none of the published ones: it is not supported.")
    return config
