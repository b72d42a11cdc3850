# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build rigs/piano_hands.blend: two hands, a piano, light and cameras.

Needs the bpy module of the oldest Blender that shall read the file (4.2), and the MIT hand mesh:
    npm pack @webxr-input-profiles/assets@1.0.20 && tar -xf webxr-input-profiles-assets-1.0.20.tgz
    python rigs/build_rig.py --glb package/dist/profiles/generic-hand/right.glb --out rigs/piano_hands.blend
"""

import argparse
import os
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parents[1]))

from hands import build_hands, read_glb
from looks import make_looks
from meshes import add_object
from piano import build_case, build_keys, build_pedals
from posing import open_in_playing_pose
from skin_maps import add_skin_images
from stage import build_stage, set_up_scene


def build(glb: Path) -> None:
    """Fill an empty file with the rig."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    hand = read_glb(glb)
    scene = bpy.context.scene
    scene.name = "Piano Hands"
    collection = bpy.data.collections.new("Piano Hands")
    stage = bpy.data.collections.new("Piano Hands Stage")
    scene.collection.children.link(collection)
    collection.children.link(stage)
    piano = add_object("Piano", None, collection, None)
    piano.empty_display_size = 0.1
    add_skin_images(hand.uv, hand.points, hand.normals, hand.weights, hand.faces)
    looks = make_looks()
    build_keys(piano, collection, looks)
    build_case(piano, collection, looks)
    build_pedals(piano, collection, looks)
    build_hands(hand, piano, collection, looks)
    build_stage(piano, stage, looks)
    set_up_scene(scene)
    open_in_playing_pose()


def main() -> None:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build the rig file.")
    parser.add_argument("--glb", type=Path, required=True, help="right.glb of the generic-hand profile")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("piano_hands.blend"))
    args = parser.parse_args()
    build(args.glb)
    bpy.context.preferences.filepaths.save_version = 0
    bpy.ops.wm.save_as_mainfile(filepath=str(args.out.resolve()), compress=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")
    sys.stdout.flush()
    os._exit(0)  # the bpy module can hang when the interpreter ends


if __name__ == "__main__":
    main()
