# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two textures of the hand, computed from its anatomy: colour, and height with creases, tendons, veins and pores."""

import tempfile
from pathlib import Path

import bpy
import numpy as np
from nails import FingerEnd, segment_frame
from tint import skin_colour

from s2c_blender.core.hand import FINGER_JOINTS, HEADS

SIZE = 1536
HEIGHT_RANGE = 0.0012  # metres between black and white of the height map
MM = 1e3
# Lines in the palm, xy in millimetres from the wrist: life, head and heart line.
PALM_LINES = (
    ((-31, 72), (-22, 66), (-13, 54), (-8, 38), (-8, 22), (-11, 10)),
    ((-31, 72), (-17, 69), (0, 61), (16, 50), (29, 42)),
    ((38, 60), (26, 67), (12, 71), (-2, 77), (-11, 86)),
)


def add_skin_images(uv: np.ndarray, points: np.ndarray, normals: np.ndarray, weights: np.ndarray, faces: list) -> None:
    """Make and pack the images `Skin Colour` and `Skin Height` for the right hand at rest (the left shares them).

    uv [V, 2], points [V, 3] m, normals [V, 3], weights [V, 16], faces: triangles of vertex numbers.
    """
    texels, values = _rasterise(uv, np.hstack([points, normals, weights]), faces)
    place, normal, weight = values[:, :3], values[:, 3:6], values[:, 6:]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    height, groove, vein = _height(place, normal, weight)
    colour = skin_colour(place, normal)
    blotch = _noise(place * 90, 3) * 0.5 + _noise(place * 400, 2) * 0.22
    colour *= 1 + 0.10 * blotch[:, None] * [0.5, 1.1, 1.2]
    colour *= 1 - groove[:, None] * [0.16, 0.30, 0.30]
    colour += vein[:, None] * ([0.40, 0.28, 0.25] - colour) * 0.35
    _pack("Skin Colour", texels, _to_srgb(np.clip(colour, 0, 1)), "sRGB")
    grey = np.clip(height / HEIGHT_RANGE + 0.5, 0, 1)
    _pack("Skin Height", texels, np.repeat(grey[:, None], 3, 1), "Non-Color")


def _rasterise(uv: np.ndarray, values: np.ndarray, faces: list) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate vertex `values` [V, K] over the triangles: texel indices [T] (row-major) and values [T, K]."""
    image = np.zeros((SIZE * SIZE, values.shape[1]), np.float32)
    hit = np.zeros(SIZE * SIZE, bool)
    for triangle in faces:
        a, b, c = uv[triangle] * SIZE
        low = np.floor(np.min([a, b, c], 0)).astype(int)
        high = np.ceil(np.max([a, b, c], 0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        d = (b[1] - c[1]) * (a[0] - c[0]) + (c[0] - b[0]) * (a[1] - c[1])
        u = ((b[1] - c[1]) * (x + 0.5 - c[0]) + (c[0] - b[0]) * (y + 0.5 - c[1])) / d
        v = ((c[1] - a[1]) * (x + 0.5 - c[0]) + (a[0] - c[0]) * (y + 0.5 - c[1])) / d
        inside = (u >= -1e-4) & (v >= -1e-4) & (u + v <= 1 + 1e-4)
        texel = np.clip(y[inside], 0, SIZE - 1) * SIZE + np.clip(x[inside], 0, SIZE - 1)
        share = np.stack([u[inside], v[inside], 1 - u[inside] - v[inside]], 1)
        image[texel] = share @ values[triangle]
        hit[texel] = True
    texels = np.flatnonzero(hit)
    return texels, image[texels].astype(float)


def _height(place: np.ndarray, normal: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height [T] in metres, depth of grooves [T] 0..1 and strength of veins [T] 0..1, for texels [T]."""
    groove = np.zeros(len(place))
    wobble = _noise(place * 260, 2)
    for finger in range(5):
        own = np.clip(weight[:, FINGER_JOINTS[finger]].sum(1) * 2 - 0.5, 0, 1)
        near = own > 0.02
        lines = [_joint_lines(place[near], normal[near], wobble[near], finger, joint) for joint in (1, 2)]
        lines.append(_base_line(place[near], normal[near], wobble[near], finger))
        groove[near] = np.maximum(groove[near], own[near] * np.max(lines, axis=0))
    palm = np.clip(-normal[:, 2] * 1.5 - 0.3, 0, 1) * np.clip(weight[:, 0] * 1.5, 0, 1)
    for line in PALM_LINES:
        distance = _distance_to(place[:, :2] * MM + wobble[:, None] * 0.7, np.array(line, float))
        groove = np.maximum(groove, palm * np.exp(-((distance / 0.7) ** 2)) * 0.9)
    back = np.clip(normal[:, 2] * 2 - 0.3, 0, 1)
    tendon = back * _tendons(place)
    vein = back * _veins(place) * np.clip(weight[:, 0] * 2 - 0.4, 0, 1)
    fine = _cells(place) * 0.000045 + _noise(place * 1500, 2) * 0.00002
    height = -groove * 0.00040 + tendon * 0.00055 + vein * 0.00022 + fine * (1 - 0.4 * np.clip(-normal[:, 2], 0, 1))
    return height, groove, vein


def _joint_lines(place: np.ndarray, normal: np.ndarray, wobble: np.ndarray, finger: int, segment: int) -> np.ndarray:
    """Wrinkles 0..1 over a finger joint on its back, and the one or two creases on its palmar side."""
    frame = segment_frame(finger, segment)
    along, side, dorsal = _coordinates(place, normal, frame)
    middle = segment == 1 and finger > 0
    size = 4.6 if middle else 3.0
    # Wrinkles bow away from the joint, closest together over its middle.
    bowed = along * (1 - 0.012 * side**2) + wobble * 0.8
    wave = np.abs(np.sin(np.pi * bowed / (1.9 if middle else 1.5)))
    wrinkles = (1 - wave) ** 2 * np.exp(-((along / size) ** 2)) * np.exp(-((side / 6.5) ** 4))
    wrinkles *= np.clip(dorsal * 2 - 0.5, 0, 1) * (0.75 + 0.5 * wobble)
    creases = np.exp(-(((along - 0.4 + wobble * 0.5) / 0.5) ** 2))
    if middle:
        creases = np.maximum(creases, 0.7 * np.exp(-(((along + 2.0 + wobble * 0.5) / 0.45) ** 2)))
    creases *= _around(place, frame)
    return np.maximum(np.clip(wrinkles, 0, 1) * 0.75, creases * 0.8 * np.clip(-dorsal * 1.6 - 0.25, 0, 1))


def _base_line(place: np.ndarray, normal: np.ndarray, wobble: np.ndarray, finger: int) -> np.ndarray:
    """The crease 0..1 where a finger leaves the palm."""
    frame = segment_frame(finger, 0)
    along, _, dorsal = _coordinates(place, normal, frame)
    length = np.linalg.norm(HEADS[FINGER_JOINTS[finger, 1]] - HEADS[FINGER_JOINTS[finger, 0]]) * MM
    where = length * (0.98 if finger == 0 else 0.47)
    crease = np.exp(-(((along - where + wobble * 0.6) / 0.55) ** 2)) * np.clip(-dorsal * 2 - 0.6, 0, 1)
    return crease * _around(place, frame)


def _coordinates(place: np.ndarray, normal: np.ndarray, frame: FingerEnd) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along and across a segment in millimetres from its joint, and how far the surface faces its back (-1..1)."""
    offset = (place - frame.origin) * MM
    return offset @ frame.along, offset @ frame.side, normal @ frame.dorsal


def _around(place: np.ndarray, frame: FingerEnd) -> np.ndarray:
    """1 on the finger itself, 0 on skin further than 16 mm from its axis, which a crease's plane cuts as well."""
    offset = (place - frame.origin) * MM
    radius = np.linalg.norm(offset - (offset @ frame.along)[:, None] * frame.along, axis=1)
    return np.clip((16.0 - radius) / 4.0, 0, 1)


def _tendons(place: np.ndarray) -> np.ndarray:
    """Ridges 0..1 from the wrist to the four knuckles, fading at both ends."""
    ridge = np.zeros(len(place))
    for finger in (1, 2, 3, 4):
        knuckle = HEADS[FINGER_JOINTS[finger, 0], :2] * MM
        start = np.array([2.0 + 0.18 * knuckle[0], 8.0])
        t = np.clip((place[:, :2] * MM - start) @ (knuckle - start) / np.sum((knuckle - start) ** 2), 0, 1)
        distance = np.linalg.norm(place[:, :2] * MM - start - t[:, None] * (knuckle - start), axis=1)
        fade = np.clip(t * 2.2 - 0.5, 0, 1) * np.clip((1.0 - t) * 9, 0, 1)
        ridge = np.maximum(ridge, np.exp(-((distance / 2.3) ** 2)) * fade)
    return ridge


def _veins(place: np.ndarray) -> np.ndarray:
    """A soft net of veins 0..1: where a slow noise crosses zero."""
    field = _noise(place * [42, 26, 30] + 7.3, 2)
    strength = np.clip(_noise(place * 30 + 3.1, 1) * 1.5 + 0.35, 0, 1)
    return np.exp(-((field / 0.11) ** 2)) * strength


def _cells(place: np.ndarray) -> np.ndarray:
    """Fine skin texture about 0: ridged noise with cells of half a millimetre, longer across the hand."""
    return 0.5 - np.abs(_noise(place * [1100, 1500, 1300], 1)) * 2.0


def _distance_to(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance [T] of points [T, 2] from a polyline [K, 2]."""
    best = np.full(len(points), np.inf)
    for a, b in zip(line, line[1:], strict=False):
        t = np.clip((points - a) @ (b - a) / np.sum((b - a) ** 2), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - t[:, None] * (b - a), axis=1))
    return best


def _noise(points: np.ndarray, octaves: int) -> np.ndarray:
    """Smooth lattice noise [T] in about -1..1 at points [T, 3] in lattice units."""
    total, amplitude = np.zeros(len(points)), 1.0
    for octave in range(octaves):
        cell = np.floor(points).astype(np.int64)
        f = points - cell
        f = f * f * (3 - 2 * f)
        value = np.zeros(len(points))
        for corner in np.ndindex(2, 2, 2):
            share = np.prod(np.where(corner, f, 1 - f), axis=1)
            value += share * _hash(cell + corner, octave)
        total += amplitude * value
        points, amplitude = points * 2.03 + 11.7, amplitude * 0.5
    return total


def _hash(cell: np.ndarray, seed: int) -> np.ndarray:
    """A repeatable number in -1..1 for every lattice cell [T, 3]."""
    mixed = (cell[:, 0] * 73856093) ^ (cell[:, 1] * 19349663) ^ (cell[:, 2] * 83492791) ^ (seed * 2654435761)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177 & 0xFFFFFFFF
    mixed = (mixed ^ (mixed >> 16)) & 0xFFFF
    return mixed / 32767.5 - 1.0


def _to_srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear < 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _pack(name: str, texels: np.ndarray, rgb: np.ndarray, space: str) -> None:
    """Store texels [T] with values [T, 3] as a packed JPEG, its islands widened so that no seam shows."""
    pixels = np.zeros((SIZE, SIZE, 4), np.float32)
    flat = pixels.reshape(-1, 4)
    flat[texels, :3], flat[texels, 3] = rgb, 1.0
    for _ in range(8):
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            neighbour = np.roll(pixels, step, axis)
            empty = (pixels[..., 3] == 0) & (neighbour[..., 3] > 0)
            pixels[empty] = neighbour[empty]
    rest = pixels[..., 3] == 0
    pixels[rest] = [*rgb.mean(0), 1.0]
    image = bpy.data.images.new(name, SIZE, SIZE)
    image.colorspace_settings.name = space
    image.pixels.foreach_set(pixels.ravel())
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / f"{name}.jpg")
        image.file_format = "JPEG"
        image.save(filepath=path, quality=92)
        bpy.data.images.remove(image)
        image = bpy.data.images.load(path)
        image.name = name
        image.colorspace_settings.name = space
        image.pack()
        image.filepath_raw = f"//{name}.jpg"
