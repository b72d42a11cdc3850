# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras that frame the passage: every key that is played and both hands, from above and from three quarters.

They are children of the piano beside the rig's own cameras, which show the middle of the keyboard whatever is played.
"""

import math
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Euler

from ..core.hand import forward_kinematics
from ..core.keyboard import WHITE_LENGTH, WHITE_PITCH, key_top, key_x
from ..core.motion import HandMotion
from ..core.notes import LEFT, RIGHT
from ..core.timing import Clock
from ..errors import UserError
from . import actions
from .roll import HEIGHT, home

OWNER = "piano_hands_camera"  # custom property of the cameras and their actions: the camera's kind
_STEP = 0.1  # s between the moments at which the hands are looked at
_SKIN = 0.012  # m, the hand's flesh around its joints
_CALM = 2.5  # s, how slowly a following camera moves: width of the average over the hands' place
_KEY_STEP = 1.0  # s between its keyframes


@dataclass(frozen=True)
class View:
    """Where a camera looks from: tilt from straight down and turn to the treble side (rad), focal length (mm)."""

    name: str
    tilt: float
    turn: float
    lens: float | None  # None: parallel rays, under which the bars stand exactly over their keys


VIEWS = {
    "OVERHEAD": View("Passage.Overhead", 0.0, 0.0, None),
    "THREE_QUARTER": View("Passage.ThreeQuarter", math.radians(56), math.radians(17), 45.0),
}


def add_camera(
    scene: bpy.types.Scene,
    piano: bpy.types.Object,
    motion: HandMotion,
    clock: Clock,
    kind: str,
    *,
    roll: bpy.types.Object | None = None,
    margin: float = 0.04,
    follow: bool = False,
) -> bpy.types.Object:
    """A camera of VIEWS whose picture, in the scene's proportions, holds all keys played, both hands and the roll.

    The piano's camera of that kind is framed anew when there is one. `margin` is the part of the picture's width and
    height left free at each edge. With `follow` it moves along the keyboard with the music, and shows less at a time.
    """
    if not len(motion.notes):
        raise UserError("The take has no notes to frame: generate one that plays something.")
    view = VIEWS[kind]
    times, points = passage(motion)
    path = _path(times, points, motion.duration) if follow else None
    centre = path.at(times) if path else np.zeros(len(times))
    points = points - centre[:, None] * [1.0, 0.0, 0.0]
    if roll:
        points = np.concatenate([points, _roll_corners(piano, roll, points)])
    turned = np.array(Euler((0, 0, view.turn)).to_matrix() @ Euler((view.tilt, 0, 0)).to_matrix())
    half = _half_picture(scene, view.lens)
    place, wide = fit(points @ turned, half * (1 - 2 * margin), perspective=view.lens is not None)
    place = turned @ place
    camera = _camera(piano, kind, view)
    _unkey(camera)
    camera.rotation_euler = (view.tilt, 0.0, view.turn)
    camera.location = place
    if path:
        camera.location.x += path.values[0]
        _key_path(camera, path, clock, place[0], kind)
    if view.lens is None:
        larger = half.max() * 2
        camera.data.ortho_scale = wide * larger * piano.matrix_world.to_scale().x  # which parents do not scale
    return camera


def passage(motion: HandMotion) -> tuple[np.ndarray, np.ndarray]:
    """What must be in the picture: times [P] s and points [P, 3] of the played keys and of both hands, piano frame."""
    every = max(round(motion.fps * _STEP), 1)
    times, points = [], []
    for side in (LEFT, RIGHT):
        position, rotation = (values[::every] for values in motion.hand(side))
        heads, pads, _ = forward_kinematics(position, rotation, left=side == LEFT)
        hand = np.concatenate([heads, pads], axis=1)
        for way in (-_SKIN, _SKIN):
            times.append(np.repeat(np.arange(len(hand)) * every / motion.fps, hand.shape[1]))
            points.append((hand + way * np.ones(3)).reshape(-1, 3))
    notes = motion.notes
    x, top = key_x(notes["pitch"]), key_top(notes["pitch"])
    for edge in (-WHITE_PITCH / 2, WHITE_PITCH / 2):
        for y in (0.0, WHITE_LENGTH):
            for moment in ("onset", "offset"):
                times.append(notes[moment])
                points.append(np.stack([x + edge, np.full(len(x), y), top], axis=1))
    return np.concatenate(times), np.concatenate(points)


def fit(points: np.ndarray, half: np.ndarray, perspective: bool) -> tuple[np.ndarray, float]:
    """Nearest place [3] of a camera that sees all `points` [P, 3], given in the camera's axes (it looks along -z).

    half [2]: half the picture's width and height, at distance 1 with perspective, else up to the scale that is
    returned (1 with perspective). Where there is room, points are centred sideways and stand on the lower edge, because
    sleeves end below them and the roll goes on above.
    """
    if not perspective:
        low, high = points.min(axis=0), points.max(axis=0)
        scale = float(((high - low)[:2] / (2 * half)).max())
        return np.array([(low[0] + high[0]) / 2, low[1] + half[1] * scale, high[2] + 1.0]), scale
    right = (points[:, :2] + half * points[:, 2:]).max(axis=0)  # what a camera further right or back still sees
    left = (-points[:, :2] + half * points[:, 2:]).max(axis=0)
    back = float(((right + left) / (2 * half)).max())
    return np.array([(right[0] - left[0]) / 2, half[1] * back - left[1], back]), 1.0


def _half_picture(scene: bpy.types.Scene, lens: float | None) -> np.ndarray:
    """Half width and height of the picture at distance 1; for parallel rays with the larger of them 0.5."""
    render = scene.render
    size = np.array([render.resolution_x * render.pixel_aspect_x, render.resolution_y * render.pixel_aspect_y])
    half = size / size.max() / 2
    return half if lens is None else half * 36.0 / lens


def _roll_corners(piano: bpy.types.Object, roll: bpy.types.Object, points: np.ndarray) -> np.ndarray:
    """The edges of a roll above `points`, piano frame [4, 3]."""
    to_piano = np.array(roll.matrix_basis)
    left, right = points[:, 0].min(), points[:, 0].max()
    corners = np.array([(x, y, 0.0, 1.0) for x in (left, right) for y in (0.0, roll[HEIGHT])])
    return (corners @ to_piano.T)[:, :3]


@dataclass(frozen=True)
class _Path:
    """A calm way along x: keys at `times` [K] s with `values` and `slopes` (m, m/s), cubics between them."""

    times: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """x at `times`, as the keyframes will give it."""
        t = np.clip(times, self.times[0], self.times[-1])
        i = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        h = self.times[i + 1] - self.times[i]
        u = (t - self.times[i]) / h
        rise = self.values[i + 1] - self.values[i]
        m1, m2 = self.slopes[i] * h, self.slopes[i + 1] * h
        return self.values[i] + u * (m1 + u * (3 * rise - 2 * m1 - m2 + u * (m1 + m2 - 2 * rise)))


def _path(times: np.ndarray, points: np.ndarray, duration: float) -> _Path:
    """The middle of what is played at each moment, averaged over some seconds."""
    step = _STEP
    count = max(int(np.ceil(duration / step)) + 1, 2)
    slot = np.clip((times / step).round().astype(int), 0, count - 1)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, slot, points[:, 0])
    np.maximum.at(high, slot, points[:, 0])
    seen = np.flatnonzero(np.isfinite(low))
    middle = np.interp(np.arange(count), seen, ((low + high) / 2)[seen])
    width = _CALM / step
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    calm = np.convolve(np.pad(middle, reach, mode="edge"), kernel / kernel.sum(), mode="valid")
    slope = np.gradient(calm, step)
    slope[[0, -1]] = 0.0
    knots = np.linspace(0, (count - 1) * step, max(int(np.ceil((count - 1) * step / _KEY_STEP)) + 1, 2))
    at = np.arange(count) * step
    return _Path(knots, np.interp(knots, at, calm), np.interp(knots, at, slope))


def _key_path(camera: bpy.types.Object, path: _Path, clock: Clock, x: float, kind: str) -> None:
    action = bpy.data.actions.new(camera.name)
    action[OWNER] = kind
    curve = actions.take_curves(action, camera)("location", 0, "Camera")
    actions.fill(curve, clock.frame(path.times), x + path.values, path.slopes / clock.rate)


def _camera(piano: bpy.types.Object, kind: str, view: View) -> bpy.types.Object:
    camera = next((child for child in piano.children if child.get(OWNER) == kind and child.type == "CAMERA"), None)
    if not camera:
        camera = bpy.data.objects.new(view.name, bpy.data.cameras.new(view.name))
        camera[OWNER] = kind
        camera.parent = piano
        home(piano).objects.link(camera)
    data = camera.data
    data.type = "PERSP" if view.lens else "ORTHO"
    data.sensor_fit, data.sensor_width = "AUTO", 36.0
    data.shift_x = data.shift_y = 0.0
    data.lens = view.lens or data.lens
    data.clip_start = 0.01
    camera.rotation_mode = "XYZ"
    return camera


def _unkey(camera: bpy.types.Object) -> None:
    """Remove the path of an earlier framing."""
    action = camera.animation_data.action if camera.animation_data else None
    if action and OWNER in action:
        camera.animation_data_clear()
        if not action.users:
            bpy.data.actions.remove(action)
