# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's performer reaches the worker, and the take."""

import json
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender import cli  # noqa: E402
from s2c_blender.audio.midi import write_midi  # noqa: E402
from s2c_blender.blender import job, orders, register, style_copy, takes  # noqa: E402
from s2c_blender.blender.style import summary  # noqa: E402
from s2c_blender.blender.style_copy import PIANO_HANDS_OT_copy_style as CopyStyle  # noqa: E402
from s2c_blender.cli.arguments import ActionIn, parser  # noqa: E402
from s2c_blender.cli.jobs import inputs_now, options_hash, read_jobs  # noqa: E402
from s2c_blender.core.notes import RIGHT, Score, make_notes  # noqa: E402
from s2c_blender.core.style import PARTS, PERFORMERS, hands, told_by, vector  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from s2c_blender.pianist.likeness import style_of  # noqa: E402


@pytest.fixture
def settings(scene, tmp_path, monkeypatch):
    for module in (job, orders):
        monkeypatch.setattr(module, "cache_folder", lambda context: tmp_path / "cache")
    register.register()
    found = bpy.context.scene.piano_hands
    notes = make_notes([0.3, 0.8, 1.3, 1.8], [0.7, 1.2, 1.7, 2.2], [60, 64, 67, 72], [80] * 4)
    write_midi(Score(notes), tmp_path / "tune.mid")
    found.source, found.filepath, found.generator = "FILE", str(tmp_path / "tune.mid"), "PIANIST"
    yield found
    register.unregister()


def test_untouched_settings_are_the_classical_pianist(settings):
    assert settings.performer.told() is None
    settings.performer.intensity = 0.3  # of nothing special
    assert settings.performer.told() is None


def test_all_choices_are_understood_by_the_pianist(settings):
    chosen = settings.performer
    for name in PERFORMERS:
        chosen.name_of = name
        assert hands(chosen.told() or {})[0] == hands(told_by(name))[0]
    chosen.name_of, chosen.blended, chosen.blend, chosen.intensity = "hammer", "lyrical", 0.25, 1.0
    left, right = hands(chosen.told())
    assert left == right and left.wrist.sway == pytest.approx(14 * 0.25)
    assert left.index_middle.lift[0] == pytest.approx(10 + 0.75 * 16 + 0.25)
    chosen.blended = "hammer"  # with himself
    assert hands(chosen.told()) == hands(told_by("hammer"))
    chosen.by_part, chosen.left_thumb, chosen.right_wrist = True, "pop", "highwrist"
    left, right = hands(chosen.told())
    assert left.thumb == PERFORMERS["pop"].thumb and right.thumb == PERFORMERS["hammer"].thumb
    assert right.wrist.height == 102 and left.wrist == PERFORMERS["hammer"].wrist
    chosen.by_part = False
    assert hands(chosen.told())[0].thumb == PERFORMERS["hammer"].thumb
    chosen.expression = 0.0
    assert hands(chosen.told())[0].index_middle.lift == (26, 0, 0)


def test_a_performer_moves_the_hands_and_is_kept_in_the_take(settings):
    heights = {}
    for name in ("flat", "highwrist"):
        settings.performer.name_of = name
        bpy.ops.piano_hands.generate()
        take = takes.active(bpy.context.scene)
        assert take.told()["style"] == {side: {"all": {name: 1.0}} for side in ("left", "right")}
        heights[name] = np.median(takes.motion_of(take).right_position[:, 2])
        assert take.accuracy == 1.0
        assert summary(take.told()["style"]) == {"flat": "Flat Fingers", "highwrist": "High Wrist"}[name]
    assert heights["highwrist"] > heights["flat"] + 0.02


def test_a_gesture_model_gets_the_performers_that_it_knows(settings, tmp_path, monkeypatch):
    settings.generator = "MODEL"
    settings.performer.weight = 1.5

    def told() -> tuple[dict | None, float]:
        job = orders.music()(bpy.context, tmp_path).job
        return job.style, job.style_weight

    monkeypatch.setattr(orders, "knows_styles", lambda folder: False)
    settings.performer.name_of = "flat"
    assert told()[0] is None
    monkeypatch.setattr(orders, "knows_styles", lambda folder: True)
    assert told() == ({side: {"all": {"flat": 1.0}} for side in ("left", "right")}, 1.5)
    settings.performer.name_of = "classical"  # not nobody
    assert told()[0] == {side: {"all": {"classical": 1.0}} for side in ("left", "right")}
    settings.performer.name_of = "copied"
    settings.performer.copied = json.dumps({"own": {"left": {}}, "codes": {"left": {"wrist": [1]}}, "codes_of": 7})
    style = told()[0]
    assert (style["codes"], style["codes_of"]) == ({"copied left": {"wrist": [1]}}, 7)


def test_a_style_is_copied_from_an_action(settings, tmp_path):
    onset = np.arange(0.3, 4.0, 0.35)
    notes = make_notes(onset, onset + 0.3, 60 + np.arange(len(onset)) * 2 % 12, [80] * len(onset), RIGHT)
    write_midi(Score(notes), tmp_path / "tune.mid")
    assert "Choose an action" in CopyStyle.disabled_reason(bpy.context)
    settings.performer.name_of = "highwrist"
    bpy.ops.piano_hands.generate()
    hand = next(child for child in settings.rig.children if child.name == "Hand.R")
    settings.performer.action = hand.animation_data.action
    assert bpy.ops.piano_hands.copy_style() == {"FINISHED"}
    assert settings.performer.name_of == "copied"
    left, right = hands(settings.performer.told())
    assert left == right and right.wrist.height > 80  # 102 is highwrist's, 62 usual
    settings.performer.intensity = 0.5
    assert 70 < hands(settings.performer.told())[1].wrist.height < right.wrist.height - 5
    settings.performer.copied = ""
    with pytest.raises(UserError, match="No style was copied"):
        settings.performer.told()
    settings.performer.action = bpy.data.actions.new("Walk")
    with pytest.raises(RuntimeError, match="not clear which hand"):
        bpy.ops.piano_hands.copy_style()
    settings.performer.action.name = "Walk.R"
    with pytest.raises(RuntimeError, match="bones of a hand"):
        bpy.ops.piano_hands.copy_style()


HIGH = "Hand.R.take-001"
PIANIST = ("--generator", "pianist", "--quiet")  # quick, and needs neither PyTorch nor weights


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """A folder with a melody, and files at 24 and 60 frames a second in which hands with high wrists play it."""
    folder = tmp_path_factory.mktemp("shots")
    onset = np.arange(0.3, 4.0, 0.35)
    pitch = np.concatenate([60 + np.arange(len(onset)) * 2 % 12, 48 - np.arange(len(onset)) * 2 % 12])
    hand = np.repeat([1, 0], len(onset))
    notes = make_notes(np.tile(onset, 2), np.tile(onset, 2) + 0.3, pitch, [80] * len(pitch), hand)
    write_midi(Score(notes), folder / "tune.mid")
    for fps in (24, 60):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        words = ["--audio", folder / "tune.mid", "--style", "highwrist", "--fps", fps, *PIANIST]
        assert cli.main([str(word) for word in [*words, "--out", folder / f"at{fps}.blend"]]) == 0
    return folder


def style_in(file: Path, name: str):
    return style_of(style_copy.motion_in(file, name))


def in_file() -> dict[str, int]:
    """How much of everything there is in the open file."""
    return {name: len(getattr(bpy.data, name)) for name in ("actions", "objects", "scenes", "libraries", "armatures")}


def values(styles) -> np.ndarray:
    return np.concatenate([vector(getattr(style, part)) for style in styles for part in PARTS])


def test_the_style_of_an_action_in_another_file(shots, scene, tmp_path, capsys):
    before = in_file()
    words = ["--audio", shots / "tune.mid", "--style-from", f"{shots / 'at24.blend'}:{HIGH}", *PIANIST]
    assert cli.main([str(word) for word in [*words, "--motion", tmp_path / "x.npz"]]) == 0
    assert in_file() == before
    left, right = hands(json.loads(capsys.readouterr().out)["style"])
    assert left == right and right.wrist.height > 80  # 102 is highwrist's, 62 usual
    # What counts are the file's own frames a second, not the open scene's.
    at_24, at_60 = (values(style_in(shots / f"at{fps}.blend", HIGH)) for fps in (24, 60))
    assert np.median(np.abs(at_24 - at_60) / (np.abs(at_60) + 1.0)) < 0.05
    assert right.wrist.height == pytest.approx(at_24[0], abs=0.01)


def test_an_action_without_its_hand(shots, scene, tmp_path):
    """As in a library of actions: it was made for the rig as it comes."""
    expected = values(style_in(shots / "at24.blend", HIGH))
    bpy.context.scene.render.fps = 24
    with bpy.data.libraries.load(str(shots / "at24.blend")) as (_, wanted):
        wanted.actions = [HIGH]
    bpy.data.libraries.write(str(tmp_path / "alone.blend"), {wanted.actions[0]}, fake_user=True)
    assert np.allclose(values(style_in(tmp_path / "alone.blend", HIGH)), expected, atol=1e-4)


def test_the_open_file_stays_as_it_was(shots, scene):
    """Though it has all names of the other file itself, or is that file."""
    expected = values(style_in(shots / "at24.blend", HIGH))
    for opened in ("at60.blend", "at24.blend"):
        bpy.ops.wm.open_mainfile(filepath=str(shots / opened))
        current, before = bpy.context.scene, {block.name_full for block in bpy.data.user_map()}
        assert np.allclose(values(style_in(shots / "at24.blend", HIGH)), expected)
        assert bpy.context.scene == current and {block.name_full for block in bpy.data.user_map()} == before
    with pytest.raises(UserError, match="has no action"):
        style_copy.motion_in(shots / "at24.blend", "Walk")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("absent.blend:Walk", "absent.blend does not exist: check the path."),
        ("at24.blend:Walk", 'at24.blend has no action "Walk": it has "Hand.L.take-001", "Hand.R.take-001", "Key'),
        ("at24.blend", "Say which action of at24.blend shows the style, as in at24.blend:NAME; it has"),
        ("poor.blend:Pedal", '"Pedal" moves 0 of the 16 bones of a hand: choose a hand\'s action.'),
        ("text.blend:Walk", "text.blend is no Blender file that can be read"),
    ],
)
def test_mistakes_about_actions_are_one_sentence(shots, scene, tmp_path, capsys, given, told):
    (shots / "text.blend").write_text("no blend")
    pedal = bpy.data.actions.new("Pedal")
    bpy.data.libraries.write(str(shots / "poor.blend"), {pedal}, fake_user=True)
    before = in_file()
    words = ["--audio", shots / "tune.mid", "--style-from", shots / given, "--motion", tmp_path / "x.npz"]
    assert cli.main([str(word) for word in words]) in (1, 2)
    error = json.loads(capsys.readouterr().out)["error"]
    assert told in error and error.endswith(".") and "\n" not in error
    assert in_file() == before and not (tmp_path / "x.npz").exists()


def test_what_style_from_understands():
    def understood(text: str):
        return parser().parse_args(["--style-from", text]).style_from

    assert understood("a.npz") == Path("a.npz")
    assert understood("C:\\shots\\a.BLEND:Hand.R") == ActionIn(Path("C:\\shots\\a.BLEND"), "Hand.R")
    assert understood("a.blend:b.blend:c") == ActionIn(Path("a.blend"), "b.blend:c")


def test_a_batch_knows_which_action_it_was(shots, tmp_path):
    jobs = []
    for name in (HIGH, "Hand.L.take-001"):
        batch = tmp_path / "batch.json"
        batch.write_text(json.dumps([{"audio": str(shots / "tune.mid"), "style-from": f"{shots}/at24.blend:{name}"}]))
        jobs += read_jobs(batch, tmp_path / "out", ("motion",), [], in_blender=False)
    assert inputs_now(jobs[0])["style_from/at24.blend"]["sha256"]
    assert options_hash(jobs[0]) != options_hash(jobs[1])
