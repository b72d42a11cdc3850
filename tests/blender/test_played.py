# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promise itself, measured in Blender: keyed hands and keys in a saved file play the notes, between frames too."""

import bpy
import numpy as np
import pytest

from s2c_blender.audio.midi import read_midi
from s2c_blender.blender import rig
from s2c_blender.blender.keying import key_take
from s2c_blender.core import metrics
from s2c_blender.pianist import perform
from tests.blender.measure import measure

SECONDS = 8.0
SUBFRAMES = 6


@pytest.fixture(scope="module")
def motion(repo):
    return perform(read_midi(repo / "demo" / "fur_elise.mid").cut(0.0, SECONDS))[0]


@pytest.mark.parametrize(("fps", "base"), [(24, 1.0), (30, 1.001), (60, 1.0)])
def test_keyed_hands_play_the_notes(tmp_path, scene, motion, fps, base):
    scene.render.fps, scene.render.fps_base = fps, base
    key_take(rig.add_rig(scene), motion, scene, 1.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "played.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "played.blend"))

    scene = bpy.context.scene
    times = np.arange(0.0, SECONDS + 0.5, base / fps / SUBFRAMES)
    seen = measure(scene, rig.find_rigs(scene)[0], 1.0, times)
    found = metrics.summary(times, seen.pads, seen.angles, motion)
    print(f"{fps}/{base} fps:", {name: round(value, 3) for name, value in found.items()})
    assert found["f1"] >= 0.98 and found["key_f1"] == 1.0
    assert found["wrong_per_minute"] <= 1.0
    assert found["contact_mean_mm"] <= 2.0 and found["contact_p95_mm"] <= 5.0
