# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases like the published one, of any size, made from random numbers: names and shapes from parity facts 3 to 6."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from s2c_blender.model.schedule import Schedule, cosine

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    """What the parts of one hand's checkpoint are made of; the published sizes are FULL."""

    dim: int = 16
    condition: int = 32
    channels: int = 48
    layers: int = 1
    hidden: int = 64  # of the transformers' encoders
    fusion: int = 4
    width: int = 24
    position_layers: int = 1
    hubert_hidden: int = 64
    hubert_layers: int = 2
    conv: int = 16
    steps: int = 20


FULL = Sizes(256, 1024, 48, 4, 2048, 4, 512, 4, 4096, 24, 512, 1000)


def shapes(sizes: Sizes, spelling: str = "new") -> dict[str, Shape]:
    """Name -> shape of one hand's state dict, `spelling` of weight normalisation "new" or "old"."""
    found = {f"model.{name}": shape for name, shape in _unet(sizes).items()}
    return found | {f"piano2posi.{name}": shape for name, shape in _position(sizes, spelling).items()}


def _affine(name: str, *weight: int, bias: bool = True) -> dict[str, Shape]:
    return {f"{name}.weight": weight} | ({f"{name}.bias": weight[:1]} if bias else {})


def _transformers(prefix: str, width: int, layers: int, hidden: int) -> dict[str, Shape]:
    found = {}
    for kind, attentions, inner in (
        ("encoder", ["self_attn"], hidden),
        ("decoder", ["self_attn", "multihead_attn"], width),
    ):
        for i in range(layers):
            layer = f"{prefix}transformer_{kind}.layers.{i}"
            for attention in attentions:
                found[f"{layer}.{attention}.in_proj_weight"] = (3 * width, width)
                found[f"{layer}.{attention}.in_proj_bias"] = (3 * width,)
                found |= _affine(f"{layer}.{attention}.out_proj", width, width)
            found |= _affine(f"{layer}.linear1", inner, width) | _affine(f"{layer}.linear2", width, inner)
            for n in range(len(attentions) + 1):
                found |= _affine(f"{layer}.norm{n + 1}", width)
    return found


def _resnet(name: str, channels: int, out: int, embedding: int) -> dict[str, Shape]:
    found = _affine(f"{name}.mlp.1", 2 * out, embedding)
    for block, width in (("block1", channels), ("block2", out)):
        found |= _affine(f"{name}.{block}.proj", out, width, 3) | _affine(f"{name}.{block}.norm", out)
    return found | (_affine(f"{name}.res_conv", out, channels, 1) if channels != out else {})


def _linear_attention(name: str, width: int) -> dict[str, Shape]:
    gains = {f"{name}.fn.norm.g": (1, width, 1), f"{name}.fn.fn.to_out.1.g": (1, width, 1)}
    qkv = _affine(f"{name}.fn.fn.to_qkv", 384, width, 1, bias=False)
    return gains | qkv | _affine(f"{name}.fn.fn.to_out.0", width, 128, 1)


def _unet(s: Sizes) -> dict[str, Shape]:
    d, e, m = s.dim, 4 * s.dim, 8 * s.dim
    found = _affine("cond_feature_map", s.condition, s.channels)
    found |= _affine("init_conv", d, 2 * s.condition + 6, 7) | _affine("time_mlp.1", e, d) | _affine("time_mlp.3", e, e)
    stages = [(d, d), (d, 2 * d), (2 * d, 4 * d), (4 * d, 8 * d)]
    for i, (width, out) in enumerate(stages):
        for j in (0, 1):
            found |= _resnet(f"downs.{i}.{j}", width, width, e)
        found |= _linear_attention(f"downs.{i}.2", width) | _affine(f"downs.{i}.3", out, width, 3 if i == 3 else 4)
    for i, (width, out) in enumerate(reversed(stages)):
        for j in (0, 1):
            found |= _resnet(f"ups.{i}.{j}", out + width, out, e)
        found |= _linear_attention(f"ups.{i}.2", out)
        found |= _affine(f"ups.{i}.3" if i == 3 else f"ups.{i}.3.1", width, out, 3)
    found |= _resnet("mid_block1", 2 * m if s.fusion == 0 else m, m, e)
    found |= {"mid_attn.fn.norm.g": (1, m, 1)} | _affine("mid_attn.fn.fn.to_qkv", 384, m, 1, bias=False)
    found |= _affine("mid_attn.fn.fn.to_out", m, 128, 1) | _resnet("mid_block2", 2 * m if s.fusion == 1 else m, m, e)
    found |= _resnet("final_res_block", 2 * d, d, e) | _affine("final_conv", s.channels, d, 1)
    found |= _transformers("", s.condition, s.layers, s.hidden)
    if s.fusion > 0:
        found |= {"cross_attn.cross_attn.in_proj_weight": (3 * m, m), "cross_attn.cross_attn.in_proj_bias": (3 * m,)}
        found |= _affine("cross_attn.cross_attn.out_proj", m, m) | _after("cross_attn", "norm", m)
    if s.fusion == 4:
        found |= {f"diff_attn.lambda_{x}_{side}": (m // 8,) for x in "qk" for side in ("left", "right")}
        for x in "qkv":
            for side in ("left", "right"):
                found |= _affine(f"diff_attn.{x}_proj_{side}", m, m, bias=False)
        found |= _affine("diff_attn.out_proj", m, m, bias=False) | _after("diff_attn", "subln", m)
    return found


def _after(name: str, norm: str, m: int) -> dict[str, Shape]:
    return _affine(f"{name}.{norm}", m) | _affine(f"{name}.mlp.0", 2 * m, m) | _affine(f"{name}.mlp.2", m, 2 * m)


def _position(s: Sizes, spelling: str) -> dict[str, Shape]:
    h, hidden = s.condition, s.hubert_hidden
    hubert: dict[str, Shape] = {"masked_spec_embed": (h,)}
    for i, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        layer = f"feature_extractor.conv_layers.{i}"
        hubert |= _affine(f"{layer}.conv", s.conv, s.conv if i else 1, kernel) | _affine(f"{layer}.layer_norm", s.conv)
    hubert |= _affine("feature_projection.layer_norm", s.conv) | _affine("feature_projection.projection", h, s.conv)
    conv = "encoder.pos_conv_embed.conv"
    new = spelling == "new"
    hubert |= {
        f"{conv}.bias": (h,),
        f"{conv}.parametrizations.weight.original0" if new else f"{conv}.weight_g": (1, 1, 128),
        f"{conv}.parametrizations.weight.original1" if new else f"{conv}.weight_v": (h, h // 16, 128),
    }
    hubert |= _affine("encoder.layer_norm", h) | _affine("lm_head", 32, h)
    for i in range(s.hubert_layers):
        layer = f"encoder.layers.{i}"
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            hubert |= _affine(f"{layer}.attention.{projection}", h, h)
        hubert |= _affine(f"{layer}.feed_forward.intermediate_dense", hidden, h)
        hubert |= _affine(f"{layer}.feed_forward.output_dense", h, hidden)
        hubert |= _affine(f"{layer}.layer_norm", h) | _affine(f"{layer}.final_layer_norm", h)
    found = {f"audio_encoder_cont.{name}": shape for name, shape in hubert.items()}
    found |= _affine("audio_feature_map_cont", s.width, h) | _affine("pos_feature_map", s.width, 6)
    found |= _transformers("", s.width, s.position_layers, s.hidden)
    return found | _affine("bs_map_r.0", 128, s.width) | _affine("bs_map_r.1", 3, 128)


def buffers(schedule: Schedule, objective: str = "v") -> dict[str, torch.Tensor]:
    """The diffusion's 13 tensors [T] (parity fact 6.1)."""
    beta = torch.from_numpy(schedule.betas)
    kept = torch.cumprod(1 - beta, 0)
    before = torch.cat([torch.ones(1, dtype=kept.dtype), kept[:-1]])
    variance = beta * (1 - before) / (1 - kept)
    values = {
        "betas": beta,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": kept.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - kept).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - kept).log(),
        "sqrt_recip_alphas_cumprod": (1 / kept).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / kept - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": beta * before.sqrt() / (1 - kept),
        "posterior_mean_coef2": (1 - before) * (1 - beta).sqrt() / (1 - kept),
        "loss_weight": {"v": kept, "x0": kept / (1 - kept), "noise": torch.ones_like(kept)}[objective],
    }
    return {name: value.float() for name, value in values.items()}


def state(sizes: Sizes, seed: int, spelling: str = "new") -> dict[str, torch.Tensor]:
    """One hand's state dict of random numbers."""
    random = torch.Generator().manual_seed(seed)
    found = {name: torch.randn(shape, generator=random) for name, shape in shapes(sizes, spelling).items()}
    return buffers(cosine(sizes.steps)) | found


def arguments(sizes: Sizes) -> tuple[dict, dict]:
    """What args.txt and args_posi.txt say, as far as it matters."""
    gesture = {
        "unet_dim": sizes.dim,
        "bs_dim": 2 * sizes.channels,
        "timesteps": sizes.steps,
        "num_layer": sizes.layers,
        "fusion": sizes.fusion,
        "encoder_type": "transformer",
        "hidden_type": "audio_f",
        "remap_noise": True,
        "xyz_guide": True,
        "obj": "pred_v",
        "train_sec": 8,
    }
    position = {
        "feature_dim": sizes.width,
        "num_layer": sizes.position_layers,
        "encoder_type": "transformer",
        "latest_layer": "tanh",
        "period": 30,
        "wav2vec_path": "./checkpoints/hubert-large-ls960-ft",
    }
    return gesture, position | ({"hubert_config": {"num_attention_heads": 2}} if sizes.condition < 1024 else {})


def checkpoint_name(hand: str, iteration: int = 609000, loss: float = 0.1) -> str:
    """As the release names its files."""
    return f"piano2pose-{hand}-iter={iteration}-val_loss={loss:.16f}.ckpt"


def save_checkpoint(path: Path, tensors: dict[str, torch.Tensor], args: dict) -> None:
    """As the release stores them: a namespace of arguments beside the tensors."""
    torch.save({"state_dict": tensors, "hyper_parameters": argparse.Namespace(**args)}, path)


def write_release(
    folder: Path, sizes: Sizes | None = None, spelling: str = "new"
) -> dict[str, dict[str, torch.Tensor]]:
    """A whole release in `folder`; returns "left" and "right" -> state dict."""
    sizes = sizes or Sizes()
    folder.mkdir(parents=True, exist_ok=True)
    args, args_posi = arguments(sizes)
    (folder / "args.txt").write_text(json.dumps(args))
    (folder / "args_posi.txt").write_text(json.dumps(args_posi))
    states = {}
    for seed, hand in enumerate(("left", "right")):
        states[hand] = state(sizes, seed, spelling)
        save_checkpoint(folder / checkpoint_name(hand), states[hand], args)
    return states
