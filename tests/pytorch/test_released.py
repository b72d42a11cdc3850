# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converting published checkpoints in a process of its own, as the preferences' buttons do."""

import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("transformers", reason="needs transformers")

from s2c_blender.errors import Cancelled, UserError
from s2c_blender.pytorch.released import convert, download
from tests.model.tiny_release import Sizes, write_release


def test_converted_with_progress(tmp_path):
    told = []
    write_release(tmp_path / "release", Sizes())
    report = convert(tmp_path / "release", tmp_path / "model", half=True, on_progress=lambda *what: told.append(what))
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "left.safetensors",
        "right.safetensors",
    }
    assert report["stored_as"] == ["F16"] and len({stage for stage, _ in told}) > 1


def test_cancelled_leaves_nothing(tmp_path):
    write_release(tmp_path / "release", Sizes())

    def cancel(stage: str, fraction: float) -> None:
        if stage != "starting":
            raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        convert(tmp_path / "release", tmp_path / "model", half=False, on_progress=cancel)
    assert time.monotonic() - began < 60
    assert {path.name for path in tmp_path.iterdir()} <= {"release", "model"}


def test_what_is_no_release(tmp_path):
    with pytest.raises(UserError, match="no S2C release"):
        convert(tmp_path, tmp_path / "model", half=False, on_progress=lambda *what: None)
    assert not any(tmp_path.iterdir())


def test_an_interpreter_that_ends(tmp_path):
    with pytest.raises(UserError, match="ended unexpectedly"):
        convert(tmp_path, tmp_path / "model", half=False, on_progress=lambda *what: None, interpreter="/bin/false")


def test_offline_downloads_nothing(tmp_path):
    with pytest.raises(UserError, match="online access"):
        download(tmp_path / "release", online=False, on_progress=lambda *what: None)
    assert not Path(tmp_path / "release").exists()
