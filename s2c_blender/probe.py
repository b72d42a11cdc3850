# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Python of a worker process has to offer: the worker's half of the self-check."""

import base64
import hashlib
import platform
import sys
from importlib import import_module, metadata
from importlib.resources import files
from pathlib import Path

from .errors import UserError
from .job import Look

PACKAGES = ("numpy", "scipy", "soundfile", "mido", "onnxruntime", "torch", "transkun", "safetensors")
BLOCK = 1 << 20


def look(wanted: Look) -> dict:
    """A report that can be written as JSON.

    python, executable; packages: name -> {"version"} or {"error"} with why it cannot be loaded; computes: backend ->
    where networks can run; transcribers: backend -> its network's files; chosen, transcribers' values and model are
    {"told"} or {"error"} in a sentence each; reads_notes: whether the model can play from notes alone.
    """
    packages = {name: _package(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": packages,
        "computes": _computes(packages),
        "chosen": _told(lambda: _chosen(wanted)),
        "transcribers": _transcribers(packages),
        "model": _told(lambda: _model(wanted)),
        "reads_notes": _reads_notes(wanted),
    }


def _package(name: str) -> dict:
    """The version of a package that can be loaded; a broken one says so only then."""
    try:
        import_module(name)
    except ImportError as error:
        return {"error": "it is not installed" if error.name == name else str(error), "there": error.name != name}
    except Exception as error:  # what a broken package raises is up to it
        return {"error": f"{type(error).__name__}: {error}", "there": True}
    try:
        return {"version": metadata.version(name)}
    except metadata.PackageNotFoundError:
        return {"version": getattr(sys.modules[name], "__version__", "?")}


def _computes(packages: dict) -> dict[str, list[str]]:
    """Backend -> where it can compute."""
    found = {}
    if "version" in packages["onnxruntime"]:
        found["onnx"] = ["cpu"]
    if "version" in packages["torch"]:
        import torch

        cards = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
        found["torch"] = ["cpu", *cards, *(["mps"] if torch.backends.mps.is_available() else [])]
    return found


def _chosen(wanted: Look) -> str:
    """What listens to recordings with these preferences."""
    from .audio.device import choose_backend, choose_device
    from .audio.onnx_network import DESCRIBES, HEARS
    from .audio.transcribe import PACKAGES

    backend = choose_backend(wanted.backend, wanted.device, [HEARS, DESCRIBES], PACKAGES)
    return f"networks run with {backend} on {'cpu' if backend == 'onnx' else choose_device(wanted.device)[0]}"


def _transcribers(packages: dict) -> dict[str, dict]:
    """Backend -> what became of its network's files."""
    found = {}
    bundled = sorted((Path(__file__).parent / "audio" / "bundled").glob("*.onnx"))
    if bundled:
        found["onnx"] = _told(lambda: "; ".join(_whole(path, _noted(path)) for path in bundled))
    if "version" in packages["transkun"]:
        found["torch"] = _told(lambda: _whole(Path(str(files("transkun") / "pretrained" / "2.0.pt")), _recorded()))
    return found


def _noted(path: Path) -> str | None:
    """The SHA-256 in the file X.sha256 that tools/onnx_export.py writes beside X."""
    note = path.with_name(f"{path.name}.sha256")
    return note.read_text(encoding="ascii").split()[0] if note.exists() else None


def _recorded() -> str | None:
    """The SHA-256 under which pip installed transkun's network."""
    for file in metadata.files("transkun") or ():
        if file.as_posix().endswith("pretrained/2.0.pt") and file.hash:
            return base64.urlsafe_b64decode(file.hash.value + "==").hex()
    return None


def _whole(path: Path, expected: str | None) -> str:
    """A few words about a file whose SHA-256 is as expected, as far as that is known; UserError when it is another."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    digits = digest.hexdigest()
    if expected and digits != expected:
        raise UserError(f"{path} is damaged (its SHA-256 begins with {digits[:12]} instead of {expected[:12]}).")
    told = "as it should be" if expected else f"{digits[:12]}..."
    return f"{path.name}, {path.stat().st_size / 1e6:.0f} MB, SHA-256 {told}"


def _model(wanted: Look) -> str:
    from .model.config import FPS
    from .model.prior import Request, prepare
    from .model.weights import BUNDLED

    folder = Path(wanted.model) if wanted.model else BUNDLED
    prepared = prepare(Request(folder, device=wanted.device, backend=wanted.backend), has_sound=True)
    built = [path for path in sorted(folder.glob("*.onnx")) if _noted(path)]
    whole = "".join(f"; {_whole(path, _noted(path))}" for path in built)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return f"{folder}, {size / 1e6:.0f} MB, {prepared.config.audio.encoder} features, {FPS:g} frames a second{whole}"


def _reads_notes(wanted: Look) -> bool:
    try:
        from .model.weights import BUNDLED, read_config

        return read_config(Path(wanted.model) if wanted.model else BUNDLED).audio.encoder == "notes"
    except (UserError, ImportError):  # `_model` tells
        return False


def _told(work) -> dict:
    """What `work` says of itself."""
    try:
        return {"told": work()}
    except UserError as error:
        return {"error": str(error)}
    except ImportError as error:
        return {"error": f"The Python package {error.name} is missing."}
    except OSError as error:
        return {"error": f"{error.filename} cannot be read ({error.strerror})."}
