# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A training configuration: the model and how each of its stages is trained, one JSON file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from s2c_blender.errors import BAD_ARGUMENTS, UserError
from s2c_blender.model.config import ModelConfig, typed

Stage = Literal["styles", "positions", "gestures"]
# What of the model's configuration the position predictors depend on.
HEARD = ("window", "audio", "position", "frame")


@dataclass(frozen=True)
class StageSettings:
    """How one stage is trained."""

    steps: int = 10_000
    batch: int = 32  # windows a step, on each process
    learning_rate: float = 3e-4  # the highest; it rises over `warmup` steps and falls along a cosine to a twentieth
    warmup: int = 200
    weight_decay: float = 0.01  # of matrices; gains and biases are left alone
    average: float = 0.999  # decay of the weights' moving average, which is what is validated and stored
    clip: float = 1.0  # largest norm of the gradient
    mishear: float = 0.5  # share of windows whose notes get a transcriber's errors (mishear.py)
    precision: Literal["bfloat16", "float32"] = "bfloat16"  # of the networks' sums; weights are float32
    validate_every: int = 1000
    keep_every: int = 500  # steps between checkpoints
    seed: int = 0

    def __post_init__(self):
        """Raises ValueError, a sentence that names the field."""
        for name in ("steps", "batch", "validate_every", "keep_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("warmup", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be below 0, but is {getattr(self, name)}")
        for name in ("average", "mishear"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Training:
    """A model and the recipe for it."""

    model: ModelConfig
    fit_frame: bool = False  # fill in the model's scales and offsets from the training split (dataset.fitted)
    styles: StageSettings = field(default_factory=StageSettings)
    positions: StageSettings = field(default_factory=StageSettings)
    gestures: StageSettings = field(default_factory=StageSettings)

    def of(self, stage: Stage) -> dict[str, Any]:
        """All that a run of a stage depends on, as JSON has it."""
        model = json.loads(self.model.to_json())
        if stage == "positions":
            model = {name: model[name] for name in HEARD}
        elif stage == "styles":
            model = {"window": model["window"], "frame": model["frame"]["kind"], "style": model["audio"]["style"]}
        return {"stage": stage, "model": model, "fit_frame": self.fit_frame, "settings": asdict(getattr(self, stage))}


def read_training(path: Path) -> Training:
    """Read a training configuration; UserError names what is wrong with it."""
    try:
        return typed(Training, json.loads(path.read_text(encoding="utf-8")), "")
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path} is no training configuration ({reason}): correct it.", BAD_ARGUMENTS) from error
