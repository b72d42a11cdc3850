# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own piano model: found keys, alignment in the world, and keys that go down with ours."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Euler, Matrix, Vector  # noqa: E402

from s2c_blender.blender import keying, piano_model, rig  # noqa: E402
from s2c_blender.core import keyboard as kb  # noqa: E402
from s2c_blender.core.key_names import note_name  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from tests.blender.sample import waving  # noqa: E402

PLACE = Matrix.Translation((1.3, -2.1, 0.74)) @ Euler((0, 0, 2.1)).to_matrix().to_4x4()
MIDDLE = np.array([62, 60, 61])


@pytest.fixture
def hands(scene) -> rig.Rig:
    return rig.add_rig(scene)


def make_model(scene, place: Matrix = PLACE, size: float = 1.0, *, parent: bool = True, name=note_name) -> dict:
    """88 key objects of a foreign piano by pitch: other origins and axes than ours, under an empty that is scaled."""
    collection = bpy.data.collections.new("Steinway")
    scene.collection.children.link(collection)
    root = bpy.data.objects.new("Grand", None)
    collection.objects.link(root)
    root.matrix_world = place @ Matrix.Scale(size, 4)
    bpy.context.view_layer.update()
    rng = np.random.default_rng(1)
    keys = {}
    for pitch in range(kb.LOWEST, kb.HIGHEST + 1):
        front, back = (kb.BLACK_FRONT, 0.15) if kb.is_black(pitch) else (0.0, 0.15)
        half = 0.006 if kb.is_black(pitch) else 0.0112
        x, top = float(kb.key_x(pitch)), float(kb.key_top(pitch))
        corners = [(x + sx * half, y, z) for sx in (-1, 1) for y in (front, back) for z in (top - 0.02, top)]
        own = Matrix.LocRotScale(Vector(rng.uniform(-0.3, 0.3, 3)), Euler(rng.uniform(-1, 1, 3)), Vector((1, 1, 1)))
        mesh = bpy.data.meshes.new("key")
        faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        mesh.from_pydata([own.inverted() @ Vector(c) for c in corners], [], faces)
        obj = bpy.data.objects.new(name(pitch), mesh)
        collection.objects.link(obj)
        if parent:
            obj.parent = root
            obj.matrix_basis = own
        else:
            obj.matrix_world = root.matrix_world @ own
        keys[pitch] = obj
    bpy.context.view_layer.update()
    return keys


def tops(obj) -> np.ndarray:
    """World vertices as evaluated now."""
    return piano_model.world_points(obj)


def key_errors(hands, keys) -> np.ndarray:
    """Distance of every key's upper front middle from ours, world metres [88]."""
    matrix = np.array(hands.piano.matrix_world)
    along = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    errors = []
    for pitch, obj in keys.items():
        ours = matrix[:3, :3] @ piano_model._our_front(pitch) + matrix[:3, 3]
        errors.append(np.linalg.norm(piano_model._front(obj, along) - ours))
    return np.array(errors)


@pytest.mark.parametrize("low, high", [(21, 108), (22, 106), (60, 90)])
def test_a_moved_and_turned_piano_of_our_size_fits_everywhere(scene, hands, low, high):
    keys = make_model(scene)
    fit = piano_model.align(hands, (high, keys[high]), (low, keys[low]), keys=keys)
    print(f"references {low}, {high}: worst key {key_errors(hands, keys).max() * 1e3:.4f} mm")
    assert key_errors(hands, keys).max() < 0.5e-3
    assert fit.worst < 0.5e-3
    assert abs(fit.ratio - 1) < 1e-4
    assert np.allclose(hands.piano.matrix_world.to_scale(), 1, atol=1e-5)


def test_another_size_fits_with_scale_and_is_met_in_the_middle_without(scene, hands):
    keys = make_model(scene, size=1.03)
    fit = piano_model.align(hands, (21, keys[21]), (108, keys[108]), keys=keys)
    errors = key_errors(hands, keys)
    assert abs(errors[0] - errors[-1]) < 1e-4  # A0 as far off to one side as C8 to the other
    assert fit.worst > 0.015
    assert abs(fit.ratio - 1.03) < 1e-4
    fit = piano_model.align(hands, (21, keys[21]), (108, keys[108]), keys=keys, scale=True)
    print(f"scaled: worst key {key_errors(hands, keys).max() * 1e3:.4f} mm")
    assert key_errors(hands, keys).max() < 0.5e-3
    assert abs(fit.scale - 1.03) < 1e-4
    assert piano_model.align(hands, (21, keys[21]), (108, keys[108]), scale=True).ratio == pytest.approx(1, abs=1e-4)


def test_empties_serve_as_reference_points(scene, hands):
    ends = []
    for pitch in (21, 108):
        empty = bpy.data.objects.new("mark", None)
        scene.collection.objects.link(empty)
        empty.location = PLACE @ Vector(piano_model._our_front(pitch))
        ends.append((pitch, empty))
    bpy.context.view_layer.update()
    piano_model.align(hands, *ends)
    assert np.abs(np.array(hands.piano.matrix_world) - np.array(PLACE)).max() < 1e-4


def test_refusals(scene, hands):
    keys = make_model(scene)
    with pytest.raises(UserError, match="same"):
        piano_model.align(hands, (21, keys[21]), (21, keys[22]))
    hands.piano.keyframe_insert("location")
    with pytest.raises(UserError, match="keyframes"):
        piano_model.align(hands, (21, keys[21]), (108, keys[108]))
    with pytest.raises(UserError, match="rig itself"):
        piano_model.attach(hands, {60: hands.keys[60]})


def test_keys_are_found_by_name_and_by_place(scene):
    keys = make_model(scene, name=lambda pitch: f"Part.{(pitch * 37) % 89:03d}.x")
    objects = [*keys.values()]
    assert piano_model.keys_in_order(objects, keys[21], 21) == keys
    assert list(piano_model.keys_in_order(objects, keys[60], 60)) == list(range(60, 109))
    with pytest.raises(UserError, match="black"):
        piano_model.keys_in_order(objects, keys[21], 22)
    for pitch, obj in keys.items():
        obj.name = f"Key_{pitch - 20:02d}"
    assert piano_model.find_keys(objects) == keys
    bpy.data.objects.remove(keys[40])
    assert piano_model.missing(piano_model.find_keys(o for o in objects if o != keys[40])) == [40]


def press(scene, hands, pitches, angle) -> None:
    for pitch in pitches:
        hands.keys[pitch].rotation_euler[0] = angle
    bpy.context.view_layer.update()


@pytest.mark.parametrize("parent", [True, False])
@pytest.mark.parametrize("turn", [True, False])
def test_the_models_keys_go_down_with_ours(scene, hands, parent, turn):
    keys = make_model(scene, parent=parent)
    piano_model.align(hands, (21, keys[21]), (108, keys[108]))
    rest = {pitch: tops(keys[pitch]) for pitch in MIDDLE}
    piano_model.attach(hands, keys, turn=turn)
    piano_model.show_own_piano(hands, False)
    for pitch in MIDDLE:
        assert np.abs(tops(keys[pitch]) - rest[pitch]).max() < 1e-5
    press(scene, hands, [60, 61], kb.DIP_ANGLE)
    away = np.array(hands.piano.matrix_world)[:3, 1]
    for pitch in (60, 61):
        drop = rest[pitch][:, 2] - tops(keys[pitch])[:, 2]
        depth = rest[pitch] @ away
        front, back = drop[depth < depth.min() + 1e-4], drop[depth > depth.max() - 1e-4]
        wanted = kb.KEY_DIP if pitch == 60 or not turn else kb.KEY_DIP * 2 / 3
        print(f"{note_name(pitch)}: front {front.mean() * 1e3:.3f} mm, back {np.abs(back).max() * 1e3:.3f} mm")
        assert abs(front.mean() - wanted) < 0.2e-3
        if turn:
            assert np.abs(back).max() < 0.2e-3
    assert np.abs(tops(keys[62]) - rest[62]).max() < 1e-5
    assert piano_model.detach(hands) == 88
    bpy.context.view_layer.update()
    assert all(np.abs(tops(keys[p]) - rest[p]).max() < 1e-5 and not keys[p].constraints for p in MIDDLE)


def test_halfway_down_is_halfway_down(scene, hands):
    keys = make_model(scene)
    piano_model.align(hands, (21, keys[21]), (108, keys[108]))
    rest = tops(keys[60])
    piano_model.attach(hands, keys)
    press(scene, hands, [60], kb.DIP_ANGLE / 2)
    assert abs((rest - tops(keys[60]))[:, 2].max() - kb.KEY_DIP / 2) < 0.2e-3


def test_a_model_with_its_root_moved_later_keeps_its_own_place(scene, hands):
    keys = make_model(scene)
    piano_model.align(hands, (21, keys[21]), (108, keys[108]))
    piano_model.attach(hands, keys)
    hands.piano.parent = keys[60].parent
    hands.piano.matrix_parent_inverse = keys[60].parent.matrix_world.inverted()
    keys[60].parent.location.x += 1.0
    bpy.context.view_layer.update()
    assert key_errors(hands, keys).max() < 0.5e-3


def test_keyed_takes_press_the_models_keys_though_ours_are_hidden(scene, hands):
    keys = make_model(scene)
    piano_model.align(hands, (21, keys[21]), (108, keys[108]))
    rest = tops(keys[60])
    piano_model.attach(hands, keys)
    piano_model.show_own_piano(hands, False)
    motion = waving(2.0)
    keying.key_take(hands, motion, scene, 1.0)
    struck = motion.notes[motion.notes["pitch"] == 60][0]
    clock = keying.scene_clock(scene, 1.0)
    frame = clock.frame(struck["onset"] + 0.1)
    scene.frame_set(int(frame), subframe=float(frame % 1))
    assert abs((rest - tops(keys[60]))[:, 2].max() - kb.KEY_DIP) < 0.2e-3
    scene.frame_set(int(clock.frame(struck["onset"] - 0.3)))
    assert np.abs(rest - tops(keys[60])).max() < 1e-5


def test_linked_models_are_refused_and_overrides_work(scene, hands, tmp_path):
    library = tmp_path / "model.blend"
    keys = make_model(scene, place=Matrix())
    collection = keys[60].users_collection[0]
    bpy.data.libraries.write(str(library), {collection})
    bpy.data.batch_remove([*collection.objects, collection])
    with bpy.data.libraries.load(str(library), link=True) as (_, target):
        target.collections = ["Steinway"]
    linked = target.collections[0]
    with pytest.raises(UserError, match="override"):
        piano_model.attach(hands, piano_model.find_keys(linked.objects))
    assert not piano_model.attached_keys(hands.piano)
    linked.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    local = next(c for c in scene.collection.children_recursive if c.name.startswith("Steinway") and not c.library)
    keys = piano_model.find_keys(local.objects)
    assert len(keys) == 88
    bpy.context.view_layer.update()
    piano_model.align(hands, (21, keys[21]), (108, keys[108]))
    rest = tops(keys[60])
    piano_model.attach(hands, keys)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    scene = bpy.context.scene
    hands = rig.find_rigs(scene)[0]
    keys = piano_model.attached_keys(hands.piano)
    assert len(keys) == 88
    press(scene, hands, [60], kb.DIP_ANGLE)
    assert abs((rest - tops(keys[60]))[:, 2].max() - kb.KEY_DIP) < 0.2e-3
