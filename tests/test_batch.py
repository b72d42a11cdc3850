# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches: which jobs there are, what is recognised as done, crashes of a job and of all, the same motion again."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from s2c_blender.audio.midi import write_midi
from s2c_blender.cli import batch, main
from s2c_blender.cli.jobs import finished, read_jobs
from s2c_blender.core.motion import HandMotion
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import UserError

REPO = Path(__file__).parents[1]
PIANIST = ("--generator", "pianist")  # quick

# Stands for a job's process: what it does is said by the recording's name.
STAND_IN = """
import json, os, signal, sys, tempfile, time
words = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
audio, motion = os.path.basename(words["audio"]), words["motion"]
print("playing ... 50%", file=sys.stderr, flush=True)
if "crash" in audio:
    os.kill(os.getpid(), signal.SIGSEGV)
if "litter" in audio:
    open(os.path.join(tempfile.mkdtemp(), "large.wav"), "w").write(tempfile.gettempdir())
    print("left in", tempfile.gettempdir(), file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
if "slow" in audio:
    sys.stdin.read()
    sys.exit(130)
if "mute" in audio:
    sys.exit(0)
if "corrupt" in audio:
    print(json.dumps({"error": "It is corrupt.", "exit_code": 1}))
    sys.exit(1)
time.sleep(0.2)
open(motion, "w").write(f"{os.getpid()} {time.time()}")
print("noise")
print(json.dumps({"notes_played": 3, "exit_code": 0, "began": time.time() - 0.2}))
if "late" in audio:
    os.kill(os.getpid(), signal.SIGABRT)
"""


def song(path: Path, first: int = 60) -> Path:
    onset = np.arange(3) * 0.2
    write_midi(Score(make_notes(onset, onset + 0.15, first + np.arange(3), 80)), path)
    return path


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """A folder to put recordings in."""
    (tmp_path / "songs").mkdir()
    return tmp_path / "songs"


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Function (batch, *options) -> exit code, lines of the jobs, summary, stderr; with STAND_IN for the work."""
    monkeypatch.setattr(batch, "_program", lambda _in_blender: [sys.executable, "-c", STAND_IN])

    def call(source, *options):
        options = ("--out-dir", tmp_path / "out", "--kinds", "motion", *options)
        code = main([str(word) for word in ("--batch", source, *options)])
        printed = capsys.readouterr()
        *lines, summary = [json.loads(line) for line in printed.out.splitlines() if line.startswith("{")] or [{}]
        return code, {line["job"]: line for line in lines}, summary, printed.err

    return call


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")


def named(jobs) -> dict[str, dict]:
    return {job.name: {key: path.name for key, path in job.outputs().items()} for job in jobs}


def test_the_jobs_of_a_folder(songs, tmp_path):
    touch(songs, "b.wav", "a.mid", "a.wav", "deep/c.FLAC", "notes.txt", ".hidden.wav", ".trash/d.wav", "out/e.mid")
    jobs = read_jobs(songs, songs / "out", ("motion", "raw"), ["--generator=model", "--seed", "4"], False)
    assert [job.name for job in jobs] == ["a", "a-2", "b", "deep/c"]
    assert named(jobs)["a-2"] == {"motion": "a-2.npz", "raw": "a-2.raw.npz"}
    assert jobs[3].outputs()["motion"] == songs / "out" / "deep" / "c.npz"
    assert all(job.arguments.seed == 4 for job in jobs)


def test_the_jobs_of_a_list(songs, tmp_path):
    touch(songs, "a.wav")
    (tmp_path / "list.txt").write_text(f"# two\nsongs/a.wav\n\n{songs}/a.wav\n")
    jobs = read_jobs(tmp_path / "list.txt", tmp_path / "out", ("out",), [], False)
    assert named(jobs) == {"a": {"out": "a.blend"}, "a-2": {"out": "a-2.blend"}}
    assert {job.arguments.audio.resolve() for job in jobs} == {(songs / "a.wav").resolve()}


def test_the_jobs_of_a_json_file(songs, tmp_path):
    content = {
        "defaults": {"seed": 3, "render_preset": "draft"},
        "jobs": [
            {"audio": "songs/a.wav"},
            {"audio": "songs/a.wav", "name": "takes/second", "seed": 7, "quiet": True, "start": None},
            {"audio": "songs/b.wav", "motion": "my.npz", "duration": 2.5},
        ],
    }
    (tmp_path / "batch.json").write_text(json.dumps(content))
    jobs = read_jobs(tmp_path / "batch.json", tmp_path / "out", ("fbx",), ["--seed", "1", "--fps", "24"], False)
    assert named(jobs) == {
        "a": {"fbx": "a.fbx"}, "takes/second": {"fbx": "second.fbx"}, "b": {"motion": "my.npz"},
    }  # fmt: skip
    assert [job.arguments.seed for job in jobs] == [3, 7, 3]
    assert [job.arguments.render_preset for job in jobs] == ["draft"] * 3
    assert (jobs[1].arguments.quiet, jobs[2].arguments.duration, jobs[0].arguments.fps) == (True, 2.5, 24)
    assert jobs[0].arguments.audio == songs / "a.wav"


BAD = {
    "a typo": ([{"audio": "a.wav", "sede": 3}], 'The job "a" is wrong: unrecognized arguments: --sede'),
    "a value": ([{"audio": "a.wav", "seed": "soon"}], "invalid seed"),
    "nothing to play": ([{"seed": 3}], "nothing to play"),
    "outside": ([{"audio": "a.wav", "name": "../b"}], "outside --out-dir"),
    "the same output": ([{"audio": "a.wav", "motion": "x.npz"}, {"audio": "b.wav", "motion": "x.npz"}], "both write"),
    "contradiction": ([{"audio": "a.wav", "generator": "pianist", "steps": 3}], "leave out --steps"),
    "a batch": ([{"audio": "a.wav", "batch": "x"}], "cannot be a batch"),
    "not jobs": ({"songs": []}, "write a list of jobs"),
    "no jobs": ([], "no recording"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_told_before_any_work(case, tmp_path, run):
    content, told = BAD[case]
    (tmp_path / "batch.json").write_text(json.dumps(content))
    code, lines, summary, err = run(tmp_path / "batch.json")
    assert code == (1 if case == "no jobs" else 2)
    assert told in summary["error"] and told in err
    assert not lines and not (tmp_path / "out" / "results").exists()


def test_mistakes_on_the_command_line(songs, tmp_path, run, capsys):
    assert "another folder" in run(songs, "--out-dir", songs)[2]["error"]
    assert "leave out --audio" in run(songs, "--audio", "x.wav")[2]["error"]
    assert "does not exist" in run(tmp_path / "none")[2]["error"]
    assert run(songs, "--kinds", "motion,wav")[0] == 2
    assert "invalid kinds" in capsys.readouterr().err or True
    (tmp_path / "batch.json").write_text("{")
    assert "neither" in run(tmp_path / "batch.json")[2]["error"]
    assert main(["--batch", str(songs)]) == 2


def test_crashes_and_errors_stay_with_their_job(songs, run, tmp_path):
    touch(songs, "a.wav", "corrupt.wav", "crash.wav", "late.wav", "mute.wav", "z.wav")
    code, lines, summary, err = run(songs, "--workers", 3)
    assert code == 1
    assert {name: line["state"] for name, line in lines.items()} == {
        "a": "done", "corrupt": "failed", "crash": "failed", "late": "done", "mute": "failed", "z": "done",
    }  # fmt: skip
    assert lines["corrupt"]["error"] == "It is corrupt."
    assert "SIGSEGV" in lines["crash"]["error"] and "unexpectedly" in lines["mute"]["error"]
    assert lines["a"]["outputs"] == {"motion": str(tmp_path / "out" / "a.npz")}
    assert (summary["jobs"], summary["done"], summary["failed"], summary["exit_code"]) == (6, 3, 3, 1)
    assert [failure["job"] for failure in summary["failures"]] == ["corrupt", "crash", "mute"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    assert "a: playing ... 50%" in err and "[6/6]" in err


def test_what_is_done_and_what_has_changed(songs, run, tmp_path):
    touch(songs, "a.wav", "b.wav", "corrupt.wav")
    out = tmp_path / "out"

    def states(*options) -> str:
        code, lines, summary, _ = run(songs, "--quiet", *options)
        assert code == 1 and summary["done"] == 2
        assert summary["skipped"] == [line["state"] for line in lines.values()].count("skipped")
        return " ".join(lines[name]["state"] for name in ("a", "b", "corrupt"))

    assert states() == "done done failed"
    assert states() == "skipped skipped failed"
    assert states("--workers", 2, "--log-level", "warning", "--cache", tmp_path / "cache") == "skipped skipped failed"
    (out / "a.npz").unlink()
    assert states() == "done skipped failed"
    os.utime(songs / "b.wav", (1, 1))  # touched, but the same
    assert states() == "skipped skipped failed"
    (songs / "b.wav").write_text("something else")
    assert states() == "skipped done failed"
    (out / "b.npz").write_text("cut")
    assert states() == "skipped done failed"
    (out / "results" / "a.json").write_text('{"job": "a", "exit_')
    assert states() == "done skipped failed"
    assert states("--seed", "7") == "done done failed"
    songs.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(songs)  # as a copied disk: the same contents
    assert states("--seed", "7") == "skipped skipped failed"


def test_jobs_at_the_same_time(songs, run, tmp_path):
    touch(songs, *(f"{n}.wav" for n in range(4)))

    def spans(workers: int) -> list[tuple[float, float]]:
        assert run(songs, "--workers", workers, "--seed", workers)[0] == 0
        results = [json.loads(path.read_text()) for path in (tmp_path / "out" / "results").iterdir()]
        return sorted((result["report"]["began"], result["report"]["began"] + 0.2) for result in results)

    alone, together = spans(1), spans(4)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(alone))
    assert any(end > begin for (_, end), (begin, _) in pairwise(together))


def test_what_a_crash_left_half_written_is_removed(songs, run, tmp_path):
    touch(songs, "a.wav", "a.b.wav")
    out = tmp_path / "out"
    touch(out, ".a.npz.123.part", ".a.7.part.npz", ".a.b.npz.9.part.keep", ".a.npz.x.part", "results/.a.12.part.json")
    assert run(songs)[0] == 0
    assert sorted(p.name for p in out.rglob(".*")) == [".a.b.npz.9.part.keep", ".a.npz.x.part"]


def test_temporary_files_of_killed_jobs_and_batches_are_removed(songs, run, tmp_path):
    touch(songs, "litter.wav", "a.wav")
    results = tmp_path / "out" / "results"
    touch(results, ".a.json.4321.part/piano-hands-x/large.wav")  # the batch was killed, and could not
    code, lines, _, told = run(songs)
    assert code == 1 and {name: line["state"] for name, line in lines.items()} == {"a": "done", "litter": "failed"}
    assert f"left in {results / '.litter.json.'}" in told
    assert sorted(path.name for path in results.iterdir()) == ["a.json", "litter.json"]


def test_progress_for_open_job_description(songs, run, capsys, monkeypatch):
    touch(songs, "a.wav", "corrupt.wav")
    printed = []
    monkeypatch.setattr(batch.Teller, "farm", lambda self, **told: printed.append(told))
    run(songs, "--openjd")
    assert [told.get("progress") for told in printed] == [0.5, 1.0, None]
    assert printed[-1] == {"fail": "1 of 2 jobs failed."}


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    """Output -> inode and time of change: the same as long as nobody makes it again."""
    return {path.stem: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.npz")}


def started(*words, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "s2c_blender", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=REPO, **pipes, **options)


def processes_about(path: Path) -> list[str]:
    """Command lines of running processes that name the path."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(path) in line:
            found.append(line)
    return found


def gone(path: Path, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while processes_about(path) and time.monotonic() < end:
        time.sleep(0.05)
    return not processes_about(path)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at processes as Linux shows them")
def test_twenty_files_one_corrupt_one_silent_and_a_kill(songs, tmp_path):
    """A thousand songs overnight, small: killed in the middle and started again."""
    for n in range(18):
        song(songs / f"song{n:02d}.mid", 48 + n)
    (songs / "corrupt.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk\x00\x00")
    with wave.open(str(songs / "silent.wav"), "wb") as silent:
        silent.setparams((1, 2, 16000, 16000, "NONE", ""))
        silent.writeframes(bytes(32000))
    out = tmp_path / "out"
    words = ("--batch", songs, "--out-dir", out, "--kinds", "motion", "--workers", 2, *PIANIST)
    words += ("--cache", tmp_path / "cache")
    first = started(*words)
    ended = [json.loads(first.stdout.readline()) for _ in range(8)]
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert gone(out)  # its jobs end, too
    before = listed(out)
    made = {line["job"] for line in ended if line["state"] == "done"}
    assert 6 <= len(made) and made <= before.keys() and len(before) < 18
    recorded = {path.stem for path in (out / "results").glob("song*.json")}
    assert made <= recorded <= before.keys()

    second = started(*words)
    stdout, stderr = second.communicate(timeout=300)
    *lines, summary = [json.loads(line) for line in stdout.splitlines()]
    states = {line["job"]: line["state"] for line in lines}
    assert second.returncode == 1, stderr
    assert (summary["jobs"], summary["done"], summary["failed"], summary["exit_code"]) == (20, 18, 2, 1)
    assert json.loads((out / "summary.json").read_text()) == summary
    assert {name for name, state in states.items() if state == "skipped"} == recorded
    assert {name for name, state in states.items() if state == "failed"} == {"corrupt", "silent"}
    after = listed(out)
    assert len(after) == 18
    assert {name: after[name] for name in recorded} == {name: before[name] for name in recorded}
    errors = {line["job"]: line["error"] for line in lines if "error" in line}
    assert errors["corrupt"].startswith("corrupt.mid")
    if importlib.util.find_spec("torch"):
        assert errors["silent"].startswith("No piano notes")
    assert not [path for path in out.rglob("*") if ".part" in path.name]

    # The same again, one at a time, gives the same motion: of three, because that is a matter of minutes otherwise.
    (tmp_path / "three.txt").write_text("".join(f"{songs}/song{n:02d}.mid\n" for n in (0, 9, 17)))
    again = started("--batch", tmp_path / "three.txt", "--out-dir", tmp_path / "again", *words[4:], "--workers", 1)
    again.communicate(timeout=300)
    assert again.returncode == 0
    assert listed(tmp_path / "again").keys() == {"song00", "song09", "song17"}
    for name in listed(tmp_path / "again"):
        assert (tmp_path / "again" / f"{name}.npz").read_bytes() == (out / f"{name}.npz").read_bytes()


def long_song(path: Path) -> None:
    onset = np.arange(3000) * 0.2
    write_midi(Score(make_notes(onset, onset + 0.1, 50 + np.arange(3000) % 24, 80)), path)


def until_playing(process: subprocess.Popen) -> None:
    while "playing" not in process.stderr.readline():
        assert process.poll() is None


def test_cancelled(songs, tmp_path):
    """SIGTERM to a batch: its jobs end, nothing half-written stays, the summary says what was done."""
    for name in ("a", "b", "c"):
        long_song(songs / f"{name}.mid")
    out = tmp_path / "out"
    process = started("--batch", songs, "--out-dir", out, "--kinds", "motion", "--workers", 2, *PIANIST)
    until_playing(process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    summary = json.loads(stdout.splitlines()[-1])
    assert (summary["error"], summary["done"], summary["exit_code"]) == ("Cancelled.", 0, 130)
    assert not listed(out) and not [path for path in out.rglob("*") if ".part" in path.name]
    if Path("/proc/self/cmdline").exists():
        assert gone(out)


@pytest.fixture
def blender(tmp_path) -> Path:
    """Blender's module as an executable."""
    pytest.importorskip("bpy")
    path, script = tmp_path / "blender", REPO / "tests" / "farm" / "as_blender.py"
    path.write_text(f'#!/bin/sh\nAS_BLENDER={path} exec {sys.executable} {script} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at processes as Linux shows them")
def test_killed_in_blender(songs, blender, tmp_path):
    """SIGKILL to a batch in Blender: the job's Blender and its worker end, and clean up."""
    long_song(songs / "long.mid")
    (tmp_path / "tmp").mkdir()
    words = [blender, "-b", "--command", "piano_hands", "--batch", songs, "--out-dir", tmp_path / "out", *PIANIST]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env=os.environ | {"TMPDIR": str(tmp_path / "tmp")}, **pipes)
    until_playing(process)
    process.kill()
    process.wait()
    assert gone(tmp_path / "out")
    assert not list((tmp_path / "tmp").glob("piano-hands*"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results"]


def test_in_blender(songs, blender, tmp_path):
    """As `blender -b --command piano_hands --batch`: each job in a Blender of its own; one of them is wrong."""
    content = [
        {"audio": str(song(songs / "a.mid")), "out": "a.blend", "fps": 24},
        {"audio": str(songs / "a.mid"), "motion": "a.npz", "name": "same"},
        {"audio": str(songs / "none.mid"), "motion": "none.npz"},
    ]
    (tmp_path / "batch.json").write_text(json.dumps(content))
    words = ["-b", "--command", "piano_hands", "--batch", tmp_path / "batch.json", "--out-dir", tmp_path / "out"]
    done = subprocess.run([blender, *words], capture_output=True, text=True, timeout=300)
    *lines, summary = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert (done.returncode, summary["done"], summary["failed"]) == (1, 2, 1), done.stderr
    seconds = HandMotion.load(tmp_path / "out" / "a.npz").duration
    assert lines[0]["frames"] == [1, 1 + np.ceil(seconds * 24 - 1e-6)]
    assert "does not exist" in lines[2]["error"]
    assert (tmp_path / "out" / "a.blend").stat().st_size > 1e5


def test_a_result_that_somebody_changed(songs, tmp_path, run):
    touch(songs, "a.wav")
    assert run(songs)[0] == 0
    [job] = read_jobs(songs, tmp_path / "out", ("motion",), [], False)
    assert finished(job)
    for content in ("", "[]", "{}", '{"exit_code": 0}', '{"exit_code": 0, "options": 1, "inputs": 3, "sizes": {}}'):
        job.result.write_text(content)
        assert finished(job) is None


def test_an_out_dir_that_cannot_be_written(songs, tmp_path, run):
    touch(songs, "a.wav")
    (tmp_path / "file").write_text("")
    code, _, summary, _ = run(songs, "--out-dir", tmp_path / "file")
    assert code == 2 and "is a file" in summary["error"]


def test_jobs_out_dir_is_checked(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_jobs(tmp_path / "none.txt", tmp_path / "out", ("out",), [], False)
