"""Hits of a search on many hosts, all of them on loopback."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from castalia.records import Page, Query, Reject
from castalia.stages.collect import STAGE
from castalia.web import FetchLimits, open_web
from castalia.web.search import Hit, ProviderTerms

HOSTS = tuple(f"h{number}.localhost" for number in range(8))
FOOTER = '<footer>This page is under <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>.</footer>'
URLS = [f"http://{host}/{name}.html" for host in HOSTS for name in ("one", "two", "three")]


class Served:
    """What was asked for, how many hosts answered at the same time, and hosts that were asked twice at once."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.busy: Counter[str] = Counter()
        self.most_hosts = 0
        self.crowded: set[str] = set()
        self.lock = threading.Lock()
        self.port = 0


@pytest.fixture
def served() -> Iterator[Served]:
    log = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["Host"]
            with log.lock:
                log.asked[f"http://{host}{self.path}"] += 1
                log.busy[host] += 1
                log.most_hosts = max(log.most_hosts, sum(count > 0 for count in log.busy.values()))
                if log.busy[host] > 1:
                    log.crowded.add(host)
            time.sleep(0.02)
            with log.lock:
                log.busy[host] -= 1
            found = self.path.endswith(".html")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            text = f"<html><title>Kettles {self.path}</title><body><h1>Kettles {self.path}</h1><p>Kettles boil water for tea.</p>{FOOTER}</body></html>"
            self.wfile.write(text.encode() if found else b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    log.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield log
    server.shutdown()
    server.server_close()


class Found:
    """A search that finds all pages for anything, and counts how often it was asked."""

    name = "found"
    terms = ProviderTerms(may_store=True, may_train=True)

    def __init__(self) -> None:
        self.asked = 0

    async def search(self, query: str, limit: int) -> list[Hit]:
        self.asked += 1
        return [Hit(url, 1.0) for url in URLS]

    async def close(self) -> None:
        pass


QUERIES = [Query(text="kettles for tea", node="knowledge/kettles", category="knowledge", wanted="reference")]


def collect(folder: Path, log: Served, search: Found, *, stop_after: int | None = None) -> list[Page | Reject]:
    async def run() -> list[Page | Reject]:
        connect = dict.fromkeys(HOSTS, f"127.0.0.1:{log.port}")
        web = open_web(folder, connect_to=connect, limits=FetchLimits(rate_per_host=200, retries=0), providers={"found": search})
        seen = asyncio.Event()

        def progress(count: int) -> None:
            if stop_after is not None and count >= stop_after:
                seen.set()

        async def work() -> list[Page | Reject]:
            context = SimpleNamespace(service=lambda _name: web, progress=progress)
            params = STAGE.params.model_validate({"max_pages": 100, "search": ("found",)})
            return [record async for record in STAGE.run({"queries": QUERIES}, params, context)]

        task = asyncio.create_task(work())
        try:
            if stop_after is not None:
                await seen.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return []
            return await task
        finally:
            await web.close()

    return asyncio.run(run())


def test_many_hosts_are_asked_at_the_same_time_and_each_for_one_thing_only(served: Served, tmp_path: Path):
    records = collect(tmp_path, served, Found())
    assert {record.url for record in records if isinstance(record, Page)} == set(URLS)
    assert served.most_hosts >= len(HOSTS) // 2
    assert served.crowded == set()


def test_a_collection_that_was_stopped_goes_on_asks_for_no_page_twice_and_ends_with_the_same_records(served: Served, tmp_path: Path):
    whole = {record.id for record in collect(tmp_path / "whole", served, Found())}
    served.asked.clear()
    collect(tmp_path / "stopped", served, Found(), stop_after=6)
    before = {url for url in URLS if served.asked[url]}
    assert 0 < len(before) < len(URLS)
    assert {record.id for record in collect(tmp_path / "stopped", served, Found())} == whole
    twice = {url for url in before if served.asked[url] > 1}
    assert len(twice) <= len(HOSTS)  # those on their way when it was stopped


def test_what_an_earlier_search_left_in_the_queue_is_not_fetched_for_this_one(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    collect(tmp_path, served, Found(), stop_after=3)
    monkeypatch.setattr("test_collect_hits.URLS", URLS[:1])
    records = collect(tmp_path, served, Found())
    assert [record.url for record in records if isinstance(record, Page)] == [URLS[0]]


def test_a_query_is_asked_once_while_the_web_is_open(tmp_path: Path):
    search = Found()

    async def run() -> None:
        web = open_web(tmp_path, providers={"found": search})
        try:
            assert await web.search("found", "kettles", 5) == await web.search("found", "kettles", 5)
        finally:
            await web.close()

    asyncio.run(run())
    assert search.asked == 1
