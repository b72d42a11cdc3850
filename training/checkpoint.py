# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints of a training run: whole or absent, the last two kept, damage noticed. Safetensors only."""

import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.outputs import check_room, write_failed

KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{8})\.safetensors")
_MOMENTS = {"first": "exp_avg", "second": "exp_avg_sq"}  # our names of AdamW's


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from: the steps done, all tensors, and what `save` was told besides."""

    step: int
    tensors: dict[str, Tensor]
    told: dict[str, Any]


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Path:
    """Write the checkpoint after `step` steps; `told` is anything JSON can hold.

    It takes its name when it is whole and on the disk, and older ones than the last KEPT go after that. Raises
    UserError when it cannot be written; older ones then stay.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"step": str(step), "check": str(checksum(tensors)), "told": json.dumps(told)}
    path = folder / f"checkpoint-{step:08d}.safetensors"
    part = folder / f".{path.name}.part"
    try:
        check_room(folder, sum(value.nbytes for value in tensors.values()) + (1 << 20))
        save_file(tensors, part, metadata)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(folder)
    except SafetensorError as error:  # how the library tells a full disk
        number = re.search(r"os error (\d+)", str(error))
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
        raise UserError(write_failed(path, cause), ENVIRONMENT) from error
    except OSError as error:
        raise UserError(write_failed(path, error), ENVIRONMENT) from error
    finally:
        part.unlink(missing_ok=True)
    for old in _found(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_last(folder: Path, on_warning: Callable[[str], None]) -> Checkpoint | None:
    """The last whole checkpoint of a folder; None where there has been none.

    Damaged ones are told of in a sentence and passed over. Raises UserError when there is none but damaged ones.
    """
    paths = _found(folder)
    for path in paths:
        try:
            return _load(path)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            on_warning(f"{path} is damaged ({error}): going back to the one before it.")
    if paths:
        raise UserError(f"No checkpoint in {folder} can be read: choose another folder to begin anew.")
    return None


def state_of(networks: nn.Module, average: nn.Module, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """All tensors that a run depends on, by the names that `restore` takes."""
    tensors = {f"weights.{name}": value for name, value in networks.named_parameters()}
    tensors |= {f"average.{name}": value for name, value in average.named_parameters()}
    for name, value in networks.named_parameters():
        if value in optimiser.state:  # none where a weight has no part in the loss
            tensors |= {f"{ours}.{name}": optimiser.state[value][theirs] for ours, theirs in _MOMENTS.items()}
    return tensors


@torch.no_grad()
def restore(checkpoint: Checkpoint, networks: nn.Module, average: nn.Module, optimiser: torch.optim.AdamW) -> None:
    """Put what `state_of` gave back into networks, average and optimiser of the same shapes."""
    tensors = checkpoint.tensors
    for module, kind in ((networks, "weights"), (average, "average")):
        for name, value in module.named_parameters():
            value.copy_(tensors[f"{kind}.{name}"])
    for name, value in networks.named_parameters():
        if f"first.{name}" in tensors:
            moments = {theirs: tensors[f"{ours}.{name}"].to(value.device) for ours, theirs in _MOMENTS.items()}
            optimiser.state[value] = {"step": torch.tensor(float(checkpoint.step), device=value.device), **moments}


def _load(path: Path) -> Checkpoint:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dictionary
    if str(checksum(tensors)) != metadata["check"]:
        raise ValueError("its checksum is wrong")
    return Checkpoint(int(metadata["step"]), tensors, json.loads(metadata["told"]))


def _found(folder: Path) -> list[Path]:
    """Checkpoints of a folder, the last first."""
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def checksum(tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 over all values, on the processor, in the order of their names."""
    check = 0
    for name in sorted(tensors):
        check = zlib.crc32(tensors[name].detach().flatten().view(torch.uint8).numpy(), check)
    return check


def _sync_folder(folder: Path) -> None:
    """Have the folder's new name on the disk; systems that cannot open folders do it by themselves."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
