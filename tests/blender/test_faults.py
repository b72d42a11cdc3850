# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender closed, killed or cancelled while the hands are made, two generations at once, and the self-check's button.

Afterwards there is no process, no litter and the scene as it was.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender import worker  # noqa: E402
from s2c_blender.blender import job, register, self_check  # noqa: E402
from s2c_blender.errors import Cancelled, UserError  # noqa: E402
from s2c_blender.self_check import Finding  # noqa: E402
from s2c_blender.worker import PACKAGE_ROOT  # noqa: E402
from tests.blender.test_ui import settings  # noqa: E402, F401 (a fixture)
from tests.test_faults import hanging, linux, until, workers  # noqa: E402
from tests.test_worker import melody  # noqa: E402

STEPS = ("starting", "reading", "playing", "writing")


@pytest.fixture
def tune(tmp_path) -> Path:
    return melody(tmp_path / "tune.mid")


@pytest.fixture
def hangs(monkeypatch, tmp_path):
    """A function that lets the next generations hang at a step, and gives the file that appears then."""

    def at(step: str) -> Path:
        said = tmp_path / f"said {step}"
        arguments = {"interpreter": None, "python_args": hanging(step, said), "search_paths": []}
        monkeypatch.setattr(job, "worker_options", lambda _: arguments)
        return said

    return at


def everything() -> dict[str, list[str]]:
    """The names of all there is in the file, and where the scene stands."""
    kinds = [name for name in dir(bpy.data) if isinstance(getattr(bpy.data, name), bpy.types.bpy_prop_collection)]
    found = {kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds}
    scene = bpy.context.scene
    frames = [scene.frame_start, scene.frame_end, scene.frame_current]
    return found | {"frames": frames, "takes": len(scene.piano_hands.takes)}


@pytest.mark.parametrize("how", ["killed", "cancelled"])
@pytest.mark.parametrize("step", STEPS)
def test_the_scene_stays_as_it_was(settings, tune, hangs, step, how):  # noqa: F811
    settings.source, settings.filepath = "FILE", str(tune)
    before, said = everything(), hangs(step)
    run = job.start(bpy.context)
    folder = run.order.result.parent
    until(said.exists)
    if how == "killed":
        run.worker._process._process.kill()
        with pytest.raises(UserError, match="The worker process ended unexpectedly"):
            while True:
                run.poll()
                time.sleep(0.02)
        job.stop("It was killed.")
    else:
        begun = time.monotonic()
        assert job.cancel() == "Cancelled; nothing was changed."
        assert time.monotonic() - begun < 2.0
    assert everything() == before
    assert not run.worker._process.alive
    assert not folder.exists()
    assert job.state.run is None


def test_a_second_generation_is_refused_in_one_sentence(settings, tune, hangs):  # noqa: F811
    settings.source, settings.filepath = "FILE", str(tune)
    said = hangs("playing")
    run = job.start(bpy.context)
    until(said.exists)
    with pytest.raises(RuntimeError, match="The hands are being made: wait, or cancel with Esc"):
        bpy.ops.piano_hands.generate()
    assert job.state.run is run  # and the first goes on
    assert run.worker._process.alive
    job.cancel()


@linux
@pytest.mark.parametrize("how", ["closed", "killed", "closed when it was done"])
def test_blender_is_closed_during_a_generation(tune, tmp_path, how):
    temporary, said = tmp_path / "temporary", tmp_path / "said"
    temporary.mkdir()
    end = "time.sleep(100)" if how == "killed" else "sys.exit()"
    waits = "while not pathlib.Path({said!r}).exists(): time.sleep(0.02)"
    if how == "closed when it was done":
        waits = "while not job.state.run.poll(): time.sleep(0.02)\njob.stop()"
    code = f"""
import pathlib, sys, time, bpy
from s2c_blender.blender import job, register
from s2c_blender.job import Job
{"" if "done" in how else f"job.worker_options = lambda _: dict(python_args={hanging('playing', said)!r})"}
register.register()
settings = bpy.context.scene.piano_hands
settings.generator, settings.source, settings.filepath = "PIANIST", "FILE", {str(tune)!r}
run = job.start(bpy.context)
{waits.format(said=str(said))}
print("running", run.worker._process.alive, flush=True)
sys.stdin.readline()
{end}
"""
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    environment |= {"BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    blender = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PACKAGE_ROOT,
        env=environment,
    )
    lines = iter(blender.stdout.readline, "")
    assert "running True\n" in lines
    assert len(workers(temporary)) == 1
    blender.stdin.write("\n")
    blender.stdin.flush()
    if how == "killed":
        blender.send_signal(signal.SIGKILL)
    blender.communicate(timeout=30)
    until(lambda: not workers(temporary), 5.0)
    until(lambda: not list(temporary.glob("piano*")), 5.0)


FINDINGS = [Finding("disk", True, "1 GB is free."), Finding("cache", False, "It is read-only.", "Choose another.")]


@pytest.fixture
def button(settings, monkeypatch):  # noqa: F811
    """The self-check's operator, with findings made up; what it was asked."""
    asked = []

    def check(**how):
        asked.append(how)
        how.get("on_progress", lambda name, fraction: None)("the disk", 0.5)
        return FINDINGS

    monkeypatch.setattr(self_check, "check", check)
    there = self_check in register.MODULES
    if not there:
        self_check.register()
    yield asked
    if not there:
        self_check.unregister()


def test_the_self_check_tells_scripts_in_the_log(button, capfd):
    assert bpy.ops.piano_hands.self_check() == {"FINISHED"}
    told = capfd.readouterr().out
    assert "ok: disk: 1 GB is free." in told
    assert "PROBLEM: cache: It is read-only. Choose another." in told
    assert "Self-check: 1 problem" in told
    (how,) = button
    assert how["blender"] == bpy.app.version
    assert how["device"] == "auto"
    assert Path(how["cache"]).is_absolute()


def test_the_self_check_does_not_block_and_can_be_stopped(button, monkeypatch):
    def check(on_progress, **_):
        while True:
            on_progress("the disk", 0.5)
            time.sleep(0.01)

    monkeypatch.setattr(self_check, "check", check)
    begun = time.monotonic()
    looking = self_check.Looking(self_check.options(bpy.context))
    assert time.monotonic() - begun < 0.2
    until(lambda: looking.name)
    assert looking.running
    assert (looking.name, looking.fraction) == ("the disk", 0.5)
    looking.stop()
    assert not looking.running
    assert isinstance(looking.error, Cancelled)


def test_disabling_the_extension_ends_the_self_check_and_the_process_that_waits(button, tune, tmp_path):
    from s2c_blender.job import Job

    kept = worker.Worker(Job(str(tune), generator="pianist"), tmp_path / "motion.npz")
    kept.wait()
    assert kept._process.alive
    self_check.unregister()
    assert not kept._process.alive
    self_check.register()
