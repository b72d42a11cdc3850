# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take watched while it is made: parts play as the whole will, and a generation that ends early leaves nothing."""

import time
from dataclasses import replace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.audio.midi import write_midi  # noqa: E402
from s2c_blender.blender import apply, growing, job, orders, preview, register, rig, takes  # noqa: E402
from s2c_blender.blender.watching import Watch  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from s2c_blender.core.notes import Score, make_notes  # noqa: E402
from tests.blender.measure import measure  # noqa: E402
from tests.blender.sample import REPORT, waving  # noqa: E402

FRAME = 5.0
BLOCKS = ("collections", "objects", "meshes", "armatures", "materials", "actions", "texts", "cameras", "lights")
BLOCKS += ("images", "libraries")


@pytest.fixture
def settings(scene, tmp_path, monkeypatch):
    for module in (job, orders):
        monkeypatch.setattr(module, "cache_folder", lambda context: tmp_path / "cache")
    register.register()
    yield bpy.context.scene.piano_hands
    register.unregister()


def blocks() -> dict[str, set[str]]:
    """Names of what is in the file."""
    return {kind: set(getattr(bpy.data, kind).keys()) for kind in BLOCKS}


def part(motion: HandMotion, first: float, last: float) -> HandMotion:
    """Seconds first..last of a motion, as the pianist hands them over."""
    frames = slice(round(first * motion.fps), round(last * motion.fps))
    sounding = (motion.keys[:, 3] > first) & (motion.keys[:, 0] < last)
    notes = motion.notes[sounding].copy()
    notes["onset"] -= first
    notes["offset"] -= first
    arrays = {
        f"{side}_{kind}": getattr(motion, f"{side}_{kind}")[frames]
        for side in ("left", "right")
        for kind in ("position", "rotation")
    }
    pedal = motion.pedal[(motion.pedal[:, 1] > first) & (motion.pedal[:, 0] < last)]
    pedal = np.clip(pedal, first, last) - first
    return replace(motion, notes=notes, keys=motion.keys[sounding] - first, pedal=pedal, **arrays)


def grow(watch: Watch, motion: HandMotion, folder, first: float, last: float) -> None:
    path = folder / f"part-{first}.npz"
    part(motion, first, last).save(path)
    watch.add(first, last, path)


def begun() -> Watch:
    return Watch(bpy.context.scene.session_uid, FRAME)


def test_parts_play_as_the_whole_will(settings, tmp_path):
    scene, motion, watch = bpy.context.scene, waving(4.0), begun()
    grow(watch, motion, tmp_path, 0.0, 2.0)
    piano = settings.rig
    assert preview.is_shown(piano) and growing.current.seconds == pytest.approx(2.0, abs=0.02)
    shown = rig.rig_of(piano)
    early = measure(scene, shown, FRAME, np.array([0.2, 1.1, 1.9, 3.5]))
    grow(watch, motion, tmp_path, 2.0, 4.0)
    late = measure(scene, shown, FRAME, np.array([0.2, 1.1, 1.9, 3.5]))
    take = takes.add(scene, motion, REPORT, FRAME)
    preview.show(shown, take, scene)
    whole = measure(scene, shown, FRAME, np.array([0.2, 1.1, 1.9, 3.5]))
    for found, upto in ((early, 3), (late, 4)):
        assert np.abs(found.pads - whole.pads)[:upto].max() < 1e-4
        assert np.abs(found.angles - whole.angles)[:upto].max() < 1e-4
        assert np.abs(found.pedal - whole.pedal)[:upto].max() < 1e-4
    assert np.abs(early.pads - whole.pads)[3].max() > 0.01  # not made yet: held still
    watch.keep()
    watch.close()
    assert preview.shown_uid(piano) == take.uid and growing.current is None


def test_a_generation_that_ends_early_leaves_nothing(settings, tmp_path):
    before, watch = blocks(), begun()
    grow(watch, waving(2.0), tmp_path, 0.0, 2.0)
    assert settings.rig and blocks() != before
    watch.close()
    assert blocks() == before and not settings.rig


def test_a_rig_that_was_there_shows_again_what_it_showed(settings, tmp_path):
    scene = bpy.context.scene
    found = apply.add_rig(scene)
    rest = measure(scene, found, FRAME, np.array([0.5]))
    before, watch = blocks(), begun()
    grow(watch, waving(2.0), tmp_path, 0.0, 2.0)
    watch.close()
    assert not preview.is_shown(found.piano) and blocks() == before
    assert np.abs(measure(scene, found, FRAME, np.array([0.5])).pads - rest.pads).max() < 1e-6
    take = takes.add(scene, waving(2.0, seed=3), REPORT, FRAME)
    preview.show(found, take, scene)
    watch = begun()
    grow(watch, waving(2.0), tmp_path, 0.0, 2.0)
    assert preview.shown_uid(found.piano) == growing.UID
    watch.close()
    assert preview.shown_uid(found.piano) == take.uid


def test_it_can_be_switched_off_and_on(settings, tmp_path):
    settings.watch = False
    before, watch = blocks(), begun()
    grow(watch, waving(4.0), tmp_path, 0.0, 2.0)
    assert blocks() == before
    settings.watch = True
    watch.show()
    assert preview.shown_uid(settings.rig) == growing.UID
    watch.hide()
    assert not preview.is_shown(settings.rig)
    watch.close()
    assert blocks() == before


def test_a_rig_deleted_meanwhile_does_not_come_back(settings, tmp_path):
    watch = begun()
    grow(watch, waving(4.0), tmp_path, 0.0, 2.0)
    bpy.data.batch_remove(list(bpy.context.scene.objects))
    grow(watch, waving(4.0), tmp_path, 2.0, 4.0)
    assert not list(bpy.context.scene.objects)
    watch.close()


def test_steps_and_files_from_within_a_generation_hold_nothing_of_it(settings, tmp_path):
    before, watch = blocks(), begun()
    grow(watch, waving(2.0), tmp_path, 0.0, 2.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"), copy=True)
    watch.close()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert blocks() == before and not bpy.context.scene.piano_hands.rig


def test_a_broken_rig_is_left_alone(settings, tmp_path):
    scene = bpy.context.scene
    found = apply.add_rig(scene)
    take = takes.add(scene, waving(2.0), REPORT, FRAME)
    preview.show(found, take, scene)
    watch = begun()
    grow(watch, waving(2.0), tmp_path, 0.0, 2.0)
    bpy.data.objects.remove(found.hands[0])
    before = blocks()
    watch.close()
    assert blocks() == before and growing.current is None


def test_of_a_real_generation(settings, tmp_path):
    onset = np.arange(0.5, 14.5, 0.5)
    path = tmp_path / "long.mid"
    write_midi(Score(make_notes(onset, onset + 0.4, 60 + np.arange(len(onset)) % 8, [80] * len(onset))), path)
    settings.source, settings.filepath, settings.generator = "FILE", str(path), "PIANIST"
    run, end, seen = job.start(bpy.context), time.monotonic() + 120, []
    while not (report := run.poll()):
        if growing.current.parts and not seen:
            seen = [growing.current.seconds, preview.shown_uid(settings.rig)]
        assert time.monotonic() < end
        time.sleep(0.02)
    assert seen == [pytest.approx(12.0, abs=0.05), growing.UID]
    job.finish(report)
    assert not preview.is_shown(settings.rig) and growing.current is None
    keyed = blocks()
    assert len(keyed["actions"]) >= 2
    job.start(bpy.context)
    bpy.ops.piano_hands.cancel()
    assert blocks() == keyed
