# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zips, one a platform and Python, with everything that Blender's Python lacks."""

import hashlib
import json
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .environment import MAIN, read_requirements
from .steps import BUILD, REPO, StepFailed, quietly, say, shown

WHEELS = BUILD / "wheels"
LOG = BUILD / "logs" / "extension.log"
LARGEST = 200e6  # bytes: more than extensions.blender.org takes

# Never NumPy: Blender has its own, and a second copy breaks other add-ons. Of the packages that ONNX Runtime names,
# it does not import flatbuffers and protobuf.
BUNDLED = ("scipy", "onnxruntime", "soundfile", "cffi", "pycparser", "typing_extensions", "threadpoolctl", "mido")
BUNDLED += ("packaging",)
PYTHONS = {  # Python -> the Blenders built with it: from this version, up to but not including that one
    "3.11": ("4.2.0", "5.1.0"),
    "3.13": ("4.2.0", ""),  # blender.org's from 5.1, and Linux distributions' own builds of earlier ones
    "3.14": ("4.2.0", ""),  # Linux distributions' own builds
}
PLATFORMS = {  # Blender's name -> pip's names, preferred first
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    # SciPy has a smaller wheel for macOS 14, but that one computes with other libraries than the tested ones.
    "macos-arm64": ("macosx_12_0_arm64", "macosx_14_0_arm64"),
}
CONTENT = ("__init__.py", "blender_manifest.toml", "LICENSE", "README.md", "s2c_blender", "rigs")
BUNDLED_MODEL = REPO / "s2c_blender" / "model" / "bundled"


@dataclass(frozen=True)
class Target:
    """What one zip is for: Blender's name of the platform, and the minor version of its Python ("3.11")."""

    platform: str
    python: str

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}"

    @property
    def name(self) -> str:
        """As in file names, which Blender writes with underscores."""
        return f"{self.platform.replace('-', '_')}-py{self.python.replace('.', '')}"


# Only Linux distributions build Blender with a Python newer than blender.org's.
TARGETS = [Target(platform, python) for python in PYTHONS for platform in PLATFORMS]
TARGETS = [target for target in TARGETS if target.python != "3.14" or target.platform == "linux-x64"]


def lock_file(python: str) -> Path:
    """The versions and hashes of the wheels for one Python."""
    return REPO / "wheels" / f"lock-py{python.replace('.', '')}.txt"


def pins(python: str) -> dict[str, str]:
    """Package -> version of all requirements*.txt that holds for this Python; other markers than its version: none."""
    text = "".join(read_requirements(REPO / name) for name in (MAIN.requirements, MAIN.without_dependencies))
    found = {}
    for name, version, sign, limit in re.findall(
        r'^([\w.-]+)==([\w.]+)(?: ; python_version (<|>=) "3\.(\d+)")?$', text, re.MULTILINE
    ):
        minor = int(python.split(".")[1])
        if not sign or (minor < int(limit)) == (sign == "<"):
            found[name] = version
    return found


def lock() -> None:
    """Write wheels/lock-*.txt: the versions of requirements*.txt with the hashes of the wheels for all targets."""
    for python in PYTHONS:
        versions = pins(python)
        wanted = [f"{name}=={versions[name]}" for name in BUNDLED]
        hashes: dict[str, set[str]] = {name: set() for name in BUNDLED}
        for target in (t for t in TARGETS if t.python == python):
            with tempfile.TemporaryDirectory() as folder:
                for path in download(target, Path(folder), wanted):
                    hashes[path.name.split("-")[0].lower()].add(hashlib.sha256(path.read_bytes()).hexdigest())
        lines = [f"# Wheels for Python {python}, as they are on PyPI. Made by `python3.11 dev.py lock`; do not edit."]
        for name in BUNDLED:
            lines += [f"{name}=={versions[name]} \\"]
            lines += [f"    --hash=sha256:{h} \\" for h in sorted(hashes[name])]
            lines[-1] = lines[-1].removesuffix(" \\")
        lock_file(python).write_text("\n".join(lines) + "\n")
        say(f"{shown(lock_file(python))}: {sum(map(len, hashes.values()))} wheels of {len(BUNDLED)} packages")


def download(target: Target, folder: Path, wanted: Sequence[str | Path]) -> list[Path]:
    """Download the target's wheels into `folder`; pip compares hashes where `wanted` has some."""
    say(f"downloading the wheels for {target}")
    fitting = [word for tag in PLATFORMS[target.platform] for word in ("--platform", tag)]
    pip = [MAIN.python, "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--no-deps"]
    fitting += ["--only-binary=:all:", "--python-version", target.python]
    quietly([*pip, *fitting, "--dest", folder, *wanted], LOG)
    return sorted(folder.glob("*.whl"))


def wheels(target: Target) -> list[Path]:
    """A target's wheels as its lock file says, downloaded and compared with their hashes once, then kept in build/."""
    folder = WHEELS / target.name
    recipe = hashlib.sha256(lock_file(target.python).read_bytes()).hexdigest()
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_text() != recipe:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        download(target, folder, ["--require-hashes", "-r", lock_file(target.python)])
        stamp.write_text(recipe)
    return sorted(folder.glob("*.whl"))


def export_networks() -> None:
    """Write the networks as ONNX files, which are not in git, where they are missing or out of date."""
    quietly([MAIN.python, "-m", "tools.onnx_export"], LOG)
    if not (BUNDLED_MODEL / "config.json").is_file():
        raise StepFailed(f"{shown(BUNDLED_MODEL)} has no gesture model, without which the extension does not play.")
    quietly([MAIN.python, "-m", "tools.onnx_export", BUNDLED_MODEL], LOG)


def stage(target: Target, folder: Path) -> None:
    """Copy what the extension is made of to `folder`, with the wheels and a manifest that lists them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in CONTENT:
        source = REPO / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.blend1"))
        else:
            shutil.copy2(source, folder / name)
    (folder / "wheels").mkdir()
    for wheel in wheels(target):
        shutil.copy2(wheel, folder / "wheels")
    names = sorted(path.name for path in (folder / "wheels").iterdir())
    manifest = folder / "blender_manifest.toml"
    manifest.write_text(fitted(manifest.read_text(), target, names))


def fitted(manifest: str, target: Target, wheels: Sequence[str]) -> str:
    """The manifest's text for one target: which Blenders take it, the platform, the wheels' names."""
    first, limit = PYTHONS[target.python]
    lines = [f'blender_version_min = "{first}"', *([f'blender_version_max = "{limit}"'] if limit else [])]
    lines += [f"platforms = {json.dumps([target.platform])}", "wheels = ["]
    lines += [*(f'  "./wheels/{name}",' for name in wheels), "]"]
    text, replaced = re.subn(r"^blender_version_min = .*$", "\n".join(lines), manifest, flags=re.MULTILINE)
    if replaced != 1:
        raise StepFailed("blender_manifest.toml needs exactly one line blender_version_min, for the zip's lines.")
    return text


def this_platform() -> str:
    """Blender's name of the platform this runs on."""
    return {"linux": "linux-x64", "win32": "windows-x64", "darwin": "macos-arm64"}[sys.platform]


def build(
    platforms: Sequence[str] = tuple(PLATFORMS), output: Path = BUILD, pythons: Sequence[str] = tuple(PYTHONS)
) -> list[Path]:
    """Build the zips for these platforms and Pythons with Blender's own extension tool into `output`; their paths."""
    [tool] = MAIN.path.glob("lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
    quietly([MAIN.python, tool, "validate", REPO], LOG)
    export_networks()
    paths = []
    for target in (t for t in TARGETS if t.platform in platforms and t.python in pythons):
        staging = output / "extension"
        stage(target, staging)
        described = tomllib.loads((staging / "blender_manifest.toml").read_text())
        path = output / f"{described['id']}-{described['version']}-{target.name}.zip"
        quietly([MAIN.python, tool, "build", "--source-dir", staging, "--output-filepath", path], LOG)
        shutil.rmtree(staging)
        size = path.stat().st_size
        say(f"{shown(path)}: {size / 1e6:.0f} MB")
        if size >= LARGEST:
            raise StepFailed(f"{path.name} has {size / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} are allowed.")
        paths.append(path)
    return paths
