# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-check: nothing to complain about here, and each thing that can be wrong is told with what to do."""

import sys

import pytest

from s2c_blender import probe, self_check
from s2c_blender.errors import Cancelled, UserError
from s2c_blender.job import Look
from s2c_blender.self_check import Finding, check

SEEN = {  # by a worker in which all is well
    "python": "3.11.7",
    "executable": "/usr/bin/python3",
    "packages": {name: {"version": "1.0"} for name in probe.PACKAGES},
    "computes": {"onnx": ["CPU"], "torch": ["cpu"]},
    "chosen": {"told": "onnx on cpu"},
    "transcribers": {"onnx": {"told": "transcriber.onnx"}, "torch": {"told": "2.0.pt"}},
    "model": {"told": "none"},
}


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = (finding for finding in findings if finding.name == name)
    return found


def test_all_is_well(tmp_path, monkeypatch):
    """The real thing, without listening to sound, which takes long where the processor is slow."""
    look = self_check._worker
    monkeypatch.setattr(self_check, "_worker", lambda seen, model: look(seen) + [seen["transcribers"].clear()][:0])
    told = []
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "entry.npz").write_bytes(bytes(500_000))
    findings = check(
        blender=(4, 5, 1), cache=tmp_path / "cache", on_progress=lambda name, fraction: told.append(fraction)
    )
    assert [finding for finding in findings if not finding.ok and "ackage" in finding.name] == []
    assert named(findings, "versions").told.startswith("Blender 4.5.1, S2C Piano Hands ")
    assert named(findings, "cache").told.startswith("1 files of 0.5 MB")
    assert "numpy 1" in named(findings, "packages").told or "numpy 2" in named(findings, "packages").told
    assert sys.executable in named(findings, "worker").told
    assert named(findings, "2 seconds of notes").told.startswith("4 of 4 notes played in ")
    assert named(findings, "2 seconds of notes").ok
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "entry.npz"]


def test_cancelled(tmp_path):
    def stop(name: str, fraction: float) -> None:
        if name == "the worker's Python":
            raise Cancelled

    with pytest.raises(Cancelled):
        check(on_progress=stop)


@pytest.mark.parametrize(
    ("name", "seen", "told", "cure"),
    [
        ("packages", {"packages": {"scipy": {"error": "it is not installed"}}}, "scipy (it is not", "zip again"),
        ("torch", {"packages": {"torch": {"error": "libc10.so", "there": True}}}, "(libc10.so)", "without it"),
        ("onnxruntime", {"packages": {"onnxruntime": {"error": "x", "there": True}}}, "(x)", "zip again"),
        ("transcriber", {"transcribers": {}}, "Recordings cannot be heard", "use MIDI files"),
        ("device", {"chosen": {"error": "PyTorch finds no device."}}, "finds no device", "another backend or device"),
        ("transcriber", {"computes": {}}, "Recordings cannot be heard", "install PyTorch"),
        ("transcriber (onnx)", {"transcribers": {"onnx": {"error": "It is damaged."}}}, "damaged", "zip again"),
        ("gesture model", {"model": {"error": "x holds no model."}}, "holds no model", "generator Pianist"),
    ],
)
def test_problems_of_the_worker(name, seen, told, cure):
    assert all(finding.ok for finding in self_check._worker(SEEN))
    seen = {key: SEEN[key] | value if key == "packages" else value for key, value in seen.items()}
    found = named(self_check._worker(SEEN | seen), name)
    assert not found.ok
    assert told in found.told
    assert cure in found.cure
    assert str(found).startswith("PROBLEM: ")


def test_a_chosen_model_that_cannot_be_used():
    found = named(self_check._worker(SEEN | {"model": {"error": "x holds no model."}}, "x"), "gesture model")
    assert "another model folder" in found.cure


def test_a_full_disk_leaves_what_was_found(tmp_path, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(self_check, "_notes", full)
    findings = check()
    assert "No space left" in named(findings, "temporary files").told
    assert named(findings, "versions").ok and named(findings, "worker").ok


def test_an_interpreter_that_is_none(tmp_path):
    findings = check(interpreter=str(tmp_path / "python"))
    assert not findings[-1].ok
    assert "cannot be started" in findings[-1].told
    assert "leave it empty" in findings[-1].cure


def test_an_interpreter_without_packages(tmp_path):
    findings = check(python_args=("-I", "-S"))
    found = named(findings, "packages")
    assert not found.ok
    assert "numpy (it is not installed)" in found.told
    assert findings[-1].name == "gesture model"  # nothing is played with it


def test_an_old_blender_a_full_disk_and_a_cache_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(self_check, "ROOM", 1e9)
    monkeypatch.setattr(self_check, "Worker", lambda *_, **__: _raise())
    findings = check(blender=(4, 1, 0), cache=tmp_path / "file")
    assert [finding.name for finding in findings if not finding.ok] == ["versions", "disk", "cache", "worker"]
    assert all(finding.cure for finding in findings if not finding.ok)


def _raise():
    raise UserError("It cannot be started.")


def test_a_damaged_network_file(tmp_path, monkeypatch):
    (tmp_path / "audio" / "bundled").mkdir(parents=True)
    network = tmp_path / "audio" / "bundled" / "transcriber.onnx"
    network.write_bytes(b"network")
    digits = "0d6c3f7b"
    network.with_name("transcriber.onnx.sha256").write_text(f"{digits}  transcriber.onnx\n")
    monkeypatch.setattr(probe, "__file__", str(tmp_path / "probe.py"))
    found = probe._transcribers({"transkun": {"error": "it is not installed"}})
    assert "is damaged (its SHA-256 begins with" in found["onnx"]["error"]


def test_a_look_needs_no_network_of_either_kind(monkeypatch):
    """A Python with NumPy and SciPy alone is looked at, too; packages that are broken say so only when imported."""

    def import_module(name: str):
        if name == "onnxruntime":
            raise OSError("libgomp.so.1")
        if name in ("torch", "transkun"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name)

    real = probe.import_module
    monkeypatch.setattr(probe, "import_module", import_module)
    seen = probe.look(Look())
    assert seen["computes"] == seen["transcribers"].get("torch", {}) == {}
    findings = self_check._worker(seen)
    assert "libgomp.so.1" in named(findings, "onnxruntime").told
    assert not [finding for finding in findings if finding.name == "torch"]  # nobody needs it
    assert not named(findings, "transcriber").ok


def test_a_model_that_is_none(tmp_path):
    assert "holds no model" in probe.look(Look(model=str(tmp_path)))["model"]["error"]
