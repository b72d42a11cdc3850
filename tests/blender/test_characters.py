# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign characters play the notes: every naming, size, unit and rotation mode, linked ones too."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.blender import (  # noqa: E402
    actions,
    character_mapping,
    characters,
    register,
    rig,
    takes,
)
from s2c_blender.core import bone_names, keyboard, metrics  # noqa: E402
from s2c_blender.core.notes import LEFT, RIGHT, Score, make_notes  # noqa: E402
from s2c_blender.errors import UserError  # noqa: E402
from s2c_blender.pianist import perform  # noqa: E402
from tests.blender.foreign import Build, add_character, pads  # noqa: E402
from tests.blender.sample import REPORT, clicks  # noqa: E402

RATE = 96  # moments a second at which fingertips are read, four a frame
FRAME = 11.0
FINGERS = ("thumb", "index", "middle", "ring", "pinky")


@pytest.fixture(scope="module")
def motion():
    """Three seconds: a scale with the thumb passing under and two chords, black keys among them."""
    right = [60, 62, 64, 65, 67, 69, 71, 72, 70, 68, 66, 63]
    onsets = [0.3 + 0.2 * i for i in range(len(right))]
    chords = [(0.3, p) for p in (41, 45, 48)] + [(1.5, p) for p in (39, 46, 51)]
    onset = np.array(onsets + [t for t, _ in chords])
    pitch = np.array(right + [p for _, p in chords])
    length = np.array([0.19] * len(right) + [1.0] * len(chords))
    order = np.lexsort((pitch, onset))
    hands = np.array([RIGHT] * len(right) + [LEFT] * len(chords))[order]
    notes = make_notes(onset[order], (onset + length)[order], pitch[order], 75, hands)
    return perform(Score(notes), fps=60)[0]


@pytest.fixture
def piano(scene):
    return rig.add_rig(scene).piano


@pytest.fixture
def registered(scene):
    register.register()
    yield
    register.unregister()


def key(scene, armature, piano, motion, **options):
    mapping = bone_names.detect([bone.name for bone in armature.data.bones]).bones
    options = {"name": "take-001"} | options
    return characters.key_character(armature, mapping, piano, motion, scene, FRAME, **options), mapping


def played(scene, armature, piano, motion, mapping) -> dict[str, float]:
    times = np.arange(0.0, motion.duration, 1 / RATE)
    fps = scene.render.fps / scene.render.fps_base
    found = pads(scene, armature, piano, mapping, FRAME + times * fps)
    errors = metrics.contact_errors(times, found, motion.notes, motion.keys)
    f1 = metrics.accuracy(metrics.presses_by_hands(times, found), motion.notes).f1
    return {"f1": f1, "mean_mm": errors.mean() * 1e3, "worst_mm": errors.max() * 1e3}


CHARACTERS = {
    "Mixamo, cm, larger": ("Mixamo", Build(size=1.15, unit=0.01, prefix="mixamorig:", extra=True, rolls=3)),
    "Mixamo, connected, long fingers": ("Mixamo", Build(fingers=1.2, connected=True, prefix="mixamorig:", rolls=4)),
    "Rigify": ("Rigify", Build(arms=False, rolls=1)),
    "Rigify deform bones, smaller": ("Rigify deform bones", Build(size=0.9, prefix="DEF-", rolls=7)),
    "Unreal, bent at rest": ("Unreal", Build(straight=False, unit=0.01, rolls=2)),
    "SMPL-X": ("SMPL-X", Build(size=1.05, rolls=5)),
}


@pytest.mark.parametrize("which", CHARACTERS)
def test_foreign_hands_play_the_notes(scene, piano, motion, which):
    convention, build = CHARACTERS[which]
    armature = add_character(scene, convention, build)
    keyed, mapping = key(scene, armature, piano, motion)
    found = played(scene, armature, piano, motion, mapping)
    print(which, {name: round(float(value), 3) for name, value in found.items()}, f"{len(motion.notes)} notes")
    assert keyed.off == 0 and keyed.worst < 1.5e-3
    assert found["f1"] >= 0.97
    assert found["mean_mm"] < 1.0 and found["worst_mm"] < 3.0
    assert not [line for line in keyed.remarks if "too short" in line]


@pytest.mark.parametrize("mode", ["QUATERNION", "AXIS_ANGLE", "XYZ", "YZX", "ZYX"])
def test_any_rotation_mode(scene, piano, motion, mode):
    armature = add_character(scene, "Mixamo", Build(rolls=8))
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    _, mapping = key(scene, armature, piano, motion)
    assert all(bone.rotation_mode == mode for bone in armature.pose.bones)
    assert played(scene, armature, piano, motion, mapping)["worst_mm"] < 3.0


def test_fingers_move_as_smoothly_as_ours(motion):
    """Retargeting adds no shaking: the wrist's and the joints' jerk stays near that of our own hand."""
    from s2c_blender.core import hand, retarget
    from tests.blender.foreign import joints

    for side in (LEFT, RIGHT):
        heads, ends = joints(Build(size=1.15, fingers=1.1), side)
        fitted = retarget.fit(retarget.Skeleton(heads + 2.0, ends + 2.0, side == LEFT))
        assert 1.15 < fitted.scale < 1.27
        followed = retarget.follow(fitted, motion)
        position, rotation = motion.hand(side)
        jerk = [
            np.sqrt((np.diff(mine, 3, axis=0) ** 2).mean() / (np.diff(ours, 3, axis=0) ** 2).mean())
            for mine, ours in ((followed.position, position), (followed.rotation, rotation))
        ]
        print(f"jerk beside ours: wrist {jerk[0]:.2f}, joints {jerk[1]:.2f}")
        assert max(jerk) < 1.6
        assert metrics.limit_excess(followed.rotation, side == LEFT).max() < np.radians(8)
        assert len(fitted.heads) == len(hand.JOINTS)


def test_the_skin_touches_the_keys_where_there_is_one(scene, piano, motion):
    """Round fingertips, 7 mm thick: they lie on the keys and do not sink in up to their bones."""
    armature = add_character(scene, "Mixamo", Build(unit=0.01))
    mapping = bone_names.detect([bone.name for bone in armature.data.bones]).bones
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(400, 3))
    ball *= 0.7 / np.linalg.norm(ball, axis=1, keepdims=True)
    tips = [armature.data.bones[mapping[side][f"{f}3"]] for side in (LEFT, RIGHT) for f in FINGERS]
    mesh = bpy.data.meshes.new("Skin")
    mesh.from_pydata(np.concatenate([ball + np.array(bone.tail_local) for bone in tips]).tolist(), [], [])
    skin = bpy.data.objects.new("Skin", mesh)
    scene.collection.objects.link(skin)
    skin.parent = armature
    skin.modifiers.new("Armature", "ARMATURE").object = armature
    for i, bone in enumerate(tips):
        skin.vertex_groups.new(name=bone.name).add(range(400 * i, 400 * i + 400), 1.0, "REPLACE")
    bpy.context.view_layer.update()
    keyed, _ = key(scene, armature, piano, motion)
    assert keyed.off == 0
    depths = []
    for note, (_, bottom, up, _) in zip(motion.notes, motion.keys, strict=True):
        at = FRAME + (bottom + up) / 2 * 24
        scene.frame_set(int(at), subframe=at % 1)
        evaluated = skin.evaluated_get(bpy.context.evaluated_depsgraph_get())
        place = piano.matrix_world.inverted() @ evaluated.matrix_world
        first = 400 * (5 * int(note["hand"]) + int(note["finger"]))
        points = np.array([place @ v.co for v in evaluated.data.vertices[first : first + 400]])
        floor = keyboard.key_top(note["pitch"]) - keyboard.drop_at(points[:, 1], keyboard.DIP_ANGLE)
        depths.append((floor - points[:, 2]).max())
    print(f"skin below its key's surface: {np.mean(depths) * 1e3:.1f} mm mean, {max(depths) * 1e3:.1f} mm most")
    assert -0.001 < min(depths) and max(depths) < 0.004


def test_a_linked_overridden_character_is_keyed_and_stays_so(registered, scene, piano, motion, tmp_path):
    library, path = str(tmp_path / "hero.blend"), str(tmp_path / "shot.blend")
    hero = add_character(scene, "Mixamo", Build(size=1.1, prefix="mixamorig:", rolls=6))
    bpy.data.libraries.write(library, {hero}, fake_user=True)
    bpy.data.objects.remove(hero)
    with bpy.data.libraries.load(library, link=True) as (source, target):
        target.objects = list(source.objects)
    linked = target.objects[0]
    scene.collection.objects.link(linked)
    with pytest.raises(UserError, match="linked from another file"):
        key(scene, linked, piano, motion)
    hero = linked.override_create(remap_local_usages=True)
    hero.override_library.is_system_override = False
    bpy.context.view_layer.update()
    assert hero.override_library and hero.data.library
    found = character_mapping.detect(scene, hero)
    assert found.convention == "Mixamo" and not found.missing(LEFT) + found.missing(RIGHT)
    keyed, mapping = key(scene, hero, piano, motion)
    assert keyed.off == 0

    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    scene = bpy.context.scene
    hero = next(o for o in scene.objects if o.type == "ARMATURE" and o.override_library)
    assert character_mapping.mapping(scene, hero) == mapping
    found = played(scene, hero, rig.find_rigs(scene)[0].piano, motion, mapping)
    print("linked and overridden, saved and loaded:", found)
    assert found["f1"] >= 0.97 and found["worst_mm"] < 3.0


def test_the_characters_own_action_goes_on_below(scene, piano, motion):
    armature = add_character(scene, "Mixamo", Build())
    own = bpy.data.actions.new("Sway")
    new = actions.take_curves(own, armature)
    actions.fill(new('pose.bones["Chest"].location', 0, "Chest"), np.array([1.0, 60.0]), np.array([0.0, 0.05]))
    before = [len(curve.keyframe_points) for curve in actions.curves(own)]
    keyed, mapping = key(scene, armature, piano, motion)
    assert keyed.off == 0
    found = played(scene, armature, piano, motion, mapping)  # although shoulders move meanwhile
    print("swaying:", found)
    assert found["f1"] >= 0.97 and found["worst_mm"] < 3.0
    scene.frame_set(60)
    assert armature.pose.bones["Chest"].location.x == pytest.approx(0.05, abs=1e-4)
    assert [len(curve.keyframe_points) for curve in actions.curves(own)] == before
    again, _ = key(scene, armature, piano, motion, name="take-002")
    assert bpy.data.actions[keyed.action] and again.action == "Hero.take-002"
    assert len(armature.animation_data.nla_tracks) == 1


def test_a_body_that_sways_round_and_round_goes_on_so(scene, piano, motion):
    armature = add_character(scene, "Mixamo", Build())
    own = bpy.data.actions.new("Sway")
    curve = actions.take_curves(own, armature)('pose.bones["Chest"].location', 0, "Chest")
    actions.fill(curve, np.array([1.0, 8.0, 15.0]), np.array([0.0, 0.05, 0.0]))
    curve.modifiers.new("CYCLES")
    keyed, mapping = key(scene, armature, piano, motion)
    found = played(scene, armature, piano, motion, mapping)
    assert keyed.off == 0 and found["f1"] >= 0.97 and found["worst_mm"] < 3.0
    scene.frame_set(64)
    assert armature.pose.bones["Chest"].location.x == pytest.approx(0.05, abs=1e-4)


@pytest.mark.skipif(bpy.app.version < (4, 3), reason="the bpy 4.2 module has no sound")
def test_its_keys_move_with_the_strip(registered, scene, piano, motion, tmp_path):
    armature = add_character(scene, "Mixamo", Build())
    editor = scene.sequence_editor_create()
    made = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = made.new_sound(name="song", filepath=str(clicks(tmp_path / "song.wav")), channel=1, frame_start=int(FRAME))
    take = takes.add(scene, motion, REPORT, FRAME)
    take.strip = strip.name
    keyed, _ = key(scene, armature, piano, motion, uid=take.uid)
    action = bpy.data.actions[keyed.action]
    own = action.copy()
    before = tuple(action.frame_range)
    if hasattr(strip, "content_start"):
        strip.content_start = int(FRAME) + 20
    else:
        strip.frame_start = int(FRAME) + 20
    assert bpy.ops.piano_hands.resync() == {"FINISHED"}
    assert tuple(action.frame_range) == (before[0] + 20, before[1] + 20)
    assert tuple(own.frame_range) == before, "a copy is the user's"


def test_a_hand_of_the_rig_is_no_character(registered, scene, piano):
    hand = rig.find_rigs(scene)[0].hands[1]
    bpy.context.view_layer.objects.active = hand
    assert not bpy.ops.piano_hands.key_character.poll()


def test_what_is_not_matched_is_told(scene, piano, motion):
    armature = add_character(scene, "Mixamo", Build(extra=True))
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    bones.remove(bones["RightHandRing3"])
    bones["LeftHandPinky2"].name = "Odd"
    bpy.ops.object.mode_set(mode="OBJECT")
    keyed, mapping = key(scene, armature, piano, motion)
    assert "ring3" not in mapping[RIGHT] and "pinky2" not in mapping[LEFT]
    told = "\n".join(keyed.remarks)
    assert "right hand was found for ring3." in told and "left hand was found for pinky2." in told
    assert "Odd" in told and "LeftHandIndex4" in told
    assert keyed.off <= 3 and (keyed.off == 0 or "more than 3 mm off" in told)


def test_an_arm_too_short_is_told(scene, piano, motion):
    armature = add_character(scene, "Mixamo", Build(connected=True))
    armature.location.y = -1.6
    bpy.context.view_layer.update()
    keyed, _ = key(scene, armature, piano, motion)
    told = "\n".join(keyed.remarks)
    assert keyed.off == keyed.notes and "cm too short: move the character closer" in told


def test_refusals_change_nothing(scene, piano, motion):
    armature = add_character(scene, "Mixamo", Build())
    count = len(bpy.data.actions)
    for mapping, sentence in (
        ({LEFT: {}}, "no hand|No hand"),
        ({LEFT: {"wrist": "Nowhere"}}, "has no bone Nowhere"),
        ({LEFT: {"wrist": "LeftHand", "index1": "LeftHand"}}, "stands for two joints"),
        ({LEFT: {"wrist": "LeftHand"}}, "too few finger bones"),
    ):
        with pytest.raises(UserError, match=sentence):
            characters.key_character(armature, mapping, piano, motion, scene, FRAME, name="x")
    armature.scale = (1, 2, 1)
    bpy.context.view_layer.update()
    with pytest.raises(UserError, match="apply its scale"):
        key(scene, armature, piano, motion)
    assert len(bpy.data.actions) == count and not armature.animation_data


def test_names_of_well_known_rigs_are_found():
    for convention in bone_names.CONVENTIONS:
        prefix = {"Mixamo": "mixamorig9:", "VRoid": "J_Bip_"}.get(convention.name, convention.prefix)
        names = [prefix + name for side in (LEFT, RIGHT) for name in convention.bones(side).values()]
        found = bone_names.detect([*names, "Spine", "Head"])
        assert found.convention == convention.name
        assert not found.missing(LEFT) + found.missing(RIGHT)
    assert bone_names.detect(["Bone", "Bone.001"]).bones == {}
    ours = [bone_names.side_of(name) for name in ("Hand.L", "MANO_right", "hand_r.001", "Hero", "LeftHand")]
    assert ours == [LEFT, RIGHT, RIGHT, None, LEFT]
    alone = bone_names.detect(bone_names.PARTS[:16], LEFT)
    assert set(alone.bones) == {LEFT} and not alone.missing(LEFT)


def test_buttons(registered, scene, piano, motion, tmp_path, monkeypatch):
    monkeypatch.setattr(character_mapping, "folder", lambda create=False: tmp_path)
    assert not bpy.ops.piano_hands.detect_bones.poll()
    armature = add_character(scene, "Unreal", Build(unit=0.01))
    assert bpy.ops.piano_hands.detect_bones() == {"FINISHED"}
    kept = character_mapping.kept(scene, armature)
    assert kept.convention == "Unreal" and kept.left_index1 == "index_01_l" and kept.right_upper_arm == "upperarm_r"
    assert not bpy.ops.piano_hands.key_character.poll()
    takes.add(scene, motion, REPORT, FRAME)
    kept.right_pinky3 = ""
    assert bpy.ops.piano_hands.save_mapping(name="My/Rig") == {"FINISHED"}
    kept.left_wrist = ""
    assert bpy.ops.piano_hands.load_mapping(preset="My_Rig") == {"FINISHED"}
    assert kept.left_wrist == "hand_l" and kept.right_pinky3 == "" and kept.convention == "My_Rig"
    assert bpy.ops.piano_hands.key_character() == {"FINISHED"}
    assert "right hand was found for pinky3" in kept.told
    action = armature.animation_data.action
    assert action.name == "Hero.take-001" and action["piano_hands_take"] == takes.active(scene).uid
    assert bpy.ops.piano_hands.remove_mapping(preset="My_Rig") == {"FINISHED"} and not list(tmp_path.iterdir())
