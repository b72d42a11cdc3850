# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light, floor, cameras and render settings: what makes a first render look good without any set-up."""

import bpy
from looks import Looks
from mathutils import Vector
from meshes import add_object
from piano import FLOOR_Z

# name: (place, looks at, focal length in mm)
CAMERAS = {
    "Camera.Top": ((0.0, -0.045, 1.32), (0.0, -0.045, 0.0), 35.0),
    "Camera.Player": ((0.0, -0.46, 0.74), (0.0, 0.035, 0.0), 24.0),
    "Camera.ThreeQuarter": ((0.41, -0.075, 0.185), (-0.025, 0.012, 0.025), 36.0),
}
# name: (place, looks at, width and height, watts, colour)
LIGHTS = {
    "Light.Key": ((-0.9, -0.5, 1.5), (0.0, 0.05, 0.0), (0.9, 0.9), 38.0, (1.0, 0.94, 0.86)),
    "Light.Fill": ((1.3, -0.9, 0.9), (0.0, 0.0, 0.0), (1.2, 1.2), 10.0, (0.80, 0.89, 1.0)),
    "Light.Rim": ((0.6, 2.0, 0.5), (0.0, 0.0, 0.0), (1.2, 0.4), 34.0, (1.0, 0.97, 0.93)),
}


def build_stage(piano: bpy.types.Object, collection: bpy.types.Collection, looks: Looks) -> None:
    """Cameras, lights and floor, all children of the piano so that they move with it."""
    for name, (place, target, lens) in CAMERAS.items():
        data = bpy.data.cameras.new(name)
        data.lens, data.clip_start = lens, 0.01
        camera = add_object(name, data, collection, piano, place)
        camera.rotation_euler = _aim(place, target)
    for name, (place, target, size, watts, colour) in LIGHTS.items():
        data = bpy.data.lights.new(name, "AREA")
        data.shape, (data.size, data.size_y) = "RECTANGLE", size
        data.energy, data.color = watts, colour
        light = add_object(name, data, collection, piano, place)
        light.rotation_euler = _aim(place, target)
    floor = bpy.data.meshes.new("Floor")
    corners = [(-4, -4, 0), (4, -4, 0), (4, 4, 0), (-4, 4, 0)]
    floor.from_pydata(corners, [], [(0, 1, 2, 3)])
    floor.materials.append(looks.floor)
    add_object("Floor", floor, collection, piano, (0.0, 0.0, FLOOR_Z))


def _aim(place: tuple[float, float, float], target: tuple[float, float, float]) -> tuple[float, float, float]:
    return tuple((Vector(target) - Vector(place)).to_track_quat("-Z", "Y").to_euler())


def set_up_scene(scene: bpy.types.Scene) -> None:
    """World, colour management and render settings of the file that opens."""
    world = bpy.data.worlds.new("Piano Hands World")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    light, seen = nodes["Background"], nodes.new("ShaderNodeBackground")
    light.inputs["Color"].default_value, light.inputs["Strength"].default_value = (0.55, 0.62, 0.72, 1.0), 0.22
    # What the camera sees directly is a dim room, darker than what lights the scene.
    seen.inputs["Color"].default_value, seen.inputs["Strength"].default_value = (0.060, 0.052, 0.048, 1.0), 1.0
    path, mix = nodes.new("ShaderNodeLightPath"), nodes.new("ShaderNodeMixShader")
    links.new(path.outputs["Is Camera Ray"], mix.inputs["Fac"])
    links.new(light.outputs["Background"], mix.inputs[1])
    links.new(seen.outputs["Background"], mix.inputs[2])
    links.new(mix.outputs["Shader"], nodes["World Output"].inputs["Surface"])
    world.color = (0.09, 0.10, 0.12)
    scene.world = world
    scene.camera = bpy.data.objects["Camera.ThreeQuarter"]
    scene.unit_settings.system = "METRIC"
    scene.render.fps = 30
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    scene.render.use_lock_interface = True
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.cycles.samples, scene.cycles.preview_samples = 32, 8
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 6
    scene.eevee.taa_render_samples = 16
    scene.render.engine = "BLENDER_EEVEE_NEXT"  # later versions know it by another name and convert it
    scene.eevee.use_raytracing = False
