# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Blender executables for the tests.

As root on Debian: Debian's own Blender 4.3 (trixie) and 5.2 (sid), each in a root of its own under build/blender-roots,
entered with chroot. Mounts live in a private mount namespace, so nothing stays mounted, whatever happens.
Elsewhere: the executable named by $BLENDER or found on the PATH.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .environment import apt_install
from .steps import BUILD, REPO, StepFailed, quietly, say, shown

SUITES = {"trixie": "4.3", "sid": "5.2"}  # Debian suite -> Blender version
ROOTS = BUILD / "blender-roots"
PACKAGES = ["blender", "python3-numpy", "libgl1-mesa-dri", "libegl1", "libgl1", "ffmpeg"]
PACKAGES += ["xvfb", "xauth", "xdotool", "scrot"]  # for the tests in a real window
SID_PACKAGES = ["python3-cattr", "python3-requests"]  # without them 5.2's extension system does not register

# Isolated: its own mounts, and its own processes, which all end with the first of them.
ISOLATED = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
OFFLINE = ["--net"]  # a network of its own, with nothing in it
SHELL = ["sh", "-ec"]


@dataclass(frozen=True)
class Blender:
    """One Blender executable; `root` is the Debian root it lives in, None when it is on this machine itself."""

    name: str
    root: Path | None
    executable: str = "blender"

    @cached_property
    def python(self) -> str:
        """The minor version of its Python, as "3.11"."""
        told = self.run(
            "-b", "--factory-startup", "--python-expr", "import sys; print('Python', *sys.version_info[:2])"
        )
        found = re.search(r"^Python (\d+) (\d+)$", told.stdout, re.MULTILINE)
        if not found:
            raise StepFailed(f"{self.executable} does not start: {told.stdout + told.stderr}")
        return ".".join(found.groups())

    def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        timeout: float = 600,
        program: str = "",
        alone_with: Sequence[Path] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run Blender (or another `program` beside it, as `xvfb-run`) and catch its output as text.

        The repository, Python (sys.base_prefix), ../shared and the temporary folder are at the same paths inside a
        root. With `alone_with` only those folders are, so that there is no PyTorch, and there is no network.
        """
        command = [program or self.executable, *map(str, arguments)]
        env = {"LANG": "C.UTF-8", **(env or {})}
        if self.root:
            command = chrooted(self.root, command, env, alone_with, offline=alone_with is not None)
        return subprocess.run(
            command,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def chrooted(
    root: Path,
    command: Sequence[str],
    env: Mapping[str, str],
    visible: Sequence[Path] | None = None,
    offline: bool = False,
) -> list[str]:
    """The command line that runs `command` inside `root`, with the paths in `visible` bound at their own places."""
    lines = [f"mount -t proc proc {shlex.quote(str(root / 'proc'))}"]
    lines += [f"mount --rbind /{name} {shlex.quote(str(root / name))}" for name in ("sys", "dev")]
    for path in shared_paths() if visible is None else visible:
        source, target = shlex.quote(str(path)), shlex.quote(str(root / path.relative_to("/")))
        make = f"mkdir -p {target}" if path.is_dir() else f"mkdir -p $(dirname {target}); touch {target}"
        lines.append(f"{make}; mount --bind {source} {target}")
    settings = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", **env}
    words = ["env", "-i", *(f"{k}={v}" for k, v in settings.items()), *command]
    lines.append(f"exec chroot {shlex.quote(str(root))} {shlex.join(words)}")
    return [*ISOLATED, *(OFFLINE if offline else []), *SHELL, "\n".join(lines)]


def shared_paths() -> list[Path]:
    """What programs inside a root may see of this machine, at the same paths."""
    paths = [REPO, REPO.parent / "shared", Path(tempfile.gettempdir()).resolve(), *python_paths()]
    return [p for p in paths if p.exists()]


def python_paths() -> list[Path]:
    """The Python installation behind this interpreter, so that a virtual environment in the repository works inside."""
    prefix = Path(sys.base_prefix).resolve()
    if prefix != Path("/usr"):
        return [prefix]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [prefix / "bin" / version, prefix / "lib" / version]


def why_no_roots() -> str:
    """Why Debian roots cannot be made here; empty when they can."""
    release = Path("/etc/os-release")
    if not release.exists() or "ID=debian" not in release.read_text().splitlines():
        return "Debian's Blender is set up on Debian only"
    if os.geteuid() != 0:
        return "Debian's Blender can be set up by root only"
    return ""


def debian_mirror() -> str:
    """The mirror this machine's apt is configured with."""
    for source in sorted(Path("/etc/apt").glob("sources.list.d/*.sources")):
        for line in source.read_text().splitlines():
            if line.startswith("URIs:") and line.rstrip("/").endswith("/debian"):
                return line.split()[1]
    for source in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt").glob("sources.list.d/*.list"))]:
        for word in source.read_text().split() if source.exists() else []:
            if "://" in word and word.rstrip("/").endswith("/debian"):
                return word
    raise StepFailed("No Debian mirror is configured in /etc/apt, so Blender cannot be set up for the tests.")


def make_roots(suites: Iterable[str] = SUITES) -> list[Path]:
    """Set up the Debian roots that are not there yet, side by side."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    if not shutil.which("debootstrap"):
        apt_install(["debootstrap"], "Debian's Blender is set up with debootstrap", BUILD / "logs" / "debootstrap.log")
    with ThreadPoolExecutor() as pool:
        return list(pool.map(make_root, suites))


def make_root(suite: str) -> Path:
    """Set up a Debian root with Blender in it (about 1.5 GB), or return the one that is there."""
    packages = PACKAGES + (SID_PACKAGES if suite == "sid" else [])
    root, stamp = ROOTS / suite, ROOTS / f"{suite}.ready"
    recipe = hashlib.sha256(" ".join(packages).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == recipe:
        return root
    say(f"Blender {SUITES[suite]}: making a Debian {suite} root in {shown(root)} (once, a few minutes)")
    log = BUILD / "logs" / f"blender-root-{suite}.log"
    base = ROOTS / f"{suite}.base"
    if not base.exists():
        shutil.rmtree(root, ignore_errors=True)  # safe: nothing of this machine is ever mounted there for good
        words = ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(root), debian_mirror()]
        quietly([*ISOLATED, *SHELL, "exec " + shlex.join(words)], log)
        base.touch()
    # Writing to the disk after every file would double the time, and a root that breaks is simply made again.
    (root / "etc/dpkg/dpkg.cfg.d/99fast").write_text("force-unsafe-io\n")
    # A mirror frozen at a date serves a sid whose Release file has run out.
    (root / "etc/apt/apt.conf.d/99old-release-files").write_text('Acquire::Check-Valid-Until "false";\n')
    for words in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
        ["apt-get", "clean"],
    ):
        quietly(chrooted(root, words, {"DEBIAN_FRONTEND": "noninteractive"}, visible=()), log)
    stamp.write_text(recipe)
    return root


def find_blenders(make: bool) -> tuple[list[Blender], str]:
    """Every Blender executable for the tests, and the reason when there is none. `make` sets up missing roots."""
    if named := os.environ.get("BLENDER"):
        return [Blender("named", None, named)], ""
    reason = why_no_roots()
    if not reason:
        if make:
            return [Blender(suite, root) for suite, root in zip(SUITES, make_roots(), strict=True)], ""
        ready = [Blender(suite, ROOTS / suite) for suite in SUITES if (ROOTS / f"{suite}.ready").exists()]
        return ready, "" if ready else "Debian's Blender is not set up yet; `python3.11 dev.py test` does it"
    if found := shutil.which("blender"):
        return [Blender("path", None, found)], ""
    return [], f"{reason}, and there is no `blender` on the PATH and no $BLENDER"


if __name__ == "__main__":
    for made in make_roots(sys.argv[1:] or SUITES):
        say(f"Blender {SUITES[made.name]} is ready in {shown(made)}")
