# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong outside the program: workers killed, cancelled or without their parent, full and read-only disks.

Afterwards there is no process, no litter and no half-written file, and one clear sentence. The faults happen in the
worker process itself: a few lines run there first, which let one of generate's steps hang or the disk be full.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from s2c_blender import worker
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import ENVIRONMENT, UserError
from s2c_blender.job import Job
from s2c_blender.worker import Done, Failed, Worker
from tests.test_worker import last_message, melody

linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
# Makes the step hang after it said so. A worker's own program is the argument that follows "-u -c".
HANGS = """
import sys, time, pathlib
def hang(*_, **__):
    pathlib.Path({said!r}).touch()
    time.sleep(100)
"""
STEPS = {
    "starting": "import types; find = lambda name, *_: hang() if name == 's2c_blender.generate' else None\n"
    "sys.meta_path.insert(0, types.SimpleNamespace(find_spec=find))",
    "reading": "import s2c_blender.generate as g; g.read_midi = hang",
    "reading sound": "import s2c_blender.audio.read as r; r._collect = hang",
    "listening": "import s2c_blender.audio.transcribe as t; t.hear = hang",
    "imagining": "import s2c_blender.generate as g; g._model = lambda job: True; g.make_prior = hang",
    "playing": "import s2c_blender.pianist; sys.modules['s2c_blender.pianist.perform'].Player.solve = hang",
    "writing": "import numpy as np; real = np.savez_compressed\n"
    "def half(file, **arrays): real(file, **arrays); file.flush(); file.truncate(1000); hang()\n"
    "np.savez_compressed = half",
}


def first(lines: str) -> tuple[str, ...]:
    """Arguments of a Python that runs `lines` in the worker process before the worker's own program."""
    root = str(worker.PACKAGE_ROOT)
    start = f"import sys\nsys.path.insert(0, {root!r})\n{lines}\ncode = sys.argv[3]\nsys.argv = ['-c', *sys.argv[4:]]\n"
    return ("-c", start + "exec(code)")


def hanging(step: str, said: Path) -> tuple[str, ...]:
    return first(HANGS.format(said=str(said)) + STEPS[step])


def until(happened, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def workers(temporary: Path) -> set[int]:
    """Worker processes with temporary files there that are at work or waiting, and not only still listed."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            ours = folder.name.isdigit() and f"{temporary}/piano".encode() in (folder / "cmdline").read_bytes()
            if ours and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files; nothing may be left there, nor any process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    worker.end_idle()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    worker.end_idle()
    assert [str(path) for path in folder.rglob("*")] == []
    if Path("/proc/self").exists():
        assert workers(folder) == set()


def job_for(step: str, folder: Path) -> Job:
    """A job that comes to that step, and writes all that can be written on the way."""
    source = melody(folder / "song.mid")
    if step in ("reading sound", "listening"):
        from tests.blender.sample import clicks

        source = clicks(folder / "song.wav")
    more = {"raw": str(folder / "out" / "raw.npz"), "generator": "model"} if step == "imagining" else {}
    (folder / "out").mkdir(exist_ok=True)
    return Job(
        str(source),
        midi=str(folder / "out" / "notes.mid"),
        cache_dir=str(folder / "out"),
        fps=20,
        **{"generator": "pianist"} | more,
    )


@pytest.mark.parametrize("how", ["killed", "cancelled"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_or_cancelled_at_each_step(step, how, temporary, tmp_path):
    job, said, result = job_for(step, tmp_path), tmp_path / "said", tmp_path / "out" / "motion.npz"
    running = Worker(job, result, python_args=hanging(step, said))
    until(said.exists)
    begun = time.monotonic()
    if how == "killed":
        running._process._process.kill()
        failed = last_message(running)
        assert isinstance(failed, Failed)
        assert failed.exit_code == ENVIRONMENT
        assert failed.sentence.startswith("The worker process ended unexpectedly (")
        assert failed.sentence.count(". ") == 0
    else:
        running.cancel()
        assert running.poll() == []
    assert time.monotonic() - begun < 2.0
    assert not running._process.alive
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"notes.mid"}  # which was whole before


@linux
@pytest.mark.parametrize(
    ("step", "how"),
    [("reading sound", "SIGKILL"), ("playing", "SIGKILL"), ("writing", "SIGKILL"), ("playing", "SIGTERM to both")],
)
def test_the_parent_is_killed(step, how, temporary, tmp_path):
    """As when Blender crashes, or a farm ends all its processes: the worker takes along what both of them left."""
    job, said = job_for(step, tmp_path), tmp_path / "said"
    folder = temporary / "blender"
    folder.mkdir()
    code = (
        "import sys, tempfile, time; from s2c_blender.worker import Worker; from s2c_blender.job import Job; "
        f"tempfile.tempdir = {str(temporary)!r}; "
        f"w = Worker(Job({job.source!r}, generator='pianist', cache_dir={job.cache_dir!r}), "
        f"{str(folder / 'motion.npz')!r}, folder={str(folder)!r}, python_args={hanging(step, said)!r}); "
        "print(w._process.pid, flush=True); time.sleep(100)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=worker.PACKAGE_ROOT, start_new_session=True
    )
    child = int(parent.stdout.readline())
    until(said.exists)
    assert child in workers(temporary)
    if how == "SIGKILL":
        parent.kill()
    else:
        os.killpg(parent.pid, signal.SIGTERM)
    parent.communicate()
    until(lambda: child not in workers(temporary), 5.0)
    until(lambda: not any(temporary.iterdir()), 5.0)
    assert list((tmp_path / "out").iterdir()) == []


@linux
def test_the_parent_is_killed_while_the_worker_waits_for_its_next_job(temporary, tmp_path):
    source = str(melody(tmp_path / "song.mid"))
    code = (
        "import os, signal, tempfile; from s2c_blender.worker import Worker; from s2c_blender.job import Job; "
        f"tempfile.tempdir = {str(temporary)!r}; "
        f"w = Worker(Job({source!r}, generator='pianist'), {str(tmp_path / 'motion.npz')!r}); w.wait(); "
        "print(w._process.pid, w._process.alive, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=worker.PACKAGE_ROOT)
    child, alive = done.stdout.split()
    assert alive == "True", done.stderr
    until(lambda: int(child) not in workers(temporary), 5.0)
    until(lambda: not any(temporary.iterdir()), 5.0)


def test_an_error_in_the_program_itself_is_told_and_not_repeated(temporary, tmp_path):
    lines = "import s2c_blender.generate as g\ndef broken(*_, **__): raise ZeroDivisionError('a mistake')\n"
    lines += "g.perform = broken"
    failed = last_message(Worker(job_for("playing", tmp_path), tmp_path / "motion.npz", python_args=first(lines)))
    assert "The work failed (ZeroDivisionError: a mistake)" in failed.sentence
    assert "Traceback" in failed.log
    assert "Traceback" not in failed.sentence


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
@pytest.mark.parametrize("what", ["motion.npz", "notes.mid"])
def test_a_disk_that_is_full(what, temporary, tmp_path):
    """As far as the program sees: a file can grow no further. Nothing half-written stays."""
    job, limit = job_for("playing", tmp_path), {"motion.npz": 5_000, "notes.mid": 60}[what]
    lines = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    running = Worker(job, tmp_path / "out" / "motion.npz", python_args=(*first(lines),))
    failed = last_message(running)
    assert failed.sentence == f"The disk is full: free some space to write {tmp_path / 'out' / what}."
    assert failed.exit_code == ENVIRONMENT
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"notes.mid"} - {what}


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a file system of its own; only the machine's administrator may."""
    mounted = []

    def mount(*options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "none", folder], capture_output=True)
        if done.returncode:
            pytest.skip("may not mount a file system")
        mounted.append(folder)
        return folder

    try:
        yield mount
    finally:
        for folder in mounted:
            subprocess.run(["umount", folder], check=True)


@linux
def test_a_small_disk_that_fills_up(small_disk, temporary, tmp_path):
    disk = small_disk("size=8k")
    failed = last_message(Worker(Job(str(melody(tmp_path / "song.mid")), generator="pianist"), disk / "motion.npz"))
    assert failed.sentence == f"The disk is full: free some space to write {disk / 'motion.npz'}."
    assert list(disk.iterdir()) == []


@linux
def test_a_disk_that_is_read_only(small_disk, temporary, tmp_path):
    disk = small_disk("ro")
    job = Job(str(melody(tmp_path / "song.mid")), generator="pianist")
    failed = last_message(Worker(job, disk / "motion.npz"))
    told = "cannot be written, its folder or the file is read-only: choose another folder."
    assert failed.sentence == f"{disk / 'motion.npz'} {told}"
    failed = last_message(Worker(Job(job.source, generator="pianist", midi=str(disk / "x.mid")), tmp_path / "m.npz"))
    assert failed.sentence == f"{disk / 'x.mid'} {told}"
    assert not (tmp_path / "m.npz").exists()


def test_two_at_once(temporary, tmp_path):
    """Each has a process of its own; both give what one alone gives."""
    job = Job(str(melody(tmp_path / "song.mid")), generator="pianist")
    both = [Worker(job, tmp_path / f"{n}.npz") for n in (0, 1)]
    assert both[0]._process.pid != both[1]._process.pid
    assert [type(last_message(running)) for running in both] == [Done, Done]
    motions = [HandMotion.load(tmp_path / f"{n}.npz") for n in (0, 1)]
    assert (motions[0].right_rotation == motions[1].right_rotation).all()
    assert motions[0].meta == motions[1].meta


def test_many_at_once_from_threads(temporary, tmp_path):
    """As batches do it: threads take and put back processes at the same time; each job comes from one of its own."""
    songs = [Job(str(melody(tmp_path / f"{n}.mid", 2 + n)), generator="pianist") for n in range(4)]
    played = {}

    def play(numbers: tuple[int, int]) -> None:
        for n in numbers:
            played[n] = Worker(songs[n], tmp_path / f"{n}.npz").wait()["notes_played"]

    threads = [threading.Thread(target=play, args=(numbers,)) for numbers in ((0, 1), (2, 3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert played == {n: 2 + n for n in range(4)}
    assert len(worker._waiting) <= 2


class Poison:
    """Pickled into an .npz, it would run a program when it is read."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


def poisoned(entry: Path, kind: str, mark: Path) -> None:
    """Put something else into a cache entry."""
    notes, pedal = make_notes([0.1, 0.4], [0.2, 0.5], [60, 62], [64, 64]), np.zeros((0, 2))
    if kind == "pickle":
        np.savez(entry, notes=np.array([Poison(mark)], object), pedal=pedal)
    elif kind == "flat notes":
        np.savez(entry, notes=np.zeros((4, 4)), pedal=pedal)
    elif kind == "nested notes":
        np.savez(entry, notes=notes[None], pedal=pedal)
    elif kind == "wide pedal":
        np.savez(entry, notes=notes, pedal=np.zeros((3, 7)))
    elif kind == "no numbers":
        notes["onset"][0] = np.nan
        np.savez(entry, notes=notes, pedal=pedal)
    elif kind == "no key of a piano":
        notes["pitch"][0] = 3000
        np.savez(entry, notes=notes, pedal=pedal)
    elif kind == "flipped bytes":
        whole = bytearray(entry.read_bytes())
        whole[len(whole) // 3 : len(whole) // 3 + 8] = b"\xff" * 8
        entry.write_bytes(whole)


KINDS = ("pickle", "flat notes", "nested notes", "wide pedal", "no numbers", "no key of a piano", "flipped bytes")


@pytest.mark.parametrize("kind", KINDS)
def test_a_poisoned_cache_file_is_made_anew(kind, tmp_path, monkeypatch):
    from s2c_blender.audio import transcribe as transcription

    heard = Score(make_notes(np.arange(30) * 0.5, np.arange(30) * 0.5 + 0.2, 60 + np.arange(30) % 12, [64] * 30))
    calls = []

    def listen(*_, **__):
        calls.append(1)
        return heard

    monkeypatch.setattr(transcription, "listen", listen)
    pytest.importorskip("torch")
    sound = np.full((44100, 1), 0.1, np.float32)
    transcription.transcribe(sound, 44100, cache_dir=tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    poisoned(entry, kind, tmp_path / "mark")
    again = transcription.transcribe(sound, 44100, cache_dir=tmp_path / "cache")
    assert (again.notes == heard.notes).all()
    assert len(calls) == 2
    transcription.transcribe(sound, 44100, cache_dir=tmp_path / "cache")
    assert len(calls) == 2  # mended
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("kind", ["pickle", "flipped bytes", "another shape", "garbage"])
def test_a_poisoned_motion_file_is_refused(kind, tmp_path, temporary):
    """A take's motion, from which a part would be made anew."""
    path = tmp_path / "motion.npz"
    source = str(melody(tmp_path / "song.mid"))
    Worker(Job(source, generator="pianist"), path).wait()
    with np.load(path) as data:
        arrays = dict(data)
    if kind == "pickle":
        np.savez(path, **arrays | {"meta": np.array([Poison(tmp_path / "mark")], object)})
    elif kind == "another shape":
        np.savez(path, **arrays | {"keys": np.zeros((1, 3))})
    elif kind == "garbage":
        path.write_bytes(json.dumps("garbage").encode())
    else:
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2 : len(whole) // 2 + 64] = b"\xff" * 64
        path.write_bytes(whole)
    job = Job("", previous=str(path), again=(0.2, 1.0), generator="pianist")
    with pytest.raises(UserError, match=r"is not a HandMotion file .* Generate the whole motion again\."):
        Worker(job, tmp_path / "new.npz").wait()
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "new.npz").exists()
