# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tools.pytorch_lock`: writes s2c_blender/pytorch/wheels.json, what the button "Install PyTorch" fetches.

For each platform, kind (cpu, cuda, mps) and Python: the wheels of PyTorch, transkun (the ears), safetensors and
transformers (HuBERT) with all they need, but never NumPy, which Blender has. Versions are those of requirements*.txt;
what is not there is the newest that fits. Reads package pages, metadata and sizes from pip's index and no large
wheel; the addresses written are the public ones.
"""

import html
import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from urllib.parse import quote, unquote, urljoin, urlsplit

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from .steps import REPO, say, shown

LOCK = REPO / "s2c_blender" / "pytorch" / "wheels.json"
ROOTS = ("torch", "safetensors", "transformers", "transkun")
ALONE = {"transkun"}  # of what it names we need nothing
NEVER = {"numpy"}
PUBLIC_FILES = "https://files.pythonhosted.org/"
PYTORCH_FILES = "https://download.pytorch.org/whl/"
PLATFORMS = {  # Blender's name -> what markers ask for, platforms of tags
    "linux-x64": (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"},
        [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)] + ["manylinux2014_x86_64"],
    ),
    "windows-x64": (
        {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64", "os_name": "nt"},
        ["win_amd64"],
    ),
    "macos-arm64": (
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64", "os_name": "posix"},
        list(mac_platforms((14, 0), "arm64")),
    ),
}
PYTHONS = ("3.11", "3.13", "3.14")
ON_PYPI = {"linux-x64": "cuda", "windows-x64": "cpu", "macos-arm64": "mps"}  # the kind that PyPI has
# Other kinds are on PyTorch's own index only, which tells no SHA-256 of its CUDA wheels (pytorch issue 173099): file,
# SHA-256 and bytes by hand. CUDA 13.0 wheels for Windows and Python 3.11 are nowhere described, hence 12.6 there.
BY_HAND = {
    ("linux-x64", "cpu", "3.11"): (
        "cpu/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
        191794682,
    ),
    ("linux-x64", "cpu", "3.13"): (
        "cpu/torch-2.13.0+cpu-cp313-cp313-manylinux_2_28_x86_64.whl",
        "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",
        191815667,
    ),
    ("linux-x64", "cpu", "3.14"): (
        "cpu/torch-2.13.0+cpu-cp314-cp314-manylinux_2_28_x86_64.whl",
        "d20fa53ee744502fa4c69818a720b05ca0d37abd055d4f6e66cae155114bc691",
        191822516,
    ),
    ("windows-x64", "cuda", "3.11"): (
        "cu126/torch-2.13.0+cu126-cp311-cp311-win_amd64.whl",
        "8095729db14e7fd5178a39676fdd679208eff4041407ea34e3d898336c90f5c5",
        2594548547,
    ),
    ("windows-x64", "cuda", "3.13"): (
        "cu130/torch-2.13.0+cu130-cp313-cp313-win_amd64.whl",
        "cf23236e9deed7d3510d14d9b9592d75d272ef7b35bbfee31a02bea339c73971",
        1915517499,
    ),
}


@dataclass(frozen=True)
class Wheel:
    """A file to fetch."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listed:
    """A wheel as the index lists it."""

    url: str
    name: str
    sha256: str

    @property
    def version(self) -> Version:
        return parse_wheel_filename(self.name)[1]


@dataclass(frozen=True)
class Target:
    """One Python on one platform."""

    platform: str
    python: str

    def tags(self) -> list[Tag]:
        """What it accepts, best first."""
        version, platforms = tuple(map(int, self.python.split("."))), PLATFORMS[self.platform][1]
        interpreter = f"cp{version[0]}{version[1]}"
        return [*cpython_tags(version, None, platforms), *compatible_tags(version, interpreter, platforms)]

    def wants(self, requirement: Requirement, extras: frozenset[str]) -> bool:
        """Whether a requirement of a package taken with `extras` holds here."""
        environment = {**PLATFORMS[self.platform][0], "python_version": self.python}
        environment |= {"python_full_version": f"{self.python}.0", "implementation_name": "cpython"}
        marker = requirement.marker
        return not marker or any(marker.evaluate({**environment, "extra": extra}) for extra in extras or {""})


def main() -> None:
    """Write the lock."""
    wheels: dict[str, Wheel] = {}
    flavours = []
    for platform in PLATFORMS:
        for kind in ("cpu", "cuda", "mps"):
            for python in PYTHONS:
                if (torch := BY_HAND.get((platform, kind, python))) is None and ON_PYPI[platform] != kind:
                    continue
                found = resolve(Target(platform, python), torch)
                wheels |= found
                size = sum(wheel.size for wheel in found.values())
                say(f"{platform}, {kind}, Python {python}: {len(found)} wheels, {size / 1e6:.0f} MB")
                cuda = cuda_of(found) if kind == "cuda" else ""
                flavour = {"platform": platform, "kind": kind, "python": python, "cuda": cuda, "wheels": sorted(found)}
                flavours.append(flavour)
    content = {"wheels": {name: asdict(wheels[name]) for name in sorted(wheels)}, "flavours": flavours}
    LOCK.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    say(f"{shown(LOCK)}: {len(wheels)} wheels, {len(flavours)} flavours")


def resolve(target: Target, torch: tuple[str, str, int] | None) -> dict[str, Wheel]:
    """File name -> wheel of everything that one flavour needs; `torch` is PyTorch's wheel if it is not PyPI's."""
    limits: dict[str, SpecifierSet] = {}
    while True:
        before = dict(limits)
        chosen = walk(target, bool(torch), limits)
        if limits == before:  # else some were chosen before all that is asked of them was known
            break
    found = {listed.name: public(listed) for name, listed in chosen.items() if not (torch and name == "torch")}
    if torch:
        path, digest, size = torch
        found[path.rpartition("/")[2]] = Wheel(PYTORCH_FILES + quote(path), size, digest)
    return found


def walk(target: Target, without_cuda: bool, limits: dict[str, SpecifierSet]) -> dict[str, Listed]:
    """Package -> wheel within the `limits`, to which what the metadata ask for is added."""
    chosen: dict[str, Listed] = {}
    waiting = [Requirement(name) for name in ROOTS]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name in NEVER or (without_cuda and of_cuda(name)):
            continue
        limits[name] = limits.get(name, SpecifierSet()) & requirement.specifier
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in chosen:
            chosen[name] = choose(name, limits[name], target)
        if name not in ALONE:
            waiting += [need for need in needs_of(chosen[name]) if target.wants(need, extras)]
    return chosen


def of_cuda(name: str) -> bool:
    """Whether only PyPI's wheel of PyTorch needs a package, because others carry it inside or do without."""
    return name.startswith(("nvidia-", "cuda-")) or name == "triton"


def cuda_of(names: Iterable[str]) -> str:
    """The version of CUDA in a set of wheels: a package of its own on Linux, in PyTorch's name on Windows."""
    found = re.search(r"cuda_toolkit-(\d+)\.(\d+)|\+cu(\d+)(\d)-", " ".join(names))
    return ".".join(part for part in found.groups() if part)


def choose(name: str, limit: SpecifierSet, target: Target) -> Listed:
    """The wheel of the pinned version, else of the newest within the limit, with the best tag."""
    ranks = {tag: rank for rank, tag in enumerate(target.tags())}
    fitting = []
    for listed in page(name):
        rank = min((ranks[tag] for tag in parse_wheel_filename(listed.name)[3] if tag in ranks), default=None)
        if rank is None or listed.version.is_prerelease or not limit.contains(listed.version):
            continue
        if name not in pins() or listed.version == Version(pins()[name]):
            fitting.append((listed.version, -rank, listed))
    if not fitting:
        sys.exit(f"{name}{limit} has no wheel for {target.platform}, Python {target.python}.")
    return max(fitting, key=lambda entry: entry[:2])[2]


@cache
def pins() -> dict[str, str]:
    """The versions that everything else here is tested with."""
    files = ("requirements.txt", "requirements-common.txt", "requirements-nodeps.txt")
    text = "\n".join((REPO / file).read_text() for file in files)
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


@cache
def page(name: str) -> list[Listed]:
    """The wheels of a package on pip's index."""
    address = f"{index()}/{name}/"
    found = []
    for link in re.findall(r'<a\s[^>]*href="([^"]+)"', get(address).decode()):
        url, _, digest = urljoin(address, html.unescape(link)).partition("#sha256=")
        if url.endswith(".whl") and digest:
            try:
                listed = Listed(url, unquote(url.rpartition("/")[2]), digest)
                parse_wheel_filename(listed.name)
            except ValueError:  # a name of before the rules
                continue
            found.append(listed)
    return found


@cache
def index() -> str:
    """Where pip looks for packages."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    return (told.stdout.strip() or "https://pypi.org/simple").rstrip("/")


@cache
def needs_of(listed: Listed) -> list[Requirement]:
    """What a wheel's metadata names."""
    try:
        text = get(f"{listed.url}.metadata")
    except urllib.error.HTTPError:  # older ones, all of them small
        with zipfile.ZipFile(io.BytesIO(get(listed.url))) as wheel:
            [name] = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            text = wheel.read(name)
    return Metadata.from_email(text, validate=False).requires_dist or []


@cache
def public(listed: Listed) -> Wheel:
    """A wheel by its address on PyPI."""
    request = urllib.request.Request(listed.url, method="HEAD", headers={"Accept-Encoding": "identity"})
    with urllib.request.urlopen(request, timeout=60) as response:
        size = int(response.headers["Content-Length"])
    path = urlsplit(listed.url).path
    return Wheel(PUBLIC_FILES + path[path.index("packages/") :], size, listed.sha256)


def get(url: str) -> bytes:
    """What is at an address."""
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read()


if __name__ == "__main__":
    main()
