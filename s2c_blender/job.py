# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of `generate`: apart from it, because Blender's side must not wait for what generate imports."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Generator = Literal["model", "pianist"]
GENERATOR: Generator = "model"  # the default: the gesture model that comes with the extension


def knows_styles(model: str | None) -> bool:
    """Whether a gesture model's folder (None: the bundled one) tells how performers move, so that styles can be asked
    of it. Quick."""
    folder = Path(model) if model else Path(__file__).parent / "model" / "bundled"
    return (folder / "performers.json").is_file()


@dataclass
class Job:
    """What to play: the part of `source` (audio or MIDI) from second `start`, `duration` seconds long (None: all).

    With `previous`, only what is to be made anew in that motion: the seconds `again` of it, and what surrounds the
    poses in `pins`. Its notes, rate, start and duration are kept; `source` is then only for models that listen to sound
    (else ""), and start, duration and fps say nothing.
    """

    source: str
    start: float = 0.0
    duration: float | None = None
    seed: int = 0
    creativity: float = 1.0  # 0: every seed gives the same take, 1: takes differ as much as the model's do
    style: dict | None = None  # how the hands move, in the terms of core.style.hands; None: as usual
    style_weight: float = 1.0  # of the gesture model: how far it goes from nobody's style to this one
    generator: Generator = GENERATOR  # who imagines the motion; the pianist plays it either way
    device: str = "auto"  # "auto", "cpu", "cuda", "mps": where the networks run
    backend: str = "auto"  # "auto", "torch", "onnx": what runs them; audio.device chooses
    fps: float = 60.0  # rate of the motion; scenes resample it to their own
    cache_dir: str | None = None  # folder for transcriptions already made
    midi: str | None = None  # where to write the notes that were found
    model: str | None = None  # folder of the gesture model; None: the bundled one
    raw: str | None = None  # where to write the model's motion as it was before it met the keys
    sampler: str = "dpm"  # the model's: "dpm", "ddim" or "ddpm"
    steps: int | None = None  # of the sampler; None: what suits it
    precision: str = "float32"  # the model's: "float32", "bfloat16" or "float16"
    mano: str | None = None  # the user's MANO_RIGHT.pkl, for models that answer in MANO's terms
    previous: str | None = None  # HandMotion .npz of which a part is made anew
    again: tuple[float, float] | None = None  # first and last second of that part, in the motion's time
    pins: str | None = None  # core.edit.Pins .npz: poses set by hand that stay as they are


@dataclass
class Look:
    """What the self-check asks a worker about the Python it runs in."""

    device: str = "auto"
    backend: str = "auto"
    model: str | None = None  # folder of the gesture model; None: the bundled one
