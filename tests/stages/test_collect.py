"""Collecting from a small site on loopback."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from castalia.errors import NoLicensedPages, UnreachableSite
from castalia.records import Page, Query, Reject
from castalia.stages.collect import STAGE
from castalia.web import FetchLimits, open_web
from licence_notices import MIT

HOST = "docs.localhost"
PAGES: dict[str, tuple[int, str, str]] = {}
ASKED: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ASKED.append(self.path)
        status, kind, body = PAGES.get(self.path, (404, "text/plain", "nothing"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def site() -> None:
    def page(title: str, text: str, extra: str = "") -> tuple[int, str, str]:
        return 200, "text/html", f"<html><title>{title}</title><body><h1>{title}</h1><p>{text}</p>{extra}</body></html>"

    links = "".join(
        f'<a href="{name}">x</a>'
        for name in ("cache.html#a", "loops.html?utm_source=y", "noai.html", "private/x.html", "gone.html", "/up.html")
    )
    PAGES.clear()
    ASKED.clear()
    PAGES.update(
        {
            "/doc/index.html": page("Start", "Welcome to the handbook of the tool.", links),
            "/doc/cache.html": page("Caching", "The cache keeps results for later. Configure the cache backend."),
            "/doc/loops.html": page("Loops", "A loop repeats a block. Nested loops have a parent loop."),
            "/doc/noai.html": page("Secret", "Not for training.", '<meta name="robots" content="noai">'),
            "/up.html": page("Outside", "Outside the folder."),
            "/robots.txt": (200, "text/plain", "User-agent: *\nDisallow: /doc/private/\n"),
            "/LICENSE": (200, "text/plain", MIT),
        }
    )


QUERIES = [
    Query(text="cache backend configuration", node="knowledge/cache", category="knowledge", wanted="reference"),
    Query(text="nested loop tutorial", node="skills/loops", category="skills", wanted="tutorial"),
]


def collect(folder: Path, port: int, *, site: str = f"http://{HOST}/doc/index.html", **params: Any) -> list[Page | Reject]:
    async def run() -> list[Page | Reject]:
        web = open_web(folder, connect_to={HOST: f"127.0.0.1:{port}"}, limits=FetchLimits(rate_per_host=500, retries=0, total_seconds=2))
        context = SimpleNamespace(service=lambda _name: web, progress=lambda _count: None)
        try:
            return [
                record
                async for record in STAGE.run({"queries": QUERIES}, STAGE.params(**{"sites": (site,), "max_pages": 50, **params}), context)
            ]
        finally:
            await web.close()

    return asyncio.run(run())


def test_pages_of_the_folder_come_with_licence_queries_and_topic(port: int, tmp_path: Path):
    records = collect(tmp_path, port)
    pages = {record.url: record for record in records if isinstance(record, Page)}
    assert set(pages) == {f"http://{HOST}/doc/{name}.html" for name in ("index", "cache", "loops")}
    cache = pages[f"http://{HOST}/doc/cache.html"]
    assert (cache.licence.spdx, cache.licence.verdict, cache.topic, cache.queries) == (
        "MIT",
        "allowed",
        "knowledge/cache",
        (QUERIES[0].id,),
    )
    assert "Ann Author" in cache.licence.attribution
    assert "/up.html" not in ASKED


def test_what_is_not_kept_is_a_reject_with_its_reason(port: int, tmp_path: Path):
    reasons = {record.subject.rsplit("/doc/")[1]: record.reason for record in collect(tmp_path, port) if isinstance(record, Reject)}
    assert reasons == {"noai.html": "opt-out", "private/x.html": "robots", "gone.html": "status"}
    assert "/doc/private/x.html" not in ASKED


def test_a_second_run_asks_the_network_nothing_and_gives_the_same(port: int, tmp_path: Path):
    first = collect(tmp_path, port)
    ASKED.clear()
    assert [record.to_row() for record in collect(tmp_path, port)] == [record.to_row() for record in first]
    assert ASKED == []


def test_a_crawl_that_was_cut_short_continues_with_the_same_bytes(port: int, tmp_path: Path):
    whole = collect(tmp_path / "whole", port)
    collect(tmp_path / "cut", port, max_pages=2)
    ASKED.clear()
    assert [record.id for record in collect(tmp_path / "cut", port)] == [record.id for record in whole]
    assert "/doc/index.html" not in ASKED


def test_excluded_pages_are_not_asked_for(port: int, tmp_path: Path):
    collect(tmp_path, port, exclude=("loops",))
    assert "/doc/loops.html" not in ASKED


def test_a_site_that_cannot_be_reached_is_an_error_that_says_why(tmp_path: Path):
    with pytest.raises(UnreachableSite, match=r"docs\.localhost.*unreachable.*Check the address and the network"):
        collect(tmp_path, 1)


def test_a_site_on_a_private_address_must_be_named(port: int, tmp_path: Path):
    with pytest.raises(UnreachableSite, match="private"):
        collect(tmp_path, port, site=f"http://127.0.0.1:{port}/doc/index.html")


def test_a_site_without_an_allowed_licence_is_an_error_that_names_what_was_seen(port: int, tmp_path: Path):
    with pytest.raises(NoLicensedPages, match=r"MIT.*/LICENSE.*licence_files"):
        collect(tmp_path, port, licences=("CC-BY-4.0",))
    PAGES.pop("/LICENSE")
    with pytest.raises(NoLicensedPages, match="no licence for the text was found"):
        collect(tmp_path / "other", port)


def test_evidence_named_in_the_configuration_is_read(port: int, tmp_path: Path):
    PAGES.pop("/LICENSE")
    PAGES["/PKG-INFO"] = (200, "application/octet-stream", "Metadata-Version: 2.4\nName: x\nLicense-Expression: MIT\n")
    pages = [record for record in collect(tmp_path, port, licence_files=("/PKG-INFO",)) if isinstance(record, Page)]
    assert {item.place for page in pages for item in page.licence.evidence} == {"package-metadata"}


_CRAWL = """
import asyncio, sys
from pathlib import Path
from castalia.web import FetchLimits, open_web

async def run():
    web = open_web(Path(sys.argv[1]), connect_to={"docs.localhost": sys.argv[2]}, limits=FetchLimits(rate_per_host=500))
    async for item in web.discover("http://docs.localhost/doc/index.html", lambda url: True, 100):
        print(item.fetched.url, flush=True)
        await asyncio.sleep(30 if "cache" in item.fetched.url else 0)

asyncio.run(run())
"""


def test_a_killed_crawl_continues_and_ends_with_the_same_bytes(port: int, tmp_path: Path):
    whole = collect(tmp_path / "whole", port)
    command = [sys.executable, "-c", _CRAWL, str(tmp_path / "killed"), f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "cache" in line:
                process.send_signal(signal.SIGKILL)
                break
    ASKED.clear()
    assert [record.id for record in collect(tmp_path / "killed", port)] == [record.id for record in whole]
    assert "/doc/index.html" not in ASKED
