# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching one large file: resumed after a break, checked, and whole or absent.

While it grows a file is called `X.part`, and `X.part.etag` beside it says which version of X it is a part of. Needs no
PyTorch, so that Blender can do it.
"""

import hashlib
import http.client
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import ENVIRONMENT, UserError
from ..outputs import check_room, one_sentence

LOOPBACK = {"127.0.0.1", "::1", "localhost"}  # where plain http is allowed
TIMEOUT_S = 30.0  # without a byte
ATTEMPTS = 5  # in a row that bring nothing
NAME_ATTEMPTS = 2  # to find a server's address at first: most likely there is no network
WAIT_S = 1.0  # after the first of them, then twice as long each time
PASSING = {408, 425, 429, 500, 502, 503, 504}  # answers after which it is worth asking again
BLOCK = 1 << 18

Result = TypeVar("Result")
Tell = Callable[[int, int | None], None]  # bytes there, bytes in all if known


class Broken(Exception):
    """The connection or the server failed in a way that may pass."""


class NoAddress(Broken):
    """The server's name was not found."""


@dataclass(frozen=True)
class Checksum:
    """What a file must be: SHA-256 as of Git LFS, or the SHA-1 by which Git knows small files."""

    kind: str  # "sha256" or "git"
    digits: str

    def fits(self, path: Path) -> bool:
        """Whether the file at `path` is the one meant."""
        digest = hashlib.sha256()
        if self.kind == "git":
            digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.hexdigest() == self.digits


class Part:
    """The growing file of a download."""

    def __init__(self, target: Path):
        self.path = target.with_name(f"{target.name}.part")
        self._tag = target.with_name(f"{target.name}.part.etag")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def tag(self) -> str:
        return self._tag.read_text(encoding="utf-8") if self._tag.exists() else ""

    def begin(self, tag: str) -> None:
        """Empty, of the version `tag`."""
        self.clear()
        self.path.touch()
        if tag:
            self._tag.write_text(tag, encoding="utf-8")

    def clear(self) -> None:
        for path in (self.path, self._tag):
            path.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        os.replace(self.path, target)
        self._tag.unlink(missing_ok=True)


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    checksum: Checksum | None = None,
    on_progress: Tell | None = None,
) -> None:
    """Download `url` to the file `target`, which appears only when it is complete and what `size` and `checksum` say.

    https only, plain http only from this very machine. A broken connection is taken up again some times, later calls
    go on where an earlier one stopped; on_progress (bytes there, bytes in all or None) may raise Cancelled. Raises
    UserError when the file is not there, the network fails for good, the disk is full or the file is not as it should.
    """
    tell = on_progress or (lambda done, total: None)
    check_address(url)
    if checksum and target.is_file() and checksum.fits(target):
        tell(target.stat().st_size, size)
        return
    part = Part(target)
    persist(lambda: _receive(url, target, part, size, checksum, tell), url, tell, lambda: part.size, size)
    if checksum and not checksum.fits(part.path):
        part.clear()
        raise UserError(f"{target.name} arrived damaged, or is not what was published: download it again.")
    with one_sentence(target):
        part.become(target)


def _receive(url: str, target: Path, part: Part, size: int | None, checksum: Checksum | None, tell: Tell) -> None:
    """One connection's worth of the file; raises Broken when that was not all."""
    with one_sentence(target):
        if (size is not None and part.size > size) or not (checksum or part.tag):
            part.clear()  # nothing would show whether the rest belongs to it
    done = part.size
    if done and done == size:
        return
    wanted = {"Range": f"bytes={done}-"} | ({"If-Range": part.tag} if part.tag else {}) if done else {}
    try:
        response = request(url, wanted)
    except HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise refusal(url, error) from error
        part.clear()
        raise Broken("the file has changed") from error
    with response, one_sentence(target):
        tag = response.headers.get("ETag", "")
        tag = "" if tag.startswith("W/") else tag  # a weak one does not promise the same bytes
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            if not _continues(response, done, size) or (tag and part.tag and tag != part.tag):
                part.clear()
                raise Broken("the file has changed")
        else:
            done = 0
            part.begin(tag)
        total = size if response.length is None else done + response.length
        if size is not None and total != size:
            part.clear()
            raise UserError(f"{target.name} has {total} bytes there instead of {size}: try again later.")
        check_room(target.parent, (total or 0) - done)
        with part.path.open("ab") as file:
            while block := _read(response):
                done += len(block)
                if total is not None and done > total:
                    raise UserError(f"{target.name} is longer than it should be: try again later.")
                file.write(block)
                tell(done, total)
    if total is not None and done < total:
        raise Broken("the connection broke off")


def _continues(response: http.client.HTTPResponse, done: int, size: int | None) -> bool:
    """Whether a partial answer begins where the file ends so far, and belongs to a file of that size."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    return bool(found) and int(found[1]) == done and (size is None or found[2] in ("*", str(size)))


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes, none at the end."""
    try:
        return response.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise Broken("the connection broke off") from error


def request(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """The answer to a request; HTTPError for refusals that do not pass, Broken for those that may."""
    request = Request(url, headers={"User-Agent": "s2c-piano-hands", "Accept-Encoding": "identity", **headers})
    try:
        return build_opener(_SafeRedirects).open(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code in PASSING:
            raise Broken(f"the server answered {error.code}") from error
        raise
    except ValueError as error:  # a redirect to what is no address
        raise UserError(f"{url} leads to a broken address: try again later.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            host = urlsplit(url).hostname
            raise UserError(
                f"The connection to {host} is not safe ({reason.verify_message}): check the date and certificates of "
                "this computer.",
                ENVIRONMENT,
            ) from error
        kind = NoAddress if isinstance(reason, socket.gaierror) else Broken
        raise kind(getattr(reason, "strerror", None) or str(reason) or "no answer") from error


def refusal(url: str, error: HTTPError) -> UserError:
    """The error for an answer that will stay the same."""
    if error.code in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
        return UserError(f"{url} does not exist (any more): look for a newer version of this extension.")
    return UserError(f"{urlsplit(url).hostname} refuses to give out {url} ({error.code} {error.reason}).")


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects that stay as safe as the first address."""

    def redirect_request(self, request, file, code, message, headers, url):
        check_address(url, request.full_url)
        return super().redirect_request(request, file, code, message, headers, url)


def check_address(url: str, origin: str | None = None) -> None:
    """UserError unless `url` is https, or http on this machine (reached from nowhere else, if `origin` leads there)."""
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in LOOPBACK
        safe = parts.scheme == "https" or (local and (origin is None or urlsplit(origin).scheme == "http"))
    except ValueError:
        safe = False
    if not safe:
        raise UserError(f"{url} is no address with https, so nothing was downloaded from it.")


def persist(
    action: Callable[[], Result],
    what: str,
    tell: Tell,
    there: Callable[[], int] = lambda: 0,
    total: int | None = None,
) -> Result:
    """What `action` returns, tried again after pauses as long as it fails in passing; `there` tells what it brought.

    `tell` is called again and again in the pauses; `what` begins the sentence of the UserError that ends them.
    """
    failures, begun = 0, there()
    furthest = begun
    while True:
        try:
            return action()
        except Broken as problem:
            failures = 0 if there() > furthest else failures + 1
            furthest = max(furthest, there())
            offline = isinstance(problem, NoAddress) and furthest == begun
            if failures >= (NAME_ATTEMPTS if offline else ATTEMPTS):
                goes_on = "; the download goes on where it stopped" if there() else ""
                raise UserError(
                    f"{what} could not be downloaded ({problem}): check the network connection and try again{goes_on}.",
                    ENVIRONMENT,
                ) from problem
        until = time.monotonic() + WAIT_S * 2 ** (failures - 1)
        while (left := until - time.monotonic()) > 0:
            tell(there(), total)  # which may cancel
            time.sleep(min(left, 0.25))
