"""Discovery on one site: sitemaps and links, wave by wave, within the folder of the given URL.

Each wave is fetched as a whole and continues in sorted order, so which pages are found depends on the site alone and
not on which answer came first.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, Protocol

from castalia.web.archive import Fetched
from castalia.web.robots import Robots
from castalia.web.search.sitemap import Sitemap, sitemap_urls
from castalia.web.urls import canonical_url, folder_of, url_key

_AHEAD = 32


class Door(Protocol):
    """What discovery needs of the web."""

    async def fetch(self, url: str) -> Fetched:
        """The outcome for a URL."""
        ...

    async def robots(self, url: str) -> Robots:
        """The rules of a host."""
        ...

    async def sitemap(self, fetched: Fetched) -> Sitemap:
        """A sitemap, read in a limited worker."""
        ...

    async def facts(self, fetched: Fetched) -> dict[str, Any]:
        """Facts of an HTML page."""
        ...


class Discovered(NamedTuple):
    """A page of the site: the fetch and, for HTML that could be read, its facts."""

    fetched: Fetched
    facts: dict[str, Any]


async def discover(door: Door, site: str, wanted: Callable[[str], bool], limit: int) -> AsyncIterator[Discovered]:
    """At most `limit` outcomes of `site` and of what it links to below its folder, the given URL first.

    `wanted` says which URLs may be followed; the given URL is always asked.
    """
    prefix = folder_of(site)
    start = canonical_url(site) or site
    seen = {url_key(start)}
    wave = [start]
    waiting = await sitemap_urls(door, site)
    asked = 0
    while wave and asked < limit:
        wave = wave[: limit - asked]
        asked += len(wave)
        following: set[str] = set(waiting)
        waiting = []
        async for fetched in _fetch_in_order(door, wave):
            facts: dict[str, Any] = {}
            if fetched.media_type == "text/html" and not fetched.problem:
                seen.add(url_key(fetched.final_url))
                facts = await door.facts(fetched)
                base = canonical_url(facts.get("base") or fetched.final_url, fetched.final_url) or fetched.final_url
                following.update(url for link in facts.get("links", ()) if (url := canonical_url(link, base)))
            yield Discovered(fetched, facts)
        wave = list[str]()
        for url in sorted(following):
            if url.startswith(prefix) and wanted(url) and url_key(url) not in seen:
                seen.add(url_key(url))
                wave.append(url)


async def _fetch_in_order(door: Door, urls: Sequence[str]) -> AsyncIterator[Fetched]:
    """The outcomes in the order of the URLs. A few are asked for ahead of the one that is read, so that a wave of any size is never
    held in memory as a whole, and pages are read while others travel."""
    ahead: deque[asyncio.Task[Fetched]] = deque()
    rest = iter(urls)
    try:
        while True:
            while len(ahead) < _AHEAD and (url := next(rest, None)) is not None:
                ahead.append(asyncio.ensure_future(door.fetch(url)))
            if not ahead:
                return
            yield await ahead.popleft()
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)
