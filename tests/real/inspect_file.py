# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside a Blender without extensions: what moves in the open file, as JSON to the file named after `--`.

Sampled four times a frame over the scene's range, evaluated as the viewport would: the angle of every key (rad), and of
both hands the wrist's place (m) and how far each bone turns (rad).
"""

import json
import sys
from pathlib import Path

import bpy

SUBFRAMES = 4


def sample() -> dict:
    scene = bpy.context.scene
    keys = {int(o.name.split(".")[1]): o for o in scene.objects if o.name.startswith("Key.")}
    hands = {name: scene.objects[name] for name in ("Hand.L", "Hand.R")}
    times, angles = [], {pitch: [] for pitch in keys}
    wrists = {name: [] for name in hands}
    turns = {name: {bone.name: [] for bone in obj.pose.bones} for name, obj in hands.items()}
    for step in range(scene.frame_start * SUBFRAMES, scene.frame_end * SUBFRAMES + 1):
        scene.frame_set(step // SUBFRAMES, subframe=step % SUBFRAMES / SUBFRAMES)
        times.append(step / SUBFRAMES)
        graph = bpy.context.evaluated_depsgraph_get()
        for pitch, obj in keys.items():
            angles[pitch].append(obj.evaluated_get(graph).rotation_euler[0])
        for name, obj in hands.items():
            posed = obj.evaluated_get(graph)
            wrists[name].append(list(posed.matrix_world @ posed.pose.bones["wrist"].head))
            for bone in posed.pose.bones:
                turns[name][bone.name].append(bone.matrix_basis.to_quaternion().angle)
    return {
        "blender": bpy.app.version_string,
        "fps": scene.render.fps / scene.render.fps_base,
        "range": [scene.frame_start, scene.frame_end],
        "frames": times,
        "keys": {pitch: values for pitch, values in angles.items() if max(values) > 0},
        "all_keys": sorted(keys),
        "wrists": wrists,
        "spread": {n: {bone: max(v) - min(v) for bone, v in bones.items()} for n, bones in turns.items()},
        "sounds": [sound.filepath for sound in bpy.data.sounds],
    }


Path(sys.argv[sys.argv.index("--") + 1]).write_text(json.dumps(sample()))
