# SPDX-FileCopyrightText: 2026 S2C Piano Hands authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server on this machine that misbehaves in every way a network can."""

import errno
import hashlib
import json
import random
import re
import shutil
import socket
import tempfile
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from s2c_blender.errors import BAD_ARGUMENTS, ENVIRONMENT, Cancelled, UserError
from s2c_blender.model import fetch as fetching
from s2c_blender.model.download import fetch_release, list_files
from s2c_blender.model.fetch import BLOCK, Checksum, fetch

CONTENT = random.Random(3).randbytes(5 * BLOCK + 123)
OTHER = random.Random(4).randbytes(5 * BLOCK + 123)


@dataclass
class Answer:
    """What the server does with one request of a path."""

    content: bytes = CONTENT
    status: int = 200
    etag: str = '"one"'
    send: int | None = None  # bytes of the body after which it hangs up
    ranges: bool = True  # whether it knows them
    lie: str = ""  # its Content-Range
    length: bool = True  # whether it tells how long the body is
    headers: dict = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """Answers path -> a list of Answers, one a request, the last one for ever; notes what was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str, str]] = []  # path, Range, If-Range
        self.base = f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.base + path

    def ranges(self) -> list[str]:
        return [asked[1] for asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = unquote(self.path)
        wanted, condition = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        self.server.asked.append((path, wanted, condition))
        answers = self.server.answers.get(path, [Answer(b"", 404)])
        self.answer(answers.pop(0) if len(answers) > 1 else answers[0], wanted, condition)

    def answer(self, how: Answer, wanted: str, condition: str) -> None:
        body, status, headers = how.content, how.status, dict(how.headers)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        if status == 200 and wanted and how.ranges and condition in ("", how.etag):
            status, body = 206, body[start:]
            headers["Content-Range"] = how.lie or f"bytes {start}-{len(how.content) - 1}/{len(how.content)}"
            if start >= len(how.content):
                status, body = 416, b""
        self.send_response(status)
        if how.etag:
            headers["ETag"] = how.etag
        if how.length:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.close_connection = True
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: how.send])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)


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


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "model.bin"


def sha256(content: bytes = CONTENT) -> Checksum:
    return Checksum("sha256", hashlib.sha256(content).hexdigest())


def blob(content: bytes) -> Checksum:
    return Checksum("git", hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def refused(url: str, target: Path, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        fetch(url, target, **options)
    assert not target.exists()
    assert str(caught.value).endswith(".")
    return caught.value


def test_a_file_arrives(server, target):
    told = []
    fetch(
        server.put("/f", Answer()), target, size=len(CONTENT), checksum=sha256(), on_progress=lambda *x: told.append(x)
    )
    assert target.read_bytes() == CONTENT
    assert left(target) == {"model.bin"}
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("length", [True, False])
def test_neither_size_nor_checksum_known(server, target, length):
    fetch(server.put("/f", Answer(length=length)), target)
    assert target.read_bytes() == CONTENT


def test_an_empty_file(server, target):
    fetch(server.put("/f", Answer(b"")), target, size=0, checksum=blob(b""))
    assert target.read_bytes() == b""


def test_what_is_there_is_not_fetched_again(server, target):
    target.write_bytes(CONTENT)
    fetch(server.put("/f", Answer()), target, size=len(CONTENT), checksum=sha256())
    assert not server.asked
    target.write_bytes(OTHER)
    fetch(server.put("/f", Answer()), target, size=len(CONTENT), checksum=sha256())
    assert target.read_bytes() == CONTENT


def test_a_dropped_connection_is_taken_up_where_it_broke(server, target):
    url = server.put("/f", Answer(send=100_000), Answer(send=50_000), Answer())
    fetch(url, target, checksum=sha256())
    assert target.read_bytes() == CONTENT
    assert server.asked == [
        ("/f", "", ""),
        ("/f", "bytes=100000-", '"one"'),
        ("/f", "bytes=150000-", '"one"'),
    ]


def test_many_drops_are_survived_as_long_as_bytes_come(server, target):
    step = BLOCK // 2
    drops = [Answer(send=step) for _ in range(len(CONTENT) // step)]
    assert len(drops) > fetching.ATTEMPTS
    fetch(server.put("/f", *drops, Answer()), target, size=len(CONTENT), checksum=sha256())
    assert target.read_bytes() == CONTENT


def test_a_server_that_always_drops_at_the_same_place(server, target):
    error = refused(server.put("/f", Answer(send=1000, ranges=False)), target, checksum=sha256())
    assert "could not be downloaded (the connection broke off): check the network" in str(error)
    assert error.exit_code == ENVIRONMENT
    assert len(server.asked) == fetching.ATTEMPTS + 1  # the first one brought something


def test_a_later_call_asks_only_for_the_rest(server, target):
    def stop(done: int, total: int | None) -> None:
        if done >= 2 * BLOCK:
            raise Cancelled

    url = server.put("/f", Answer())
    with pytest.raises(Cancelled):
        fetch(url, target, checksum=sha256(), on_progress=stop)
    assert not target.exists()
    kept = (target.parent / "model.bin.part").stat().st_size
    assert kept >= 2 * BLOCK
    assert (target.parent / "model.bin.part").read_bytes() == CONTENT[:kept]
    fetch(url, target, checksum=sha256())
    assert server.asked[-1] == ("/f", f"bytes={kept}-", '"one"')
    assert target.read_bytes() == CONTENT
    assert left(target) == {"model.bin"}


def test_a_complete_part_is_not_asked_for(server, target):
    (target.parent / "model.bin.part").write_bytes(CONTENT)
    fetch(server.put("/f", Answer()), target, size=len(CONTENT), checksum=sha256())
    assert target.read_bytes() == CONTENT
    assert not server.asked


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changes_between_attempts_is_begun_anew(server, target, ranges):
    changed = Answer(OTHER, etag='"two"', ranges=ranges)
    fetch(server.put("/f", Answer(send=100_000), changed), target)
    assert target.read_bytes() == OTHER
    assert server.asked[1] == ("/f", "bytes=100000-", '"one"')


def test_a_server_that_ignores_ranges(server, target):
    fetch(server.put("/f", Answer(send=100_000), Answer(ranges=False)), target, checksum=sha256())
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_the_condition(server, target):
    """It sends the rest of another version: that is noticed by the version's name."""

    rest = {"Content-Range": f"bytes 100000-{len(OTHER) - 1}/{len(OTHER)}"}
    mixed = Answer(OTHER[100_000:], 206, '"two"', headers=rest)
    fetch(server.put("/f", Answer(send=100_000), mixed, Answer(OTHER, etag='"two"')), target)
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize("lie", ["bytes 7-9/10", f"bytes 100000-9/{len(CONTENT) + 1}", "nonsense"])
def test_a_wrong_range_is_not_appended(server, target, lie):
    url = server.put("/f", Answer(send=100_000), Answer(lie=lie), Answer())
    fetch(url, target, size=len(CONTENT), checksum=sha256())
    assert target.read_bytes() == CONTENT
    assert server.ranges() == ["", "bytes=100000-", ""]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_version_only_a_checksum_allows_to_go_on(server, target, etag):
    url = server.put("/f", Answer(send=100_000, etag=etag), Answer(etag=etag))
    fetch(url, target)
    assert server.ranges() == ["", ""]
    target.unlink()
    server.put("/f", Answer(send=100_000, etag=etag), Answer(etag=etag))
    fetch(url, target, checksum=sha256())
    assert server.asked[-1] == ("/f", "bytes=100000-", "")
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_begun_anew(server, target):
    (target.parent / "model.bin.part").write_bytes(CONTENT + b"more")
    fetch(server.put("/f", Answer()), target, size=len(CONTENT), checksum=sha256())
    assert target.read_bytes() == CONTENT
    assert server.ranges() == [""]


def test_a_range_beyond_the_end_begins_anew(server, target):
    short = Answer(OTHER[:1000], etag='"one"')
    fetch(server.put("/f", Answer(send=100_000), short), target)
    assert target.read_bytes() == OTHER[:1000]


def test_a_truncated_file_is_not_taken(server, target):
    error = refused(server.put("/f", Answer(CONTENT[:-1])), target, size=len(CONTENT), checksum=sha256())
    assert f"has {len(CONTENT) - 1} bytes there instead of {len(CONTENT)}" in str(error)
    assert left(target) == set()


def test_a_file_that_never_ends(server, target):
    error = refused(server.put("/f", Answer(length=False)), target, size=1000)
    assert "longer than it should be" in str(error)


def test_a_wrong_checksum_removes_what_came(server, target):
    error = refused(server.put("/f", Answer(OTHER)), target, size=len(CONTENT), checksum=sha256())
    assert "arrived damaged" in str(error)
    assert left(target) == set()
    fetch(server.put("/f", Answer()), target, checksum=sha256())
    assert target.read_bytes() == CONTENT


def test_what_a_bad_resumption_would_join_is_found_by_the_checksum(server, target):
    (target.parent / "model.bin.part").write_bytes(OTHER[:1000])
    refused(server.put("/f", Answer()), target, checksum=sha256())
    assert server.ranges() == ["bytes=1000-"]
    assert left(target) == set()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_passing_answers_are_waited_for(server, target, status):
    fetch(server.put("/f", Answer(b"", status), Answer(b"", status), Answer()), target, checksum=sha256())
    assert target.read_bytes() == CONTENT


def test_answers_that_do_not_pass(server, target):
    error = refused(server.put("/f", Answer(b"", 500)), target)
    assert "the server answered 500" in str(error)
    assert len(server.asked) == fetching.ATTEMPTS


@pytest.mark.parametrize(
    ("status", "told"), [(404, "does not exist"), (410, "does not exist"), (403, "refuses"), (401, "refuses")]
)
def test_refusals_are_not_asked_for_again(server, target, status, told):
    assert told in str(refused(server.put("/f", Answer(b"", status)), target))
    assert len(server.asked) == 1


def test_no_network(server, target, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/f"
    error = refused(url, target)
    assert "could not be downloaded (Connection refused)" in str(error)
    assert error.exit_code == ENVIRONMENT

    def no_names(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    assert "Temporary failure in name resolution" in str(refused("https://example.invalid/f", target))


def test_a_server_that_falls_silent(server, target, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(f"http://127.0.0.1:{silent.getsockname()[1]}/f", target)
    assert "timed out" in str(error)


def test_a_server_that_speaks_something_else(target, monkeypatch):
    monkeypatch.setattr(fetching, "WAIT_S", 0.001)
    with socket.create_server(("127.0.0.1", 0)) as strange:

        def speak():
            try:
                while True:
                    connection, _ = strange.accept()
                    connection.sendall(b"220 mail server ready\r\n\r\n")
                    connection.close()
            except OSError:  # the test is over
                pass

        threading.Thread(target=speak, daemon=True).start()
        assert "could not be downloaded" in str(refused(f"http://127.0.0.1:{strange.getsockname()[1]}/f", target))
        strange.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("url", ["http://example.com/f", "ftp://127.0.0.1/f", "file:///etc/passwd", "f", "http://[x/"])
def test_other_addresses_are_not_asked(target, url):
    assert "is no address with https" in str(refused(url, target))


def test_redirects_are_followed_with_the_range(server, target):
    moved = Answer(b"", 302, etag="", headers={"Location": "/elsewhere"})
    server.put("/elsewhere", Answer(send=100_000), Answer())
    fetch(server.put("/f", moved), target, checksum=sha256())
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == ("/elsewhere", "bytes=100000-", '"one"')


@pytest.mark.parametrize("to", ["http://example.com/f", "ftp://example.com/f", "file:///etc/passwd", "http://[x/"])
def test_redirects_to_unsafe_places_are_not_followed(server, target, to):
    error = refused(server.put("/f", Answer(b"", 302, headers={"Location": to})), target)
    assert re.search("no address with https|refuses to give out|leads to a broken address", str(error))


def test_nobody_outside_leads_to_this_machine():
    with pytest.raises(UserError, match="no address with https"):
        fetching.check_address("http://127.0.0.1:80/f", "https://example.com/f")
    fetching.check_address("https://cdn.example.com/f", "https://example.com/f")


def test_redirects_in_a_circle(server, target):
    error = refused(server.put("/f", Answer(b"", 302, headers={"Location": "/f"})), target)
    assert "refuses to give out" in str(error)


def test_a_full_disk_is_told_before_the_body_comes(server, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    error = refused(server.put("/f", Answer()), target)
    assert "The disk is full" in str(error)
    assert error.exit_code == ENVIRONMENT


def test_a_disk_that_fills_up_meanwhile(server, target, monkeypatch):
    def full(path, *arguments, **options):
        file = open_(path, *arguments, **options)
        if path.name.endswith(".part") and arguments == ("ab",):

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    file.close()

                def write(self, _):
                    raise OSError(errno.ENOSPC, "No space left on device")

            return Full()
        return file

    open_ = Path.open
    monkeypatch.setattr(Path, "open", full)
    error = refused(server.put("/f", Answer()), target)
    assert "The disk is full: free some space" in str(error)


def test_a_folder_that_is_not_there(server, target):
    error = refused(server.put("/f", Answer()), target.parent / "nowhere" / "f")
    assert "could not be written" in str(error)


def test_cancelling_while_waiting(server, target, monkeypatch):
    monkeypatch.setattr(fetching, "WAIT_S", 1000.0)

    def stop(done: int, total: int | None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch(server.put("/f", Answer(b"", 503)), target, on_progress=stop)


# The release

NAMES = {
    "S2C/piano2pose-left-iter=609000-val_loss=0.1000000000000000.ckpt": CONTENT,
    "S2C/piano2pose-right-iter=609000-val_loss=0.1000000000000000.ckpt": OTHER,
    "S2C/args.txt": b'{"unet_dim": 256}',
    "S2C/args_posi.txt": b"{}",
}
TREE = "/api/models/thuteam/S2C/tree/main?recursive=true"
RESOLVE = "/thuteam/S2C/resolve/main/"


def entry(path: str, content: bytes) -> dict:
    """A file as the hub's API lists it: large ones with their Git LFS object."""
    listed = {"type": "file", "path": path, "oid": "0" * 40, "size": len(content)}
    if len(content) > 1000:
        lfs = {"oid": sha256(content).digits, "size": len(content), "pointerSize": 135}
        return listed | {"lfs": lfs, "xetHash": "f" * 64}
    return listed | {"oid": blob(content).digits}


def listing(*more: dict) -> Answer:
    entries = [{"type": "directory", "path": "S2C", "oid": "1" * 40, "size": 0}]
    return Answer(json.dumps([*entries, *(entry(*item) for item in NAMES.items()), *more]).encode())


@pytest.fixture
def hub(server):
    server.put(TREE, listing(entry("README.md", b"hello"), entry("video.mp4", CONTENT)))
    for name, content in NAMES.items():
        server.put(RESOLVE + name, Answer(content))
    return server


def test_the_release_arrives(hub, tmp_path):
    told = []
    paths = fetch_release(tmp_path / "release", online=True, base=hub.base, on_progress=lambda *x: told.append(x[1]))
    assert {path.relative_to(tmp_path / "release").as_posix(): path.read_bytes() for path in paths} == NAMES
    assert {path.name for path in (tmp_path / "release").rglob("*.*")} == {Path(name).name for name in NAMES}
    assert told == sorted(told)
    assert told[-1] == 1.0
    asked = len(hub.asked)
    fetch_release(tmp_path / "release", online=True, base=hub.base)
    assert len(hub.asked) == asked + 1  # the listing; the files are there


def test_nothing_is_asked_offline(hub, tmp_path):
    with pytest.raises(UserError, match="Blender is set to be offline: allow online access in Preferences") as caught:
        fetch_release(tmp_path / "release", online=False, base=hub.base)
    assert caught.value.exit_code == ENVIRONMENT
    assert not hub.asked
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_names(monkeypatch) -> list[str]:
    """A computer without a network; the names that were looked for."""
    asked = []

    def fail(host, *_, **__):
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(fetching, "WAIT_S", 0.001)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return asked


def test_without_a_network(no_names, tmp_path):
    told = []
    with pytest.raises(UserError) as caught:
        fetch_release(tmp_path / "release", online=True, on_progress=lambda *x: told.append(x))
    assert str(caught.value) == (
        "The list of files on huggingface.co could not be downloaded (Temporary failure in name resolution): "
        "check the network connection and try again."
    )
    assert caught.value.exit_code == ENVIRONMENT
    assert len(no_names) == fetching.NAME_ATTEMPTS
    assert ("waiting for huggingface.co", 0.0) in told
    assert not list(tmp_path.iterdir())


def test_names_that_are_lost_meanwhile_are_waited_for(server, target, monkeypatch):
    """A short break of the network, in the middle of a large file."""

    def request(url, headers):
        if "Range" in headers:
            lost.append(url)
            if len(lost) < fetching.ATTEMPTS:
                raise fetching.NoAddress("no name")
        return real(url, headers)

    lost, real = [], fetching.request
    monkeypatch.setattr(fetching, "request", request)
    fetch(server.put("/f", Answer(send=100_000), Answer()), target, checksum=sha256())
    assert target.read_bytes() == CONTENT


def test_a_file_instead_of_the_folder(hub, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "release"):
        with pytest.raises(UserError, match="file is a file: give the name of a folder") as caught:
            fetch_release(folder, online=True, base=hub.base)
        assert caught.value.exit_code == BAD_ARGUMENTS
    assert not hub.asked


def test_a_folder_that_cannot_be_written(hub, tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # the tests may run as a user who may do everything
    with pytest.raises(UserError, match="read-only: choose another folder") as caught:
        fetch_release(tmp_path / "release", online=True, base=hub.base)
    assert caught.value.exit_code == ENVIRONMENT
    assert not hub.asked


def test_the_release_goes_on_where_it_stopped(hub, tmp_path):
    left_name, right_name, *_ = NAMES
    hub.put(RESOLVE + right_name, Answer(OTHER, send=100_000), Answer(b"", 503))
    with pytest.raises(UserError, match="goes on where it stopped"):
        fetch_release(tmp_path, online=True, base=hub.base)
    assert (tmp_path / left_name).read_bytes() == CONTENT
    assert not (tmp_path / right_name).exists()
    hub.put(RESOLVE + right_name, Answer(OTHER))
    hub.asked.clear()
    fetch_release(tmp_path, online=True, base=hub.base)
    assert (RESOLVE + right_name, "bytes=100000-", '"one"') in hub.asked
    assert RESOLVE + left_name not in {path for path, *_ in hub.asked}


@pytest.mark.parametrize("name", list(NAMES))
def test_damaged_files_of_the_release(hub, tmp_path, name):
    hub.put(RESOLVE + name, Answer(bytes(len(NAMES[name]))))
    with pytest.raises(UserError, match="arrived damaged"):
        fetch_release(tmp_path, online=True, base=hub.base)
    assert not (tmp_path / name).exists()


def test_long_listings_come_in_pages(hub, tmp_path):
    following = f'<{hub.base}{TREE}&cursor=x>; rel="next"'
    hub.put(TREE, Answer(json.dumps([entry("README.md", b"hello")]).encode(), headers={"Link": following}))
    hub.put(f"{TREE}&cursor=x", listing())
    assert {file.path for file in list_files(hub.base, "thuteam/S2C", "main")} == {"README.md", *NAMES}


def test_listings_lead_nowhere_else(hub):
    hub.put(TREE, Answer(b"[]", headers={"Link": '<https://example.com/x>; rel="next"'}))
    assert list_files(hub.base, "thuteam/S2C", "main") == []


def test_no_room_for_the_release(hub, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    free = len(CONTENT) + len(OTHER)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - free, free))
    with pytest.raises(UserError, match="The disk is full"):
        fetch_release(tmp_path, online=True, base=hub.base)
    assert len(hub.asked) == 1  # the listing only


@pytest.mark.parametrize("where", ["../", "/", "a/../../", "C:/", "..\\x/", "a\n/"])
def test_names_that_lead_out_of_the_folder(server, tmp_path, where):
    entries = [entry(where + Path(name).name, content) for name, content in NAMES.items()]
    server.put(TREE, Answer(json.dumps(entries).encode()))
    for name, content in NAMES.items():
        server.put(RESOLVE + where + Path(name).name, Answer(content))
    with pytest.raises(UserError, match=r"no safe name|no S2C release"):
        fetch_release(tmp_path / "release", online=True, base=server.base)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "content", [b'{"error": "x"}', b"[1]", b'[{"type": "file"}]', b'[{"type": "file", "path": "a", "size": "b"}]']
)
def test_listings_of_another_form(server, tmp_path, content):
    server.put(TREE, Answer(content))
    with pytest.raises(UserError, match="answers in an unknown way"):
        fetch_release(tmp_path, online=True, base=server.base)


def test_listings_that_are_no_json(server, tmp_path):
    server.put(TREE, Answer(b"<html>"))
    with pytest.raises(UserError, match="the answer was not complete"):
        fetch_release(tmp_path, online=True, base=server.base)


def test_a_repository_that_is_gone(server, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        fetch_release(tmp_path, online=True, base=server.base)


def test_a_repository_without_the_release(server, tmp_path):
    server.put(TREE, Answer(json.dumps([entry("README.md", b"x")]).encode()))
    with pytest.raises(UserError, match="no S2C release there"):
        fetch_release(tmp_path, online=True, base=server.base)
