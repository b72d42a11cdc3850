# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zips, one a platform, with the wheels that Blender's Python lacks."""

import hashlib
import json
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from .environment import MAIN
from .steps import BUILD, REPO, StepFailed, quietly, say, shown

LOCK = REPO / "wheels" / "lock.txt"
WHEELS = BUILD / "wheels"
LOG = BUILD / "logs" / "extension.log"

# Never NumPy: Blender has its own, and a second copy breaks other add-ons.
BUNDLED = ("scipy", "soundfile", "cffi", "pycparser", "typing_extensions", "threadpoolctl", "mido", "packaging")
PYTHONS = ("3.11", "3.13", "3.14")  # Blender 4.2 to 5.0; 5.1 and later; Debian's own builds
PLATFORMS = {  # Blender's name -> pip's names, newest first
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_12_0_arm64",),
}
CONTENT = ("__init__.py", "blender_manifest.toml", "LICENSE", "README.md", "s2c_blender", "rigs")


def lock() -> None:
    """Write wheels/lock.txt: the versions of requirements-common.txt with the hashes of the wheels for all targets."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (REPO / "requirements-common.txt").read_text(), re.MULTILINE))
    hashes: dict[str, set[str]] = {name: set() for name in BUNDLED}
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"{name}=={pins[name]}" for name in BUNDLED]
        for platform in PLATFORMS:
            for path in download(platform, Path(folder), wanted):
                name = path.name.split("-")[0].lower()
                hashes[name].add(hashlib.sha256(path.read_bytes()).hexdigest())
    lines = ["# Wheels for the extension, as they are on PyPI. Made by `python3.11 dev.py lock`; do not edit."]
    for name in BUNDLED:
        lines += [f"{name}=={pins[name]} \\"]
        lines += [f"    --hash=sha256:{h} \\" for h in sorted(hashes[name])]
        lines[-1] = lines[-1].removesuffix(" \\")
    LOCK.write_text("\n".join(lines) + "\n")
    say(f"{shown(LOCK)}: {sum(map(len, hashes.values()))} wheels of {len(BUNDLED)} packages")


def download(platform: str, folder: Path, wanted: list[str]) -> list[Path]:
    """Download the wheels for every Python into `folder`; pip compares hashes where `wanted` has some."""
    target = [word for tag in PLATFORMS[platform] for word in ("--platform", tag)]
    pip = [MAIN.python, "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--no-deps"]
    for python in PYTHONS:
        say(f"downloading wheels for {platform}, Python {python}")
        version = ["--only-binary=:all:", *target, "--python-version", python]
        quietly([*pip, *version, "--dest", folder, *wanted], LOG)
    return sorted(folder.glob("*.whl"))


def wheels(platform: str) -> list[Path]:
    """A platform's wheels of wheels/lock.txt, downloaded and compared with their hashes once, then kept in build/."""
    folder = WHEELS / platform
    recipe = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_text() != recipe:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        download(platform, folder, ["--require-hashes", "-r", shown(LOCK)])
        stamp.write_text(recipe)
    return sorted(folder.glob("*.whl"))


def stage(platforms: Sequence[str], folder: Path) -> None:
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
    for platform in platforms:
        for wheel in wheels(platform):
            shutil.copy2(wheel, folder / "wheels")
    names = sorted(path.name for path in (folder / "wheels").iterdir())
    manifest = folder / "blender_manifest.toml"
    manifest.write_text(with_wheels(manifest.read_text(), platforms, names))


def with_wheels(manifest: str, platforms: Sequence[str], names: Sequence[str]) -> str:
    """The manifest's text with the platforms and wheels added, before its first table."""
    listed = "".join(f'  "./wheels/{name}",\n' for name in names)
    added = f"platforms = {json.dumps(platforms)}\nwheels = [\n{listed}]\n\n"
    position = re.search(r"^\[", manifest, re.MULTILINE)
    if not position:
        raise StepFailed("blender_manifest.toml has no table, so there is no place before it for the wheels.")
    return manifest[: position.start()] + added + manifest[position.start() :]


def this_platform() -> str:
    """Blender's name of the platform this runs on."""
    return {"linux": "linux-x64", "win32": "windows-x64", "darwin": "macos-arm64"}[sys.platform]


def build(platforms: Sequence[str] = tuple(PLATFORMS), output: Path = BUILD) -> list[Path]:
    """Build one zip a platform with Blender's own extension tool into `output`; returns their paths."""
    [tool] = MAIN.path.glob("lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
    quietly([MAIN.python, tool, "validate", REPO], LOG)
    staging = output / "extension"
    stage(platforms, staging)
    say("building the extension")
    quietly([MAIN.python, tool, "build", "--source-dir", staging, "--output-dir", output, "--split-platforms"], LOG)
    version = tomllib.loads((staging / "blender_manifest.toml").read_text())["version"]
    zips = [output / f"s2c_piano_hands-{version}-{platform.replace('-', '_')}.zip" for platform in platforms]
    for path in zips:
        say(f"{shown(path)}: {path.stat().st_size / 1e6:.0f} MB")
    return zips
