# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences page: what its buttons do and say, without a network and without waiting for large files."""

import logging
import time
from pathlib import Path
from unittest.mock import MagicMock

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy module")

from s2c_blender.blender import background, job, preferences, preferences_ui  # noqa: E402
from s2c_blender.errors import Cancelled, UserError  # noqa: E402
from s2c_blender.pytorch import interpreters  # noqa: E402
from s2c_blender.pytorch.flavours import PYTHON, Flavour  # noqa: E402
from s2c_blender.pytorch.folder import COMPLETE  # noqa: E402


@pytest.fixture
def page(scene, monkeypatch, tmp_path) -> Path:
    """The page registered, with a user's folder of its own."""
    for module in (preferences, preferences_ui):
        monkeypatch.setattr(module, "user_folder", lambda name: tmp_path / name)
    monkeypatch.setattr(preferences, "cache_folder", lambda context: tmp_path / "cache")
    monkeypatch.setattr(preferences, "_cache_seen", None)
    (tmp_path / "cache").mkdir()
    preferences.register()
    yield tmp_path
    preferences.unregister()
    assert background.state == background.State()


@pytest.fixture
def with_timers(monkeypatch):
    """Tasks run as in a Blender with windows; the timer is called by hand."""
    monkeypatch.setattr(background, "bpy", MagicMock(app=MagicMock(background=False)))


def installed(folder: Path, kind: str = "cpu") -> Path:
    """A finished, empty installation for this Python."""
    packages = folder / "pytorch" / f"{kind}-cp{PYTHON.replace('.', '')}"
    packages.mkdir(parents=True)
    (packages / COMPLETE).write_text("{}")
    return packages


def drawn() -> tuple[list[str], list[dict]]:
    """What the page shows: all texts, and the operators with their arguments."""
    layout = MagicMock()
    for name in ("box", "column", "row", "split"):
        getattr(layout, name).return_value = layout
    chosen = MagicMock(layout=layout, interpreter="", kind="CPU")
    context = MagicMock()
    context.preferences.system.ui_scale, context.region.width = 1.0, 600
    preferences_ui.draw(chosen, context)
    texts = [call.kwargs["text"] for call in layout.label.call_args_list + layout.progress.call_args_list]
    return texts, [{"id": call.args[0], **call.kwargs} for call in layout.operator.call_args_list]


def test_every_setting_of_the_page_is_explained():
    for name, prop in preferences.PianoHandsPreferences.__annotations__.items():
        told = prop.keywords["description"]
        assert told and not told.endswith("."), name
        for item in prop.keywords.get("items", ()):
            assert item[2] and not item[2].endswith("."), item
    for name in preferences.Defaults.__dataclass_fields__:
        kept = preferences.PianoHandsPreferences.__annotations__[name].keywords.get("default", "")
        assert kept == getattr(preferences.Defaults(), name), name


def test_the_page_shows_sizes_and_what_is_installed(page):
    texts, operators = drawn()
    [install] = [one for one in operators if one["id"] == "piano_hands.install_pytorch"]
    assert install["text"].startswith("Install PyTorch (") and install["text"].endswith(" MB)")
    assert "piano_hands.remove_pytorch" not in [one["id"] for one in operators]
    (page / "cache" / "notes").mkdir()
    (page / "cache" / "notes" / "a.npz").write_bytes(bytes(2_500_000))
    preferences._cache_seen = None
    installed(page)
    texts, operators = drawn()
    assert any(text.startswith("Installed: ") for text in texts)
    by_id = {one["id"]: one for one in operators}
    assert "piano_hands.install_pytorch" not in by_id and "piano_hands.remove_pytorch" in by_id
    assert by_id["piano_hands.clear_cache"]["text"] == "Clear Cache (2.5 MB)"


def test_the_cache_is_not_measured_at_every_redraw(page, monkeypatch):
    assert preferences.cache_bytes(bpy.context) == 0
    (page / "cache" / "a.npz").write_bytes(bytes(100))
    assert preferences.cache_bytes(bpy.context) == 0
    monkeypatch.setattr(preferences, "CACHE_SEEN_S", -1.0)
    assert preferences.cache_bytes(bpy.context) == 100


def test_clear_cache(page):
    Clear = preferences_ui.PIANO_HANDS_OT_clear_cache
    assert Clear.disabled_reason(bpy.context) == "The cache is empty"
    (page / "cache" / "a.npz").write_bytes(bytes(100))
    preferences._cache_seen = None
    assert bpy.ops.piano_hands.clear_cache() == {"FINISHED"}
    assert not any((page / "cache").iterdir()) and preferences.cache_bytes(bpy.context) == 0


def test_greyed_while_offline(page, monkeypatch):
    for allowed in (False, True):
        monkeypatch.setattr(preferences_ui, "online", lambda allowed=allowed: allowed)
        for cls in (preferences_ui.PIANO_HANDS_OT_install_pytorch, preferences_ui.PIANO_HANDS_OT_download_model):
            assert ("offline" in cls.disabled_reason(bpy.context)) == (not allowed)
    monkeypatch.setattr(preferences_ui, "flavours", list)
    assert "no PyTorch for this" in preferences_ui.PIANO_HANDS_OT_install_pytorch.disabled_reason(bpy.context)


def test_greyed_while_hands_are_made(page, monkeypatch):
    monkeypatch.setattr(job.state, "run", object())
    for cls in preferences_ui.CLASSES[:-1]:
        assert "hands are being made" in cls.disabled_reason(bpy.context)


def test_install_reports_what_works_then(page, monkeypatch):
    """The button from end to end, except that nothing is downloaded."""
    asked = []

    def install(flavour, folder, *, online, on_progress):
        on_progress("downloading", 0.5)
        asked.append((flavour.kind, folder, online))
        return installed(page)

    found = interpreters.Found("python", "3.11.0", {"torch": "2.13.0"}, "", (), "", "")
    monkeypatch.setattr("s2c_blender.pytorch.install.install", install)
    monkeypatch.setattr(interpreters, "find", lambda *what: found)
    monkeypatch.setattr(preferences_ui, "online", lambda: True)
    monkeypatch.setattr(preferences_ui, "flavours", lambda: [Flavour("linux-x64", "cpu", PYTHON, "", ())])
    assert bpy.ops.piano_hands.install_pytorch() == {"FINISHED"}
    assert asked == [("cpu", page / "pytorch", True)]
    assert background.state.told.good and background.state.told.sentence.startswith("Installed: Python 3.11.0, PyTorch")
    assert preferences.packages() == [str(next((page / "pytorch").iterdir()))]
    assert preferences_ui.launch(bpy.context)["search_paths"][:1] == preferences.packages()
    broken = interpreters.Found("python", "3.11.0", {"torch": "2.13.0"}, "", (), "", "OSError: no libfoo")
    monkeypatch.setattr(interpreters, "find", lambda *what: broken)
    monkeypatch.setattr("s2c_blender.pytorch.install.install", lambda *what, **how: None)
    with pytest.raises(RuntimeError, match="does not start"):
        bpy.ops.piano_hands.install_pytorch()


def test_remove_pytorch(page):
    Remove = preferences_ui.PIANO_HANDS_OT_remove_pytorch
    assert Remove.disabled_reason(bpy.context) == "No PyTorch was installed here"
    installed(page)
    assert bpy.ops.piano_hands.remove_pytorch() == {"FINISHED"}
    assert not (page / "pytorch").exists() and preferences.packages() == []


def test_check_says_what_the_worker_has(page, monkeypatch):
    how = {"interpreter": None, "python_args": ("-I", "-S"), "search_paths": []}  # where importing takes no time
    monkeypatch.setattr(preferences_ui, "launch", lambda context: how)
    assert bpy.ops.piano_hands.check_interpreter() == {"FINISHED"}
    assert background.state.told.sentence.startswith(f"Python {PYTHON}")
    assert background.state.told.topic == "interpreter" and background.state.told.sentence in " ".join(drawn()[0])


def test_model_needs_pytorch_before_6_gb_are_downloaded(page, monkeypatch):
    monkeypatch.setattr(preferences_ui, "online", lambda: True)
    nothing = interpreters.Found("python", "3.11.0", {}, "", (), "", "")
    monkeypatch.setattr(interpreters, "look", lambda **options: nothing)
    with pytest.raises(RuntimeError, match="install PyTorch first"):
        bpy.ops.piano_hands.download_model()
    with pytest.raises(RuntimeError, match="install PyTorch first"):
        bpy.ops.piano_hands.import_model(directory=str(page))
    assert not (page / "release").exists()


def test_model_downloaded_converted_and_tidied_up(page, monkeypatch):
    steps = []

    def download(folder, *, online, on_progress):
        folder.mkdir()
        on_progress("downloading", 1.0)
        steps.append((folder, online))

    monkeypatch.setattr("s2c_blender.pytorch.released.download", download)
    monkeypatch.setattr("s2c_blender.pytorch.released.convert", lambda *what, **how: steps.append((*what, how["half"])))
    monkeypatch.setattr(preferences_ui, "need_packages", lambda options: None)
    monkeypatch.setattr(preferences_ui, "online", lambda: True)
    assert bpy.ops.piano_hands.download_model(half=True) == {"FINISHED"}
    assert steps == [(page / "release", True), (page / "release", page / "models" / "published", True)]
    assert not (page / "release").exists()
    assert str(page / "models" / "published") in background.state.told.sentence


def test_a_task_runs_beside_blender_and_is_cancelled(page, with_timers):
    def action(tell):
        for step in range(1000):
            tell("working", step / 1000)
            time.sleep(0.01)

    background.run("pytorch", "Installing PyTorch", action, lambda result: "never")
    task = background.state.task
    while not task.fraction:
        time.sleep(0.01)
    assert background._follow() == background.INTERVAL_S
    assert "Installing PyTorch" in preferences_ui.PIANO_HANDS_OT_clear_cache.disabled_reason(bpy.context)
    texts, operators = drawn()
    assert any(text.startswith("working") for text in texts)
    assert "piano_hands.cancel_task" in [one["id"] for one in operators]
    assert bpy.ops.piano_hands.cancel_task() == {"FINISHED"}
    assert task.wait(5.0) and background._follow() is None
    assert not background.state.told.good and background.state.told.sentence.startswith("Cancelled")
    assert preferences_ui.PIANO_HANDS_OT_cancel_task.disabled_reason(bpy.context) == "Nothing is under way"


def test_errors_of_tasks(page, with_timers):
    for problem, told in ((UserError("It is full: try less."), "It is full: try less."), (Cancelled(), "Cancelled")):

        def action(tell, problem=problem):
            raise problem

        background.run("model", "x", action, str)
        background.state.task.wait(5.0)
        assert background._follow() is None
        assert background.state.told.sentence.startswith(told) and not background.state.told.good


def test_disabling_ends_what_runs(page, with_timers):
    ended = []

    def action(tell):
        try:
            while True:
                tell("working", 0.5)
                time.sleep(0.01)
        finally:
            ended.append(True)

    background.run("model", "x", action, str)
    background.unregister()
    assert ended == [True] and background.state == background.State()


def test_log_goes_to_the_console(page, capsys):
    logger = logging.getLogger("s2c_blender")
    assert preferences._console in logger.handlers
    assert logger.level == logging.WARNING
    assert len([one for one in logger.handlers if one is preferences._console]) == 1
