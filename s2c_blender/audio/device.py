# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where PyTorch computes."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ENVIRONMENT, UserError


def choose_device(device: str) -> tuple[str, bool]:
    """The device for "auto", "cpu", "cuda" or "mps", and whether it is quick with bfloat16.

    Raises UserError without PyTorch or the device asked for.
    """
    try:
        import torch
    except ImportError as error:
        told = "This needs PyTorch, which is not installed; install it as the README says."
        raise UserError(told, ENVIRONMENT) from error
    have = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, there in have.items() if there)
    elif not have.get(device.split(":")[0]):
        raise UserError(f"PyTorch finds no device {device!r} here; choose auto or cpu.", ENVIRONMENT)
    if device.startswith("cuda"):
        return device, torch.cuda.is_bf16_supported()
    able = getattr(torch.cpu, "get_capabilities", dict)()  # older PyTorch does not tell
    # Where the processor has no instructions for it, bfloat16 is emulated, slower than plain float32.
    return device, device == "cpu" and any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def memory_told(device: str) -> Iterator[None]:
    """The device's memory running out becomes a UserError."""
    try:
        yield
    except RuntimeError as error:  # of which torch.OutOfMemoryError is one; on the processor it is a plain one
        if not any(words in str(error).lower() for words in ("out of memory", "can't allocate memory")):
            raise
        told = "The memory is not enough for this: choose a smaller model or a shorter part."
        if not device.startswith("cpu"):
            told = f"{device} ran out of memory; choose the device cpu."
        raise UserError(told, ENVIRONMENT) from error
