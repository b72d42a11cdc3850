# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model folders: `config.json`, `left.safetensors` and `right.safetensors`, written whole and read piece by piece.

Those that know styles have `style.npz`, the encoder, and `performers.json`, the codes of named performers.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ENVIRONMENT, UserError
from ..outputs import one_sentence, write_failed
from .config import ModelConfig

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
HANDS = ("left", "right")
BUNDLED = Path(__file__).parent / "bundled"  # the model that comes with the extension
ONNX = ("position.onnx", "gesture.onnx")  # what tools/onnx_export.py makes of them, for computers without PyTorch
STYLE, PERFORMERS = "style.npz", "performers.json"  # read by style_codes.py
SMALL = 200e6  # bytes: networks up to this run on one thread
READ_AT_ONCE = 64  # tensors: how many stay mapped while they are cast


@contextmanager
def packages_told() -> Iterator[None]:
    """A package that models need and that is not there becomes a UserError."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"Models need the Python package {error.name or error}, which is not installed here: "
            "install it as docs/model.md says, or use a Python that has it.",
            ENVIRONMENT,
        ) from error


def save_model(
    folder: Path,
    config: ModelConfig,
    states: Mapping[str, Mapping[str, "torch.Tensor"]],
    *,
    half: bool = False,
    copied: Iterable[Path] = (),
) -> None:
    """Write a model folder as a whole, in the place of an older one; states: "left" and "right" -> name -> tensor.

    `half` stores float16; `copied` are files of another folder that this one gets, too. Raises UserError when the
    folder cannot be written or holds something else.
    """
    with new_folder(folder) as part:
        for hand in states:
            write_hand(part, hand, states[hand], half=half)
        for path in copied:
            shutil.copyfile(path, part / path.name)
        write_config(part, config)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` to write a model to; it takes `folder`'s place when all went well."""
    folder = folder.resolve()
    if folder.exists() and not _replaceable(folder):
        raise UserError(f"{folder} holds something else than a model: choose another folder.")
    part, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{what}") for what in ("part", "old"))
    try:
        with one_sentence(folder):
            part.mkdir(parents=True)
            yield part
            if folder.exists():
                folder.rename(old)
            try:
                part.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _replaceable(folder: Path) -> bool:
    """Whether a folder is empty, or a model of ours of any version, also a damaged one, and nothing besides."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    exported = {name + end for name in ONNX for end in ("", ".sha256")}
    if not names or not names <= {CONFIG, *exported, STYLE, PERFORMERS, *(f"{hand}.safetensors" for hand in HANDS)}:
        return not names
    try:
        return isinstance(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["format"], int)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def write_config(folder: Path, config: ModelConfig) -> None:
    """Write the configuration of a model folder."""
    (folder / CONFIG).write_text(config.to_json(), encoding="utf-8")


def write_hand(folder: Path, hand: str, state: Mapping[str, "torch.Tensor"], *, half: bool = False) -> None:
    """Write one hand's tensors, as float32 or float16; UserError names one that has a value which is no number.

    Tensors that are float32 already are written without a copy in memory.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    cast = {name: value.to(torch.float16 if half else torch.float32).contiguous() for name, value in state.items()}
    for name, value in cast.items():
        if not torch.isfinite(value).all():
            told = "does not fit into half precision" if torch.isfinite(state[name]).all() else "is damaged"
            raise UserError(f"{name} of the {hand} hand {told}: store it in full precision, or get the model again.")
    path = folder / f"{hand}.safetensors"
    path.touch()
    usual = path.stat().st_mode  # the library lets nobody but the owner read what it writes
    try:
        save_file(cast, path)
        path.chmod(usual)
    except SafetensorError as error:  # how the library tells a full disk
        number = re.search(r"os error (\d+)", str(error))
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
        raise UserError(write_failed(path, cause), ENVIRONMENT) from error


def read_config(folder: Path) -> ModelConfig:
    """The configuration of a model folder; UserError where there is none or it is not ours."""
    path = folder / CONFIG
    try:
        return ModelConfig.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no model ({CONFIG} is missing): choose another folder.") from error
    except (OSError, ValueError, TypeError) as error:
        reason = "it is no JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else _reason(error)
        told = f"{path} cannot be used ({reason}): update the extension, or import the model again with this one."
        raise UserError(told) from error


@contextmanager
def open_hand(folder: Path, hand: str, framework: str = "pt") -> Iterator:
    """One hand's file, opened by safetensors, which maps it and reads what is asked for; UserError when it cannot."""
    from safetensors import SafetensorError, safe_open

    path = folder / f"{hand}.safetensors"
    try:
        with safe_open(path, framework) as file:
            yield file
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no model ({path.name} is missing): choose another folder.") from error
    except (SafetensorError, OSError) as error:
        told = f"{path} is truncated or no model file ({_reason(error)}): import or copy the model again."
        raise UserError(told) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def load_state(folder: Path, hand: str, prefix: str, dtype: "torch.dtype | None" = None) -> dict[str, "torch.Tensor"]:
    """A hand's tensors whose names begin with `prefix`, without it, as `dtype` (float32 if None).

    What is stored as that type stays in the file until it is used; the rest is read and cast some tensors at a time.
    """
    import torch

    state: dict[str, torch.Tensor] = {}
    with open_hand(folder, hand) as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - not a dictionary
    if not names:
        raise UserError(f"The {hand} hand in {folder} has no {prefix}*: it is no model of this extension.")
    for first in range(0, len(names), READ_AT_ONCE):
        with open_hand(folder, hand) as file:
            for name in names[first : first + READ_AT_ONCE]:
                state[name.removeprefix(prefix)] = file.get_tensor(name).to(dtype or torch.float32)
    return state


def load_into(module: "torch.nn.Module", state: Mapping[str, "torch.Tensor"]) -> None:
    """Give a module, best made on the meta device, these very tensors; UserError names the first that does not fit."""
    if problem := misfit({name: tuple(value.shape) for name, value in module.state_dict().items()}, state):
        raise UserError(f"The weights do not fit their configuration ({problem}): import the model again.")
    module.load_state_dict(state, assign=True)


def misfit(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, "torch.Tensor"]) -> str:
    """How the tensors of a state differ from names and shapes that are expected, in a few words; nothing if not."""
    for name, shape in expected.items():
        if name not in state:
            return f"{name} is missing"
        if tuple(state[name].shape) != shape:
            return f"{name} is {_times(state[name].shape)} instead of {_times(shape)}"
    return next((f"{name} is unknown" for name in state if name not in expected), "")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape) or "one number"
