# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zips, one a platform, with the wheels that Blender's Python lacks."""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from .environment import MAIN
from .steps import BUILD, REPO, StepFailed, quietly, say, shown

LOCK = REPO / "wheels" / "lock.txt"
WHEELS = BUILD / "wheels"
STAGING = BUILD / "extension"
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
        for path in download(Path(folder), wanted):
            name = path.name.split("-")[0].lower()
            hashes[name].add(hashlib.sha256(path.read_bytes()).hexdigest())
    lines = ["# Wheels for the extension, as they are on PyPI. Made by `python3.11 dev.py lock`; do not edit."]
    for name in BUNDLED:
        lines += [f"{name}=={pins[name]} \\"]
        lines += [f"    --hash=sha256:{h} \\" for h in sorted(hashes[name])]
        lines[-1] = lines[-1].removesuffix(" \\")
    LOCK.write_text("\n".join(lines) + "\n")
    say(f"{shown(LOCK)}: {sum(map(len, hashes.values()))} wheels of {len(BUNDLED)} packages")


def download(folder: Path, wanted: list[str]) -> list[Path]:
    """Download the wheels for every platform and Python into `folder`; pip compares hashes where `wanted` has some."""
    for platform, tags in PLATFORMS.items():
        for python in PYTHONS:
            say(f"downloading wheels for {platform}, Python {python}")
            target = [word for tag in tags for word in ("--platform", tag)]
            pip = [MAIN.python, "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--no-deps"]
            pip += ["--only-binary=:all:", *target, "--python-version", python, "--dest", folder]
            quietly([*pip, *wanted], LOG)
    return sorted(folder.glob("*.whl"))


def wheels() -> list[Path]:
    """The wheels of wheels/lock.txt, downloaded and compared with their hashes once, then kept in build/wheels."""
    recipe = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = WHEELS / "made-from"
    if not stamp.exists() or stamp.read_text() != recipe:
        shutil.rmtree(WHEELS, ignore_errors=True)
        WHEELS.mkdir(parents=True)
        download(WHEELS, ["--require-hashes", "-r", shown(LOCK)])
        stamp.write_text(recipe)
    return sorted(WHEELS.glob("*.whl"))


def stage() -> Path:
    """Copy what the extension is made of to build/extension, with the wheels and a manifest that lists them."""
    shutil.rmtree(STAGING, ignore_errors=True)
    STAGING.mkdir(parents=True)
    for name in CONTENT:
        source = REPO / name
        if source.is_dir():
            shutil.copytree(source, STAGING / name, ignore=shutil.ignore_patterns("__pycache__", "*.blend1"))
        else:
            shutil.copy2(source, STAGING / name)
    (STAGING / "wheels").mkdir()
    for wheel in wheels():
        shutil.copy2(wheel, STAGING / "wheels")
    manifest = STAGING / "blender_manifest.toml"
    manifest.write_text(with_wheels(manifest.read_text(), [w.name for w in wheels()]))
    return STAGING


def with_wheels(manifest: str, names: list[str]) -> str:
    """The manifest's text with the platforms and wheels added, before its first table."""
    platforms = ", ".join(f'"{p}"' for p in PLATFORMS)
    listed = "".join(f'  "./wheels/{name}",\n' for name in names)
    added = f"platforms = [{platforms}]\nwheels = [\n{listed}]\n\n"
    position = re.search(r"^\[", manifest, re.MULTILINE)
    if not position:
        raise StepFailed("blender_manifest.toml has no table, so there is no place before it for the wheels.")
    return manifest[: position.start()] + added + manifest[position.start() :]


def build() -> list[Path]:
    """Build the zips with Blender's own extension tool; returns their paths."""
    [tool] = MAIN.path.glob("lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
    quietly([MAIN.python, tool, "validate", REPO], LOG)
    say("building the extension")
    for old in BUILD.glob("s2c_piano_hands-*.zip"):
        old.unlink()
    quietly([MAIN.python, tool, "build", "--source-dir", stage(), "--output-dir", BUILD, "--split-platforms"], LOG)
    zips = sorted(BUILD.glob("s2c_piano_hands-*.zip"))
    for path in zips:
        say(f"{shown(path)}: {path.stat().st_size / 1e6:.0f} MB")
    return zips
