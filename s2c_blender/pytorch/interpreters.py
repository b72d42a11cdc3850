# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Python has for the worker: looked at in a process of its own, because importing PyTorch takes seconds."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ENVIRONMENT, UserError

TIMEOUT_S = 180.0
NEEDED = ("torch", "transkun", "safetensors", "transformers")  # for listening; for models; for the published one
_LOOK = """
import sys
sys.path[:] = [p for p in sys.path if p]  # not what lies in the current folder
import importlib.metadata, importlib.util, json
from pathlib import PurePath
mine = "python%d.%d" % sys.version_info[:2]  # and no wheels for another Python
def other(word):
    return word.startswith("python3.") and word != mine
sys.path += [p for p in json.loads(sys.argv[1]) if not any(map(other, PurePath(p).parts))]
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
answer = {"python": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable}
answer["packages"] = {name: version(name) for name in json.loads(sys.argv[2]) if importlib.util.find_spec(name)}
answer |= {"cuda": "", "devices": [], "place": "", "problem": ""}
if "torch" in answer["packages"]:
    try:
        import torch
        answer["packages"]["torch"], answer["place"] = torch.__version__, torch.__path__[0]
        answer["cuda"] = torch.version.cuda or ""
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        answer["devices"] = [torch.cuda.get_device_name(i) for i in range(count)]
        answer["devices"] += ["Apple graphics"] if torch.backends.mps.is_available() else []
    except Exception as error:
        answer["problem"] = f"{type(error).__name__}: {error}".splitlines()[0]
print("\\n" + json.dumps(answer))
"""


@dataclass(frozen=True)
class Found:
    """What there is in a Python: `packages` of NEEDED with their versions, graphics `devices` that PyTorch can use.

    `place` is the folder PyTorch comes from, `problem` the reason why it cannot be imported.
    """

    executable: str
    python: str
    packages: dict[str, str]
    cuda: str
    devices: tuple[str, ...]
    place: str
    problem: str

    @property
    def missing(self) -> list[str]:
        """Packages of NEEDED that are not there."""
        return [name for name in NEEDED if name not in self.packages]

    @property
    def usable(self) -> bool:
        """Whether PyTorch works there."""
        return "torch" in self.packages and not self.problem

    def sentence(self) -> str:
        """What was found, for people."""
        if "torch" not in self.packages:
            return f"Python {self.python} without PyTorch."
        if self.problem:
            return f"Python {self.python}, PyTorch {self.packages['torch']} does not start ({self.problem})."
        cuda = f", CUDA {self.cuda}" if self.cuda else ""
        computes = f"computes on {', '.join(self.devices)}" if self.devices else "computes on the processor"
        lacking = f"; {', '.join(self.missing)} missing" if self.missing else ""
        return f"Python {self.python}, PyTorch {self.packages['torch']}{cuda}: {computes}{lacking}."


def program(chosen: str | Path) -> Path:
    """The Python program that a user points at: the file, or the one in a virtual or conda environment's folder."""
    path = Path(chosen)
    if path.is_dir():
        for inside in ("bin/python", "Scripts/python.exe", "python.exe", "bin/python3"):
            if (path / inside).is_file():
                return path / inside
    return path


def look(
    interpreter: str | Path | None = None, python_args: Iterable[str] = (), search_paths: Iterable[str] = ()
) -> Found:
    """What the interpreter (None: this one) has with the worker's `search_paths`. UserError if it is none."""
    executable = str(program(interpreter)) if interpreter else sys.executable
    command = [executable, *python_args, "-c", _LOOK, json.dumps(list(search_paths)), json.dumps(NEEDED)]
    cure = "choose another one in the extension's preferences, or leave the field empty."
    try:
        told = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise UserError(f"{executable} cannot be started ({error.strerror}): {cure}", ENVIRONMENT) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{executable} did not answer within {TIMEOUT_S:.0f} s: {cure}", ENVIRONMENT) from error
    try:
        answer = json.loads(told.stdout.splitlines()[-1])
        return Found(**answer | {"devices": tuple(answer["devices"])})
    except (IndexError, ValueError, TypeError, KeyError) as error:
        last = next(
            (line for line in reversed(told.stderr.splitlines()) if line.strip()), f"exit code {told.returncode}"
        )
        raise UserError(f"{executable} is no Python that works here ({last.strip()}): {cure}", ENVIRONMENT) from error


def find(
    pointed: str | None, packages: Path | None, python_args: Iterable[str] = (), search_paths: Iterable[str] = ()
) -> Found:
    """What the worker will have: the interpreter the user points at, else this Python with the installed `packages`."""
    if pointed:
        return look(pointed)
    return look(None, python_args, [*([str(packages)] if packages else []), *search_paths])
