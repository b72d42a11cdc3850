# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a frame of the ghost takes to pose and color: `.venv/bin/python -m benchmarks.ghost` (any bpy module).

Drawing itself needs a graphics card and is not part of it.
"""

import os
import statistics
import sys
import time

import bpy
import numpy as np

from s2c_blender.blender import ghost, register, rig, takes
from tests.blender.sample import REPORT, waving

FRAMES = 300


def main() -> None:
    """Print milliseconds a frame."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    register.register()
    if ghost not in register.MODULES:
        ghost.register()
    scene = bpy.context.scene
    scene.piano_hands.rig = rig.add_rig(scene).piano
    takes.add(scene, waving(600.0), REPORT, 1.0)
    bpy.ops.piano_hands.ghost()
    began = time.perf_counter()
    ghost.posed(scene)
    print(f"first frame of ten minutes: {(time.perf_counter() - began) * 1e3:.0f} ms")
    eye, color, spent = np.eye(4), (0.2, 0.6, 1.0, 0.6), []
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        began = time.perf_counter()
        for hand in ghost.posed(scene):
            ghost._colors(hand, eye, True, color)
        spent.append((time.perf_counter() - began) * 1e3)
    median, high = statistics.median(spent), sorted(spent)[int(0.95 * FRAMES)]
    print(f"each later frame: median {median:.2f} ms, 95 % below {high:.2f} ms")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy 4.5 hangs at exit while classes are registered
