# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloading the published release from its model hub. Needs no PyTorch, so that any Blender can do it."""

import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from ..errors import ENVIRONMENT, UserError
from ..outputs import check_folder, check_room, one_sentence
from .fetch import Broken, Checksum, Part, Tell, check_address, fetch, persist, refusal, request
from .release_files import choose

HUB, REPOSITORY, REVISION = "https://huggingface.co", "thuteam/S2C", "main"
LISTING_LIMIT = 10_000_000  # bytes of a listing's page


@dataclass(frozen=True)
class Listed:
    """A file of a repository."""

    path: str
    size: int
    checksum: Checksum


def list_files(base: str, repo: str, revision: str, on_wait: Tell = lambda done, total: None) -> list[Listed]:
    """All files of a model repository, by the hub's API: type, path, size, oid and, for large ones, lfs.oid.

    on_wait is called while a network or server that fails is given time, and may raise Cancelled.
    """
    what = f"The list of files on {urlsplit(base).hostname}"
    url = f"{base}/api/models/{quote(repo)}/tree/{quote(revision, safe='')}?recursive=true"
    found = []
    while url:
        check_address(url)
        entries, link = persist(lambda page=url: _page(page), what, on_wait)
        try:
            found += [
                Listed(
                    str(entry["path"]),
                    int((entry.get("lfs") or entry)["size"]),
                    Checksum("sha256", entry["lfs"]["oid"]) if entry.get("lfs") else Checksum("git", entry["oid"]),
                )
                for entry in entries
                if entry["type"] == "file"
            ]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise UserError(f"{url} answers in an unknown way: look for a newer version of this extension.") from error
        following = re.search(r'<([^>]+)>;\s*rel="next"', link)
        url = following[1] if following and following[1].startswith(f"{base}/") else ""
    return found


def _page(url: str) -> tuple[list, str]:
    """One page of a listing, and the header that tells where the next one is."""
    try:
        with request(url, {}) as response:
            text = response.read(LISTING_LIMIT)
            link = response.headers.get("Link", "")
        return json.loads(text), link
    except HTTPError as error:
        raise refusal(url, error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Broken("the answer was not complete") from error


def fetch_release(
    folder: Path,
    *,
    online: bool,
    on_progress: Callable[[str, float], None] | None = None,
    base: str = HUB,
    repo: str = REPOSITORY,
    revision: str = REVISION,
) -> list[Path]:
    """Download the published checkpoints with their arguments (about 6 GB) below `folder`; returns the files.

    `online`: whether the user allows it (in Blender bpy.app.online_access). What is there already is only checked.
    """
    if not online:
        raise UserError(
            "Blender is set to be offline: allow online access in Preferences > System > Network, then try again.",
            ENVIRONMENT,
        )
    tell = on_progress or (lambda stage, fraction: None)
    check_folder(folder)
    tell("looking for the release", 0.0)
    waiting = f"waiting for {urlsplit(base).hostname}"
    listed = {file.path: file for file in list_files(base, repo, revision, lambda *_: tell(waiting, 0.0))}
    files = [listed[str(path)] for path in vars(choose(listed)).values()]
    targets = [_inside(folder, file.path) for file in files]
    with one_sentence(folder):
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
    there = [path.stat().st_size if path.exists() else Part(path).size for path in targets]
    check_room(folder, sum(max(file.size - size, 0) for file, size in zip(files, there, strict=True)))
    total, before = sum(file.size for file in files) or 1, 0
    for file, path in zip(files, targets, strict=True):
        fetch(
            f"{base}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(file.path)}",
            path,
            size=file.size,
            checksum=file.checksum,
            on_progress=lambda done, _, before=before: tell("downloading", (before + done) / total),
        )
        before += file.size
    tell("downloading", 1.0)
    return targets


def _inside(folder: Path, name: str) -> Path:
    """The path of a listed file below `folder`; UserError for names that lead elsewhere, on any system."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("/", "..") or set(part) & set('\\:*?"<>|') or ord(min(part)) < 32 for part in parts):
        raise UserError(f"The listing has a file {name!r}, which is no safe name: nothing was downloaded.")
    return folder.joinpath(*parts)
