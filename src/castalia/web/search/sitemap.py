"""Sitemaps (sitemaps.org 0.9): XML, lists of lines and indexes, gzipped or not, found through robots.txt and at their usual place.

The XML is foreign: it is read in the limited worker, by expat with document types refused, so no entity is ever expanded.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from castalia.web.archive import Fetched
from castalia.web.robots import Robots
from castalia.web.search.provider import Hit, ProviderTerms
from castalia.web.search.ranking import PageText, Ranking
from castalia.web.unpack import BodyTooLarge, DamagedBody, Unpacker
from castalia.web.urls import canonical_url, folder_of, site_root

MOST_FILES = 50
MOST_LOCATIONS = 50_000
"""Per file, as the protocol has it; what is beyond is not read."""
_MOST_BYTES = 52_428_800  # unpacked, also the protocol's
_LONGEST = 2048
_DEEPEST = 16


class Sitemap(NamedTuple):
    """Addresses of a sitemap; those of an index are sitemaps themselves."""

    locations: tuple[str, ...]
    is_index: bool


class Door(Protocol):
    """What reading sitemaps needs of the web."""

    async def fetch(self, url: str) -> Fetched:
        """The outcome for a URL."""
        ...

    async def robots(self, url: str) -> Robots:
        """The rules of a host."""
        ...

    async def sitemap(self, fetched: Fetched) -> Sitemap:
        """A sitemap, read in a limited worker."""
        ...


async def sitemap_urls(door: Door, site: str) -> list[str]:
    """Canonical addresses below the folder of `site` that its sitemaps name, in their order. A sitemap of another host counts when
    robots.txt names it."""
    rules = await door.robots(site)
    queue = [url for text in (*rules.sitemaps, f"{site_root(site)}sitemap.xml") if (url := canonical_url(text, site))]
    known = set(queue)
    prefix = folder_of(site)
    found: dict[str, None] = {}
    read = 0
    while queue and read < MOST_FILES:
        address = queue.pop(0)
        fetched = await door.fetch(address)
        read += 1
        if fetched.problem:
            continue
        sitemap = await door.sitemap(fetched)
        for url in (url for text in sitemap.locations if (url := canonical_url(text, address))):
            if not sitemap.is_index:
                if url.startswith(prefix):
                    found[url] = None
            elif url not in known:
                known.add(url)
                queue.append(url)
    return list(found)


def unpack_sitemap(fetched: Fetched) -> bytes:
    """The sitemap's bytes: a `.gz` file is unpacked, at most 50 MiB. Nothing when it is damaged or larger."""
    if not fetched.body.startswith(b"\x1f\x8b"):
        return fetched.body
    try:
        return Unpacker("gzip", _MOST_BYTES).feed(fetched.body)
    except (BodyTooLarge, DamagedBody):
        return b""


def read_sitemap(text: str) -> dict[str, Any]:
    """`{"locations": [...], "is_index": ...}` of a sitemap's text; what can't be read says nothing more. For the limited worker."""
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        lines = [line.strip() for line in text.splitlines()[:MOST_LOCATIONS]]
        return {
            "locations": [line for line in lines if line.startswith(("http://", "https://")) and len(line) <= _LONGEST],
            "is_index": False,
        }
    reader = _Reader()
    with suppress(expat.ExpatError, _Enough):  # what came before the damage was read
        reader.parser.Parse(text.encode("utf-8", "replace"), True)
    return {"locations": reader.locations, "is_index": reader.is_index}


class SitemapIndex:
    """The addresses that the sitemaps of given sites name, ranked by the words in them: for sites with speaking addresses."""

    name = "sitemap"
    terms = ProviderTerms(may_store=True, may_train=True, source="the site lists its pages for crawlers, https://www.sitemaps.org/")

    def __init__(self, door: Door, sites: Sequence[str]) -> None:
        self._door = door
        self._sites = tuple(sites)
        self._ranking: Ranking | None = None
        self._reading = asyncio.Lock()

    async def search(self, query: str, limit: int) -> list[Hit]:
        """At most `limit` hits, best first. The sitemaps are read once."""
        async with self._reading:
            if self._ranking is None:
                urls = [url for site in self._sites for url in await sitemap_urls(self._door, site)]
                self._ranking = Ranking({url: PageText("", (), words_of(url)) for url in urls})
        return [Hit(url, score) for url, score in self._ranking.rank(query)[:limit]]

    async def close(self) -> None:
        """Nothing is held."""


def words_of(url: str) -> str:
    """The words of a URL's path."""
    path = unquote(urlsplit(url).path).rpartition(".")[0] or unquote(urlsplit(url).path)
    return "".join(character if character.isalnum() else " " for character in path)


class _Enough(Exception):
    """No more of the document is needed, or it is none that is read."""


class _Reader:
    """Collects the text of `loc` elements."""

    def __init__(self) -> None:
        self.locations: list[str] = []
        self.is_index = False
        self.parser = expat.ParserCreate("utf-8", " ")  # the text is decoded already, whatever its declaration says
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self._depth = 0
        self._parts: list[str] | None = None

    def _start(self, name: str, _attributes: object) -> None:
        self._depth += 1
        local = name.rpartition(" ")[2].lower()
        if self._depth == 1:
            self.is_index = local == "sitemapindex"
        if self._depth > _DEEPEST:
            raise _Enough
        # images and videos have their own `loc` deeper down
        self._parts = [] if local == "loc" and self._depth == 3 else None

    def _text(self, data: str) -> None:
        if self._parts is not None:
            self._parts.append(data[:_LONGEST])

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._parts is not None:
            url = "".join(self._parts).strip()
            self._parts = None
            if url and len(url) <= _LONGEST:
                self.locations.append(url)
            if len(self.locations) >= MOST_LOCATIONS:
                raise _Enough

    def _refuse(self, *_declaration: object) -> None:
        raise _Enough
