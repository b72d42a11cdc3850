# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the networks, PyTorch or ONNX Runtime, and where it computes."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import BAD_ARGUMENTS, ENVIRONMENT, UserError

if TYPE_CHECKING:
    import onnxruntime

Backend = Literal["torch", "onnx"]
BACKENDS = ("auto", "torch", "onnx")
RUNTIMES: dict[Backend, str] = {"torch": "torch", "onnx": "onnxruntime"}  # the packages that run them
AGAIN = "install the extension again, or choose the backend torch"
# What is there where a graphics card's driver is that PyTorch might use; else it need not be loaded to find none.
DRIVERS = {
    "linux": ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"),
    "win32": (os.path.expandvars(r"%SystemRoot%\System32\nvcuda.dll"),),
    "darwin": ("/",),
}


def choose_backend(
    backend: str, device: str, networks: Sequence[Path], packages: Iterable[str] = ("torch",)
) -> Backend:
    """Which of "torch" and "onnx" runs the networks that `networks` are the ONNX files of; `device` as asked for.

    "auto" is PyTorch where all `packages` it needs are installed and it finds a graphics card, unless the device is
    "cpu", and where there is no ONNX Runtime or no such file. Raises UserError when what is asked for cannot be.
    """
    if backend not in BACKENDS:
        raise UserError(f"There is no backend {backend!r}: choose auto, torch or onnx.", BAD_ARGUMENTS)
    missing = [path for path in networks if not path.is_file()]
    if backend == "onnx":
        if device not in ("auto", "cpu"):
            told = f"ONNX Runtime computes on the processor: for {device} choose the backend torch, or the device cpu."
            raise UserError(told, BAD_ARGUMENTS)
        if not installed("onnxruntime"):
            told = f"The backend onnx needs ONNX Runtime, which the Python {sys.executable} lacks: choose auto."
            raise UserError(told, ENVIRONMENT)
        if missing:
            told = f"The backend onnx needs the file {missing[0]}, which is missing: {AGAIN}."
            raise UserError(told, ENVIRONMENT)
        return "onnx"
    if backend == "torch" or device not in ("auto", "cpu") or missing or why_not("onnxruntime"):
        return "torch"
    return "torch" if device == "auto" and all(map(installed, packages)) and _graphics_card() else "onnx"


def why_not(package: str) -> str:
    """Why a package cannot be used here, "" where it can: wheels for another Python or system are only found."""
    if not installed(package):
        return "it is not installed"
    try:
        import_module(package)
    except (ImportError, OSError, RuntimeError) as error:
        return str(error) or type(error).__name__
    return ""


def runtime(backend: Backend) -> str:
    """The package that runs a backend and its version, as in "onnxruntime 1.28.0"; the package must be loaded."""
    package = RUNTIMES[backend]
    return f"{package} {getattr(sys.modules.get(package), '__version__', '?')}"


def installed(package: str) -> bool:
    """Whether a package can be found, without loading it."""
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # ValueError: there is a module of that name, made by hand
        return False


def _graphics_card() -> bool:
    """Whether PyTorch finds anything but the processor."""
    if sys.platform in DRIVERS and not any(Path(path).exists() for path in DRIVERS[sys.platform]):
        return False
    try:
        return choose_device("auto")[0] != "cpu"
    except UserError:  # it is installed, but cannot be loaded
        return False


def choose_device(device: str) -> tuple[str, bool]:
    """PyTorch's device for "auto", "cpu", "cuda" or "mps", and whether it is quick with bfloat16.

    Raises UserError without PyTorch or the device asked for.
    """
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:  # OSError: a library that it needs is missing or broken
        if getattr(error, "name", None) == "torch":
            told = "This needs PyTorch, which is not installed; install it as the README says."
        else:
            told = f"PyTorch cannot be loaded ({error}): install it again, or choose the backend onnx."
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


def open_network(path: Path, threads: int | None = None) -> tuple["onnxruntime.InferenceSession", dict]:
    """An ONNX file ready to run on the processor, and the settings that tools/onnx_export.py noted in it.

    On `threads` threads, one a core if None. Raises UserError without ONNX Runtime or when the file is none of ours.
    """
    try:
        import onnxruntime
    except ImportError as error:  # also where Windows lacks a library that it needs
        told = f"ONNX Runtime cannot be loaded ({error}): {AGAIN}."
        raise UserError(told, ENVIRONMENT) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores() if threads is None else threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave others the cores
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return session, json.loads(session.get_modelmeta().custom_metadata_map["settings"])
    except Exception as error:  # its own kinds of error have no other base
        if _of_memory(error):
            raise
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        told = f"{path} cannot be used ({reason}): {AGAIN}."
        raise UserError(told, ENVIRONMENT) from error


def cores() -> int:
    """How many cores this process may use; 0, which makes ONNX Runtime count them, where the system does not tell.

    Two threads on one core only wait for each other.
    """
    try:
        which = os.sched_getaffinity(0)
        topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(topology.format(number)).read_text() for number in which})
    except (AttributeError, OSError):
        return 0


@contextmanager
def memory_told(device: str) -> Iterator[None]:
    """The device's memory running out becomes a UserError."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's kinds of error have no other base, PyTorch's is RuntimeError
        if isinstance(error, UserError) or not _of_memory(error):
            raise
        told = "The memory is not enough for this: choose a smaller model or a shorter part."
        if not device.startswith("cpu"):
            told = f"{device} ran out of memory; choose the device cpu."
        raise UserError(told, ENVIRONMENT) from error


def _of_memory(error: Exception) -> bool:
    words = ("out of memory", "can't allocate memory", "failed to allocate memory", "bad allocation", "bad_alloc")
    return any(said in str(error).lower() for said in words)
