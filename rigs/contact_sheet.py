# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the rig from its cameras and the right hand in hard poses into one picture, to look at after every change.

python rigs/contact_sheet.py --out docs/images/rig.png
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).parents[1]))

from posing import hinge_pose, pose_hand

CAMERAS = ("Camera.ThreeQuarter", "Camera.Player", "Camera.Top")
# Degrees, thumb .. little: spread and three flexions.
POSES = {
    "rest": np.zeros((5, 4)),
    "curl": np.array([[0, 30, 30, 30]] * 5),
    "fist": np.array([[0, 35, 45, 60], *[[0, 90, 100, 60]] * 4]),
    "wide": np.array([[30, -15, 0, 0], [18, 5, 10, 5], [4, 5, 10, 5], [-10, 5, 10, 5], [-20, 5, 10, 5]]),
    "thumb under": np.array([[-10, 45, 40, 20], *[[0, 20, 25, 15]] * 4]),
}
VIEWS = {"back": (0.0, -0.05, 0.5), "thumb side": (-0.47, 0.0, 0.14), "front": (-0.12, 0.47, 0.15)}
WIDTH, HEIGHT = 225, 150


def main() -> None:
    """Build the sheet: a row of cameras, then a column for every pose."""
    parser = argparse.ArgumentParser(description="Render the rig from all sides.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=12)
    args = parser.parse_args()
    bpy.ops.wm.open_mainfile(filepath=str(Path(__file__).with_name("piano_hands.blend")))
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", args.samples
    scene.render.dither_intensity = 0.0  # noise that only makes the file larger
    total = WIDTH * len(POSES)
    cameras = [_render(bpy.data.objects[name], total // len(CAMERAS), HEIGHT * 3 // 2) for name in CAMERAS]
    sheet = np.vstack([np.hstack(cameras), *_hand_rows(scene)])
    _save(sheet, args.out)
    sys.stdout.flush()
    os._exit(0)  # the bpy module can hang when the interpreter ends


def _hand_rows(scene: bpy.types.Scene) -> list[np.ndarray]:
    """One row of pictures a view, one column a pose, of the right hand alone."""
    for obj in bpy.data.objects:
        obj.hide_render |= obj.name.startswith(("Key.", "Piano.", "Pedal.", "Hand.L", "Floor"))
    camera = bpy.data.objects.new("Sheet", bpy.data.cameras.new("Sheet"))
    camera.data.lens = 62
    scene.collection.objects.link(camera)
    wrist = np.array([0.0, 0.0, 0.1])
    middle = Vector(wrist + [-0.005, 0.085, -0.015])
    rows = []
    for offset in VIEWS.values():
        camera.location = middle + Vector(offset)
        camera.rotation_euler = (-Vector(offset)).to_track_quat("-Z", "Y").to_euler()
        row = []
        for degrees in POSES.values():
            pose_hand(bpy.data.objects["Hand.R"], wrist, hinge_pose(np.radians(degrees).ravel()))
            row.append(_render(camera, WIDTH, HEIGHT))
        rows.append(np.hstack(row))
    return rows


def _render(camera: bpy.types.Object, width: int, height: int) -> np.ndarray:
    """What a camera sees, [height, width, 4], top row first."""
    scene = bpy.context.scene
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = width, height
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "view.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        pixels = np.array(image.pixels, np.float32).reshape(height, width, 4)[::-1]
        bpy.data.images.remove(image)
    return pixels


def _save(pixels: np.ndarray, path: Path) -> None:
    height, width, _ = pixels.shape
    image = bpy.data.images.new("Sheet", width, height, alpha=False)
    image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], np.float32).ravel())
    image.file_format = "PNG"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(filepath=str(path.resolve()))


if __name__ == "__main__":
    main()
