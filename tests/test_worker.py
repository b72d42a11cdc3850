# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker process: its answers, and what happens when it is cancelled, killed or cannot start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from s2c_blender import worker
from s2c_blender.audio.midi import write_midi
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import ENVIRONMENT, INPUT_FAILED, UserError
from s2c_blender.generate import Job, generate


def melody(path: Path, count: int = 4) -> Path:
    """A MIDI file of `count` notes, four a second."""
    onset = np.arange(count) * 0.25
    write_midi(Score(make_notes(onset, onset + 0.2, 60 + np.arange(count) % 12, 80)), path)
    return path


@pytest.fixture
def short(tmp_path: Path) -> Job:
    return Job(str(melody(tmp_path / "short.mid")), generator="pianist")


@pytest.fixture
def long(tmp_path: Path) -> Job:
    return Job(str(melody(tmp_path / "long.mid", 4000)), generator="pianist")


@pytest.fixture
def fresh():
    """No process waits, so that the first job starts one."""
    worker.end_idle()


def last_message(running: worker.Worker, seconds: float = 60.0) -> worker.Message:
    """Poll as Blender's timer does until the last message."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        messages = running.poll()
        if running.finished:
            return messages[-1]
        time.sleep(0.02)
    running.cancel()
    raise AssertionError("the worker did not end")


def test_the_worker_gives_what_generate_gives(short, tmp_path):
    result = tmp_path / "motion.npz"
    told = []
    report = worker.Worker(short, result).wait(lambda stage, fraction: told.append((stage, fraction)))
    here = generate(short)
    there = HandMotion.load(result)
    assert report["notes_played"] == here.report["notes_played"] == 4
    assert there.meta["seed"] == 0
    assert np.allclose(there.right_rotation, here.motion.right_rotation, atol=1e-6)
    assert told[0][0] == "reading"
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_polling_never_blocks_and_ends_with_done(short, tmp_path, fresh):
    begun = time.perf_counter()
    running = worker.Worker(short, tmp_path / "motion.npz")
    assert running.poll() == []
    assert time.perf_counter() - begun < 0.5
    assert isinstance(last_message(running), worker.Done)
    assert running.poll() == []


def test_a_failing_input_is_one_sentence(tmp_path):
    running = worker.Worker(Job(str(tmp_path / "absent.mid"), generator="pianist"), tmp_path / "motion.npz")
    failed = last_message(running)
    assert isinstance(failed, worker.Failed)
    assert failed.exit_code == INPUT_FAILED
    assert "absent.mid" in failed.sentence
    assert "Traceback" not in failed.sentence


def test_a_killed_worker_is_noticed(long, tmp_path):
    running = worker.Worker(long, tmp_path / "motion.npz")
    while not running.poll():
        time.sleep(0.02)
    running._process._process.kill()
    failed = last_message(running)
    assert isinstance(failed, worker.Failed)
    assert failed.exit_code == ENVIRONMENT
    assert failed.sentence.startswith("The worker process ended unexpectedly")
    if os.name == "posix":
        assert "signal 9" in failed.sentence
    assert not (tmp_path / "motion.npz").exists()


def test_cancelling_is_quick_and_final(long, tmp_path):
    running = worker.Worker(long, tmp_path / "motion.npz")
    while not running.poll():
        time.sleep(0.02)
    begun = time.monotonic()
    running.cancel()
    assert time.monotonic() - begun < 2.0
    assert not running._process.alive
    assert running.poll() == []
    assert not (tmp_path / "motion.npz").exists()
    running.cancel()  # harmless


@pytest.mark.skipif(os.name != "posix", reason="its launcher is a shell script")
def test_half_written_files_of_a_python_behind_a_launcher_are_removed(long, tmp_path, monkeypatch):
    """On Windows a virtual environment's python.exe starts the real one, whose number is in their names."""
    launcher = tmp_path / "python"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    running = worker.Worker(long, tmp_path / "motion.npz", interpreter=str(launcher))
    while not running.poll():
        time.sleep(0.02)
    pid = running._process.pid
    assert pid != running._process._process.pid
    removed = []  # here the worker also removes them itself: it outlives its launcher for a moment
    monkeypatch.setattr(worker, "_remove_unfinished", lambda order, pid: removed.append(pid))
    running.cancel()
    assert removed == [pid]


def test_an_exception_while_waiting_ends_the_worker(long, tmp_path):
    running = worker.Worker(long, tmp_path / "motion.npz")

    def stop(_stage, _fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.wait(stop)
    assert not running._process.alive


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux")
def test_the_worker_ends_with_its_parent(long, tmp_path):
    """As when Blender crashes: nobody is left to end it."""
    code = (
        "import os, sys, time; from s2c_blender.worker import Worker; from s2c_blender.generate import Job; "
        f"w = Worker(Job({long.source!r}, generator='pianist'), {str(tmp_path / 'motion.npz')!r}); "
        "print(w._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break  # ended; nobody collects it in some containers
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_the_process_is_kept_for_the_next_job(short, tmp_path, fresh):
    """Which then begins sooner, and gives the same."""
    pids, begins = [], []
    for n in range(3):
        begun = time.perf_counter()
        running = worker.Worker(short, tmp_path / f"{n}.npz")
        while not any(isinstance(message, worker.Told) for message in running.poll()):
            assert not running.finished, running.log
            time.sleep(0.002)
        begins.append(time.perf_counter() - begun)
        assert isinstance(last_message(running), worker.Done)
        pids.append(running._process.pid)
    assert len(set(pids)) == 1
    assert max(begins[1:]) < begins[0] / 3
    motions = [HandMotion.load(tmp_path / f"{n}.npz") for n in range(3)]
    assert (motions[0].left_rotation == motions[2].left_rotation).all()
    assert motions[0].meta == motions[2].meta


def test_getting_ready_is_for_jobs_and_never_fails(monkeypatch):
    from s2c_blender.audio import transcribe

    calls = []

    def make_ready() -> None:
        calls.append(1)
        raise UserError("The memory is not enough.")

    monkeypatch.setattr(transcribe, "make_ready", make_ready)
    worker._get_ready({"look": {}})
    assert not calls
    worker._get_ready({"job": {}})
    assert calls


def test_what_asks_for_another_process(short, tmp_path, fresh, monkeypatch):
    first = worker.Worker(short, tmp_path / "a.npz")
    first.wait()
    bad = worker.Worker(Job(str(tmp_path / "absent.mid"), generator="pianist"), tmp_path / "b.npz")
    assert isinstance(last_message(bad), worker.Failed)
    assert bad._process is first._process  # the input's fault, not the process's
    other = worker.Worker(short, tmp_path / "c.npz", search_paths=[str(tmp_path)])
    assert other._process is not first._process
    assert not first._process.alive  # nobody asks for it any more
    other.wait()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    elsewhere = worker.Worker(short, tmp_path / "d.npz", search_paths=[str(tmp_path)])
    assert elsewhere._process is not other._process
    elsewhere.cancel()
    after = worker.Worker(short, tmp_path / "e.npz", search_paths=[str(tmp_path)])
    assert after._process is not elsewhere._process
    after.cancel()


def test_a_process_that_nobody_needs_ends(short, tmp_path, fresh, monkeypatch):
    monkeypatch.setattr(worker, "IDLE", 0.2)
    running = worker.Worker(short, tmp_path / "motion.npz")
    running.wait()
    until = time.monotonic() + 5
    while running._process.alive and time.monotonic() < until:
        time.sleep(0.02)
    assert not running._process.alive
    assert worker._waiting == []


def test_a_process_killed_while_it_waited_is_replaced(short, tmp_path, fresh):
    first = worker.Worker(short, tmp_path / "a.npz")
    first.wait()
    process = first._process._process
    process.kill()  # as the system does when the memory runs out
    poll, process.poll = process.poll, lambda: None  # noticed only once the next job is ordered
    second = worker.Worker(short, tmp_path / "b.npz")
    assert second._process is first._process
    process.poll = poll
    assert second.wait()["notes_played"] == 4
    assert second._process is not first._process


def test_the_growing_motion_is_handed_over(tmp_path, fresh):
    """Its parts, put together, are the motion; their files go with the job."""
    job = Job(str(melody(tmp_path / "song.mid", 56)), generator="pianist", fps=30, start=1.0)  # 13 s
    running, parts = worker.Worker(job, tmp_path / "motion.npz"), []
    while not running.finished:
        for message in running.poll():
            if isinstance(message, worker.Grown):
                parts.append((message, HandMotion.load(message.path)))
        time.sleep(0.02)
    whole = HandMotion.load(tmp_path / "motion.npz")
    assert parts[0][0].first == 0.0
    for message, part in parts:
        begin, end = round(message.first * 30), round(message.until * 30)
        assert part.start == pytest.approx(1.0 + message.first)
        assert part.duration == pytest.approx(message.until - message.first)
        assert np.allclose(part.right_rotation, whole.right_rotation[begin : end + 1], atol=1e-6)
    assert [path.name for path in tmp_path.glob("*.npz")] == ["motion.npz"]


def test_an_interpreter_that_is_none(short, tmp_path):
    with pytest.raises(UserError, match="cannot be started") as raised:
        worker.Worker(short, tmp_path / "motion.npz", interpreter=str(tmp_path / "python"))
    assert raised.value.exit_code == ENVIRONMENT


def test_an_interpreter_without_the_packages(short, tmp_path):
    running = worker.Worker(short, tmp_path / "motion.npz", python_args=("-I", "-S"))
    failed = last_message(running)
    assert failed.exit_code == ENVIRONMENT
    assert "The Python package numpy is missing" in failed.sentence


def test_packages_of_the_extension_are_handed_over(short, tmp_path):
    """A worker started with isolation flags, as from Blender, finds packages in the folders it is given."""
    paths = [path for path in sys.path if "site-packages" in path]
    running = worker.Worker(short, tmp_path / "motion.npz", python_args=("-I", "-S"), search_paths=paths)
    assert isinstance(last_message(running), worker.Done)
