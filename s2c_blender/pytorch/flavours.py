# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PyTorch fits this machine, and its files: wheels.json, which `python -m tools.pytorch_lock` writes."""

import json
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LOCK = Path(__file__).with_name("wheels.json")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"  # wheels fit one Python only
NAMES = {"cpu": "Processor", "cuda": "NVIDIA, CUDA", "mps": "Apple Graphics"}


@dataclass(frozen=True)
class Wheel:
    """One file to fetch: its size in bytes and SHA-256 are what it must have."""

    name: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Flavour:
    """PyTorch with all it needs, for one platform, Python and kind of processor ("cpu", "cuda" or "mps")."""

    platform: str
    kind: str
    python: str
    cuda: str  # its version, "" where there is none
    wheels: tuple[Wheel, ...]

    @property
    def key(self) -> str:
        """A name for its folder, the same for later versions of the same flavour."""
        return f"{self.kind}-cp{self.python.replace('.', '')}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{NAMES[self.kind]} {self.cuda}".strip()

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(wheel.size for wheel in self.wheels)


def this_platform() -> str:
    """Blender's name of the platform this runs on, for example "linux-x64"; some that are none of ours, too."""
    system = {"linux": "linux", "win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{system}-{ {'x86_64': 'x64', 'amd64': 'x64', 'aarch64': 'arm64'}.get(machine, machine) }"


def flavours(system: str | None = None, python: str = PYTHON) -> list[Flavour]:
    """What there is for a platform (None: this one) and a Python, the smallest kind first."""
    return [one for one in _all() if (one.platform, one.python) == (system or this_platform(), python)]


@cache
def _all() -> list[Flavour]:
    content = json.loads(LOCK.read_text(encoding="utf-8"))
    wheels = {name: Wheel(name, **told) for name, told in content["wheels"].items()}
    return [
        Flavour(**told | {"wheels": tuple(wheels[name] for name in told["wheels"])}) for told in content["flavours"]
    ]
