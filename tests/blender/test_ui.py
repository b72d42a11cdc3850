# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension as Blender sees it: what it registers, why buttons are greyed, one generation from the button on."""

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.audio.midi import write_midi  # noqa: E402
from s2c_blender.blender import (  # noqa: E402
    apply,
    background,
    job,
    orders,
    panel,
    preferences_ui,
    preview,
    properties,
    register,
    self_check,
    takes,
)
from s2c_blender.blender.button import Button  # noqa: E402
from s2c_blender.blender.export_ui import PIANO_HANDS_OT_export_fbx as ExportFbx  # noqa: E402
from s2c_blender.blender.generating import PIANO_HANDS_OT_generate as Generate  # noqa: E402
from s2c_blender.blender.preferences import Defaults, trim_cache  # noqa: E402
from s2c_blender.blender.source import chosen_part, source_name  # noqa: E402
from s2c_blender.blender.takes_ui import PIANO_HANDS_OT_insert_keys as InsertKeys  # noqa: E402
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from s2c_blender.job import GENERATOR  # noqa: E402
from tests.blender.sample import clicks  # noqa: E402

HAS_SOUND = bpy.app.version >= (4, 3)  # the bpy 4.2 module is built without
needs_sound = pytest.mark.skipif(not HAS_SOUND, reason="the bpy 4.2 module has no sound")


@pytest.fixture
def settings(scene, monkeypatch, tmp_path):
    """The registered extension's settings in an empty scene, with a cache of its own."""
    for module in (job, orders):
        monkeypatch.setattr(module, "cache_folder", lambda context: tmp_path / "cache")
    register.register()
    settings = bpy.context.scene.piano_hands
    settings.generator = "PIANIST"  # quick, and needs neither PyTorch nor weights
    yield settings
    register.unregister()


@pytest.fixture
def tune(tmp_path) -> Path:
    """Three notes of each hand as a MIDI file."""
    onset = [0.2, 0.6, 1.0] * 2
    notes = make_notes(onset, [t + 0.35 for t in onset], [60, 64, 67, 48, 43, 48], [80] * 6)
    path = tmp_path / "tune.mid"
    write_midi(Score(notes), path)
    return path


def add_strip(scene, path: Path, frame: int = 1):
    """A sound strip of a file in the scene's sequencer."""
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    return strips.new_sound(name=path.stem, filepath=str(path), channel=1, frame_start=frame)


def hand_actions(piano) -> list:
    """The actions on the armatures of a rig."""
    hands = [child for child in piano.children if child.type == "ARMATURE"]
    return [hand.animation_data and hand.animation_data.action for hand in hands]


def follow(seconds: float = 120.0) -> dict:
    """What the modal operator does: poll until the report is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        report = job.state.run.poll()
        if report:
            return report
        time.sleep(0.05)
    raise AssertionError("the worker did not end")


def test_register_and_unregister_leave_nothing_behind(scene):
    def handlers() -> int:
        return sum(len(getattr(bpy.app.handlers, name)) for name in ("frame_change_post", "load_pre"))

    before = handlers()
    for _ in range(2):
        register.register()
        assert hasattr(bpy.types.Scene, "piano_hands") and handlers() == before + 2
        for space in ("VIEW_3D", "SEQUENCE_EDITOR"):
            assert bpy.types.Panel.bl_rna_get_subclass_py(f"{space}_PT_piano_hands").bl_category == "Piano Hands"
        register.unregister()
        assert not hasattr(bpy.types.Scene, "piano_hands") and handlers() == before
        assert bpy.types.Panel.bl_rna_get_subclass_py("VIEW_3D_PT_piano_hands") is None
        assert bpy.types.Operator.bl_rna_get_subclass_py("PIANO_HANDS_OT_generate") is None
        assert bpy.types.AddonPreferences.bl_rna_get_subclass_py("PianoHandsPreferences") is None


def test_every_button_and_setting_says_what_it_does(settings):
    waiting, buttons = [Button], []
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        buttons += [cls] if issubclass(cls, bpy.types.Operator) else []
    assert len(buttons) > 10
    for cls in buttons:
        assert cls.__doc__ and not cls.__doc__.endswith(".") and "\n" not in cls.__doc__, cls
    for name, prop in settings.bl_rna.properties.items():
        if name in properties.PianoHandsSettings.__annotations__:
            assert prop.description and not prop.description.endswith("."), name


def test_the_panel_begins_with_the_usual_generator(settings):
    fresh = bpy.data.scenes.new("Fresh").piano_hands
    assert (fresh.generator, fresh.creativity) == (GENERATOR.upper(), 1.0)


def test_panels_show_generator_and_creativity(settings, tune):
    settings.source, settings.filepath = "FILE", str(tune)
    layout = MagicMock()
    layout.column.return_value = layout.row.return_value = layout
    panel._Main.draw(SimpleNamespace(layout=layout, _draw_source=partial(panel._Main._draw_source, None)), bpy.context)
    panel._Options.draw(SimpleNamespace(split_layout=lambda: layout), bpy.context)
    assert {"generator", "creativity", "seed"} <= {call.args[1] for call in layout.prop.call_args_list}
    assert "piano_hands.generate" in {call.args[0] for call in layout.operator.call_args_list}


@pytest.mark.parametrize("generator", ["MODEL", "PIANIST"])
def test_the_worker_gets_what_the_panel_says(settings, tune, monkeypatch, generator):
    """The folder in the preferences is for the gesture model only."""
    jobs = []
    monkeypatch.setattr(job, "Worker", lambda ordered, *args, **options: jobs.append(ordered) or MagicMock())
    monkeypatch.setattr(orders, "preferences", lambda context: replace(Defaults(), model_folder="/a/model"))
    settings.source, settings.filepath = "FILE", str(tune)
    settings.generator, settings.creativity, settings.seed = generator, 0.25, 4
    job.start(bpy.context)
    job.stop()
    assert (jobs[0].generator, jobs[0].creativity, jobs[0].seed) == (generator.lower(), 0.25, 4)
    assert jobs[0].model == ("/a/model" if generator == "MODEL" else None)


def test_without_music_generate_says_so(settings):
    assert not bpy.ops.piano_hands.generate.poll()
    assert "no sound strip" in Generate.disabled_reason(bpy.context)
    settings.source = "FILE"
    assert "No file is chosen" in Generate.disabled_reason(bpy.context)
    settings.filepath = "/nowhere/song.wav"
    assert "song.wav is not there" in Generate.disabled_reason(bpy.context)


def test_without_a_result_the_other_buttons_say_so(settings):
    assert "Nothing was generated" in InsertKeys.disabled_reason(bpy.context)
    assert "no rig" in ExportFbx.disabled_reason(bpy.context)
    assert bpy.ops.piano_hands.add_rig() == {"FINISHED"}
    assert "no keyframes" in ExportFbx.disabled_reason(bpy.context)


def test_rig_is_added_where_the_default_cube_does_not_hide_it(settings):
    bpy.ops.mesh.primitive_cube_add(size=2)
    piano = apply.add_rig(bpy.context.scene).piano
    assert piano.location.y <= -1.5 and settings.rig == piano
    second = apply.add_rig(bpy.context.scene).piano
    assert second != piano and settings.rig == second


@needs_sound
def test_strip_and_ranges(settings, tmp_path):
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 30, 31, 60
    add_strip(scene, clicks(tmp_path / "song.wav"), frame=16)
    assert source_name(bpy.context) == "song  (0:04)"
    whole = chosen_part(bpy.context, tmp_path)
    assert (whole.start, whole.duration, whole.frame) == (0.0, pytest.approx(4.0), 16)
    settings.range = "SCENE"
    part = chosen_part(bpy.context, tmp_path)
    assert (part.start, part.duration, part.frame) == pytest.approx((0.5, 1.0, 31))
    settings.range, settings.frame_start, settings.frame_end = "CUSTOM", 1, 15
    with pytest.raises(UserError, match="between the frames 1 and 15"):
        chosen_part(bpy.context, tmp_path)


def test_file_range(settings, tune, tmp_path):
    settings.source, settings.filepath, settings.file_frame = "FILE", str(tune), 100
    assert chosen_part(bpy.context, tmp_path).duration is None
    settings.range, settings.frame_start, settings.frame_end = "CUSTOM", 124, 147
    part = chosen_part(bpy.context, tmp_path)
    assert (part.start, part.duration, part.frame) == pytest.approx((1.0, 1.0, 124))


def test_one_press_adds_the_rig_and_keys_it(settings, tune, tmp_path):
    settings.source, settings.filepath, settings.file_frame = "FILE", str(tune), 10
    had_torch = "torch" in sys.modules  # of another test in this process
    assert bpy.ops.piano_hands.generate() == {"FINISHED"}
    take = takes.active(bpy.context.scene)
    report = take.told()
    assert report["notes_found"] == report["notes_played"] == 6 and report["dropped"] == []
    assert all(hand_actions(settings.rig)) and not preview.is_shown(settings.rig)
    assert take.accuracy == 1.0 and take.frame == 10
    last = takes.range_of(take, bpy.context.scene)[1]
    assert last == hand_actions(settings.rig)[0].frame_range[1] > 10 + 1.35 * bpy.context.scene.render.fps
    assert had_torch or "torch" not in sys.modules
    assert job.state == job.State()
    fbx = tmp_path / "hands.fbx"
    assert bpy.ops.piano_hands.export_fbx(filepath=str(fbx)) == {"FINISHED"}
    assert fbx.stat().st_size > 100_000
    bpy.context.scene.frame_end = 20
    bpy.ops.piano_hands.fit_range()
    assert bpy.context.scene.frame_end == last


def test_preview_first_then_keys_of_one_hand(settings, tune):
    settings.source, settings.filepath, settings.output = "FILE", str(tune), "PREVIEW"
    bpy.ops.piano_hands.add_rig()
    scene, piano = bpy.context.scene, settings.rig
    hand = next(child for child in piano.children if child.name.startswith("Hand.R"))

    def wrist() -> tuple:
        return tuple(hand.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["wrist"].location)

    rest = wrist()
    bpy.ops.piano_hands.generate()
    assert settings.rig == piano and preview.is_shown(piano) and not any(hand_actions(piano))
    assert settings.sides() == (LEFT, RIGHT)
    scene.frame_set(1)
    first = wrist()
    scene.frame_set(25)
    shown = wrist()
    assert shown != first
    bpy.ops.piano_hands.preview()
    assert not preview.is_shown(piano) and wrist() == pytest.approx(rest)
    settings.hands = "RIGHT"
    assert bpy.ops.piano_hands.insert_keys() == {"FINISHED"}
    assert wrist() == pytest.approx(shown, abs=1e-4)
    assert sum(action is not None for action in hand_actions(piano)) == 1


def test_a_running_generation_refuses_another_and_can_be_cancelled(settings, tune):
    settings.source, settings.filepath = "FILE", str(tune)
    run = job.start(bpy.context)
    assert "are being made" in Generate.disabled_reason(bpy.context)
    assert not bpy.ops.piano_hands.generate.poll() and not bpy.ops.piano_hands.add_rig.poll()
    assert bpy.ops.piano_hands.cancel() == {"FINISHED"}
    assert job.state.run is None and "Cancelled" in job.state.trouble.sentence
    assert run.worker.finished and not run.order.result.exists()
    assert bpy.ops.piano_hands.generate.poll() and not bpy.ops.piano_hands.cancel.poll()


def test_no_worker_starts_while_pytorch_changes(settings, tune, monkeypatch):
    """It would load packages of which some are there and some are not, or on Windows hold what is to be removed."""
    settings.source, settings.filepath = "FILE", str(tune)
    monkeypatch.setattr(background, "bpy", MagicMock(app=MagicMock(background=False)))  # as with windows
    go_on = threading.Event()
    for topic, stops in ((background.PYTORCH, True), ("model", False)):
        go_on.clear()
        background.run(topic, "Installing PyTorch", lambda tell: go_on.wait(10), lambda result: "Done.")
        assert ("PyTorch is being installed or removed" in Generate.disabled_reason(bpy.context)) == stops
        assert bpy.ops.piano_hands.generate.poll() == bpy.ops.piano_hands.self_check.poll() == (not stops)
        if stops:
            with pytest.raises(RuntimeError, match="poll"):
                bpy.ops.piano_hands.generate()
        go_on.set()
        background.state.task.wait(5.0)
        background._follow()
        assert bpy.ops.piano_hands.generate.poll() and bpy.ops.piano_hands.self_check.poll()


def test_pytorch_stays_while_a_worker_uses_it(settings, tune, monkeypatch):
    monkeypatch.setattr(preferences_ui.folder, "remainder", lambda place: True)
    monkeypatch.setattr(preferences_ui, "online", lambda: True)
    monkeypatch.setattr(preferences_ui, "flavours", lambda: [MagicMock()])
    changing = bpy.ops.piano_hands.remove_pytorch, bpy.ops.piano_hands.install_pytorch
    assert all(operator.poll() for operator in changing)
    settings.source, settings.filepath = "FILE", str(tune)
    job.start(bpy.context)
    assert not any(operator.poll() for operator in changing)
    bpy.ops.piano_hands.cancel()
    monkeypatch.setattr(self_check, "_looking", MagicMock())
    assert not any(operator.poll() for operator in changing)
    assert "self-check" in preferences_ui.PIANO_HANDS_OT_remove_pytorch.disabled_reason(bpy.context)


def test_scene_deleted_meanwhile(settings, tune):
    other = bpy.data.scenes.new("Other")
    other.piano_hands.source, other.piano_hands.filepath = "FILE", str(tune)
    other.piano_hands.generator = "PIANIST"
    with bpy.context.temp_override(scene=other):
        job.start(bpy.context)
    bpy.data.scenes.remove(other)
    report = follow()
    with pytest.raises(UserError, match="scene was deleted"):
        job.finish(report)
    assert job.state.run is None


def test_rig_deleted_meanwhile_is_added_again(settings, tune):
    settings.source, settings.filepath = "FILE", str(tune)
    bpy.ops.piano_hands.add_rig()
    job.start(bpy.context)
    bpy.data.batch_remove(list(bpy.context.scene.objects))
    job.finish(follow())
    assert all(hand_actions(settings.rig))


def test_file_loaded_meanwhile_ends_the_worker(settings, tune):
    settings.source, settings.filepath = "FILE", str(tune)
    run = job.start(bpy.context)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert job.state == job.State() and run.worker.finished


def test_broken_rig_is_refused_before_any_work(settings, tune):
    settings.source, settings.filepath = "FILE", str(tune)
    bpy.ops.piano_hands.add_rig()
    hand = next(child for child in settings.rig.children if child.name.startswith("Hand.L"))
    hand.data.bones["index2"].name = "finger"
    with pytest.raises(RuntimeError, match="lacks the bones index2"):
        bpy.ops.piano_hands.generate()
    assert job.state.run is None and job.state.trouble.cure == "piano_hands.add_rig"


def test_killed_worker_is_told(settings, tune):
    settings.source, settings.filepath = "FILE", str(tune)
    run = job.start(bpy.context)
    os.kill(run.worker._process.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="ended unexpectedly"):
        follow(20.0)
    job.stop()


def test_wrong_interpreter_offers_the_preferences(settings, tune, monkeypatch):
    wrong = replace(Defaults(), interpreter="/nowhere/python")
    monkeypatch.setattr(job, "preferences", lambda context: wrong)
    settings.source, settings.filepath = "FILE", str(tune)
    with pytest.raises(RuntimeError, match="/nowhere/python cannot be started"):
        bpy.ops.piano_hands.generate()
    assert job.state.trouble.cure == "piano_hands.show_preferences"


def test_cache_forgets_the_oldest(tmp_path):
    for i, name in enumerate(("old", "middle", "new")):
        (tmp_path / name).write_bytes(b"0" * 1_000_000)
        os.utime(tmp_path / name, (1000 + i, 1000 + i))
    trim_cache(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"middle", "new"}
    trim_cache(tmp_path, 0)
    assert not list(tmp_path.iterdir())


def test_time_left_reads_well():
    assert [job.time_left(s) for s in (None, 0.2, 59.5, 61, 3600)] == [
        "",
        "1 s left",
        "60 s left",
        "2 min left",
        "60 min left",
    ]


ENABLE = """
import os, sys, bpy, addon_utils
NAME = "bl_ext.user_default.s2c_piano_hands"
addon_utils.extensions_refresh(ensure_wheels=False)
module = addon_utils.enable(NAME, default_set=True)
assert module, "not enabled"
assert bpy.context.preferences.addons[NAME].preferences.cache_limit == 2000
loaded = {"torch", "transformers", "mido"} & set(sys.modules)
assert not loaded, loaded
assert "s2c_blender" not in sys.modules, "imported twice, once under its bare name"
bpy.context.scene.piano_hands.source = "FILE"
addon_utils.disable(NAME)
assert not hasattr(bpy.types.Scene, "piano_hands")
print("ENABLED", flush=True)
os._exit(0)
"""


def test_enabled_as_an_extension(repo, tmp_path):
    folder = tmp_path / "extensions" / "user_default"
    folder.mkdir(parents=True)
    (folder / "s2c_piano_hands").symlink_to(repo)
    done = subprocess.run(
        [sys.executable, "-c", ENABLE],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "ENABLED" in done.stdout, done.stdout + done.stderr


def test_the_built_zip_holds_what_is_needed_and_no_more(repo, tmp_path):
    tool = Path(bpy.utils.resource_path("LOCAL"), "scripts/addons_core/bl_pkg/cli/blender_ext.py")
    for words in (["validate", str(repo)], ["build", "--source-dir", str(repo), "--output-dir", str(tmp_path)]):
        done = subprocess.run([sys.executable, str(tool), *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    names = zipfile.ZipFile(next(tmp_path.glob("*.zip"))).namelist()
    needed = ("__init__.py", "blender_manifest.toml", "LICENSE", "rigs/piano_hands.blend", "s2c_blender/worker.py")
    bundled = repo / "s2c_blender" / "model" / "bundled"  # which not every checkout has
    needed += tuple(path.relative_to(repo).as_posix() for path in bundled.glob("*.*"))
    assert set(needed) <= set(names)
    assert any(name.startswith("rigs/LICENSE") for name in names), "the licence of the hand meshes"
    tops = {name.split("/")[0] for name in names}
    assert tops <= {"__init__.py", "blender_manifest.toml", "LICENSE", "README.md", "rigs", "s2c_blender"}, tops
