# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One typed configuration of a model, stored as JSON beside its weights.

The defaults are the published release's (parity facts 2 to 6), except where a field says otherwise.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .schedule import Prediction, Weighting

FPS = 30  # frames a second of everything inside the model
FORMAT = 1  # of config.json
GROUPS = 8  # of every GroupNorm of the U-Net

Precision = Literal["float32", "bfloat16", "float16"]  # of the networks' weights and sums

# When self-attention of refiner and predictor gets the release's causal mask with a penalty per second of distance:
# "batch of one" is what the released code does (its training had larger batches and so no mask, infer.py has one
# window and so the mask).
CausalBias = Literal["never", "always", "batch of one"]


@dataclass(frozen=True)
class StyleConfig:
    """How it is told in which style the parts of a hand move (style_encoder.py, after MimicParts)."""

    codes: Literal["none", "parts", "hand"] = "none"  # "hand": one code for all its parts
    width: int = 8  # numbers of a code
    hidden: int = 64  # channels of the encoder that finds it in a motion


@dataclass(frozen=True)
class AudioConfig:
    """Waveform or notes -> features [frames, C] at 30 fps."""

    encoder: Literal["hubert", "notes"] = "notes"  # the release: "hubert"
    hubert: dict = field(default_factory=dict)  # for "hubert": HubertConfig of transformers, as it prints itself
    cues: bool = False  # for "notes": rhythm and emotion in each frame (cues.py) ...
    style: StyleConfig = field(default_factory=StyleConfig)  # ... and the style that is asked for
    width: int = 128  # for "notes": learned channels beside the finger roll itself ...
    layers: int = 4  # ... and convolutions that make them, each looking twice as far as the one before


@dataclass(frozen=True)
class RefinerConfig:
    """The transformer of the position predictor, and the one before the gesture network (parity facts 4 and 5.2)."""

    layers: int = 4  # of the encoder and of the decoder
    heads: int = 4
    hidden: int = 2048  # of the encoder's feed-forward layers; the decoder's are as wide as the rest
    dropout: float = 0.1  # in training
    causal_bias: CausalBias = "never"
    bias_period: int = 30  # frames within which the penalty stays the same


@dataclass(frozen=True)
class PositionConfig:
    """Stage 1, features -> wrist position of one hand (parity fact 4)."""

    width: int = 512
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    head_hidden: int = 128


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
    # Both attentions: added to what the hand knows, instead of replacing it as in the release.
    residual: bool = False


@dataclass(frozen=True)
class GestureConfig:
    """Stage 2, the U-Net of one hand (parity facts 5.1 to 5.6)."""

    streams: Literal["dual", "single"] = "dual"  # "single": one network moves both hands; the baseline without fusion
    channels: int = 48  # of a hand
    dim: int = 256
    dim_mults: tuple[int, ...] = (1, 2, 4, 8)
    condition: int = 1024  # width of the refined audio features
    guide: Literal["both", "own"] = "both"  # whose positions the hand is shown; its own come first
    guide_scale: float = 1.0  # they are shown times this: millimetres would be lost beside the other channels
    wrist: bool = False  # three more channels: where the wrist is besides the predicted position
    part_aware: bool = False  # each part of the hand attends to the cues in its own style (part_aware.py) ...
    part_width: int = 32  # ... in so many channels
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    attention_heads: int = 4
    attention_head_dim: int = 32
    fusion: FusionConfig = field(default_factory=FusionConfig)

    @property
    def outputs(self) -> int:
        """Channels that the network moves: poses, and the wrist where it does."""
        return self.channels + (3 if self.wrist else 0)


@dataclass(frozen=True)
class DiffusionConfig:
    """Noise schedule, what the network predicts, and the training loss (parity facts 6.1 to 6.4)."""

    steps: int = 1000
    schedule: Literal["linear", "cosine"] = "cosine"
    prediction: Prediction = "v"
    initial_noise: Literal["decoupled", "shared"] = "shared"  # paper: decoupled; released sampler: one for both hands
    velocity_weight: float = 0.0
    acceleration_weight: float = 0.0
    weighting: Weighting = "snr"  # of the steps in the loss (Schedule.loss_weight): the release's
    clamp: float = 1.0  # while sampling, the clean motion stays within this: the release's poses are between -1 and 1


@dataclass(frozen=True)
class FrameConfig:
    """What the model's numbers mean: metres or camera units, and radians = value * scale + offset."""

    kind: Literal["camera", "piano"] = (
        "camera"  # "camera": both hands as right hands, to be calibrated (calibration.py)
    )
    position_scale: tuple[float, float, float] = (1.5, 1.5, 25.0)
    position_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pose_scale: tuple[tuple[float, ...], ...] = ((math.pi,), (math.pi,))  # left, right: of each channel, or one for all
    pose_offset: tuple[tuple[float, ...], ...] = ((0.0,), (0.0,))
    wrist_scale: float = 0.015  # m (or camera units) of what a gesture network adds to the predicted position


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
        """Raises ValueError, a sentence that names the field, for values with which there is no network."""
        for name, value in _numbers(self, ""):
            if type(value) is int and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
            if not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, not {value}")
        position, gesture, fusion, diffusion = self.position, self.gesture, self.gesture.fusion, self.diffusion
        if not gesture.dim_mults:
            raise ValueError("gesture.dim_mults must have at least one number")
        hidden = self.audio.hubert.get("hidden_size")
        meets = fusion.heads if fusion.kind in ("cross", "hcaa") else 1
        for name, value, divisor, what in (
            ("window", self.window, 2 ** (len(gesture.dim_mults) - 1), "which the network halves at each level"),
            ("position.width", position.width, position.refiner.heads, "position.refiner.heads"),
            ("gesture.condition", gesture.condition, gesture.refiner.heads, "gesture.refiner.heads"),
            ("gesture.dim", gesture.dim, GROUPS, "the groups of its norms"),
            ("gesture.dim times the last of dim_mults", gesture.dim * gesture.dim_mults[-1], meets, "fusion.heads"),
        ):
            if value % divisor:
                raise ValueError(f"{name} must be a multiple of {divisor} ({what}), not {value}")
        for wrong, told in (
            (
                (fusion.kind, fusion.place) == ("concat", "after middle"),
                'gesture.fusion.place must not be "after middle" for concatenated hands, '
                "which need a block of the middle after them",
            ),
            (
                diffusion.schedule == "linear" and diffusion.steps < 20,
                "diffusion.steps must be at least 20 for a linear schedule",
            ),
            (0.0 in self.frame.position_scale, "frame.position_scale must not be 0"),
            (self.frame.wrist_scale <= 0, "frame.wrist_scale must be above 0"),
            (any(0.0 in row for row in self.frame.pose_scale), "frame.pose_scale must not be 0"),
            *(
                (
                    [len(row) in (1, gesture.channels) for row in getattr(self.frame, name)] != [True, True],
                    f"frame.{name} must be two lists, for the left and the right hand, of one number or of "
                    f"{gesture.channels}",
                )
                for name in ("pose_scale", "pose_offset")
            ),
            (
                gesture.streams == "single" and fusion.kind != "none",
                'gesture.fusion.kind must be "none" where a single network moves both hands',
            ),
            (
                not (0 <= position.refiner.dropout < 1 and 0 <= gesture.refiner.dropout < 1),
                "refiner.dropout must be at least 0 and below 1",
            ),
            (diffusion.clamp <= 0, "diffusion.clamp must be above 0"),
            (
                self.audio.encoder != "notes" and (self.audio.cues or self.audio.style.codes != "none"),
                'audio.cues and audio.style need notes: audio.encoder must be "notes"',
            ),
            (
                gesture.part_aware and not (self.audio.cues and self.audio.style.codes != "none"),
                "gesture.part_aware needs audio.cues and the codes of audio.style",
            ),
            (
                gesture.part_aware and gesture.streams == "single",
                "gesture.part_aware needs a network for each hand",
            ),
            (
                self.audio.encoder == "hubert" and (type(hidden) is not int or hidden < 1),
                f"audio.hubert must have a hidden_size of at least 1, not {hidden!r}",
            ),
        ):
            if wrong:
                raise ValueError(told)

    def to_json(self) -> str:
        """The configuration as readable JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Read what `to_json` wrote; raises ValueError that names the field when something is wrong."""
        data = json.loads(text, parse_constant=_refuse)
        version = data.pop("format", None) if isinstance(data, dict) else None
        if type(version) is int and version > FORMAT:
            raise ValueError("it was made by a newer version of this extension")
        if version != FORMAT:
            raise ValueError(f"not a model configuration of format {FORMAT}")
        return typed(cls, data, "")


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
        position=PositionConfig(width=192, refiner=RefinerConfig(hidden=512)),
        gesture=GestureConfig(dim=48, condition=192, refiner=RefinerConfig(2, hidden=512)),
        diffusion=DiffusionConfig(schedule="linear", initial_noise="decoupled"),
        frame=FrameConfig("piano", (0.7, 0.3, 0.3)),
    )


def _numbers(part: Any, name: str) -> Iterator[tuple[str, int | float]]:
    """All numbers of a configuration's fields with their names; what is in free dictionaries is left out."""
    if is_dataclass(part):
        for f in fields(part):
            yield from _numbers(getattr(part, f.name), f"{name}.{f.name}".lstrip("."))
    elif isinstance(part, tuple):
        for item in part:
            yield from _numbers(item, name)
    elif type(part) in (int, float):
        yield name, part


def _refuse(constant: str) -> None:
    """What JSON has no numbers for, but Python's reader would take."""
    raise ValueError(f"{constant} is no number for a field of a model")


def typed(kind: Any, value: Any, name: str) -> Any:
    """`value`, as JSON gives it, turned into type `kind`; ValueError names the field that does not fit."""
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{name or 'the configuration'} must be an object")
        hints = get_type_hints(kind)
        if unknown := value.keys() - {f.name for f in fields(kind)}:
            raise ValueError(f"{name} has no field {sorted(unknown)[0]}".strip())
        return kind(**{key: typed(hints[key], item, f"{name}.{key}".lstrip(".")) for key, item in value.items()})
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, not {value!r}")
        return value
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if not isinstance(value, list) or (inner[-1] is not ... and len(value) != len(inner)):
            raise ValueError(f"{name} must be a list of numbers")
        return tuple(typed(inner[0], item, name) for item in value)
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be {kind.__name__}, not {value!r}")
    return value
