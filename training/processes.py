# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of training, alone or, under torchrun, of several."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from s2c_blender.audio.device import choose_device

PATIENCE = timedelta(hours=6)  # with the first process, which converts clips and validates while the others wait


@dataclass(frozen=True)
class Place:
    """Where this process trains, of how many."""

    device: str
    rank: int = 0
    world: int = 1


@contextmanager
def joined(device: str) -> Iterator[Place]:
    """This process's place; under torchrun, joined with the others."""
    device = choose_device(device)[0]
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world == 1:
        yield Place(device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield Place(device, rank, world)
    finally:
        dist.destroy_process_group()


def precision_warning(device: str, precision: str) -> str:
    """What to tell of a precision that is slow on this machine, "" when it is not.

    Measured on a processor with AVX2 only: products of 1024 x 1024 matrices take 65 times as long as in float32.
    """
    if device != "cpu" or precision != "bfloat16" or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return ""
    return 'This processor imitates bfloat16, many times slower: set "precision" to "float32" in the configuration.'


def threads() -> int:
    """Threads of the processor for each of this machine's processes, so that together they take all cores."""
    return max(os.cpu_count() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)), 1)
