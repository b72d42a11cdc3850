# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch's installation from a server on this machine: broken off, lied to, resumed, replaced and removed."""

import hashlib
import io
import re
import shutil
import stat
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from s2c_blender.errors import ENVIRONMENT, Cancelled, UserError
from s2c_blender.model import fetch as fetching
from s2c_blender.pytorch import folder as folders
from s2c_blender.pytorch.flavours import PYTHON, Flavour, Wheel, flavours, this_platform
from s2c_blender.pytorch.install import install
from s2c_blender.pytorch.wheel import unpack
from tests.model.test_download import Answer, Server

PLATFORMS = ("linux-x64", "windows-x64", "macos-arm64")
BIG = bytes(range(256)) * 4096  # 1 MB, four blocks of a download


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetching, "WAIT_S", 0.001)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def archive(files: dict[str, bytes | str], modes: dict[str, int] | None = None) -> bytes:
    """A zip of name -> content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, 0o100644) << 16
            file.writestr(info, content)
    return buffer.getvalue()


def serve(server: Server, name: str, content: bytes, sha256: str | None = None) -> Wheel:
    """A wheel on the server; `sha256` is a lie if given."""
    digest = sha256 or hashlib.sha256(content).hexdigest()
    return Wheel(name, server.put(f"/{name}", Answer(content)), len(content), digest)


def flavour_of(*wheels: Wheel, kind: str = "cpu") -> Flavour:
    return Flavour("linux-x64", kind, PYTHON, "", wheels)


@pytest.fixture
def flavour(server) -> Flavour:
    """Three small wheels, the second of four download blocks."""
    small = archive({"one/__init__.py": "a = 1", "one-1.dist-info/METADATA": "Name: one"})
    big = archive({"two/data.bin": BIG, "two/__init__.py": ""})
    last = archive({"three.py": "c = 3"})
    return flavour_of(serve(server, "one.whl", small), serve(server, "two.whl", big), serve(server, "three.whl", last))


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_installed_whole_with_progress_and_nothing_left_over(flavour, tmp_path):
    told = []
    packages = install(flavour, tmp_path, online=True, on_progress=lambda *what: told.append(what))
    assert names(tmp_path) == {
        f"{packages.name}/{name}"
        for name in (
            "one/__init__.py",
            "one-1.dist-info/METADATA",
            "two/data.bin",
            "two/__init__.py",
            "three.py",
            folders.COMPLETE,
        )
    }
    assert (packages / "two/data.bin").read_bytes() == BIG
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and 0.2 < fractions[len(fractions) // 2] < 1.0
    assert {stage for stage, _ in told} == {"downloading", "unpacking"}
    assert folders.installed(tmp_path) == packages and folders.installed(tmp_path, "3.99") is None


def test_offline_makes_nothing(flavour, server, tmp_path):
    with pytest.raises(UserError, match="online access") as refused:
        install(flavour, tmp_path / "new", online=False)
    assert refused.value.exit_code == ENVIRONMENT
    assert not (tmp_path / "new").exists() and not server.asked


def test_goes_on_where_it_was_cancelled(flavour, server, tmp_path):
    def cancel(stage, fraction):
        if len([asked for asked in server.asked if asked[0] == "/two.whl"]) and fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        install(flavour, tmp_path, online=True, on_progress=cancel)
    assert folders.installed(tmp_path) is None and folders.remainder(tmp_path)
    before = (tmp_path / "downloads/two.whl.part").stat().st_size
    assert 0 < before < flavour.wheels[1].size
    server.asked.clear()
    packages = install(flavour, tmp_path, online=True)
    assert [(path, wanted) for path, wanted, _ in server.asked] == [
        ("/two.whl", f"bytes={before}-"),
        ("/three.whl", ""),
    ]
    assert (packages / "two/data.bin").read_bytes() == BIG and not (tmp_path / "downloads").exists()


def test_cancelled_while_unpacking(flavour, tmp_path):
    def cancel(stage, fraction):
        if stage == "unpacking":
            raise Cancelled

    with pytest.raises(Cancelled):
        install(flavour, tmp_path, online=True, on_progress=cancel)
    assert folders.installed(tmp_path) is None
    assert folders.installed(tmp_path) or install(flavour, tmp_path, online=True) == folders.installed(tmp_path)


def test_a_download_that_lies_is_refused(flavour, server, tmp_path):
    lie = serve(server, "two.whl", archive({"two/__init__.py": "evil"}), "0" * 64)
    with pytest.raises(UserError, match="damaged"):
        install(flavour_of(flavour.wheels[0], lie), tmp_path, online=True)
    assert folders.installed(tmp_path) is None
    assert not [name for name in names(tmp_path) if "two" in name]


def test_another_kind_takes_the_place_and_a_newer_lock_begins_anew(flavour, server, tmp_path):
    older = install(flavour, tmp_path, online=True)
    newer = install(flavour_of(*flavour.wheels[::2], kind="cuda"), tmp_path, online=True)
    assert not older.exists() and [path.name for path in tmp_path.iterdir()] == [newer.name]
    # Broken off after a wheel that the next version of the lock does not have any more.
    part = tmp_path / f"{flavour.key}.part"
    part.mkdir()
    (part / ".unpacked").write_text("gone.whl\n")
    (part / "gone.py").write_text("")
    assert "gone.py" not in names(install(flavour, tmp_path, online=True))


def test_removed_without_traces(flavour, tmp_path):
    folder = tmp_path / "pytorch"
    install(flavour, folder, online=True)
    (folder / "cuda-cp399.part").mkdir()
    (folder / "mps-cp399.removed").mkdir()  # a removal that was broken off
    folders.remove(folder)
    assert not any(tmp_path.iterdir())
    folders.remove(folder)  # twice is once


def test_packages_in_use_stay_whole(flavour, tmp_path, monkeypatch):
    packages = install(flavour, tmp_path, online=True)

    def in_use(self, target):
        raise PermissionError(13, "in use")

    with monkeypatch.context() as windows:
        windows.setattr(Path, "rename", in_use)
        with pytest.raises(UserError, match="in use"):
            folders.remove(tmp_path)
    assert folders.installed(tmp_path) == packages and (packages / "three.py").exists()


def test_full_disk(flavour, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 1000))
    with pytest.raises(UserError, match="disk is full"):
        install(flavour, tmp_path, online=True)
    assert not [name for name in names(tmp_path) if name.endswith(".whl")]


@pytest.mark.parametrize(
    ("name", "mode"),
    [("../out.py", 0o100644), ("/out.py", 0o100644), ("a/../../out.py", 0o100644), ("C:/out.py", 0o100644)]
    + [("a\\..\\out.py", 0o100644), ("a/b:stream", 0o100644), ("link.py", stat.S_IFLNK | 0o777)],
)
def test_archives_with_paths_outside_unpack_nothing(tmp_path, name, mode):
    wheel, folder = tmp_path / "evil.whl", tmp_path / "in" / "packages"
    wheel.write_bytes(archive({"good.py": "", name: "evil"}, {name: mode}))
    # zipfile itself replaces backslashes where they are separators, and nothing else
    with pytest.raises(UserError, match="outside its folder"):
        unpack(wheel, folder, lambda fraction: None)
    assert names(tmp_path) == {"evil.whl"}


def test_unpacked_as_pip_would_without_headers(tmp_path):
    deep = "torch-1.dist-info/licenses/third_party/a/b/c/LICENSE"
    content = {
        "pkg/__init__.py": "",
        "pkg-1.data/purelib/pure.py": "",
        "pkg-1.data/platlib/sub/plat.py": "",
        "pkg-1.data/scripts/run": "",
        "pkg-1.data/data/share/man": "",
        "torch/include/c10/x.h": "",
        "torch/lib/dnnl.lib": "",
        "torch/lib/real.so": "",
        "nvidia/cu13/include/cuda.h": "",
        "nvidia/cudnn/include/cudnn.h": "",
        "torch/bin/manager": "",
        deep: "free",
    }
    wheel = tmp_path / "pkg.whl"
    wheel.write_bytes(archive(content, {"torch/bin/manager": 0o100755}))
    unpack(wheel, tmp_path / "in", lambda fraction: None)
    found = names(tmp_path / "in")
    licences = {name for name in found if name.endswith("LICENSE")}
    assert found - licences == {
        "pkg/__init__.py",
        "pure.py",
        "sub/plat.py",
        "torch/lib/real.so",
        "torch/bin/manager",
    }
    assert len(licences) == 1 and all(len(name) < 60 for name in licences)
    assert (tmp_path / "in/torch/bin/manager").stat().st_mode & 0o111


def test_damaged_archive(tmp_path):
    wheel = tmp_path / "broken.whl"
    wheel.write_bytes(archive({"a.py": "x" * 1000})[:-30])
    with pytest.raises(UserError, match="damaged"):
        unpack(wheel, tmp_path / "in", lambda fraction: None)


def test_every_flavour_of_the_lock_is_complete():
    everything = [
        one for system in PLATFORMS for python in ("3.11", "3.13", "3.14") for one in flavours(system, python)
    ]
    kinds = {(one.platform, one.kind, one.python) for one in everything}
    assert len(kinds) == len(everything) == 14
    for system, kind in (("linux-x64", "cpu"), ("linux-x64", "cuda"), ("windows-x64", "cpu"), ("macos-arm64", "mps")):
        assert {(system, kind, python) for python in ("3.11", "3.13", "3.14")} <= kinds
    assert {("windows-x64", "cuda", "3.11"), ("windows-x64", "cuda", "3.13")} <= kinds
    for one in everything:
        packages = [wheel.name.partition("-")[0] for wheel in one.wheels]
        assert len(set(packages)) == len(packages)
        assert {"torch", "transkun", "safetensors", "transformers", "sympy", "jinja2", "typing_extensions"} <= {
            *packages
        }
        assert "numpy" not in packages
        tag = f"cp{one.python.replace('.', '')}"
        [torch] = [wheel for wheel in one.wheels if wheel.name.startswith("torch-")]
        assert f"-{tag}-{tag}-" in torch.name and bool(one.cuda) == (one.kind == "cuda")
        for wheel in one.wheels:
            assert re.match(r"https://(files\.pythonhosted\.org/packages|download\.pytorch\.org/whl)/", wheel.url)
            assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256) and wheel.size > 1000
            assert re.search(rf"-({tag}|py3|py2\.py3|cp3\d+-abi3)", wheel.name), wheel.name
        assert one.size < {"cpu": 3e8, "mps": 2.1e8, "cuda": 2.9e9}[one.kind]
    assert [one.kind for one in flavours("linux-x64", "3.11")] == ["cpu", "cuda"]
    assert flavours("linux-s390x") == [] and this_platform().count("-") == 1
