# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a keyed scene really does: fingertip pads, wrists and keys read from Blender at any moment, sub-frames too."""

from dataclasses import dataclass

import bpy
import numpy as np

from s2c_blender.blender.rig import Rig
from s2c_blender.core.keyboard import HIGHEST, LOWEST
from s2c_blender.core.timing import Clock

PADS = ("thumb3", "index3", "middle3", "ring3", "pinky3")  # whose tails touch the keys, thumb .. little


@dataclass(frozen=True)
class Measured:
    """A performance in the piano frame, at `times` [T] s of the take."""

    times: np.ndarray
    pads: np.ndarray  # [T, 2, 5, 3] m, left and right hand
    wrists: np.ndarray  # [T, 2, 3] m
    angles: np.ndarray  # [T, 88] rad, how far each key is turned down
    pedal: np.ndarray  # [T] rad


def measure(scene: bpy.types.Scene, rig: Rig, frame: float, times: np.ndarray) -> Measured:
    """Play the scene at `times` (s) of a take whose time 0 lies at `frame`. Meshes are hidden meanwhile, for speed."""
    clock = Clock(scene.render.fps / scene.render.fps_base, frame)
    keys = [rig.keys.get(pitch) for pitch in range(LOWEST, HIGHEST + 1)]
    pads, wrists, angles, pedal = [], [], [], []
    skins = [child for hand in rig.hands.values() for child in hand.children]
    shown = [(skin, skin.hide_viewport) for skin in skins]
    for skin in skins:
        skin.hide_viewport = True
    for at in clock.frame(np.asarray(times, float)):
        scene.frame_set(int(np.floor(at)), subframe=float(at - np.floor(at)))
        back = rig.piano.matrix_world.inverted()
        bones = [(back @ rig.hands[side].matrix_world, rig.hands[side].pose.bones) for side in (0, 1)]
        pads.append([[place @ pose[name].tail for name in PADS] for place, pose in bones])
        wrists.append([place @ pose["wrist"].head for place, pose in bones])
        angles.append([key.rotation_euler[0] if key else 0.0 for key in keys])
        pedal.append(rig.pedal.rotation_euler[0] if rig.pedal else 0.0)
    for skin, hidden in shown:
        skin.hide_viewport = hidden
    return Measured(np.asarray(times, float), *(np.array(values) for values in (pads, wrists, angles, pedal)))
