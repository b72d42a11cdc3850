# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings to notes: the golden recording, what is no piano, the cache, the seams between windows."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from s2c_blender.audio import transcribe as transcription
from s2c_blender.audio.midi import read_midi
from s2c_blender.audio.read import RATE, load_audio
from s2c_blender.audio.transcribe import transcribe
from s2c_blender.core.metrics import accuracy
from s2c_blender.core.notes import Score, make_notes
from s2c_blender.errors import ENVIRONMENT, UserError

HOP = 1024


def heard_against(score: Score, truth: np.ndarray):
    """Accuracy of transcribed onsets against a NOTE array."""
    presses = np.stack([score.notes[field].astype(float) for field in ("onset", "offset", "pitch")], axis=1)
    return accuracy(presses, truth)


@pytest.fixture(scope="module")
def network():
    pytest.importorskip("torch", reason="needs PyTorch")
    pytest.importorskip("transkun", reason="needs transkun")


@pytest.fixture(scope="module")
def golden(repo, tmp_path_factory, network):
    """The bundled recording, its transcription, the cache folder it went to, and the progress told."""
    samples, rate = load_audio(repo / "demo" / "fur_elise.flac")
    cache, told = tmp_path_factory.mktemp("cache"), []
    score = transcribe(samples, rate, cache_dir=cache / "new" / "folder", on_progress=told.append)
    return SimpleNamespace(samples=samples, score=score, cache=cache / "new" / "folder", told=told)


def test_bundled_recording(golden, repo):
    truth = read_midi(repo / "demo" / "fur_elise.mid")
    found = heard_against(golden.score, truth.notes)
    assert found.f1 >= 0.97
    assert abs(np.median(found.offsets)) < 0.005  # s: the notes sit where they sound
    assert np.corrcoef(*_velocities(golden.score.notes, truth.notes))[0, 1] > 0.5
    assert (golden.score.notes["offset"] > golden.score.notes["onset"]).all()
    assert (golden.score.notes["hand"] == -1).all()


def _velocities(heard: np.ndarray, truth: np.ndarray) -> tuple[list[int], list[int]]:
    pairs = [
        (note["velocity"], near["velocity"][0])
        for note in truth
        if len(near := heard[(heard["pitch"] == note["pitch"]) & (np.abs(heard["onset"] - note["onset"]) < 0.05)])
    ]
    return tuple(zip(*pairs, strict=True))


def test_note_ends_are_releases_not_the_pedal(golden, repo):
    """Where the pedal holds the sound on, the end is still nearer to the key's release than to the pedal's."""
    truth = read_midi(repo / "demo" / "fur_elise.mid")
    to_key, to_pedal = [], []
    for note in truth.notes:
        under = truth.pedal[(truth.pedal[:, 0] < note["offset"]) & (truth.pedal[:, 1] > note["offset"] + 0.15)]
        mine = golden.score.notes[golden.score.notes["pitch"] == note["pitch"]]
        mine = mine[np.abs(mine["onset"] - note["onset"]) < 0.05]
        if len(under) and len(mine):
            to_key.append(abs(mine["offset"][0] - note["offset"]))
            to_pedal.append(abs(mine["offset"][0] - under[0, 1]))
    assert len(to_key) >= 10
    assert np.median(to_key) < np.median(to_pedal)


def test_progress_grows_to_one(golden):
    assert golden.told == sorted(golden.told)
    assert golden.told[-1] == 1.0
    assert 0 < golden.told[0] < 1


def test_second_time_comes_from_the_cache(golden, monkeypatch):
    monkeypatch.setattr(transcription, "listen", lambda *args, **kwargs: pytest.fail("listened again"))
    again = transcribe(golden.samples, RATE, cache_dir=golden.cache)
    assert (again.notes == golden.score.notes).all()
    assert (again.pedal == golden.score.pedal).all()
    assert [path.suffix for path in golden.cache.iterdir()] == [".npz"]


@pytest.fixture
def listens(network, monkeypatch):
    """Put two made-up notes in the network's place, at a new pitch for every sound listened to; a list of those."""
    calls = []

    def listen(sound, device, half, overlap=0.0, on_progress=None, backend="torch"):
        calls.append(len(sound))
        return Score(make_notes([0.1, 0.4], [0.2, 0.5], [60 + len(calls)] * 2, [64, 64]))

    monkeypatch.setattr(transcription, "listen", listen)
    return calls


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_broken_cache_entry_is_made_anew(tmp_path, listens, damage):
    sound = np.ones((RATE, 1), np.float32)
    transcribe(sound, RATE, cache_dir=tmp_path)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:-30] if damage is None else damage)
    assert transcribe(sound, RATE, cache_dir=tmp_path).notes["pitch"][0] == 62
    assert transcribe(sound, RATE, cache_dir=tmp_path).notes["pitch"][0] == 62  # mended
    assert len(listens) == 2


def test_cache_is_by_content(tmp_path, listens):
    rng = np.random.default_rng(0)
    sound = rng.uniform(-1, 1, (RATE, 1)).astype(np.float32)
    other = sound.copy()
    other[-1] += 1e-6
    stereo = np.repeat(sound, 2, axis=1)
    for samples in (sound, other, stereo, sound.copy()):
        transcribe(samples, RATE, cache_dir=tmp_path)
    assert len(listens) == 2  # one sample decides; a mono sound in two channels is the same sound


def test_cache_folder_that_cannot_be_written(tmp_path, listens):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be kept in"):
        transcribe(np.ones((RATE, 1), np.float32), RATE, cache_dir=tmp_path / "file" / "cache")


def test_silence_and_noise_are_no_piano(network):
    rng = np.random.default_rng(0)
    for level in (0.0, 1e-5, 0.05):
        with pytest.raises(UserError, match="No piano notes were found"):
            transcribe(rng.normal(0, level, (8 * RATE, 1)).astype(np.float32), RATE)


def test_speech_is_no_piano(network, tmp_path):
    if not shutil.which("espeak-ng"):
        pytest.skip("needs espeak-ng to speak")
    words = "The piano has not arrived yet, so please remain seated while we look for it in the garden."
    subprocess.run(["espeak-ng", "-w", tmp_path / "speech.wav", words], check=True)
    with pytest.raises(UserError, match="piano"):
        transcribe(*load_audio(tmp_path / "speech.wav"))


@pytest.mark.parametrize(("notes", "seconds", "accepted"), [(1, 15, True), (3, 200, False), (25, 3000, True)])
def test_a_few_stray_notes_are_no_piano_recording(network, monkeypatch, notes, seconds, accepted):
    onsets = np.arange(notes, dtype=float)
    score = Score(make_notes(onsets, onsets + 0.5, [60] * notes, [64] * notes))
    monkeypatch.setattr(transcription, "listen", lambda *args, **kwargs: score)
    sound = np.broadcast_to(np.float32(0.1), (seconds * RATE, 1))
    if accepted:
        assert transcribe(sound, RATE) is score
    else:
        with pytest.raises(UserError, match=f"Only {notes} notes in {seconds} s"):
            transcribe(sound, RATE)


def test_cancelling_from_the_progress(network):
    def cancel(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcribe(np.zeros((RATE * 40, 1), np.float32), RATE, on_progress=cancel)


def test_the_next_recording_finds_its_network_loaded(monkeypatch):
    """A new one: the used one goes, with its working memory. Never on a graphics card, and never two."""
    loaded = []
    monkeypatch.setattr(transcription, "_load_network", lambda *key: loaded.append(key) or object())
    monkeypatch.setattr(transcription, "_ready", {})
    monkeypatch.setattr(transcription, "_used", None)
    first = transcription._network("onnx", "cpu", False)
    transcription.make_ready()
    assert loaded == [("onnx", "cpu", False)] * 2
    transcription.make_ready()  # after a job that listened to nothing
    assert len(loaded) == 2
    assert transcription._network("onnx", "cpu", False) is not first
    assert len(loaded) == 2
    transcription.make_ready()
    transcription._network("torch", "cuda", True)
    assert transcription._ready == {}
    transcription.make_ready()
    assert loaded[3:] == [("torch", "cuda", True)]


def test_unknown_device(network):
    with pytest.raises(UserError, match="no device 'abacus'") as told:
        transcribe(np.zeros((RATE, 1), np.float32), RATE, device="abacus")
    assert told.value.exit_code == ENVIRONMENT


WITHOUT_TORCH = """
import sys
class NotInstalled:
    def find_spec(name, path, target=None):
        if name in ("torch", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NotInstalled)
import numpy as np
from s2c_blender.audio.transcribe import transcribe
from s2c_blender.errors import UserError
try:
    transcribe(np.zeros((44100, 1), np.float32), 44100)
except UserError as error:
    print(error.exit_code, error)
"""


def test_without_pytorch_and_onnx_runtime(repo):
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], cwd=repo, capture_output=True, text=True, check=True)
    code, sentence = run.stdout.split(" ", 1)
    assert int(code) == ENVIRONMENT
    assert "needs the Python package torch" in sentence
    assert "install" in sentence


@pytest.mark.parametrize("seed", range(20))
def test_windows_cover_everything_and_overlap(seed):
    rng = np.random.default_rng(seed)
    samples, length, overlap = int(rng.integers(1, 60 * RATE)), 690, 86
    starts = transcription._windows(samples, length, overlap, HOP)
    lead = round(transcription.LEAD_S * RATE / HOP)
    assert starts[0] == -lead
    assert (starts[-1] + length) * HOP >= samples + lead * HOP
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= length - overlap).all()
    sound = rng.standard_normal(samples).astype(np.float32)
    back = np.zeros(samples + 2 * length * HOP, np.float32)  # windows put back where they were cut
    for start in starts:
        at = start * HOP + length * HOP
        back[at : at + length * HOP] = transcription._cut(sound, start * HOP, length * HOP)[: len(back) - at]
    assert (back[length * HOP : length * HOP + samples] == sound).all()


def event(start, end, has_start=True, has_end=True, pitch=60):
    return SimpleNamespace(start=start, end=end, pitch=pitch, velocity=64, has_start=has_start, has_end=has_end)


def test_notes_across_a_seam_are_one_note():
    tracks = {60: [], 64: []}
    transcription._join(tracks, [event(13.0, 16.0, has_end=False), event(15.5, 15.9, pitch=64)], 0.0)
    transcription._join(tracks, [event(0.0, 3.0, has_start=False), event(1.52, 2.5, pitch=64)], 14.0)
    spans = {pitch: [(e.start, e.end, e.has_end) for e in events] for pitch, events in tracks.items()}
    assert spans == {60: [(13.0, 17.0, True)], 64: [(15.52, 16.5, True)]}


def test_decoder_finds_the_best_path(network):
    """Against every possible path through eight frames."""
    import torch
    from transkun.LayersTransformer import ScaledInnerProductIntervalScorer

    from s2c_blender.audio.events import best_choices, path
    from s2c_blender.audio.network import Network

    torch.manual_seed(0)
    count, tracks = 8, 6
    scorer = ScaledInnerProductIntervalScorer(4, 1).requires_grad_(False)
    features = 3 * torch.randn(tracks, count, 4)
    choices, lone = Network._decode(SimpleNamespace(scorer=scorer), features)
    score = scorer(features[None])[0][..., 0, :].numpy()  # [end, begin, track], transkun's own sum
    query, key, alone = scorer.map(features).split([4, 4, 1], dim=2)
    products = (key @ query.transpose(1, 2) / 2).numpy()  # [track, begin, end], for a step of length
    blocks = [products[:, first : first + 3, first:] for first in range(0, count, 3)]
    in_numpy = best_choices(blocks, alone[..., 0].relu().numpy())

    def best(frame: int, k: int) -> tuple[float, list]:
        here = max(score[frame, frame, k], 0.0)
        alone = [(frame, frame)] if here else []
        if frame == count - 1:
            return here, alone
        skip_value, skip_path = best(frame + 1, k)
        ways = [(here + skip_value, alone + skip_path)]
        for end in range(frame + 1, count):
            value, rest = best(end, k)
            ways.append((here + score[end, frame, k] + value, [*alone, (frame, end), *rest]))
        return max(ways, key=lambda way: way[0])

    for found in (choices, in_numpy):
        paths = [path(found[:, k], lone[:, k], 0) for k in range(tracks)]
        assert paths == [best(0, k)[1] for k in range(tracks)]
        assert sum(map(len, paths)) > tracks


def test_fast_recording(shared_dir, network):
    """Sixteen notes a second, with pedal and reverberation."""
    truth = json.loads((shared_dir / "audio" / "fast_chopin_etude_op10_no8.json").read_text())["notes"]
    notes = make_notes(*([note[field] for note in truth] for field in ("onset", "offset", "pitch", "velocity")))
    score = transcribe(*load_audio(shared_dir / "audio" / "fast_chopin_etude_op10_no8.flac"))
    assert heard_against(score, notes).f1 >= 0.98
