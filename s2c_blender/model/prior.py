# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's idea of a performance as HandMotion in the piano frame: what the pianist then stays close to."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from scipy.signal import savgol_filter

from ..audio.device import Backend, choose_backend, installed, why_not
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT, Score
from ..core.style import expression_of
from ..errors import BAD_ARGUMENTS, ENVIRONMENT, UserError
from .calibration import calibrate
from .camera import to_piano
from .config import FPS, ModelConfig, Precision
from .features import Recording, hearable
from .mano import Mano, neutral, read_mano
from .onnx_networks import files
from .sampling import Sampler
from .style_codes import codes_of
from .weights import BUNDLED, CONFIG, HANDS, SMALL, packages_told, read_config

STRONGEST = 3.0  # weight of a style
SMOOTHING = 5  # frames of the release's filter for rendering (parity fact 2.5)
PACKAGES = {"torch": "PyTorch", "safetensors": "safetensors"}  # what that backend needs: name to import -> told
_INSTEAD = "choose the generator Pianist (--generator pianist)"

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
    backend: str = "auto"  # "auto", "torch", "onnx"
    style: Mapping | None = None  # how the parts of the hands move, in the terms of core.style.hands
    style_weight: float = 1.0  # 0: as if no style was asked for, 1: as learned, above: exaggerated (Sampling)


@dataclass(frozen=True)
class Prepared:
    """A request that can be met, as far as can be told before the work."""

    request: Request
    config: ModelConfig
    steps: int
    mano: Mano
    backend: Backend
    codes: np.ndarray | None  # [2, parts, width] of the style, the classical one where none is asked for
    warnings: list[str]

    @property
    def knows_fingers(self) -> bool:
        """Whether the model is told which finger plays what; those that listen to sound are not."""
        return self.config.audio.encoder == "notes"


def prepare(request: Request, has_sound: bool) -> Prepared:
    """Look at the model and all that is asked for; UserError when it cannot be done. Quick, and loads no PyTorch."""
    if request.folder == BUNDLED and not (BUNDLED / CONFIG).exists():
        told = f"This copy of the extension has no gesture model in it: give the folder of one, or {_INSTEAD}."
        raise UserError(told, ENVIRONMENT)
    config = read_config(request.folder)
    backend = _backend(request)
    if backend == "torch" and (missing := [told for package, told in PACKAGES.items() if not installed(package)]):
        told = f"The gesture model needs {' and '.join(missing)}, which the Python {sys.executable} lacks: "
        if all(path.is_file() for path in files(request.folder)) and (reason := why_not("onnxruntime")):
            told = f"The gesture model cannot run: ONNX Runtime cannot be loaded here ({reason}), nor PyTorch instead: "
        raise UserError(f"{told}use a Python that has it (see the README), or {_INSTEAD}.", ENVIRONMENT)
    most = config.diffusion.steps
    steps = request.steps or min(STEPS.get(request.sampler, most), most)
    if not 1 <= steps <= most:
        raise UserError(f"This model samples in 1 to {most} steps, not {steps}.", BAD_ARGUMENTS)
    if config.audio.encoder == "hubert" and not has_sound:
        raise UserError(
            f"The model in {request.folder} listens to sound: give a recording instead of a MIDI file, "
            f"leave the model folder empty for the model that reads notes, or {_INSTEAD}."
        )
    if not 0.0 <= request.style_weight <= STRONGEST:
        told = f"The weight of the style goes from 0 to {STRONGEST:g}; {request.style_weight:g} is outside."
        raise UserError(told, BAD_ARGUMENTS)
    codes, warnings = None, []
    if config.audio.style.codes != "none" and request.style_weight > 0.0:
        codes = codes_of(request.style or {}, request.folder, config.audio.style)
    elif config.audio.style.codes == "none" and request.style is not None:
        warnings.append("This gesture model knows no styles: only how the keys are struck follows the one asked for.")
    mano = read_mano(request.mano) if request.mano else neutral()
    return Prepared(request, config, steps, mano, backend, codes, warnings)


def make_prior(
    prepared: Prepared,
    score: Score,
    length: float,
    sound: tuple[np.ndarray, int] | None = None,
    seed: int = 0,
    creativity: float = 1.0,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[HandMotion, list[str]]:
    """The model's motion of `length` seconds at 30 fps, without contacts, and warnings in a sentence each.

    `sound`: mono samples [n] and their rate, for models that listen; `creativity` as in windows.seeded.
    Raises UserError when the model cannot be used.
    """
    request, config = prepared.request, prepared.config
    with packages_told():
        from .generator import Generator, Sampling

        generator = Generator(
            request.folder, device=request.device, backend=prepared.backend, precision=request.precision
        )
    expression = expression_of(request.style or {})
    heard = hearable(*sound) if config.audio.encoder == "hubert" else None
    recording = Recording(score, heard, prepared.codes, expression)
    frames = ceil(length * FPS) + 1
    sampling = Sampling(request.sampler, prepared.steps, creativity=creativity, style_weight=request.style_weight)
    with _few_threads(request.folder) if prepared.backend == "torch" else nullcontext():
        positions, poses = generator.generate(recording, frames, seed, sampling, on_progress)
    if not (np.isfinite(positions).all() and np.isfinite(poses).all()):
        raise UserError("The model answers with values that are no numbers: use precision float32, or import it again.")
    motion, warnings = in_piano_frame(config, positions, poses, score, prepared.mano)
    sampled = {"sampler": request.sampler, "steps": prepared.steps, "precision": request.precision}
    motion.meta = {"model": config.meta, **sampled}
    return motion, prepared.warnings + warnings


def _backend(request: Request) -> Backend:
    """What runs the networks; ONNX files hold numbers of one precision only."""
    if request.precision == "float32":
        return choose_backend(request.backend, request.device, files(request.folder), PACKAGES)
    if request.backend == "onnx":
        told = f"ONNX Runtime computes in float32: for {request.precision} choose the backend torch."
        raise UserError(told, BAD_ARGUMENTS)
    return "torch"


@contextmanager
def _few_threads(folder: Path) -> Iterator[None]:
    """One thread for PyTorch while small networks run.

    Two finish their parts of such a network so quickly that they mostly wait for each other, and where another program
    takes one's core the other waits for long: 60 s of music took 9 to 63 s with two threads, 8 s with one
    (docs/model.md).
    """
    import torch

    before = torch.get_num_threads()
    if sum((folder / f"{hand}.safetensors").stat().st_size for hand in HANDS) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
