# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: they stay in the file, come and go, follow their strips, and never touch other actions."""

import json
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.audio.midi import write_midi  # noqa: E402
from s2c_blender.blender import actions, apply, job, nla, orders, register, rig, strips, takes, takes_ui  # noqa: E402
from s2c_blender.blender.actions import curves, shift  # noqa: E402
from s2c_blender.blender.keying import TAKE  # noqa: E402
from s2c_blender.blender.source import source_name  # noqa: E402
from s2c_blender.core.notes import Score, make_notes  # noqa: E402
from s2c_blender.core.packed import PLACE, TURN  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from tests.blender.measure import measure  # noqa: E402
from tests.blender.sample import REPORT, clicks, waving  # noqa: E402

HAS_SOUND = bpy.app.version >= (4, 3)  # the bpy 4.2 module is built without


@pytest.fixture
def settings(scene):
    register.register()
    yield bpy.context.scene.piano_hands
    register.unregister()


def three_takes(scene) -> list:
    for seed in range(3):
        takes.add(scene, waving(2.0, seed=seed), REPORT | {"seed": seed}, 10.0 * seed)
    return list(scene.piano_hands.takes)


def test_takes_and_their_motions_stay_in_the_file(settings, scene, tmp_path):
    three_takes(scene)
    path = str(tmp_path / "takes.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    takes._motions.clear()
    bpy.ops.wm.open_mainfile(filepath=path)
    scene = bpy.context.scene
    assert [(t.name, t.seed, t.frame) for t in scene.piano_hands.takes] == [
        ("take-001", 0, 0.0),
        ("take-002", 1, 10.0),
        ("take-003", 2, 20.0),
    ]
    found, meant = takes.motion_of(scene.piano_hands.takes[1]), waving(2.0, seed=1)
    assert np.abs(found.right_position - meant.right_position).max() < PLACE
    assert np.abs(found.left_rotation - meant.left_rotation).max() < TURN
    np.testing.assert_array_equal(found.notes, meant.notes)
    assert takes.active(scene).name == "take-003"


def test_undo_brings_a_removed_take_back(settings, scene):
    three_takes(scene)
    bpy.ops.ed.undo_push(message="takes")
    assert bpy.ops.piano_hands.remove_take() == {"FINISHED"}
    assert [t.name for t in scene.piano_hands.takes] == ["take-001", "take-002"]
    assert len(bpy.data.texts) == 2 and scene.piano_hands.take_index == 1
    bpy.ops.ed.undo_push(message="removed")
    bpy.ops.ed.undo()
    takes._motions.clear()
    again = bpy.context.scene.piano_hands.takes[2]
    assert again.name == "take-003" and takes.motion_of(again).duration == 2.0


def test_a_new_take_never_has_an_old_name(settings, scene):
    three_takes(scene)
    found = rig.add_rig(scene)
    apply.insert_keys(scene, found, scene.piano_hands.takes[2])
    for _ in range(3):
        takes.remove(scene, 0)
    assert takes.active(scene) is None
    assert takes.add(scene, waving(1.0), REPORT, 1.0).name == "take-004", "take-003 has actions"


def test_a_copied_scene_shares_motions_until_the_last_is_gone(settings, scene):
    three_takes(scene)
    copy = scene.copy()
    takes.remove(scene, 0)
    assert len(bpy.data.texts) == 3 and takes.motion_of(copy.piano_hands.takes[0]).duration == 2.0
    takes.remove(copy, 0)
    assert len(bpy.data.texts) == 2


def test_a_take_without_its_text_says_so(settings, scene):
    take = three_takes(scene)[0]
    bpy.data.texts.remove(take.data)
    takes._motions.clear()
    with pytest.raises(UserError, match='"take-001" was deleted'):
        takes.motion_of(scene.piano_hands.takes[0])
    scene.piano_hands.takes[1].data[takes.PACKED] = b"nonsense"
    with pytest.raises(UserError, match='"take-002" is damaged'):
        takes.motion_of(scene.piano_hands.takes[1])
    scene.piano_hands.take_index = 0
    with pytest.raises(RuntimeError, match='"take-001" was deleted'):
        bpy.ops.piano_hands.insert_keys()


def test_keying_takes_leaves_other_actions_alone(settings, scene):
    three_takes(scene)
    found = rig.add_rig(scene)
    own = bpy.data.actions.new("My Own")
    found.hands[0].animation_data_create().action = own
    key_own = bpy.data.actions.new("My Key")
    found.keys[90].animation_data_create().action = key_own
    for index in (0, 1):
        settings.take_index = index
        assert bpy.ops.piano_hands.insert_keys() == {"FINISHED"}
    assert own.use_fake_user and {"Hand.L.take-001", "Hand.L.take-002"} < {a.name for a in bpy.data.actions}
    assert found.keys[90].animation_data.action == key_own, "a key that no take plays keeps the user's action"
    assert bpy.data.actions["Hand.L.take-001"][TAKE] == settings.takes[0].uid


@pytest.mark.skipif(not HAS_SOUND, reason="the bpy 4.2 module has no sound")
def test_a_moved_strip_takes_take_and_keys_along(settings, scene, tmp_path):
    scene.render.fps = 25
    editor = scene.sequence_editor_create()
    made = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = made.new_sound(name="song", filepath=str(clicks(tmp_path / "song.wav")), channel=1, frame_start=11)
    take = takes.add(scene, waving(2.0), REPORT, 11.0)
    take.strip = "song"
    uid = take.uid
    takes.add(scene, waving(2.0), REPORT, 11.0)
    found = rig.add_rig(scene)
    apply.insert_keys(scene, found, takes.find(uid, scene))
    action = found.hands[1].animation_data.action
    own = action.copy()
    own.name = "My own edit"
    own_range = tuple(own.frame_range)
    first, last = action.frame_range
    points = next(iter(curves(action))).keyframe_points
    handle = points[3].handle_right.copy()
    strips_start(strip, 31)
    assert bpy.ops.piano_hands.resync() == {"FINISHED"}
    assert settings.takes[0].frame == 31.0 and settings.takes[1].frame == 11.0
    assert tuple(own.frame_range) == own_range, "a copy is the user's"
    assert tuple(action.frame_range) == (first + 20, last + 20)
    assert tuple(next(iter(curves(action))).keyframe_points[3].handle_right) == pytest.approx(
        (handle[0] + 20, handle[1])
    )
    assert bpy.ops.piano_hands.resync() == {"FINISHED"}
    assert settings.takes[0].frame == 31.0, "once is enough"
    scene.render.fps = 50  # the strip's sound is heard where its frames are now
    assert bpy.ops.piano_hands.resync() == {"FINISHED"}
    assert settings.takes[0].frame == pytest.approx(strips.frame_of(strip, scene, 0.0))
    made.remove(strip)
    bpy.ops.piano_hands.resync()
    assert '"song" is gone' in job.state.trouble.sentence
    job.state.trouble = None


def strips_start(strip, frame: int) -> None:
    if hasattr(strip, "content_start"):
        strip.content_start = frame
    else:
        strip.frame_start = frame


def test_the_panel_of_takes_draws_with_all_it_has_to_tell(settings, scene):
    three_takes(scene)
    layout = MagicMock()
    layout.column.return_value = layout.row.return_value = layout
    takes_ui._Takes.draw(SimpleNamespace(layout=layout), bpy.context)
    assert {"piano_hands.preview", "piano_hands.insert_keys", "piano_hands.remove_take"} < {
        call.args[0] for call in layout.operator.call_args_list
    }
    assert "11 of 12 notes played" in {call.kwargs.get("text") for call in layout.label.call_args_list}
    takes_ui._Dropped.draw(SimpleNamespace(layout=layout), bpy.context)
    jump = layout.operator.return_value
    assert jump.frame == round(20.0 + 1.5 * takes.rate_of(scene))
    take = settings.takes[2]
    warnings = ["Quiet.", {"sentence": "Many notes at once.", "onset": 1.0}]
    take.report = json.dumps(take.told() | {"warnings": warnings})
    layout.reset_mock()
    takes_ui._Takes.draw(SimpleNamespace(layout=layout), SimpleNamespace(**told_context()))
    assert {"Quiet.", "Many notes at once."} <= {call.kwargs.get("text") for call in layout.label.call_args_list}
    (button,) = [call for call in layout.operator.call_args_list if call.args[0] == "piano_hands.jump_to_frame"]
    assert button.kwargs["text"] == str(round(20.0 + takes.rate_of(scene)))
    bpy.ops.piano_hands.jump_to_frame(frame=56)
    assert scene.frame_current == 56


def told_context() -> dict:
    """What panels read of the context, with a sidebar 300 px wide, which there is none of in the background."""
    system = SimpleNamespace(ui_scale=1.0)
    shown = {"region": SimpleNamespace(width=300), "preferences": SimpleNamespace(system=system)}
    return {name: getattr(bpy.context, name) for name in ("scene", "view_layer", "window_manager")} | shown


def test_ten_minutes_of_a_take_take_less_than_six_megabytes(settings, scene, tmp_path):
    """Waving is far busier than playing; that playing fits is tested in tests/core/test_packed.py."""
    before = _saved(tmp_path / "before.blend")
    takes.add(scene, waving(60.0), REPORT, 1.0)
    assert _saved(tmp_path / "after.blend") - before < 1.2e6


def _saved(path: Path) -> int:
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, copy=True)
    return path.stat().st_size


def test_takes_on_nla_tracks_play_one_after_another(settings, scene):
    times = np.array([0.2, 0.9, 1.5])
    found, seen = rig.add_rig(scene), {}
    for seed, frame in ((0, 100.0), (1, 1.0), (2, 120.0)):  # the second comes first, the third begins before an end
        take = takes.add(scene, waving(2.0, seed=seed), REPORT, frame)
        apply.insert_keys(scene, found, take)
        seen[take.uid] = measure(scene, found, frame, times)
        apply.insert_keys(scene, found, take, push_down=True)
    first, second, third = scene.piano_hands.takes
    for take, until in ((first, 0.7), (second, 2.0), (third, 2.0)):
        shown = measure(scene, found, take.frame, times[times < until])
        assert np.abs(shown.pads - seen[take.uid].pads[times < until]).max() < 1e-6
    assert found.hands[0].animation_data.action is None
    moved = measure(scene, found, second.frame, times).pads
    for action in bpy.data.actions:
        if action[TAKE] == second.uid:
            for curve in curves(action):
                shift(curve, 300.0)
    nla.move({second.uid: 300.0})
    assert np.abs(measure(scene, found, second.frame + 300, times).pads - moved).max() < 1e-5
    shown = measure(scene, found, third.frame, times)
    assert np.abs(shown.pads - seen[third.uid].pads).max() < 1e-6, "takes of other strips stay"


def test_an_action_that_hides_takes_is_told_and_unlinked(settings, scene):
    found = rig.add_rig(scene)
    settings.rig = found.piano
    take = takes.add(scene, waving(2.0), REPORT, 1.0)
    apply.insert_keys(scene, found, take, push_down=True)
    assert not bpy.ops.piano_hands.uncover_tracks.poll()
    shown = measure(scene, found, 1.0, np.array([0.5])).pads
    own = bpy.data.actions.new("My Own")
    curve = actions.take_curves(own, found.hands[1])('pose.bones["wrist"].location', 0, "wrist")
    actions.fill(curve, np.array([1.0]), np.array([0.3]))
    assert np.abs(measure(scene, found, 1.0, np.array([0.5])).pads - shown).max() > 0.1
    assert bpy.ops.piano_hands.uncover_tracks() == {"FINISHED"}
    assert np.abs(measure(scene, found, 1.0, np.array([0.5])).pads - shown).max() < 1e-6
    assert bpy.data.actions["My Own"].use_fake_user


@pytest.mark.skipif(not HAS_SOUND, reason="the bpy 4.2 module has no sound")
def test_strips_pushed_down_move_together_and_keep_their_ends(settings, scene, tmp_path):
    editor = scene.sequence_editor_create()
    made = editor.strips if hasattr(editor, "strips") else editor.sequences
    found = rig.add_rig(scene)
    for n, frame in enumerate((1, 61)):
        strip = made.new_sound(name=f"s{n}", filepath=str(clicks(tmp_path / f"s{n}.wav")), channel=1, frame_start=frame)
        take = takes.add(scene, waving(2.0, seed=n), REPORT, float(frame))
        take.strip = strip.name
        apply.insert_keys(scene, found, take, push_down=True)
    (track,) = found.hands[0].animation_data.nla_tracks
    track.strips[0].action_frame_end = track.strips[0].frame_end = 25  # the user has trimmed it
    for strip in sorted(strips.sound_strips(scene), key=lambda s: -strips.handles(s)[0]):
        strips_start(strip, strips.handles(strip)[0] + 80)
    assert bpy.ops.piano_hands.resync() == {"FINISHED"}
    (track,) = found.hands[0].animation_data.nla_tracks
    ends = [(s.frame_start, s.frame_end, s.action_frame_start, s.action_frame_end) for s in track.strips]
    assert ends == [(81, 105, 81, 105), (141, 189, 141, 189)]
    shown = measure(scene, found, 141.0, np.array([0.5, 1.5])).pads
    settings.take_index = 1
    assert bpy.ops.piano_hands.insert_keys() == {"FINISHED"}
    assert np.abs(measure(scene, found, 141.0, np.array([0.5, 1.5])).pads - shown).max() < 1e-5


def two_strips(scene, folder: Path) -> None:
    """Two selected strips of sound, one after the other."""
    editor = scene.sequence_editor_create()
    made = editor.strips if hasattr(editor, "strips") else editor.sequences
    for name, frame in (("one", 1), ("two", 201)):
        strip = made.new_sound(name=name, filepath=str(clicks(folder / f"{name}.wav")), channel=1, frame_start=frame)
        strip.select = True
    editor.active_strip = strip


@pytest.mark.skipif(not HAS_SOUND, reason="the bpy 4.2 module has no sound")
def test_when_one_of_several_strips_fails_the_others_are_told_of(settings, scene, tmp_path, monkeypatch):
    two_strips(scene, tmp_path)

    class Deaf:
        """A worker that hears nothing."""

        def __init__(self, ordered, result, **options):
            pass

        def wait(self, told):
            raise UserError("No piano notes were found in one.wav: is it a recording of a piano?")

        def cancel(self):
            pass

        log = ""

    monkeypatch.setattr(job, "Worker", Deaf)
    monkeypatch.setattr(job, "cache_folder", lambda context: tmp_path)
    with pytest.raises(RuntimeError, match="No piano notes"):
        bpy.ops.piano_hands.generate()
    assert job.state.trouble.sentence.endswith("is it a recording of a piano? The strips after it (1) were not played.")
    assert not job.state.waiting and not job.state.run and not settings.takes


@pytest.mark.skipif(not HAS_SOUND, reason="the bpy 4.2 module has no sound")
def test_several_selected_strips_become_takes_on_one_timeline(settings, scene, tmp_path, monkeypatch):
    two_strips(scene, tmp_path)
    assert source_name(bpy.context) == "2 selected strips"
    jobs = []

    class Quick:
        """A worker that has its result at once."""

        def __init__(self, ordered, result, **options):
            jobs.append(ordered)
            waving(2.0, seed=len(jobs)).save(result)

        def wait(self, told):
            return REPORT | {"seconds": {}, "times_real_time": 1.0}

        def cancel(self):
            pass

        log = ""

    monkeypatch.setattr(job, "Worker", Quick)
    monkeypatch.setattr(job, "cache_folder", lambda context: tmp_path)
    assert bpy.ops.piano_hands.generate() == {"FINISHED"}
    assert [Path(ordered.source).stem for ordered in jobs] == ["one", "two"] and job.state == job.State()
    assert [(take.strip, take.frame) for take in settings.takes] == [("one", 1.0), ("two", 201.0)]
    tracks = rig.rig_of(settings.rig).hands[0].animation_data.nla_tracks
    assert [(strip.name, strip.frame_start) for track in tracks for strip in track.strips] == [
        ("take-001", 1.0),
        ("take-002", 201.0),
    ]


@pytest.fixture
def generated(settings, scene, tmp_path, monkeypatch):
    """A take of six notes, really played, and keyed."""
    monkeypatch.setattr(job, "cache_folder", lambda context: tmp_path / "cache")
    monkeypatch.setattr(orders, "cache_folder", lambda context: tmp_path / "cache")
    onset = [0.3 * n + 0.2 for n in range(6)] * 2
    pitches = [60, 64, 67, 72, 67, 64, 48, 43, 48, 43, 48, 43]
    write_midi(Score(make_notes(onset, [t + 0.25 for t in onset], pitches, 80)), tmp_path / "tune.mid")
    settings.source, settings.filepath, settings.generator = "FILE", str(tmp_path / "tune.mid"), "PIANIST"
    assert bpy.ops.piano_hands.generate() == {"FINISHED"}
    return settings


def test_a_new_version_changes_only_the_chosen_frames(generated, scene):
    generated.range, generated.frame_start, generated.frame_end = "CUSTOM", 18, 36
    assert bpy.ops.piano_hands.regenerate() == {"FINISHED"}
    old, new = generated.takes
    assert (new.seed, new.frame, new.source) == (1, old.frame, old.source) and new.accuracy == 1.0
    before, after = takes.motion_of(old), takes.motion_of(new)
    moved = np.abs(after.right_position - before.right_position).max(axis=1)
    seconds = np.arange(len(moved)) / before.fps
    first, last = 17 / takes.rate_of(scene), 35 / takes.rate_of(scene)
    assert moved[(seconds < first) | (seconds > last)].max() <= PLACE < 1e-4 < moved.max()
    assert generated.takes[1].uid in hand_takes(generated.rig)


def test_hand_made_keys_are_played_around(generated, scene):
    with pytest.raises(RuntimeError, match="were changed by hand"):
        bpy.ops.piano_hands.solve_keys()
    hand = rig.rig_of(generated.rig).hands[1]
    frame = 30
    scene.frame_set(frame)
    bone = hand.pose.bones["wrist"]
    bone.location.z += 0.02
    bone.keyframe_insert("location", frame=frame)
    scene.frame_set(frame)
    wanted = hand.matrix_world @ hand.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["wrist"].head
    assert bpy.ops.piano_hands.solve_keys() == {"FINISHED"}
    scene.frame_set(frame)
    hand = rig.rig_of(generated.rig).hands[1]
    met = hand.matrix_world @ hand.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["wrist"].head
    assert (met - wanted).length < 1e-3
    assert generated.takes[1].uid in hand_takes(generated.rig)


def hand_takes(piano) -> set[str]:
    """What the hands are keyed with."""
    return {hand.animation_data.action[TAKE] for hand in rig.rig_of(piano).hands.values()}


def test_reduced_keys_are_not_taken_for_hand_made_ones(generated, scene):
    generated.density, generated.tolerance = "REDUCED", 2.0
    assert bpy.ops.piano_hands.insert_keys() == {"FINISHED"}
    with pytest.raises(RuntimeError, match="were changed by hand"):
        bpy.ops.piano_hands.solve_keys()
