# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender window: presses the panel's buttons with a real mouse, looks at what happens, takes pictures.

Arguments after `--`: recording, Python with PyTorch, folder for the pictures and for result.txt.
Each step is a generator that yields the seconds to wait, or a condition to wait for; Blender's loop runs meanwhile.
"""

import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import addon_utils
import bpy

MODULE = "bl_ext.user_default.s2c_piano_hands"
RECORDING, INTERPRETER, OUT = sys.argv[sys.argv.index("--") + 1 :]
LONGEST = 180.0  # s for one wait, on a busy machine
job = sys.modules[f"{MODULE}.s2c_blender.blender.job"]

# Height of the middles of the panel's rows below the top of the sidebar, in pixels at resolution scale 1.
Steps = Iterator[float | Callable[[], bool]]

ROWS = {"add rig": 90, "generate": 143, "cancel": 196, "compare": 232, "preview": 388, "insert keys": 409}
# Of sub-panels, before there are takes.
HEADERS = {"performer": 180, "video": 232, "export": 258, "piano model": 284, "character": 310}
ROWS |= {"ghost": 436, "regenerate": 461, "options": 541}


def settings():
    return bpy.context.window_manager.windows[0].scene.piano_hands


def window():
    return bpy.context.window_manager.windows[0]


def area(kind: str = "VIEW_3D"):
    return next(a for a in window().screen.areas if a.type == kind)


def region(kind: str = "UI", space: str = "VIEW_3D"):
    return next(r for r in area(space).regions if r.type == kind)


def mouse(*words) -> None:
    """xdotool, never waited for: Blender's loop must go on."""
    subprocess.Popen(["xdotool", *map(str, words)])


def point(x: float, y: float) -> tuple[int, int]:
    """Screen place of a place in Blender's window, whose y runs up."""
    return int(x), int(window().height - y)


def press(row: str, reached: Callable[[], bool], across: float = 0.4) -> Steps:
    """Click on a row until what it should do has happened: a busy machine may miss a click."""
    for _ in range(3):
        sidebar = region()
        x, y = point(sidebar.x + sidebar.width * across, sidebar.y + sidebar.height - ROWS[row])
        mouse("mousemove", x, y, "sleep", "0.4", "click", "1")
        end = time.monotonic() + 8.0
        yield lambda end=end: reached() or time.monotonic() > end
        if reached():
            return
    raise AssertionError(f"{row} does nothing")


def running() -> bool:
    return job.state.run is not None


def idle() -> bool:
    return job.state.run is None


def hover_viewport() -> None:
    """Keys go to the region under the mouse."""
    view = area()
    mouse("mousemove", *point(view.x + view.width * 0.3, view.y + view.height * 0.5))


def keys(*names: str) -> Steps:
    """Press keys over the viewport."""
    hover_viewport()
    yield 0.5
    mouse("key", *names)
    yield 1.5


def picture(name: str) -> None:
    subprocess.run(["scrot", "-o", f"{OUT}/{name}.png"], check=True)


def rigs() -> list:
    return [obj for obj in bpy.data.objects if obj.name.startswith("Hand.") and obj.type == "ARMATURE"]


def wrist() -> tuple:
    hand = bpy.data.objects["Hand.R"].evaluated_get(bpy.context.evaluated_depsgraph_get())
    return tuple(round(v, 5) for v in hand.pose.bones["wrist"].location)


def previewed() -> bool:
    return "piano_hands_preview" in settings().rig


def fraction() -> float:
    return job.state.run.fraction if job.state.run else 0.0


def show_tab(space: str) -> Steps:
    area(space).spaces.active.show_region_ui = True
    yield 1.0
    region("UI", space).active_panel_category = "Piano Hands"
    area(space).tag_redraw()
    yield 1.0


def add_strip() -> None:
    scene = bpy.context.scene
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strips.new_sound(name=Path(RECORDING).stem, filepath=RECORDING, channel=1, frame_start=1)
    bpy.ops.ed.undo_push(message="Add Sound")
    area().tag_redraw()


def panels_opened() -> Steps:
    """Each sub-panel unfolded in turn, the lowest first, so that those above stay where they are."""
    for name in ("character", "piano model", "export", "video", "performer"):
        for picture_wanted in (True, False):
            sidebar = region()
            x, y = point(sidebar.x + sidebar.width * 0.4, sidebar.y + sidebar.height - HEADERS[name])
            mouse("mousemove", x, y, "sleep", "0.4", "click", "1")
            yield 2.5
            if picture_wanted:
                picture(f"panel-{name.replace(' ', '-')}")


def add_rig_and_undo() -> Steps:
    yield from press("add rig", lambda: len(rigs()) == 2, across=0.75)
    yield 1.0
    picture("03-rig")
    yield from keys("ctrl+z")
    assert not rigs() and bpy.context.scene.sequence_editor, "one undo takes the rig away, and only the rig"


def generate_and_cancel() -> Steps:
    yield from press("generate", running)
    yield lambda: fraction() > 0.01
    worker = job.state.run.worker
    yield 1.0
    picture("04-running")
    assert not bpy.ops.piano_hands.generate.poll(), "no second generation beside a running one"
    yield from keys("Escape")
    yield idle
    assert worker.finished and not worker._process.alive
    assert not rigs() and not bpy.data.actions and "Cancelled" in job.state.trouble.sentence
    yield 0.5
    picture("05-cancelled")
    yield from press("generate", running)
    yield lambda: fraction() > 0.01
    yield 1.0  # the panel has just grown
    yield from press("cancel", idle)
    yield 0.5
    assert not rigs()


def generate() -> Steps:
    yield from press("generate", running)
    worst = [0.0, time.monotonic()]

    def done() -> bool:  # called each 0.1 s, unless Blender is stuck
        now = time.monotonic()
        if job.state.run and job.state.run.fraction < 1.0:
            worst[0] = max(worst[0], now - worst[1])
        worst[1] = now
        return idle()

    yield done
    print(f"longest pause of the window while the hands are made: {worst[0]:.2f} s", flush=True)
    assert job.state.trouble is None, job.state.trouble
    assert len(rigs()) == 2 and all(hand.animation_data.action for hand in rigs())
    assert settings().takes[0].told()["notes_played"] > 5
    yield 1.5
    picture("06-generated")


def undo_and_redo() -> Steps:
    yield from keys("ctrl+z")
    assert not rigs() and not settings().takes and not bpy.data.actions, "one undo takes it all away"
    picture("07-undone")
    yield from keys("ctrl+shift+z")
    assert len(rigs()) == 2 and settings().takes
    yield 1.0


def scrub(name: str) -> Steps:
    """Drag over the timeline; the wrist must be elsewhere at the end."""
    timeline = area("DOPESHEET_EDITOR")
    ruler = region("WINDOW", "DOPESHEET_EDITOR")
    y = ruler.y + ruler.height - 10
    left, middle, right = (point(timeline.x + timeline.width * part, y) for part in (0.2, 0.35, 0.5))
    before = wrist(), bpy.context.scene.frame_current
    mouse("mousemove", *left, "sleep", "0.3", "mousedown", 1, "sleep", "0.2", "mousemove", *middle, "sleep", "0.2",
          "mousemove", *right, "sleep", "0.3", "mouseup", 1)  # fmt: skip
    yield 2.5
    after = wrist(), bpy.context.scene.frame_current
    assert after[1] != before[1] and after[0] != before[0], (before, after)
    picture(name)
    bpy.context.scene.frame_set(before[1])


def preview() -> Steps:
    yield from scrub("08-scrubbed")
    actions = [hand.animation_data.action.name for hand in rigs()]
    yield from press("preview", previewed)
    yield from scrub("09-previewed")
    assert [hand.animation_data.action.name for hand in rigs()] == actions
    yield from press("preview", lambda: not previewed())
    yield 0.5


def takes_compared() -> Steps:
    """Another version of some frames, A/B under the preview, then its keys."""
    settings().range, settings().frame_start, settings().frame_end = "CUSTOM", 40, 90
    yield from press("regenerate", running)
    yield idle
    assert job.state.trouble is None and [take.seed for take in settings().takes] == [0, 1], job.state.trouble
    settings().range = "ALL"
    yield 1.0
    picture("10-new-version")
    yield from press("preview", previewed)
    settings().take_index = 0
    bpy.context.scene.frame_set(65)
    yield 0.5
    first = wrist()
    settings().take_index = 1
    yield from press("ghost", lambda: bpy.context.scene.piano_hands_ghost.show)
    settings().take_index = 0
    yield 1.0
    picture("11-ghost")
    bpy.context.scene.piano_hands_ghost.show = False
    yield from press("compare", lambda: settings().take_index == 1, across=0.83)
    assert wrist() != first
    yield from press("compare", lambda: settings().take_index == 0, across=0.83)
    assert wrist() == first
    yield from press("insert keys", lambda: not previewed())
    yield 0.5
    assert wrist() == first and all("take-001" in hand.animation_data.action.name for hand in rigs())


def fifty_takes() -> Steps:
    """How long the panels take to draw with many takes is printed, for the documentation."""
    panels = [cls for cls in bpy.types.Panel.__subclasses__() if cls.__name__.startswith("VIEW_3D_PT_piano_hands")]
    bases = {
        base: base.draw for cls in panels for base in cls.__mro__ if "draw" in vars(base) and MODULE in base.__module__
    }
    spent: list[float] = []

    def timed(draw):
        def drawn(self, context):
            begun = time.perf_counter()
            draw(self, context)
            spent.append(time.perf_counter() - begun)

        return drawn

    first = settings().takes[0]
    for number in range(48):
        take = settings().takes.add()
        take.name, take.uid, take.data, take.report = f"copy-{number}", str(number), first.data, first.report
    for base, draw in bases.items():
        base.draw = timed(draw)
    redraws = 20
    for _ in range(redraws):
        region().tag_redraw()
        yield 0.05
    for base, draw in bases.items():
        base.draw = draw
    print(f"drawing all panels with 50 takes: {sum(spent) / redraws * 1e3:.2f} ms", flush=True)
    assert spent
    for _ in range(48):
        settings().takes.remove(2)


def save_and_reopen() -> Steps:
    path = f"{OUT}/takes.blend"
    before = wrist()
    with bpy.context.temp_override(window=window()):
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
    yield 1.5
    assert len(settings().takes) == 2 and wrist() == before
    yield from show_tab("VIEW_3D")
    yield from press("preview", previewed)
    yield from scrub("12-reopened")
    yield from press("preview", lambda: not previewed())
    fbx = Path(OUT, "hands.fbx")
    with bpy.context.temp_override(window=window(), area=area(), region=region("WINDOW")):
        assert bpy.ops.piano_hands.export_fbx(filepath=str(fbx)) == {"FINISHED"}
    assert fbx.stat().st_size > 100_000


def options_and_trouble() -> Steps:
    """The sub-panel opened, then a Python that is not there: the sentence and the button that cures it."""
    settings().range = "CUSTOM"
    yield from press("options", lambda: True)
    yield 1.5
    picture("13-options")
    settings().range = "ALL"
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.interpreter = "/nowhere/python"
    yield from press("generate", lambda: job.state.trouble is not None)
    yield 1.0
    picture("14-trouble")
    assert idle() and job.state.trouble.cure == "piano_hands.show_preferences"
    preferences.interpreter = INTERPRETER


def sequencer() -> Steps:
    area().type = "SEQUENCE_EDITOR"
    area("SEQUENCE_EDITOR").spaces.active.view_type = "SEQUENCER"
    yield 0.5
    yield from show_tab("SEQUENCE_EDITOR")
    picture("15-sequencer")
    area("SEQUENCE_EDITOR").type = "VIEW_3D"
    yield 0.5


def load_while_running() -> Steps:
    yield from press("generate", running)
    yield lambda: fraction() > 0.01
    worker = job.state.run.worker
    with bpy.context.temp_override(window=window()):
        bpy.ops.wm.read_homefile()
    yield 1.0
    assert idle() and not worker._process.alive and not rigs()
    yield from show_tab("VIEW_3D")
    assert job.state.trouble is None
    picture("16-loaded")


def disable_while_running() -> Steps:
    add_strip()
    yield 1.0
    yield from press("generate", running)
    yield lambda: fraction() > 0.01
    worker = job.state.run.worker
    addon_utils.disable(MODULE)
    yield 1.0
    assert not worker._process.alive
    assert not hasattr(bpy.types.Scene, "piano_hands")
    hover_viewport()
    yield 1.0
    picture("17-disabled")


def steps() -> Steps:
    yield from show_tab("VIEW_3D")
    picture("01-no-music")
    bpy.context.preferences.addons[MODULE].preferences.interpreter = INTERPRETER
    add_strip()
    yield 1.0
    picture("02-music")
    parts = [
        panels_opened,
        add_rig_and_undo,
        generate_and_cancel,
        generate,
        undo_and_redo,
        preview,
        takes_compared,
        fifty_takes,
        save_and_reopen,
    ]
    parts += [options_and_trouble, sequencer, load_while_running, disable_while_running]
    for part in parts:
        print(part.__name__, flush=True)
        yield from part()


class Driver:
    def __init__(self):
        self.steps = steps()
        self.until = None

    def __call__(self) -> float:
        try:
            if self.until and not self.until[0]():
                assert time.monotonic() < self.until[1], "waited too long"
                return 0.1
            self.until = None
            wanted = next(self.steps)
            if callable(wanted):
                self.until = wanted, time.monotonic() + LONGEST
                return 0.1
            return wanted
        except StopIteration:
            finish("OK")
        except BaseException:
            picture("failed")
            finish(traceback.format_exc())


def finish(result: str) -> None:
    Path(OUT, "result.txt").write_text(result)
    bpy.ops.wm.quit_blender()


bpy.context.preferences.view.show_splash = False  # it would take the first click
bpy.app.timers.register(Driver(), first_interval=3.0, persistent=True)  # it outlives loading a file
