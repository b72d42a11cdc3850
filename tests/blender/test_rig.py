# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig file holds what core/hand.py and core/keyboard.py say, to the tenth of a millimetre."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
bmesh = pytest.importorskip("bmesh")

from mathutils import Vector  # noqa: E402
from mathutils.bvhtree import BVHTree  # noqa: E402

from s2c_blender.core import hand, keyboard  # noqa: E402

ROOT = Path(__file__).parents[2]
RIG = ROOT / "rigs" / "piano_hands.blend"
TOLERANCE = 1e-4  # metres
WHITES = [p for p in range(21, 109) if not keyboard.is_black(p)]
BLACKS = [p for p in range(21, 109) if keyboard.is_black(p)]
HANDS = [("Hand.R", 1.0), ("Hand.L", -1.0)]


@pytest.fixture(scope="module", autouse=True)
def rig():
    """The rig file, open."""
    bpy.ops.wm.open_mainfile(filepath=str(RIG))
    yield
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture(scope="module")
def posing():
    """The pose helpers that the rig was built with."""
    sys.path.insert(0, str(ROOT / "rigs"))
    try:
        import posing

        yield posing
    finally:
        sys.path.remove(str(ROOT / "rigs"))


def points_of(mesh) -> np.ndarray:
    """Vertices [V, 3] of a mesh."""
    values = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", values)
    return values.reshape(-1, 3)


def key(pitch: int):
    return bpy.data.objects[f"Key.{pitch:03d}"]


def test_file_is_small_and_whole():
    assert RIG.stat().st_size < 3_000_000
    assert {image.name for image in bpy.data.images if image.packed_file} >= {"Skin Colour", "Skin Height"}
    assert not list(bpy.data.libraries)
    paths = [image.filepath for image in bpy.data.images] + [text.filepath for text in bpy.data.texts]
    assert all(path.startswith("//") for path in paths if path), "no path of the building machine"


def test_names_and_parents():
    objects = bpy.data.collections["Piano Hands"].all_objects
    piano = objects["Piano"]
    assert piano.type == "EMPTY" and np.allclose(piano.matrix_world, np.eye(4))
    for name in ("Pedal.Sustain", *(key(p).name for p in range(21, 109)), "Hand.L", "Hand.R"):
        assert objects[name].parent == piano
        assert np.allclose(objects[name].matrix_parent_inverse, np.eye(4))
    assert sum(o.name.startswith("Key.") for o in objects) == 88
    assert {"Camera.Top", "Camera.Player", "Camera.ThreeQuarter"} <= {o.name for o in objects if o.type == "CAMERA"}
    assert all(o.parent for o in objects if o != piano), "moving Piano moves the whole set"
    for name in ("Hand.L", "Hand.R"):
        assert np.allclose(objects[name].matrix_local, np.eye(4))
        mesh = objects[f"{name}.Mesh"]
        assert mesh.parent == objects[name]
        assert mesh.modifiers["Armature"].object == objects[name]
    assert not bpy.data.actions, "the opening pose is not keyed"


@pytest.mark.parametrize(("name", "flip"), HANDS)
def test_bones_are_core_hand(name, flip):
    bones = bpy.data.objects[name].data.bones
    assert {b.name for b in bones} == set(hand.JOINTS)
    mirror = [flip, 1, 1]
    for j, joint in enumerate(hand.JOINTS):
        parent = hand.JOINTS[hand.PARENTS[j]] if j else None
        assert (bones[joint].parent.name if bones[joint].parent else None) == parent
        assert np.abs(np.array(bones[joint].head_local) - hand.HEADS[j] * mirror).max() < TOLERANCE
    for finger, (first, second, third) in enumerate(hand.FINGER_JOINTS):
        ends = (hand.HEADS[second], hand.HEADS[third], hand.PADS[finger])
        for joint, end in zip((first, second, third), ends, strict=True):
            assert np.abs(np.array(bones[hand.JOINTS[joint]].tail_local) - end * mirror).max() < TOLERANCE
    assert all(b.rotation_mode == "XYZ" for b in bpy.data.objects[name].pose.bones)


@pytest.mark.parametrize(("name", "flip"), HANDS)
def test_positive_x_flexes_and_z_is_palmar(name, flip):
    bones = bpy.data.objects[name].data.bones
    for j, joint in enumerate(hand.JOINTS[1:], 1):
        frame = np.array(bones[joint].matrix_local.to_3x3())
        flex = hand.HINGE_AXES[np.flatnonzero(hand.HINGE_JOINTS == j)[-1]] * [1, flip, flip]  # an axis mirrors so
        assert frame[:, 0] @ flex > 0.93, joint  # short of 1 where the hinge is not quite square to the bone
        assert np.cross(frame[:, 0], frame[:, 1]) @ frame[:, 2] > 0.999
        if not joint.startswith("thumb"):
            assert frame[2, 2] < -0.85, joint
    assert bones["wrist"].matrix_local[2][2] < -0.95


@pytest.mark.parametrize(("name", "flip"), HANDS)
def test_posed_bones_follow_core_kinematics(name, flip, posing):
    armature = bpy.data.objects[name]
    before = [(b.rotation_euler.copy(), b.location.copy()) for b in armature.pose.bones]
    position, rotation = posing.playing_pose()
    if flip < 0:
        position, rotation = hand.mirror(position, rotation)
    posing.pose_hand(armature, position, rotation)
    bpy.context.view_layer.update()
    heads, pads, _ = hand.forward_kinematics(position[None], rotation[None], left=flip < 0)
    for j, joint in enumerate(hand.JOINTS):
        assert np.abs(np.array(armature.pose.bones[joint].head) - heads[0, j]).max() < TOLERANCE
    for finger, joint in enumerate(hand.FINGER_JOINTS[:, 2]):
        assert np.abs(np.array(armature.pose.bones[hand.JOINTS[joint]].tail) - pads[0, finger]).max() < TOLERANCE
    for bone, (euler, location) in zip(armature.pose.bones, before, strict=True):
        bone.rotation_euler, bone.location = euler, location
    bpy.context.view_layer.update()


def test_opening_pose_rests_on_white_keys():
    bpy.context.view_layer.update()
    for name, _ in HANDS:
        bones = bpy.data.objects[name].pose.bones
        pads = np.array([bones[hand.JOINTS[j]].tail for j in hand.FINGER_JOINTS[:, 2]])
        assert np.abs(pads[:, 2]).max() < 0.003
        assert (np.abs(pads[:, 0]) < 0.25).all() and (pads[:, 1] > 0.01).all() and (pads[:, 1] < 0.05).all()


@pytest.mark.parametrize("name", ["Hand.R.Mesh", "Hand.L.Mesh"])
def test_hand_mesh_is_closed_and_weighted(name):
    obj = bpy.data.objects[name]
    bm = bmesh.new()
    bm.from_mesh(obj.data)
    assert all(edge.is_manifold and edge.is_contiguous for edge in bm.edges)
    assert bm.calc_volume(signed=True) > 1e-4, "the skin faces outwards"
    bm.free()
    assert [g.name for g in obj.vertex_groups] == hand.JOINTS
    totals = np.array([sum(g.weight for g in v.groups) for v in obj.data.vertices])
    assert np.abs(totals - 1).max() < 1e-3
    assert {m.name for m in obj.data.materials} == {"Skin", "Nail"}


def test_no_face_spans_two_texture_islands():
    mesh = bpy.data.objects["Hand.R.Mesh"].data
    uv = np.array([corner.uv for corner in mesh.uv_layers["UVMap"].data])
    for face in mesh.polygons:
        assert np.ptp(uv[list(face.loop_indices)], axis=0).max() < 0.1


def test_left_hand_mirrors_right():
    right = points_of(bpy.data.objects["Hand.R.Mesh"].data)
    left = points_of(bpy.data.objects["Hand.L.Mesh"].data)
    assert np.abs(left - right * [-1, 1, 1]).max() < 1e-6


@pytest.mark.parametrize(("name", "flip"), HANDS)
def test_pads_lie_on_the_skin(name, flip):
    mesh = bpy.data.objects[f"{name}.Mesh"].data
    tree = BVHTree.FromPolygons([v.co for v in mesh.vertices], [p.vertices for p in mesh.polygons])
    for pad in hand.PADS * [flip, 1, 1]:
        assert tree.find_nearest(Vector(pad))[3] < 0.0012


@pytest.mark.parametrize("pitch", range(21, 109))
def test_key_geometry_is_core_keyboard(pitch):
    obj = key(pitch)
    assert np.allclose(obj.location, (keyboard.key_x(pitch), keyboard.HINGE_Y, 0), atol=TOLERANCE)
    points = points_of(obj.data) + np.array(obj.location)
    assert abs(points[:, 2].max() - keyboard.key_top(pitch)) < TOLERANCE
    x = float(keyboard.key_x(pitch))
    if keyboard.is_black(pitch):
        body = points[points[:, 2] > -0.00205]  # without the stem below
        assert abs(np.ptp(body[:, 0]) - keyboard.BLACK_BASE_WIDTH) < TOLERANCE
        assert abs(body[:, 1].min() - keyboard.BLACK_FRONT) < TOLERANCE
        assert abs(np.ptp(body[:, 1]) - keyboard.BLACK_LENGTH) < TOLERANCE
        top = points[points[:, 2] > keyboard.BLACK_HEIGHT - 0.0025]
        assert abs(np.ptp(top[:, 0]) - keyboard.BLACK_WIDTH) < 1.2e-3  # rounded edges on sloping sides
        assert abs(top[:, 0].mean() - x) < TOLERANCE
        return
    air = keyboard.WHITE_GAP / 2
    assert np.allclose([points[:, 1].min(), points[:, 1].max()], [0, keyboard.WHITE_LENGTH], atol=TOLERANCE)
    half = keyboard.WHITE_PITCH / 2 - air
    assert np.allclose(front_edges(pitch), [x - half, x + half], atol=TOLERANCE)
    tail = points[points[:, 1] > keyboard.BLACK_FRONT + 0.01]
    left, right = keyboard.tail_edges(pitch)
    assert np.allclose([tail[:, 0].min(), tail[:, 0].max()], [left + air, right - air], atol=TOLERANCE)


def test_keys_are_closed_and_apart():
    for pitch in range(21, 109):
        bm = bmesh.new()
        bm.from_mesh(key(pitch).data)
        assert all(edge.is_manifold for edge in bm.edges), pitch
        bm.free()
    for a, b in zip(WHITES, WHITES[1:], strict=False):
        (_, right), (left, _) = front_edges(a), front_edges(b)
        assert abs(left - right - keyboard.WHITE_GAP) < TOLERANCE


def front_edges(pitch: int) -> tuple[float, float]:
    """Left and right x of a white key's front part, metres."""
    points = points_of(key(pitch).data) + np.array(key(pitch).location)
    x = points[points[:, 1] < 0.02, 0]
    return float(x.min()), float(x.max())


@pytest.mark.parametrize("pitch", [WHITES[0], WHITES[23], BLACKS[17], BLACKS[-1]])
def test_positive_turn_presses_a_key(pitch):
    obj = key(pitch)
    points = points_of(obj.data)
    front = points[points[:, 1].argmin()]
    obj.rotation_euler[0] = keyboard.DIP_ANGLE
    turned = np.array(obj.rotation_euler.to_matrix()) @ front
    expected = keyboard.drop_at(front[1] + keyboard.HINGE_Y, keyboard.DIP_ANGLE)
    assert abs((front[2] - turned[2]) - expected) < 3e-4
    obj.rotation_euler[0] = 0.0


def test_positive_turn_presses_the_pedal():
    pedal = bpy.data.objects["Pedal.Sustain"]
    front = points_of(pedal.data)[points_of(pedal.data)[:, 1].argmin()]
    turn = np.array([[1, 0, 0], [0, math.cos(0.12), -math.sin(0.12)], [0, math.sin(0.12), math.cos(0.12)]])
    assert 0.015 < front[2] - (turn @ front)[2] < 0.025
    assert tuple(pedal.rotation_euler) == (0, 0, 0)


@pytest.mark.parametrize("flex", [(30, 30, 30), (90, 100, 60)])
def test_skin_keeps_its_volume(flex, posing):
    """Curled and clenched fingers keep 88 % of the hand's volume: no joint collapses."""
    armature, obj = bpy.data.objects["Hand.R"], bpy.data.objects["Hand.R.Mesh"]
    before = [(b.rotation_euler.copy(), b.location.copy()) for b in armature.pose.bones]
    volumes = []
    for angles in (np.zeros(20), np.radians([[0, 0, 0, 0], *[[0, *flex]] * 4]).ravel()):
        posing.pose_hand(armature, np.zeros(3), posing.hinge_pose(angles))
        evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
        bm = bmesh.new()
        bm.from_mesh(evaluated.data)
        volumes.append(bm.calc_volume(signed=True))
        bm.free()
    for bone, (euler, location) in zip(armature.pose.bones, before, strict=True):
        bone.rotation_euler, bone.location = euler, location
    assert 0.88 < volumes[1] / volumes[0] < 1.12
