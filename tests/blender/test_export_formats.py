# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exported hands by round trip: fingertips against the motion they were keyed from, times read from the files."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
from mathutils import Matrix  # noqa: E402

from s2c_blender.blender import actions, export, keying, rig, strips  # noqa: E402
from s2c_blender.blender import scene as scenes  # noqa: E402
from s2c_blender.blender.export import Options  # noqa: E402
from s2c_blender.core import curves  # noqa: E402
from s2c_blender.core.hand import FINGER_JOINTS, JOINTS, forward_kinematics  # noqa: E402
from s2c_blender.core.keyboard import DIP_ANGLE  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from tests.blender.sample import clicks, waving  # noqa: E402

TIPS = [JOINTS[i] for i in FINGER_JOINTS[:, 2]]  # whose bones end at the pads
RATES = {"23.976": 24000 / 1001, "25": 25.0, "30": 30.0, "60": 60.0}
TICKS = 46186158000  # of FBX, a second
NEAR = 1e-3  # m: what the issue asks for
EXACT = 2e-5  # m


@dataclass(frozen=True)
class Played:
    """A rig keyed with a motion whose time 0 lies at `frame`."""

    rig: rig.Rig
    motion: HandMotion
    frame: float
    place: np.ndarray  # the piano's [4, 4]
    rests: np.ndarray  # pads at rest [2, 5, 3], in the world


def bend_as_engines_do(played: Played) -> None:
    """Without Preserve Volume, which no file format knows: joints that bend look up to 4 mm different, tips the same."""
    for hand in played.rig.hands.values():
        for mesh in hand.children:
            for modifier in mesh.modifiers:
                if modifier.type == "ARMATURE":
                    modifier.use_deform_preserve_volume = False


def play(scene, fps: float, frame: float = 3.0, seconds: float = 1.0, place: Matrix | None = None) -> Played:
    """A rig with a take, the scene's range on it."""
    scenes.set_fps(scene, fps)
    found, motion = rig.add_rig(scene), waving(seconds)
    found.piano.matrix_world = place or Matrix()
    scenes.cover(scene, keying.key_take(found, motion, scene, frame), only=True)
    bpy.context.view_layer.update()
    hands = [found.hands[side] for side in (0, 1)]
    rests = [[hand.matrix_world @ hand.data.bones[tip].tail_local for tip in TIPS] for hand in hands]
    return Played(found, motion, frame, np.array(found.piano.matrix_world), np.array(rests))


def wanted_pads(played: Played, times: np.ndarray) -> np.ndarray:
    """Pads [T, 2, 5, 3] in the world at `times` (s) of the motion."""
    pads = []
    for side in (0, 1):
        position, rotation = (curves.sample(values, played.motion.fps, times) for values in played.motion.hand(side))
        turned = curves.rotvec(curves.sample_rotations(played.motion.hand(side)[1], played.motion.fps, times))
        pads.append(forward_kinematics(position, turned.reshape(rotation.shape), left=side == 0)[1])
    pads = np.stack(pads, axis=1)
    return pads @ played.place[:3, :3].T + played.place[:3, 3]


def skeletons() -> dict[int, tuple]:
    """Side -> armature of the open file, and what its bones' names end with."""
    found = {o.name: o for o in bpy.data.objects if o.type == "ARMATURE"}
    pairs = {side: (found.get(name), "") for side, name in rig.HANDS.items()}
    if not any(armature for armature, _ in pairs.values()):
        (one,) = found.values()
        pairs = {side: (one, suffix) for side, suffix in ((0, "_l"), (1, "_r"))}
    return {side: pair for side, pair in pairs.items() if pair[0] and f"wrist{pair[1]}" in pair[0].pose.bones}


def read_pads(frames: np.ndarray, rests: np.ndarray) -> np.ndarray:
    """Pads [T, sides, 5, 3] in the world of the open file, carried by its bones from where they are at rest."""
    scene, found = bpy.context.scene, skeletons()
    offsets = {}
    for side, (armature, suffix) in found.items():
        bones = [armature.matrix_world @ armature.data.bones[tip + suffix].matrix_local for tip in TIPS]
        offsets[side] = [bone.inverted() @ Matrix.Translation(at) for bone, at in zip(bones, rests[side], strict=True)]
    pads = []
    for frame in frames:
        scene.frame_set(int(np.floor(frame)), subframe=float(frame - np.floor(frame)))
        row = []
        for side, (armature, suffix) in found.items():
            place, pose = armature.matrix_world, armature.pose.bones
            row.append(
                [
                    (place @ pose[tip + suffix].matrix @ at).translation
                    for tip, at in zip(TIPS, offsets[side], strict=True)
                ]
            )
        pads.append(row)
    return np.array(pads)


def skin_points() -> np.ndarray:
    """All vertices of the hands' evaluated skins in the world [V, 3]."""
    graph = bpy.context.evaluated_depsgraph_get()
    points = []
    for obj in bpy.context.scene.objects:
        if obj.type == "MESH" and obj.name.startswith("Hand") and "Mesh" in obj.name:
            mesh = obj.evaluated_get(graph).data
            local = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.vertices.foreach_get("co", local)
            place = np.array(obj.evaluated_get(graph).matrix_world)
            points.append(local.reshape(-1, 3) @ place[:3, :3].T + place[:3, 3])
    return np.concatenate(points)


def open_fbx(path: Path, fps: float, *, new: bool = False) -> float:
    """Import into an empty file; returns the frames a second at which the importer laid the keys."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scenes.set_fps(bpy.context.scene, fps)
    if new:
        bpy.ops.wm.fbx_import(filepath=str(path), anim_offset=0.0)
        return fps
    bpy.ops.import_scene.fbx(filepath=str(path), anim_offset=0.0)
    render = bpy.context.scene.render
    assert render.fps / render.fps_base == pytest.approx(fps, rel=1e-6)
    return render.fps  # it leaves fps_base out, a bug of its own


def fbx_tree(path: Path):
    """The file as the importer's parser sees it."""
    folder = next(Path(p) for p in bpy.utils.script_paths() if (Path(p) / "addons_core").is_dir()) / "addons_core"
    sys.path.insert(0, str(folder))
    try:
        from io_scene_fbx import parse_fbx
    finally:
        sys.path.remove(str(folder))
    return parse_fbx.parse(str(path))[0]


def fbx_times(path: Path) -> list[np.ndarray]:
    """Times of the keys of every curve, in ticks."""
    objects = next(e for e in fbx_tree(path).elems if e.id == b"Objects")
    animated = [e for e in objects.elems if e.id == b"AnimationCurve"]
    return [np.array(next(e for e in curve.elems if e.id == b"KeyTime").props[0]) for curve in animated]


def fbx_unit(path: Path) -> float:
    """Centimetres a unit of the file."""
    head = next(e for e in fbx_tree(path).elems if e.id == b"GlobalSettings")
    properties = next(e for e in head.elems if e.id == b"Properties70").elems
    return next(e.props[-1] for e in properties if e.props[0] == b"UnitScaleFactor")


@pytest.mark.parametrize("rate", RATES)
def test_fbx_on_a_scene_with_a_trimmed_strip(scene, tmp_path, rate):
    """The music begins between two frames, in the middle of its file; the file's times are those of the timeline."""
    fps, start, frame = RATES[rate], 0.7, 5.4
    scenes.set_fps(scene, fps)
    try:
        scenes.add_sound(scene, clicks(tmp_path / "clicks.wav", 3.0), frame, start, 1.2)
        (strip,) = strips.sound_strips(scene)
        audio = strips.strip_audio(strip, scene, tmp_path)
        frame = strips.scene_frame(audio, scene, scene)
        assert audio.start > 0.5 and frame == pytest.approx(5.4, abs=1.0)
    except UserError:
        assert bpy.app.version < (4, 3)  # the only module without sound
    played = play(scene, fps, frame)
    first, last = scene.frame_start, scene.frame_end
    path = tmp_path / "hands.fbx"
    export.export_fbx(played.rig, scene, path)
    frames = np.arange(first, last + 1)
    exact = frames / (scene.render.fps / scene.render.fps_base) * TICKS  # Blender keeps 23.976 to eight digits
    times = fbx_times(path)
    assert len(times) > 100
    for found in times:
        if len(found) != len(frames):  # a curve that does not move has two keys
            assert len(found) <= 2
            continue
        assert np.abs(found - exact).max() <= 1
    assert max(len(found) for found in times) == len(frames)
    music = (frames - frame) / fps
    inside = (music >= 0) & (music <= played.motion.duration)
    for new in (False, True) if hasattr(bpy.types, "WM_OT_fbx_import") else (False,):
        laid = open_fbx(path, fps, new=new)
        pads = read_pads(frames[inside] * (laid / fps), played.rests)
        assert np.abs(pads - wanted_pads(played, music[inside])).max() < EXACT


@pytest.mark.parametrize("zero", ["TIMELINE", "RANGE", "TAKE"])
@pytest.mark.parametrize("rate", [30.0, 60000 / 1001])
def test_another_rate_and_another_time_0(scene, tmp_path, zero, rate):
    """Baked at a rate of its own the file is read between the scene's keyframes, which hold the curve there too."""
    played = play(scene, 24.0, frame=17.3)
    scene.frame_start = 15
    span = (played.frame, played.motion.duration)
    begins = {"TIMELINE": 0.0, "RANGE": 15.0, "TAKE": 17.3}[zero]
    path = tmp_path / "hands.fbx"
    export.export_fbx(played.rig, scene, path, Options(zero=zero, rate=rate, span=span))
    times = max(fbx_times(path), key=len) / TICKS
    assert np.abs(times * rate - np.round(times * rate)).max() < 1e-5
    assert np.diff(np.round(times * rate)).max() == 1
    covered = (played.frame, played.frame + 24) if zero == "TAKE" else (scene.frame_start, scene.frame_end)
    assert times[0] == pytest.approx((covered[0] - begins) / 24, abs=1 / rate)
    assert times[-1] == pytest.approx((covered[1] - begins) / 24, abs=1 / rate)
    if zero != "TIMELINE":
        assert times[0] == 0
    music = times + (begins - played.frame) / 24
    # The first and the last keyframe lie just outside the motion, so that near them curves and motion differ.
    inside = (music >= 1 / 24) & (music <= played.motion.duration - 1 / 24)
    assert inside.sum() > 20
    pads = read_pads(times[inside] * open_fbx(path, rate), played.rests)
    assert np.abs(pads - wanted_pads(played, music[inside])).max() < NEAR / 4


TURNED = Matrix.Translation((3.0, -2.0, 0.5)) @ Matrix.Rotation(0.7, 4, "Z") @ Matrix.Scale(1.3, 4)


@pytest.mark.parametrize("preset", list(export.PRESETS))
def test_presets(scene, tmp_path, preset):
    """A piano somewhere, turned and larger: nothing in the file is scaled, every skeleton has a root, tips are right."""
    played = play(scene, 25.0, place=TURNED)
    path = tmp_path / "hands.fbx"
    export.export_fbx(played.rig, scene, path, Options(preset))
    assert fbx_unit(path) == pytest.approx(1.0 if preset == "UNREAL" else 100.0)
    frames = np.arange(scene.frame_start, scene.frame_end + 1)
    bend_as_engines_do(played)
    shown = {}
    for frame in (5, 20):
        scene.frame_set(frame)
        shown[frame] = skin_points()
    for new in (False, True) if hasattr(bpy.types, "WM_OT_fbx_import") else (False,):
        open_fbx(path, 25.0, new=new)
        armatures = [o for o in bpy.data.objects if o.type == "ARMATURE"]
        assert {o.name for o in armatures} == ({"Hand.L", "Hand.R"} if preset == "GENERIC" else {"Armature"})
        for armature in armatures:
            assert [b.name for b in armature.data.bones if not b.parent] == ["root"]
            size = 0.01 if preset == "UNREAL" else 1.0  # the importer's own, from the file's unit to metres
            assert np.allclose(armature.scale, size, rtol=1e-5)
            root = armature.data.bones["root"]
            if preset == "UNREAL":
                turn = (armature.matrix_world @ root.matrix_local).to_quaternion()
                assert turn.angle < 1.7  # a quarter turn about Z, which makes X forward
        pads = read_pads(frames, played.rests)
        assert np.abs(pads - wanted_pads(played, (frames - played.frame) / 25)).max() < EXACT * 2
        for frame, before in shown.items():
            bpy.context.scene.frame_set(frame)
            assert nearest(before, skin_points()) < NEAR / 10


def nearest(points: np.ndarray, others: np.ndarray) -> float:
    """Largest distance from some of the points (one in ten) to the nearest of the others."""
    from scipy.spatial import cKDTree

    return float(cKDTree(others).query(points[::10])[0].max())
