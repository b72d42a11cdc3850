# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m s2c_blender model ...`: reports, exit codes, and Blender's say about the network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from s2c_blender import cli
from s2c_blender.errors import ENVIRONMENT, INPUT_FAILED, UserError
from s2c_blender.model import commands, release
from tests.model import tiny_release as tiny


@pytest.fixture
def run(capsys):
    """Function (*arguments after `model`) -> exit code, report, stderr."""

    def call(*arguments, **options) -> tuple[int, dict, str]:
        code = cli.main(["model", *(str(a) for a in arguments)], **options)
        printed = capsys.readouterr()
        return code, json.loads(printed.out or "{}"), printed.err

    return call


def test_import_and_info(run, tmp_path):
    states = tiny.write_release(tmp_path / "release")
    code, report, told = run("import", tmp_path / "release", tmp_path / "model", "--half", "--as-trained")
    assert code == 0, told
    assert report["outputs"] == {"model": str(tmp_path / "model")}
    assert "importing the left hand" in told
    code, again, said = run("info", tmp_path / "model")
    assert code == 0
    lines = [f"model: {tmp_path / 'model'}"]
    lines += [f"{hand} hand: {again['parameters'][hand]['total']:,} parameters" for hand in ("left", "right")]
    assert said.splitlines()[:-1] == lines
    assert said.splitlines()[-1].startswith(f"stored as F16, {again['bytes']:,} bytes")
    assert told.endswith(said)
    assert all(again[key] == report[key] for key in ("config", "parameters", "stored_as", "bytes"))
    assert again["stored_as"] == ["F16"]
    assert again["config"]["gesture"]["refiner"]["causal_bias"] == "never"
    assert again["bytes"] == sum(path.stat().st_size for path in (tmp_path / "model").glob("*.safetensors"))
    left = again["parameters"]["left"]
    hubert = [value for name, value in states["left"].items() if "audio_encoder_cont" in name and "lm_head" not in name]
    assert left["position.encoder"] == sum(value.numel() for value in hubert)
    assert left["total"] == sum(count for part, count in left.items() if part != "total")
    assert left == again["parameters"]["right"]


def test_quiet(run, tmp_path):
    tiny.write_release(tmp_path / "release")
    assert run("--quiet", "import", tmp_path / "release", tmp_path / "model")[2] == ""
    assert run("--quiet", "info", tmp_path / "model")[2] == ""


def test_hubert_is_passed_on_only_when_given(run, tmp_path, monkeypatch):
    asked = []

    def imported(*_, **options):
        asked.append(options.get("hubert", "not given"))
        raise UserError("Enough.")

    monkeypatch.setattr(release, "import_release", imported)
    run("import", tmp_path, tmp_path / "model")
    run("import", tmp_path, tmp_path / "model", "--hubert", tmp_path / "hubert")
    assert asked == ["not given", tmp_path / "hubert"]


def test_what_is_missing_has_its_sentence(run, tmp_path):
    code, report, told = run("import", tmp_path, tmp_path / "model")
    assert code == report["exit_code"] == INPUT_FAILED
    assert "no S2C release there" in report["error"]
    assert report["error"] in told
    code, report, _ = run("info", tmp_path)
    assert code == INPUT_FAILED
    assert "holds no model" in report["error"]


@pytest.mark.parametrize("arguments", [[], ["dance"], ["import", "one"], ["download"]])
def test_bad_arguments(run, arguments):
    assert run(*arguments)[0] == 2


def test_help(capsys):
    assert cli.main(["model", "--help"]) == 0
    assert "download" in capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert "model --help" in capsys.readouterr().out


def test_download_outside_blender_needs_no_further_consent(run, tmp_path, monkeypatch):
    def fetched(folder: Path, *, online: bool, on_progress) -> list[Path]:
        assert online
        on_progress("downloading", 0.5)
        return [folder / "args.txt"]

    monkeypatch.setattr(commands, "fetch_release", fetched)
    code, report, told = run("download", tmp_path / "release")
    assert (code, report["files"]) == (0, [str(tmp_path / "release" / "args.txt")])
    assert "downloading ... 50%" in told
    assert told.endswith(f"release: {tmp_path / 'release' / 'args.txt'}\n")


def test_blender_is_asked_whether_it_may_go_online(run, tmp_path):
    bpy = pytest.importorskip("bpy", reason="needs the bpy module")
    if bpy.app.online_access:
        pytest.skip("this Blender allows online access")
    code, report, _ = run("download", tmp_path / "release", in_blender=True)
    assert code == ENVIRONMENT
    assert "Blender is set to be offline" in report["error"]
    assert not list(tmp_path.iterdir())


WITHOUT_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "safetensors", "transformers"):
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Missing())
from s2c_blender.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("arguments", [["info", "x"], ["import", "x", "y"]])
def test_without_pytorch(tmp_path, arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, "model", *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == ENVIRONMENT
    assert "need the Python package" in json.loads(done.stdout)["error"]
