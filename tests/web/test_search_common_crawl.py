"""Common Crawl's index and records, in a folder and on a loopback server that knows byte ranges."""

import asyncio
import gzip
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from castalia.errors import ConfigError, SearchFailed
from castalia.web import open_web
from castalia.web.search.common_crawl import CommonCrawl, surt
from castalia.web.warc import record_id, response_record

CRAWL = "CC-MAIN-2026-40"
TABLE = f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc/part-00000.parquet"
WARC = f"crawl-data/{CRAWL}/segments/1/warc/one.warc.gz"
PAGE = b"<html><body><p>A captured page.</p></body></html>"
URLS = [f"https://docs.example.org/guide/{name}" for name in ("install", "upgrade", "tuning-queries")]


def build(folder: Path) -> Path:
    """A tiny crawl: three pages of docs.example.org among those of others, and one that failed."""
    records: list[bytes] = []
    rows: list[dict[str, object]] = []
    others = [f"https://site{number}.example.com/p" for number in range(200)]
    for url in (*URLS, "https://docs.example.org/guide/broken", *others):
        status = 404 if url.endswith("broken") else 200
        fields = [(b"Content-Type", b"text/html")]
        record = response_record(record_id(url), url, "2026-10-01T00:00:00+00:00", status, "OK", fields, PAGE + url.encode())
        offset = sum(map(len, records))
        records.append(record)
        rows.append(
            {
                "url_surtkey": surt(url),
                "url": url,
                "fetch_time": "2026-10-01T00:00:00",
                "fetch_status": status,
                "content_mime_detected": "text/html",
                "warc_filename": WARC,
                "warc_record_offset": offset,
                "warc_record_length": len(record),
            }
        )
    rows.sort(key=lambda row: str(row["url_surtkey"]))
    (folder / TABLE).parent.mkdir(parents=True)
    (folder / WARC).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / TABLE, row_group_size=20)
    (folder / WARC).write_bytes(b"".join(records))
    (folder / f"crawl-data/{CRAWL}/cc-index-table.paths.gz").write_bytes(gzip.compress(f"{TABLE}\n".encode()))
    return folder


class _Ranges(BaseHTTPRequestHandler):
    folder: Path
    asked: list[tuple[str, int]]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        data = (self.folder / self.path.lstrip("/")).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            data = data[int(wanted[1]) : int(wanted[2]) + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.asked.append((self.path, len(data)))
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    handler = type("Handler", (_Ranges,), {"folder": build(tmp_path / "crawl"), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()


def test_keys_sort_hosts_from_the_top():
    assert surt("https://www.docs.example.org/A?b") == "org,example,docs)/a"


def test_addresses_below_a_prefix_are_ranked_by_their_words(tmp_path: Path):
    index = CommonCrawl(str(build(tmp_path)), CRAWL, ["https://docs.example.org/guide/"])
    hits = asyncio.run(index.search("tuning of queries", 10))
    assert [hit.url for hit in hits] == [URLS[2]]
    assert asyncio.run(index.capture("https://docs.example.org/guide/broken")) is None
    assert asyncio.run(index.capture("https://site1.example.com/p")) is None


def test_a_record_is_read_by_its_bytes_over_http(served: tuple[str, list[tuple[str, int]]]):
    place, asked = served
    index = CommonCrawl(place, CRAWL, ["https://docs.example.org/"])

    async def run() -> tuple[bytes, int]:
        capture = await index.capture(URLS[0])
        assert capture is not None
        return (await index.record(capture)).body, capture.length

    body, length = asyncio.run(run())
    assert body == PAGE + URLS[0].encode()
    assert (f"/{WARC}", length) in asked


def test_a_record_of_another_page_is_refused(tmp_path: Path):
    index = CommonCrawl(str(build(tmp_path)), CRAWL, ["https://docs.example.org/"])

    async def run() -> None:
        one, other = await index.capture(URLS[0]), await index.capture(URLS[1])
        assert one is not None
        assert other is not None
        await index.record(one._replace(offset=other.offset, length=other.length))

    with pytest.raises(SearchFailed, match="index is wrong"):
        asyncio.run(run())


def test_bytes_that_are_no_record_are_an_error_that_names_them(tmp_path: Path):
    index = CommonCrawl(str(build(tmp_path)), CRAWL, ["https://docs.example.org/"])

    async def run() -> None:
        capture = await index.capture(URLS[0])
        assert capture is not None
        await index.record(capture._replace(offset=capture.offset + 7))

    with pytest.raises(SearchFailed, match="commoncrawl:"):
        asyncio.run(run())


def test_an_index_without_the_known_columns_has_changed(tmp_path: Path):
    pq.write_table(pa.table({"url": ["http://h/"]}), tmp_path / "x.parquet")
    with pytest.raises(SearchFailed, match="layout may have changed"):
        asyncio.run(CommonCrawl(str(tmp_path), CRAWL, ["http://h/"]).search("x", 1))


def test_a_place_that_is_no_web_address_is_refused():
    with pytest.raises(ConfigError, match="base_url"):
        CommonCrawl("ftp://h", CRAWL, ["http://h/"])


def test_an_adopted_record_obeys_the_rules_of_its_host_and_keeps_its_origin(tmp_path: Path):
    class Rules(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/robots.txt" else 404)
            self.end_headers()
            if self.path == "/robots.txt":
                self.wfile.write(b"User-agent: *\nDisallow: /guide/upgrade\n")

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Rules)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index = CommonCrawl(str(build(tmp_path / "crawl")), CRAWL, ["https://docs.example.org/"])

    async def run() -> tuple[list[str], str]:
        target = {"docs.example.org": f"127.0.0.1:{server.server_port}"}
        door = open_web(tmp_path / "archive", connect_to=target, rate_per_host=500)
        problems: list[str] = []
        for url in URLS[:2]:
            capture = await index.capture(url)
            assert capture is not None
            page = await index.record(capture)
            # the rules are asked for at the page's own host, which here speaks plain HTTP
            page = page._replace(url=url.replace("https", "http"), final_url=url.replace("https", "http"))
            problems.append((await door.adopt(page, capture.origin)).problem)
        origin = door.archive.origin(URLS[0].replace("https", "http"))
        await door.close()
        return problems, origin

    problems, origin = asyncio.run(run())
    server.shutdown()
    assert problems == ["", "robots"]
    assert origin.startswith(f"commoncrawl:{WARC}#")
