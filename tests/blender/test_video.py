# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The falling-note roll meets its keys in place and time; cameras hold what is played."""

import math
import time

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Euler, Matrix, Vector  # noqa: E402

from s2c_blender.blender import cameras, keying, render, rig, roll  # noqa: E402
from s2c_blender.blender import scene as scenes  # noqa: E402
from s2c_blender.core.hand import forward_kinematics  # noqa: E402
from s2c_blender.core.keyboard import WHITE_LENGTH, WHITE_PITCH, key_top, key_x  # noqa: E402
from s2c_blender.core.motion import HandMotion  # noqa: E402
from s2c_blender.core.notes import make_notes  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from tests.blender.sample import waving  # noqa: E402

START = 11.37
PITCHES = np.array([40, 41, 54, 60, 61, 64, 72, 78, 83])


@pytest.fixture
def hands(scene) -> rig.Rig:
    return rig.add_rig(scene)


def playing(seconds: float = 4.0, spread: float = 0.0) -> HandMotion:
    """Hands that wave over single notes far apart in time; `spread`: m that they travel to the treble."""
    motion = waving(seconds)
    rng = np.random.default_rng(3)
    onset = 0.4137 + 0.381 * np.arange(len(PITCHES))
    notes = make_notes(onset, onset + rng.uniform(0.09, 0.3, len(onset)), PITCHES, 80, [0, 0, 0, 1, 1, 1, 1, 1, 1], 2)
    motion.notes, motion.keys = notes, notes["onset"][:, None] + [-0.03, 0.0, 0.2, 0.24]
    drift = spread * np.linspace(0, 1, len(motion.left_position))[:, None] * [1.0, 0.0, 0.0]
    motion.left_position, motion.right_position = motion.left_position + drift, motion.right_position + drift
    return motion


def bar_edges(root, obj) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of the roll as it is without its modifier, in the roll's axes and the piano's [V, 3] each."""
    points = np.empty(len(obj.data.vertices) * 3, np.float32)
    obj.data.vertices.foreach_get("co", points)
    points = np.c_[points.reshape(-1, 3), np.ones(len(points) // 3)]
    to_piano = np.array(root.parent.matrix_world.inverted() @ obj.matrix_world)
    to_roll = np.array(root.matrix_world.inverted() @ obj.matrix_world)
    return (points @ to_roll.T)[:, :3], (points @ to_piano.T)[:, :3]


def shown(root, obj) -> np.ndarray:
    """Vertices after the cut, in the roll's axes [V, 3]."""
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    points = np.array([vertex.co for vertex in mesh.vertices]).reshape(-1, 3)
    matrix = np.array(root.matrix_world.inverted() @ obj.matrix_world)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def go(scene, frame: float) -> None:
    scene.frame_set(math.floor(frame), subframe=frame - math.floor(frame))


@pytest.mark.parametrize("fps", [24.0, 30000 / 1001])
def test_bars_reach_their_keys_at_the_onset_and_leave_at_the_offset(scene, hands, fps):
    scenes.set_fps(scene, fps)
    motion = playing()
    hands.piano.matrix_world = Matrix.LocRotScale(Vector((1, 2, 0.7)), Euler((0, 0, 1.1)), Vector((1.1, 1.1, 1.1)))
    style = roll.Style()
    root = roll.build(hands.piano, motion, keying.scene_clock(scene, START), "take-001", style)
    travel = root.children[0] if root.children[0].name.endswith(".Notes") else root.children[1]
    per_bar = 24
    errors, sideways = [], []
    for obj in travel.children:
        own = motion.notes[motion.notes["hand"] == (0 if obj.name.endswith(".L") else 1)]
        for moment, edge in (("onset", np.min), ("offset", np.max)):
            for i, note in enumerate(own):
                go(scene, START + note[moment] * scene.render.fps / scene.render.fps_base)
                along, in_piano = bar_edges(root, obj)
                bar = slice(i * per_bar, (i + 1) * per_bar)
                errors.append(edge(along[bar, 1]) / style.speed)
                middle = (in_piano[bar, 0].min() + in_piano[bar, 0].max()) / 2
                sideways.append(middle - key_x(note["pitch"]))
    assert len(errors) == 2 * len(PITCHES)
    print(f"{fps:.2f} fps: strike time off by {np.abs(errors).max() * 1e3:.4f} ms, x by {np.abs(sideways).max():.1e} m")
    assert np.abs(errors).max() < 1e-3
    assert np.abs(sideways).max() < 1e-5


def test_bars_are_cut_at_the_keys_and_come_into_view_in_time(scene, hands):
    motion, style = playing(), roll.Style(fingers=True)
    clock = keying.scene_clock(scene, START)
    root = roll.build(hands.piano, motion, clock, "take-001", style)
    right = next(o for o in root.children_recursive if o.name.endswith(".R"))
    first = motion.notes[motion.notes["hand"] == 1][0]
    go(scene, clock.frame(first["onset"] - style.seconds - 0.01))
    assert not len(shown(root, right))
    for at in np.arange(first["onset"] - style.seconds + 0.02, motion.duration, 0.31):
        go(scene, clock.frame(at))
        points = shown(root, right)
        assert not len(points) or (points[:, 1].min() > -1e-5 and points[:, 1].max() < style.height + 1e-5)
    go(scene, clock.frame((first["onset"] + first["offset"]) / 2))
    now = shown(root, right)
    bar = now[
        np.abs(now[:, 0] - key_x(first["pitch"]) + WHITE_PITCH / 2) < 0.006
    ]  # its left edge; C#'s bar begins later
    left = (first["offset"] - first["onset"]) / 2 * style.speed
    assert abs(bar[:, 1].max() - left) < 1e-4
    assert abs(bar[:, 1].min()) < 1e-5
    go(scene, clock.frame(motion.notes["offset"].max() + 0.01))
    assert not len(shown(root, right))


def test_black_keys_bars_are_narrower_and_hands_have_their_colours(scene, hands):
    motion = playing()
    root = roll.build(hands.piano, motion, keying.scene_clock(scene, 1), "take-001", roll.Style(cut=False))
    right = next(o for o in root.children_recursive if o.name.endswith(".R"))
    points = np.array([v.co for v in right.data.vertices]).reshape(-1, 24, 3)
    widths = np.ptp(points[:, :, 0], axis=1)
    assert widths[1] < 0.6 * widths[0]  # C#4 and C4
    looks = {o.name[-1]: o.data.materials[0] for o in root.children_recursive if o.name[-2:] in {".L", ".R"}}
    assert looks["L"].diffuse_color[2] > 0.9 > 0.1 > looks["L"].diffuse_color[0]
    roll.recolour("take-001", {0: (1, 0, 0), 1: (0, 1, 0)})
    assert looks["R"].diffuse_color[:3] == looks["R"].node_tree.nodes["Principled BSDF"].inputs[0].default_value[:3]
    assert looks["R"].diffuse_color[:3] == (0, 1, 0)


def blocks() -> dict[str, set]:
    kinds = "objects meshes actions materials node_groups curves images texts collections".split()
    return {kind: {block.name for block in getattr(bpy.data, kind)} for kind in kinds}


def test_a_roll_replaces_the_one_before_and_leaves_nothing_behind(scene, hands):
    before, motion = blocks(), playing()
    clock = keying.scene_clock(scene, 1)
    roll.build(hands.piano, motion, clock, "take-001", roll.Style(fingers=True), uid="a")
    once = blocks()
    assert once != before
    roll.build(hands.piano, motion, clock, "take-001", roll.Style(fingers=True), uid="a")
    assert blocks() == once
    roll.build(hands.piano, motion, clock, "take-002", uid="b", between=(0.0, 1.0))
    assert set(roll.find(scene)) == {"a", "b"}
    assert roll.remove("a", scene)
    assert roll.remove("b", scene)
    assert not roll.remove("b", scene)
    assert blocks() == before
    with pytest.raises(UserError, match="no note"):
        roll.build(hands.piano, motion, clock, "take-001", between=(90.0, 91.0))
    assert blocks() == before


def test_thousands_of_notes_are_quick(scene, hands):
    count = 10000
    onset = np.arange(count) * 0.06
    motion = waving(1.0)
    motion.notes = make_notes(onset, onset + 0.2, 21 + np.arange(count) % 88, 80, np.arange(count) % 2, 1)
    motion.keys = np.zeros((count, 4))
    begun = time.process_time()
    roll.build(hands.piano, motion, keying.scene_clock(scene, 1), "long", roll.Style(fingers=True))
    built = time.process_time() - begun
    begun = time.process_time()
    for frame in range(100, 120):
        scene.frame_set(frame)
    print(
        f"{count} notes with numbers: built in {built:.2f} s, {(time.process_time() - begun) / 20 * 1e3:.1f} ms a frame"
    )
    assert built < 3.0


@pytest.mark.parametrize("kind", ["fbx", "glb"])
def test_an_uncut_roll_survives_export_and_import(scene, hands, tmp_path, kind):
    scenes.set_fps(scene, 30.0)
    scene.frame_start, scene.frame_end = 1, 60
    root = roll.build(
        hands.piano, playing(), keying.scene_clock(scene, 1.0), "take-001", roll.Style(cut=False, lines=False)
    )
    right = next(o for o in root.children_recursive if o.name.endswith(".R"))
    wanted = {}
    for frame in (1, 25, 60):
        scene.frame_set(frame)
        wanted[frame] = bounds(right)
    for obj in scene.objects:
        obj.select_set(obj == root or obj in root.children_recursive)
    path = str(tmp_path / f"roll.{kind}")
    if kind == "fbx":
        bpy.ops.export_scene.fbx(
            filepath=path,
            use_selection=True,
            object_types={"MESH", "EMPTY"},
            apply_scale_options="FBX_SCALE_ALL",
            bake_anim_use_nla_strips=False,
            bake_anim_use_all_actions=False,
            bake_anim_simplify_factor=0.0,
        )
    else:
        bpy.ops.export_scene.gltf(filepath=path, use_selection=True, export_animation_mode="ACTIVE_ACTIONS")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scenes.set_fps(bpy.context.scene, 30.0)
    if kind == "fbx":
        bpy.ops.import_scene.fbx(filepath=path, anim_offset=0.0)
    else:
        bpy.ops.import_scene.gltf(filepath=path)
    right = next(o for o in bpy.context.scene.objects if o.name.endswith(".R"))
    errors = []
    for frame, before in wanted.items():
        bpy.context.scene.frame_set(frame)
        errors.append(np.abs(bounds(right) - before).max())
    print(f"{kind}: {max(errors) * 1e3:.4f} mm")
    assert max(errors) < 1e-5


def bounds(obj) -> np.ndarray:
    """Lowest and highest world coordinates of a mesh [2, 3]."""
    matrix = np.array(obj.matrix_world)
    points = np.array([v.co for v in obj.data.vertices]) @ matrix[:3, :3].T + matrix[:3, 3]
    return np.stack([points.min(axis=0), points.max(axis=0)])


def corners_of_keys(motion) -> list[np.ndarray]:
    x, top = key_x(motion.notes["pitch"]), key_top(motion.notes["pitch"])
    return [np.stack([x + s * WHITE_PITCH / 2, np.full(len(x), y), top], 1) for s in (-1, 1) for y in (0, WHITE_LENGTH)]


@pytest.mark.parametrize("kind", cameras.VIEWS)
@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (1000, 1000)])
@pytest.mark.parametrize("follow", [False, True])
def test_cameras_hold_all_played_keys_and_both_hands(scene, hands, kind, size, follow):
    motion = playing(spread=0.3)
    scene.render.resolution_x, scene.render.resolution_y = size
    hands.piano.matrix_world = Matrix.LocRotScale(Vector((1, 2, 0.7)), Euler((0, 0, 1.1)), Vector((1.2, 1.2, 1.2)))
    clock = keying.scene_clock(scene, START)
    root = roll.build(hands.piano, motion, clock, "take-001")
    camera = cameras.add_camera(scene, hands.piano, motion, clock, kind, roll=root, follow=follow, margin=0.04)
    assert scene.camera is None
    assert bool(camera.animation_data) == follow
    seen = []
    for at in np.arange(0.0, motion.duration, 0.5):
        go(scene, clock.frame(at))
        if follow:
            sounding = (motion.notes["onset"] <= at) & (motion.notes["offset"] >= at)
        else:
            sounding = np.ones(len(motion.notes), bool)
        points = [corner[sounding] for corner in corners_of_keys(motion)]
        for side in (0, 1):
            position, rotation = motion.hand(side)
            i = round(at * motion.fps)
            heads, pads, _ = forward_kinematics(position[i : i + 1], rotation[i : i + 1], left=side == 0)
            points += [heads[0], pads[0]]
        world = hands.piano.matrix_world
        seen += [world_to_camera_view(scene, camera, world @ Vector(p)) for p in np.concatenate(points)]
    seen = np.array(seen)
    print(f"{kind} {size} follow={follow}: x {seen[:, 0].min():.3f}..{seen[:, 0].max():.3f} y {seen[:, 1].min():.3f}")
    assert (seen[:, 2] > 0.01).all()
    assert seen[:, :2].min() > 0.035
    assert seen[:, :2].max() < 0.965
    filled = max(np.ptp(seen[:, 0]), np.ptp(seen[:, 1]))
    assert filled > (0.25 if follow else 0.4)


def test_framing_again_moves_the_same_camera(scene, hands):
    motion, clock = playing(), keying.scene_clock(scene, 1)
    first = cameras.add_camera(scene, hands.piano, motion, clock, "OVERHEAD", follow=True)
    wide = first.data.ortho_scale
    before = blocks()
    motion.right_position = motion.right_position + [0.3, 0.0, 0.0]
    second = cameras.add_camera(scene, hands.piano, motion, clock, "OVERHEAD")
    assert first == second
    assert second.data.ortho_scale > wide
    assert not second.animation_data
    after = blocks()
    assert before["objects"] == after["objects"]
    assert len(after["actions"]) == len(before["actions"]) - 1
    assert render.find_camera(scene, "passage.overhead") == second


def test_a_following_camera_stays_closer_and_moves_calmly(scene, hands):
    motion, clock = waving(30.0), keying.scene_clock(scene, 1)
    far = (np.arange(len(motion.left_position)) // 240 % 2 * 0.4)[:, None] * [1.0, 0.0, 0.0]
    motion.left_position, motion.right_position = motion.left_position + far - 0.2, motion.right_position + far - 0.2
    still = cameras.add_camera(scene, hands.piano, motion, clock, "OVERHEAD").data.ortho_scale
    camera = cameras.add_camera(scene, hands.piano, motion, clock, "OVERHEAD", follow=True)
    assert camera.data.ortho_scale < still
    frames = np.arange(1, 700, 5)
    place = []
    for frame in frames:
        scene.frame_set(int(frame))
        place.append(camera.matrix_world.translation.x)
    speed = np.gradient(place, 5 / 24)
    print(f"following: {np.abs(speed).max() * 100:.1f} cm/s at most, {np.ptp(place) * 100:.0f} cm, scale {still:.2f}")
    assert np.abs(speed).max() < 0.15
    assert np.abs(np.gradient(speed, 5 / 24)).max() < 0.3
