# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's idea of a performance as HandMotion in the piano frame: what the pianist then stays close to."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from scipy.signal import savgol_filter

from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT, Score
from ..errors import BAD_ARGUMENTS, UserError
from .calibration import calibrate
from .camera import to_piano
from .config import FPS, ModelConfig, Precision
from .features import Recording, hearable
from .mano import Mano, neutral, read_mano
from .sampling import Sampler
from .weights import packages_told, read_config

SMOOTHING = 5  # frames of the release's filter for rendering (parity fact 2.5)


# Steps where none are asked for; DDPM takes all there are.
STEPS = {"dpm": 10, "ddim": 50}


@dataclass(frozen=True)
class Request:
    """Which model is to play, and how."""

    folder: Path
    sampler: Sampler = "dpm"
    steps: int | None = None  # None: what suits the sampler
    precision: Precision = "float32"
    device: str = "auto"
    mano: Path | None = None  # the user's MANO_RIGHT.pkl, for models that answer in MANO's terms


@dataclass(frozen=True)
class Prepared:
    """A request that can be met, as far as can be told before the work."""

    request: Request
    config: ModelConfig
    steps: int
    mano: Mano


def prepare(request: Request, has_sound: bool) -> Prepared:
    """Look at the model and all that is asked for; UserError when it cannot be done. Quick, and needs no PyTorch."""
    config = read_config(request.folder)
    most = config.diffusion.steps
    steps = request.steps or min(STEPS.get(request.sampler, most), most)
    if not 1 <= steps <= most:
        raise UserError(f"This model samples in 1 to {most} steps, not {steps}.", BAD_ARGUMENTS)
    if config.audio.encoder == "hubert" and not has_sound:
        raise UserError(
            f"The model in {request.folder} listens to sound: give a recording instead of a MIDI file, "
            "or choose a model that reads notes."
        )
    return Prepared(request, config, steps, read_mano(request.mano) if request.mano else neutral())


def make_prior(
    prepared: Prepared,
    score: Score,
    length: float,
    sound: tuple[np.ndarray, int] | None = None,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[HandMotion, list[str]]:
    """The model's motion of `length` seconds at 30 fps, without contacts, and warnings in a sentence each.

    `sound`: mono samples [n] and their rate, for models that listen. Raises UserError when the model cannot be used.
    """
    request, config = prepared.request, prepared.config
    with packages_told():
        from .generator import Generator, Sampling

        generator = Generator(request.folder, device=request.device, precision=request.precision)
    recording = Recording(score, hearable(*sound) if config.audio.encoder == "hubert" else None)
    frames = ceil(length * FPS) + 1
    sampling = Sampling(request.sampler, prepared.steps)
    positions, poses = generator.generate(recording, frames, seed, sampling, on_progress)
    if not (np.isfinite(positions).all() and np.isfinite(poses).all()):
        raise UserError("The model answers with values that are no numbers: use precision float32, or import it again.")
    motion, warnings = in_piano_frame(config, positions, poses, score, prepared.mano)
    sampled = {"sampler": request.sampler, "steps": prepared.steps, "precision": request.precision}
    motion.meta = {"model": config.meta, **sampled}
    return motion, warnings


def in_piano_frame(
    config: ModelConfig, positions: np.ndarray, poses: np.ndarray, score: Score, mano: Mano
) -> tuple[HandMotion, list[str]]:
    """A model's positions [2, N, 3] (its units) and poses [2, N, 48] (rad) as HandMotion, and warnings."""
    warnings: list[str] = []
    if config.frame.kind == "piano":
        hands = [(positions[side], poses[side].reshape(-1, 16, 3)) for side in (LEFT, RIGHT)]
    else:
        seen = list(zip(_smoothed(positions), _smoothed(poses), strict=True))  # (translation, pose) of each hand
        found = calibrate(*seen, score.notes, mano, FPS)
        warnings += found.warnings
        hands = [to_piano(*seen[side], found.camera, side, mano) for side in (LEFT, RIGHT)]
    (left_position, left_rotation), (right_position, right_rotation) = hands
    keys = np.zeros((len(score.notes), 4))
    return (
        HandMotion(FPS, left_position, left_rotation, right_position, right_rotation, score.notes, keys, score.pedal),
        warnings,
    )


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Values [2, N, C] through the release's Savitzky-Golay filter; shorter ones as they are."""
    return savgol_filter(values, SMOOTHING, 2, axis=1) if values.shape[1] >= SMOOTHING else values
