# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for all tests, and a way out of the interpreter that bpy survives."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tools.blender_root import find_blenders

# A shell starts background jobs with Ctrl-C ignored, and the processes that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPO = Path(__file__).resolve().parent.parent
_exit_status: int | None = None


@pytest.fixture(scope="session")
def repo() -> Path:
    """The repository's root folder."""
    return REPO


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of recordings and facts beside (or in) some checkouts; tests that need it are skipped elsewhere."""
    for folder in (REPO.parent / "shared", REPO / "shared"):
        if (folder / "audio").is_dir():
            return folder
    pytest.skip("needs the shared/ folder, which this checkout does not have")


@pytest.fixture
def scene():
    """A fresh, empty Blender scene (bpy.types.Scene); the whole file is reset before the test."""
    bpy = pytest.importorskip("bpy", reason="needs the bpy module")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `real_blender` (tools.blender_root.Blender) once in every executable there is."""
    if "real_blender" in metafunc.fixturenames:
        blenders, reason = find_blenders(make=False)
        skipped = [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
        params = [pytest.param(b, id=b.name) for b in blenders] or skipped
        metafunc.parametrize("real_blender", params, scope="session")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember pytest's verdict for pytest_unconfigure, which is not told."""
    global _exit_status
    _exit_status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Leave without the interpreter's clean-up: bpy 4.2 crashes and 4.5 hangs in it when a class or handler is left."""
    if "bpy" in sys.modules and _exit_status is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_status)
