# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's performer reaches the worker, and the take."""

from dataclasses import asdict

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.audio.midi import write_midi  # noqa: E402
from s2c_blender.blender import job, orders, register, takes  # noqa: E402
from s2c_blender.blender.style import summary  # noqa: E402
from s2c_blender.blender.style_copy import PIANO_HANDS_OT_copy_style as CopyStyle  # noqa: E402
from s2c_blender.core.notes import RIGHT, Score, make_notes  # noqa: E402
from s2c_blender.core.style import PERFORMERS, hands, told_by  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402


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


def test_the_gesture_model_gets_no_performer(settings, tmp_path):
    settings.performer.name_of = "flat"
    settings.generator = "MODEL"
    order = orders.music()(bpy.context, tmp_path)
    assert asdict(order.job)["style"] is None


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
