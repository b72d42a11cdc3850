# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ghost is where the rig's skin would be, and stays through undo, file loads and what gets deleted."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from s2c_blender.blender import ghost, preview, register, rig, takes  # noqa: E402
from tests.blender.sample import REPORT, waving  # noqa: E402


@pytest.fixture
def hands(scene) -> rig.Rig:
    register.register()
    added = ghost not in register.MODULES
    if added:
        ghost.register()
    found = rig.add_rig(scene)
    scene.piano_hands.rig = found.piano
    yield found
    if added:
        ghost.unregister()
    register.unregister()


@pytest.fixture
def take(scene, hands):
    return takes.add(scene, waving(2.0), REPORT, 11.0)


def skins(hands: rig.Rig) -> dict[str, np.ndarray]:
    """What Blender makes of the hands' meshes, in their armatures' space, by name of the armature: [V, 3]."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = {}
    for armature in hands.hands.values():
        mesh = next(child for child in armature.children if child.name.endswith("Mesh"))
        data = mesh.evaluated_get(depsgraph).data
        points = np.empty(3 * len(data.vertices), np.float32)
        data.vertices.foreach_get("co", points)
        found[armature.name] = points.reshape(-1, 3)
    return found


def without_subdivision(hands: rig.Rig) -> None:
    for armature in hands.hands.values():
        for child in armature.children:
            for modifier in child.modifiers:
                modifier.show_viewport = modifier.type == "ARMATURE"


def test_the_ghost_lies_on_the_rigs_skin(scene, hands, take):
    without_subdivision(hands)
    preview.show(hands, take, scene)
    assert bpy.ops.piano_hands.ghost() == {"FINISHED"}
    for frame in (11, 23, 40, 58):
        scene.frame_set(frame)
        there = skins(hands)
        shown = ghost.posed(scene)
        assert len(shown) == 2
        for hand in shown:
            assert hand.triangles.max() < hand.points.shape[1]
            assert np.linalg.norm(hand.points.T - there[hand.armature], axis=1).max() < 5e-4


def test_a_and_b(scene, hands, take):
    """A ghost stays the take it was asked for while another take is on the rig."""
    first = take.uid
    bpy.ops.piano_hands.ghost()
    scene.frame_set(40)
    before = [hand.points for hand in ghost.posed(scene)]
    second = takes.add(scene, waving(2.0, seed=3), REPORT, 11.0)
    preview.show(hands, second, scene)
    assert scene.piano_hands_ghost.take == first
    assert all(np.array_equal(a, b.points) for a, b in zip(before, ghost.posed(scene), strict=True))
    bpy.ops.piano_hands.ghost()
    assert scene.piano_hands_ghost.take == takes.active(scene).uid != first
    assert any(np.abs(a - b.points).max() > 0.01 for a, b in zip(before, ghost.posed(scene), strict=True))
    bpy.ops.piano_hands.ghost()
    assert not ghost.posed(scene)


def test_it_survives_undo_and_loading(scene, hands, take, tmp_path):
    bpy.ops.piano_hands.ghost()
    scene.frame_set(30)
    before = [hand.points for hand in ghost.posed(scene)]
    bpy.ops.ed.undo_push(message="ghost")
    bpy.data.objects.new("something", None)
    bpy.ops.ed.undo_push(message="something")
    bpy.ops.ed.undo()
    assert all(np.array_equal(a, b.points) for a, b in zip(before, ghost.posed(bpy.context.scene), strict=True))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert not ghost.posed(bpy.context.scene)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    after = ghost.posed(bpy.context.scene)
    assert all(np.abs(a - b.points).max() < 1e-6 for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("gone", ["take", "text", "hand", "mesh", "rig"])
def test_what_is_gone_is_not_drawn(scene, hands, take, gone):
    bpy.ops.piano_hands.ghost()
    assert len(ghost.posed(scene)) == 2
    ghost.forget()
    takes._motions.clear()
    if gone == "take":
        takes.remove(scene, 0)
    elif gone == "text":
        bpy.data.texts.remove(take.data)
    elif gone == "hand":
        bpy.data.objects.remove(hands.hands[1])
    elif gone == "mesh":
        bpy.data.objects.remove(next(c for c in hands.hands[1].children if c.name.endswith("Mesh")))
    else:
        bpy.data.objects.remove(hands.piano)
    assert len(ghost.posed(scene)) == (1 if gone in {"hand", "mesh"} else 0)


def test_it_adds_nothing_to_the_file(scene, hands, take):
    counts = [len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "actions")]
    bpy.ops.piano_hands.ghost()
    ghost.posed(scene)
    assert [len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "actions")] == counts


def test_without_takes_the_button_says_why(scene, hands):
    assert "Nothing was generated" in ghost.PIANO_HANDS_OT_ghost.disabled_reason(bpy.context)
