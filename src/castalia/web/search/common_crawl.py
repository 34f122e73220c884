# pyright: basic
"""Common Crawl: its columnar URL index (Parquet, sorted by SURT key) and single records of its archives by byte range.

The index knows addresses, not words, so it is asked for what lies below given URL prefixes, and the words of a query rank the addresses.
The index is read where it lies: per file the footer, then only the columns and row groups whose keys can match. `place` is the base URL
(`cc-index/`, `crawl-data/` below it) or a folder with the same layout.

https://commoncrawl.org/columnar-index · https://github.com/commoncrawl/cc-index-table
"""

import asyncio
import gzip
import hashlib
import io
import re
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ada_url
import pyarrow.parquet as parquet
from fastwarc.warc import ArchiveIterator, WarcRecordType

from castalia.errors import ConfigError, SearchFailed
from castalia.web.archive import Fetched
from castalia.web.bodies import sniff_media_type
from castalia.web.search.provider import Hit, ProviderTerms
from castalia.web.search.ranking import PageText, Ranking
from castalia.web.search.sitemap import words_of
from castalia.web.urls import canonical_url

_COLUMNS = (
    "url_surtkey",
    "url",
    "fetch_time",
    "fetch_status",
    "content_mime_detected",
    "warc_filename",
    "warc_record_offset",
    "warc_record_length",
)
_MOST_CAPTURES = 100_000
_MOST_RECORD = 20_000_000  # bytes, packed and unpacked
_SECONDS = 60.0
_FIRST_READ = 1 << 17  # bytes at the end of a file, in which most footers are whole


class _Stay(urllib.request.HTTPRedirectHandler):
    """The place is configuration; where it would send us is not."""

    def redirect_request(self, *_arguments, **_named):
        return None


_OPENER = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))


class Capture(NamedTuple):
    """A page in Common Crawl: where its record lies."""

    url: str
    fetch_time: str
    file: str
    offset: int
    length: int

    @property
    def origin(self) -> str:
        """How the record is named as the source of a page."""
        return f"commoncrawl:{self.file}#{self.offset}-{self.offset + self.length}"


class CommonCrawl:
    """Captures below URL prefixes of one crawl. Pages stay their authors'; each is judged by its own licence."""

    terms = ProviderTerms(None, None, "https://commoncrawl.org/terms-of-use")

    def __init__(self, place: str, crawl: str, sites: Sequence[str], *, name: str = "common_crawl") -> None:
        if "://" in place and not place.startswith(("http://", "https://")):
            raise ConfigError(f"search.{name}.base_url is {place!r}; it must be an http(s) address, or give a folder as search.{name}.path")
        self.name = name
        self._place = place.rstrip("/")
        self._crawl = crawl
        self._sites = tuple(sites)
        self._captures: dict[str, Capture] | None = None
        self._ranking = Ranking({})
        self._reading = asyncio.Lock()

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first. The index is read once."""
        await self._read()
        return [Hit(url, score) for url, score in self._ranking.rank(query)[:limit]]

    async def capture(self, url: str) -> Capture | None:
        """Where the crawl has `url`, if it lies below the given prefixes."""
        return (await self._read()).get(canonical_url(url) or url)

    async def record(self, capture: Capture) -> Fetched:
        """The response that was captured, by one request for its bytes. Raises SearchFailed when there is no such record."""
        data = await asyncio.to_thread(self._bytes, capture.file, capture.offset, min(capture.length, _MOST_RECORD))
        return _response(capture, data)

    async def close(self) -> None:
        """Nothing is held."""

    async def _read(self) -> dict[str, Capture]:
        async with self._reading:
            if self._captures is None:
                self._captures = await asyncio.to_thread(self._below_sites)
                self._ranking = Ranking({url: PageText("", (), words_of(url)) for url in self._captures})
        return self._captures

    def _below_sites(self) -> dict[str, Capture]:
        """The newest successful HTML capture of every address below the prefixes."""
        keys = [surt(site) for site in self._sites]
        found: dict[str, Capture] = {}
        for file in self._index_files():
            for row in self._rows(file, keys):
                url = canonical_url(row["url"])
                if url is None or row["fetch_status"] != 200 or row["content_mime_detected"] not in ("text/html", "application/xhtml+xml"):
                    continue
                place = (row["warc_filename"], int(row["warc_record_offset"]), int(row["warc_record_length"]))
                capture = Capture(url, str(row["fetch_time"]), *place)
                if url not in found or found[url].fetch_time < capture.fetch_time:
                    found[url] = capture
                if len(found) >= _MOST_CAPTURES:
                    return found
        return found

    def _index_files(self) -> list[str]:
        if "://" not in self._place:
            folder = Path(self._place)
            return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))
        listing = gzip.decompress(self._bytes(f"crawl-data/{self._crawl}/cc-index-table.paths.gz", 0, None)).decode()
        return sorted(line for line in listing.splitlines() if "/subset=warc/" in line)

    def _rows(self, file: str, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Rows whose key begins with one of `keys`, from the row groups that can hold such."""
        try:
            with parquet.ParquetFile(_open(self._place, file)) as table:
                names = table.schema_arrow.names
                missing = [name for name in _COLUMNS if name not in names]
                if missing:
                    raise SearchFailed(f"the index file {file!r} of {self.name!r} has no columns {missing}; its layout may have changed")
                column = table.metadata.schema.names.index("url_surtkey")
                for group in range(table.num_row_groups):
                    statistics = table.metadata.row_group(group).column(column).statistics
                    if statistics is not None and statistics.has_min_max and not _can_hold(statistics.min, statistics.max, keys):
                        continue
                    for batch in table.iter_batches(row_groups=[group], columns=list(_COLUMNS)):
                        yield from (row for row in batch.to_pylist() if str(row["url_surtkey"]).startswith(tuple(keys)))
        except (OSError, ValueError) as error:
            raise SearchFailed(f"the index file {file!r} of {self.name!r} can't be read: {error}") from error

    def _bytes(self, file: str, offset: int, length: int | None) -> bytes:
        try:
            return _range(self._place, file, offset, length)
        except OSError as error:
            raise SearchFailed(f"{self.name!r} gave no bytes of {file!r}: {error}; run again later") from error


def surt(prefix: str) -> str:
    """The sort-friendly key of a URL prefix: `https://docs.example.org/a` becomes `org,example,docs)/a`."""
    parsed = ada_url.URL(canonical_url(prefix) or prefix)
    host = re.sub(r"\Awww\d*\.", "", parsed.hostname)
    return ",".join(reversed(host.split("."))) + (f":{parsed.port}" if parsed.port else "") + ")" + parsed.pathname.lower()


def _can_hold(least: str, most: str, keys: Sequence[str]) -> bool:
    return any(most >= key and least[: len(key)] <= key for key in keys)


def _response(capture: Capture, data: bytes) -> Fetched:
    try:
        for record in ArchiveIterator(io.BytesIO(data), record_types=WarcRecordType.response):
            body = record.reader.read(_MOST_RECORD)
            headers = {name.lower(): value for name, value in record.http_headers.items()}
            uri = record.headers["WARC-Target-URI"]
            if canonical_url(uri) != capture.url:
                raise SearchFailed(f"the record at {capture.origin!r} is one of {uri!r}, not of {capture.url!r}; the index is wrong")
            status = record.http_headers.status_code or 0
            media_type = sniff_media_type(headers.get("content-type", ""), body)
            moment = record.record_date.isoformat(timespec="seconds") if record.record_date else capture.fetch_time
            return Fetched(capture.url, capture.url, status, headers, media_type, body, hashlib.sha256(body).hexdigest(), moment)
    except (KeyError, ValueError, AttributeError, RuntimeError, OSError) as error:
        raise SearchFailed(f"the record at {capture.origin!r} can't be read: {error!r}") from error
    raise SearchFailed(f"there is no response record at {capture.origin!r}")


def _open(place: str, file: str) -> io.RawIOBase:
    return (Path(place) / file).open("rb", buffering=0) if "://" not in place else _RangeFile(place, file)


def _range(place: str, file: str, offset: int, length: int | None) -> bytes:
    """`length` bytes from `offset` on, a negative offset counted from the end; all of them without a length."""
    if "://" not in place:
        with (Path(place) / file).open("rb") as opened:
            opened.seek(offset, io.SEEK_SET if offset >= 0 else io.SEEK_END)
            return opened.read(-1 if length is None else length)
    request = urllib.request.Request(f"{place}/{file}", headers={"User-Agent": "castalia"})
    if length is not None:
        request.add_header("Range", f"bytes={offset}-{offset + length - 1}" if offset >= 0 else f"bytes={offset}")
    with _OPENER.open(request, timeout=_SECONDS) as response:
        data = response.read(_MOST_RECORD if length is None else length + 1)
        if length is not None and (response.status != 206 or len(data) > length):
            raise OSError(f"asked for {length} bytes, got status {response.status}")
        return data


class _RangeFile(io.RawIOBase):
    """A remote file of which only the bytes that are read travel. The end is kept, because readers go back to it."""

    def __init__(self, place: str, file: str) -> None:
        request = urllib.request.Request(f"{place}/{file}", method="HEAD", headers={"User-Agent": "castalia"})
        with _OPENER.open(request, timeout=_SECONDS) as response:
            self._size = int(response.headers["Content-Length"])
        self._remote, self._at = (place, file), 0
        self._tail_from = max(0, self._size - _FIRST_READ)
        self._tail = _range(place, file, self._tail_from, self._size - self._tail_from)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._at if size < 0 else min(size, self._size - self._at)
        if size <= 0:
            return b""
        if self._at >= self._tail_from:
            start = self._at - self._tail_from
            data = self._tail[start : start + size]
        else:
            data = _range(*self._remote, self._at, size)
        self._at += len(data)
        return data
