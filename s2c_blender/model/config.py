# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One typed configuration of a model, stored as JSON beside its weights.

The defaults are the published release's (parity facts 2 to 6), except where a field says otherwise.
"""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

FPS = 30  # frames a second of everything inside the model
FORMAT = 1  # of config.json

Precision = Literal["float32", "bfloat16", "float16"]  # of the networks' weights and sums

# When self-attention of refiner and predictor gets the release's causal mask with a penalty per second of distance:
# "batch of one" is what the released code does (its training had larger batches and so no mask, infer.py has one
# window and so the mask).
CausalBias = Literal["never", "always", "batch of one"]


@dataclass(frozen=True)
class AudioConfig:
    """Waveform or notes -> features [frames, C] at 30 fps."""

    encoder: Literal["hubert", "notes"] = "hubert"
    hubert: dict = field(default_factory=dict)  # HubertConfig of transformers, as it prints itself


@dataclass(frozen=True)
class PositionConfig:
    """Stage 1, features -> wrist position of one hand (parity fact 4)."""

    width: int = 512
    layers: int = 4
    heads: int = 4
    encoder_hidden: int = 2048  # of the encoder's feed-forward layers; the decoder's have `width`
    head_hidden: int = 128
    causal_bias: CausalBias = "never"
    bias_period: int = 30  # frames within which the penalty stays the same


@dataclass(frozen=True)
class FusionConfig:
    """How the two hands' U-Nets meet at the bottleneck (parity fact 5.5, paper equations 6 to 8)."""

    kind: Literal["none", "concat", "cross", "hcaa"] = "hcaa"
    place: Literal["before middle", "after attention", "after middle"] = (
        "after middle"  # middle: block, attention, block
    )
    heads: int = 8
    # The asymmetric attention only:
    causal: bool = True  # each frame of the bottleneck sees only earlier ones: the release's, not in the paper
    norm_and_mlp: bool = True  # LayerNorm, output projection and MLP after it, without residual: the release's
    lambda_init: float = 0.1


@dataclass(frozen=True)
class GestureConfig:
    """Stage 2, the U-Net of one hand (parity facts 5.1 to 5.6)."""

    channels: int = 48
    dim: int = 256
    dim_mults: tuple[int, ...] = (1, 2, 4, 8)
    condition: int = 1024  # width of the refined audio features
    guide: Literal["both", "own"] = "both"  # whose positions the hand is shown; its own come first
    refiner_layers: int = 4
    refiner_heads: int = 4
    refiner_hidden: int = 2048  # of the encoder's feed-forward layers; the decoder's have `condition`
    causal_bias: CausalBias = "never"
    bias_period: int = 30
    attention_heads: int = 4
    attention_head_dim: int = 32
    fusion: FusionConfig = field(default_factory=FusionConfig)


@dataclass(frozen=True)
class DiffusionConfig:
    """Noise schedule, what the network predicts, and the training loss (parity facts 6.1 to 6.4)."""

    steps: int = 1000
    schedule: Literal["linear", "cosine"] = "cosine"
    prediction: Literal["v", "x0", "noise"] = "v"
    initial_noise: Literal["decoupled", "shared"] = "shared"  # paper: decoupled; released sampler: one for both hands
    velocity_weight: float = 0.0
    acceleration_weight: float = 0.0


@dataclass(frozen=True)
class FrameConfig:
    """What the model's numbers mean: metres or camera units = value * scale + offset; poses in radians = value * pi."""

    kind: Literal["camera", "piano"] = (
        "camera"  # "camera": both hands as right hands, to be calibrated (calibration.py)
    )
    position_scale: tuple[float, float, float] = (1.5, 1.5, 25.0)
    position_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that must be known beside the weights."""

    window: int = 240  # frames the model sees at once
    audio: AudioConfig = field(default_factory=AudioConfig)
    position: PositionConfig = field(default_factory=PositionConfig)
    gesture: GestureConfig = field(default_factory=GestureConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    frame: FrameConfig = field(default_factory=FrameConfig)
    meta: dict = field(default_factory=dict)  # where it comes from; not used for computing

    def __post_init__(self):
        halvings = len(self.gesture.dim_mults) - 1
        if self.window < 1 or self.window % 2**halvings:
            raise ValueError(f"window must be a multiple of {2**halvings}, which the network halves {halvings} times")

    def to_json(self) -> str:
        """The configuration as readable JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Read what `to_json` wrote; raises ValueError that names the field when something is wrong."""
        data = json.loads(text)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ValueError(f"not a model configuration of format {FORMAT}")
        return _typed(cls, data, "")


# HuBERT-large as transformers' HubertConfig wants it: the published model's.
HUBERT_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def published() -> ModelConfig:
    """The published release's sizes: 384 million parameters a hand, and HuBERT-large twice."""
    return ModelConfig(audio=AudioConfig("hubert", HUBERT_LARGE))


def small() -> ModelConfig:
    """Sizes for a CPU: 12 million parameters a hand, hears notes, follows the paper where the release does not."""
    return ModelConfig(
        audio=AudioConfig("notes"),
        position=PositionConfig(width=192, encoder_hidden=512),
        gesture=GestureConfig(dim=48, condition=192, refiner_layers=2, refiner_hidden=512),
        diffusion=DiffusionConfig(schedule="linear", initial_noise="decoupled"),
        frame=FrameConfig("piano", (0.7, 0.3, 0.3)),
    )


def _typed(kind: Any, value: Any, name: str) -> Any:
    """`value`, as JSON gives it, turned into type `kind`; ValueError names the field that does not fit."""
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{name or 'the configuration'} must be an object")
        hints = get_type_hints(kind)
        if unknown := value.keys() - {f.name for f in fields(kind)}:
            raise ValueError(f"{name} has no field {sorted(unknown)[0]}".strip())
        return kind(**{key: _typed(hints[key], item, f"{name}.{key}".lstrip(".")) for key, item in value.items()})
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, not {value!r}")
        return value
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if not isinstance(value, list) or (inner[-1] is not ... and len(value) != len(inner)):
            raise ValueError(f"{name} must be a list of numbers")
        return tuple(_typed(inner[0], item, name) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be {kind.__name__}, not {value!r}")
    return value
