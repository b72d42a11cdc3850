# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual environments, each with one Blender as a Python module, and the system libraries Blender needs."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .steps import BUILD, REPO, StepFailed, quietly, say, shown

PYTHON = (3, 11)  # the one Python that the Blender modules 4.2 to 5.0 are made for


@dataclass(frozen=True)
class Environment:
    """A virtual environment in the clone: its folder, its requirements, those installed without their dependencies."""

    folder: str
    blender: str
    requirements: str
    without_dependencies: str = ""

    @property
    def path(self) -> Path:
        return REPO / self.folder

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"


MAIN = Environment(".venv", "Blender 4.5 LTS, transcription", "requirements.txt", "requirements-nodeps.txt")
BPY42 = Environment(".venv-bpy42", "Blender 4.2 LTS", "requirements-bpy42.txt")
BPY50 = Environment(".venv-bpy50", "Blender 5.0", "requirements-bpy50.txt")

# Debian and Ubuntu packages of the libraries that the Blender modules are linked with.
PACKAGE_OF = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libICE.so.6": "libice6",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXt.so.6": "libxt6",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libgomp.so.1": "libgomp1",
    "libxkbcommon.so.0": "libxkbcommon0",
}


def set_up(environment: Environment) -> None:
    """Create the environment, or leave it alone when it was made by the same Python from the same requirements."""
    files = [environment.requirements, environment.without_dependencies]
    texts = [read_requirements(REPO / f) for f in files if f]
    recipe = hashlib.sha256("\0".join([*texts, str(environment.path)]).encode()).hexdigest()
    stamp = environment.path / "made-from"
    if stamp.exists() and stamp.read_text() == recipe:
        say(f"{environment.folder} is ready ({environment.blender})")
        return
    say(f"{environment.folder}: installing {environment.blender} (once, a few minutes)")
    log = BUILD / "logs" / f"{environment.folder.lstrip('.')}.log"
    stamp.unlink(missing_ok=True)
    make_venv(environment, log)
    pip = [environment.python, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check"]
    quietly([*pip, "-r", environment.requirements], log)
    if environment.without_dependencies:
        quietly([*pip, "--no-deps", "-r", environment.without_dependencies], log)
    need_libraries(environment, log)
    stamp.write_text(recipe)


def read_requirements(path: Path) -> str:
    """The text of a requirements file and of those it names with -r."""
    text = path.read_text()
    included = re.findall(r"^-r\s+(\S+)", text, re.MULTILINE)
    return text + "".join(read_requirements(path.parent / name) for name in included)


def make_venv(environment: Environment, log: Path) -> None:
    """A virtual environment with pip; Debian splits that off Python, so fetch it there."""
    python = find_python()
    if environment.python.exists() and subprocess.run([environment.python, "-c", "import pip"]).returncode == 0:
        return
    if subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode:
        apt_install([f"python{PYTHON[0]}.{PYTHON[1]}-venv"], "Python cannot make virtual environments here", log)
    quietly([python, "-m", "venv", "--clear", environment.path], log)


def find_python() -> str:
    """A Python 3.11: the running one, or the one on the PATH."""
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    if found := shutil.which(f"python{PYTHON[0]}.{PYTHON[1]}"):
        return found
    version = ".".join(map(str, PYTHON))
    raise StepFailed(
        f"Python {version} is needed, because Blender's modules are made for exactly that one, and there is no "
        f"`python{version}` here: install it and run this again."
    )


def need_libraries(environment: Environment, log: Path) -> None:
    """Make sure that the system libraries Blender's module is linked with are there; on Debian, root gets them."""
    if sys.platform != "linux":
        return
    missing = missing_libraries(environment)
    if missing:
        unknown = [name for name in missing if name not in PACKAGE_OF]
        if unknown:
            names = ", ".join(unknown)
            raise StepFailed(f"Blender's module needs the system libraries {names}: install them, then run this again.")
        apt_install([PACKAGE_OF[name] for name in missing], "Blender's module needs system libraries", log)
        if missing := missing_libraries(environment):
            raise StepFailed(f"Blender's module still misses the system libraries {', '.join(missing)}.")


def missing_libraries(environment: Environment) -> list[str]:
    """Names of the shared libraries that the environment's bpy needs and this machine does not have."""
    [module] = environment.path.glob("lib/python*/site-packages/bpy/__init__*.so")
    listing = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    missing = set(re.findall(r"^\s*(\S+) => not found", listing, re.MULTILINE))
    try:
        ctypes.CDLL("libEGL.so.1")  # not linked with: Workbench and EEVEE open it when they first render
    except OSError:
        missing.add("libEGL.so.1")
    return sorted(missing)


def apt_install(packages: list[str], reason: str, log: Path) -> None:
    """Install Debian or Ubuntu packages as root; anyone else is told what to install."""
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if not shutil.which("apt-get") or os.geteuid() != 0:
        advice = f"run `sudo {' '.join(command)}` (or what your system calls it), then run this again"
        raise StepFailed(f"{reason}: {advice}.")
    say(f"{reason}: installing {' '.join(packages)}")
    quietly(["apt-get", "update", "-q"], log)
    quietly(command, log, {"DEBIAN_FRONTEND": "noninteractive"})


if __name__ == "__main__":
    for wanted in (MAIN, BPY42, BPY50):
        print(shown(wanted.path), missing_libraries(wanted))
