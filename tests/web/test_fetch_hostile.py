"""The fetcher against a loopback server that does everything wrong."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from castalia.web import FetchLimits, open_web
from castalia.web.archive import Fetched

HOST = "hostile.localhost"
BOMB = gzip.compress(b"\0" * 50_000_000)
COUNTS: dict[str, int] = {}


def _answer(path: str, connection: socket.socket) -> None:
    def send(status: str, headers: str = "", body: bytes = b"", length: int | None = None) -> None:
        size = len(body) if length is None else length
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n{headers}\r\n".encode() + body)

    html = "Content-Type: text/html\r\n"
    if path == "/robots.txt":
        send("200 OK", "Content-Type: text/plain\r\n", b"User-agent: *\nDisallow: /private\n")
    elif path == "/to-metadata":
        send("302 Found", "Location: http://169.254.169.254/latest/meta-data/\r\n")
    elif path == "/to-loopback-name":
        send("302 Found", "Location: http://localhost:8081/\r\n")
    elif path == "/to-file":
        send("302 Found", "Location: file:///etc/passwd\r\n")
    elif path.startswith("/endless"):
        send("302 Found", f"Location: {path}x\r\n")
    elif path == "/loop":
        send("302 Found", "Location: /loop\r\n")
    elif path == "/to-private":
        send("302 Found", "Location: /private/x\r\n")
    elif path == "/bomb":
        send("200 OK", html + "Content-Encoding: gzip\r\n", BOMB)
    elif path == "/cut-gzip":
        send("200 OK", html + "Content-Encoding: gzip\r\n", gzip.compress(b"x" * 10_000)[:20])
    elif path == "/brotli":
        send("200 OK", html + "Content-Encoding: br\r\n", b"abc")
    elif path == "/drip":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"x")
            time.sleep(0.1)
    elif path == "/short":
        send("200 OK", html, b"<html>half", length=5000)
    elif path == "/big":
        send("200 OK", html, b"<html>" + b"a" * 300_000)
    elif path == "/challenge":
        send("200 OK", html, b"<html><title>Just a moment...</title><body>Checking your browser</body>")
    elif path == "/noai":
        send("200 OK", html + "X-Robots-Tag: noai\r\n", b"<html>text</html>")
    elif path == "/busy":
        send("503 Busy", "Retry-After: 0\r\n") if COUNTS["/busy"] < 2 else send("200 OK", html, b"<html><body>finally</body></html>")
    elif path == "/later":
        send("429 Slow", "Retry-After: 86400\r\n")
    elif path == "/pdf":
        send("200 OK", html, b"%PDF-1.7 ...")
    elif path == "/good":
        send("200 OK", "Content-Type: text/html; charset=iso-8859-1\r\n", b"<html><body>caf\xe9</body></html>")
    else:
        send("404 Not Found")


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_handle, args=(connection,), daemon=True).start()


def _handle(connection: socket.socket) -> None:
    with connection:
        connection.settimeout(5)
        try:
            path = connection.recv(65536).decode("latin-1").split(" ")[1]
            COUNTS[path] = COUNTS.get(path, 0) + 1
            _answer(path, connection)
        except (OSError, IndexError):
            return  # the client gave up, which is what these tests want


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


LIMITS = FetchLimits(rate_per_host=500, total_seconds=1.0, max_bytes=200_000, retries=2, longest_wait_seconds=1)


def fetch(folder: Path, port: int, *paths: str) -> list[Fetched]:
    async def run() -> list[Fetched]:
        web = open_web(folder, user_agent="castalia/0.1", connect_to={HOST: f"127.0.0.1:{port}"}, limits=LIMITS)
        try:
            return [await web.fetch(path if "://" in path else f"http://{HOST}{path}") for path in paths]
        finally:
            await web.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        *(
            ("/to-metadata", "private-address"),
            ("/to-loopback-name", "private-address"),
            ("/to-file", "status"),
            ("/endless", "redirect-loop"),
        ),
        *(
            ("/loop", "redirect-loop"),
            ("/to-private", "robots"),
            ("/private/x", "robots"),
            ("/bomb", "too-large"),
            ("/cut-gzip", "incomplete-body"),
        ),
        *(
            ("/brotli", "incomplete-body"),
            ("/drip", "timeout"),
            ("/short", "incomplete-body"),
            ("/big", "too-large"),
            ("/challenge", "block-page"),
        ),
        *(("/noai", "opt-out"), ("/later", "status"), ("/missing", "status")),
    ],
)
def test_hostile_answers_become_typed_problems(path: str, problem: str, port: int, tmp_path: Path):
    started = time.monotonic()
    (got,) = fetch(tmp_path, port, path)
    assert got.problem == problem
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://[::1]/", "http://0x7f.1/", "http://localhost/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/"],
)
def test_private_addresses_are_never_contacted(url: str, port: int, tmp_path: Path):
    (got,) = fetch(tmp_path, port, url)
    assert (got.problem, got.status) == ("private-address", 0)


def test_a_private_target_is_not_contacted_even_for_its_robots_file(port: int, tmp_path: Path):
    before = COUNTS.get("/robots.txt", 0)
    fetch(tmp_path, port, f"http://127.0.0.1:{port}/good")
    assert COUNTS.get("/robots.txt", 0) == before


def test_a_busy_host_is_asked_again_when_it_says(port: int, tmp_path: Path):
    (got,) = fetch(tmp_path, port, "/busy")
    assert got.problem == ""
    assert b"finally" in got.body


def test_the_type_is_sniffed_from_the_bytes(port: int, tmp_path: Path):
    (got,) = fetch(tmp_path, port, "/pdf")
    assert got.media_type == "application/pdf"


def test_a_page_is_fetched_once_and_then_read_from_the_archive(port: int, tmp_path: Path):
    before = COUNTS.get("/good", 0)
    (first,) = fetch(tmp_path, port, "/good")
    (second,) = fetch(tmp_path, port, "/good")
    assert first == second
    assert COUNTS["/good"] == before + 1


def test_the_configured_rate_is_kept(tmp_path: Path, port: int):
    async def run() -> float:
        web = open_web(tmp_path, connect_to={HOST: f"127.0.0.1:{port}"}, rate_per_host=5)
        started = time.monotonic()
        for path in ("/a", "/b", "/c"):
            await web.fetch(f"http://{HOST}{path}")
        await web.close()
        return time.monotonic() - started

    assert asyncio.run(run()) >= 0.9  # six requests, three of them for what the site says: five pauses of 0.2 s, less a tenth
