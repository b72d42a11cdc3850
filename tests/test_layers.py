# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import what: only s2c_blender/blender/ bpy, only audio and model torch, the core NumPy and SciPy alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "s2c_blender"
BLENDER = {"bpy", "bpy_extras", "mathutils", "gpu", "blf", "bmesh", "addon_utils"}
TORCH = {"torch", "torchaudio", "transkun", "transformers", "onnxruntime"}
# Package or module of s2c_blender -> the ones it may import; imports point downwards.
BELOW = {
    "core": {"errors"},
    "errors": set(),
    "job": set(),
    "outputs": {"errors"},
    "wheels": set(),
    "pianist": {"core", "errors"},
    "audio": {"core", "errors"},
    "model": {"core", "audio", "errors", "outputs"},
    "pytorch": {"errors", "model", "outputs"},
    "generate": {"core", "errors", "job", "outputs", "pianist", "audio", "model"},
    "likeness": {"core", "errors", "pianist", "model"},
    "probe": {"errors", "job", "audio", "model"},
    "worker": {"core", "errors", "job", "outputs", "generate", "probe"},
    "self_check": {"core", "errors", "job", "outputs", "audio", "worker"},
    "blender": {
        *("core", "errors", "job", "outputs", "wheels", "pianist", "audio", "pytorch"),
        *("generate", "worker", "self_check", "cli", "likeness"),
    },
    "cli": {
        "core",
        "errors",
        "job",
        "outputs",
        "pianist",
        "likeness",
        "audio",
        "generate",
        "worker",
        "blender",
        "model",
        "self_check",
    },
    "__main__": {"cli"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Imported modules, at the top or inside functions; those of this package as `s2c_blender.x`."""
    here = ["s2c_blender", *path.relative_to(PACKAGE).with_suffix("").parts]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = here[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            found += [f"{base}.{alias.name}" for alias in node.names] if node.level and not node.module else [base]
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path):
    part = part_of(path)
    if part == "__init__":
        assert not imports(path)
        return
    for name in imports(path):
        root, *rest = name.split(".")
        if root in BLENDER:
            assert part == "blender", f"{name} imported outside s2c_blender/blender"
        if root in TORCH:
            assert part in ("audio", "model", "probe"), f"{name} imported outside audio and model"
        if part == "core":
            known = {"numpy", "scipy", "s2c_blender"} | sys.stdlib_module_names
            assert root in known, f"the core imports {name}"
        if root == "s2c_blender" and rest and rest[0] not in (part, "__version__"):
            assert rest[0] in BELOW[part], f"{part} imports {name}"


def test_only_relative_imports_inside_the_package():
    # Installed as an extension the package is called bl_ext.<repository>.<id>.s2c_blender.
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module)
            assert not any(name.split(".")[0] == "s2c_blender" for name in names), path


def test_the_work_without_torch_and_bpy():
    """Nothing on the way to a motion from MIDI loads PyTorch or Blender."""
    code = (
        "import sys; import s2c_blender.cli, s2c_blender.generate, s2c_blender.model.commands; "
        "names = 'bpy', 'torch', 'transkun', 'transformers', 'safetensors', 'onnxruntime'; "
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
