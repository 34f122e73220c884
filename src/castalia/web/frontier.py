"""What is still to be fetched, on disk by host, and one scheduler over it.

The queue is as long as the disk allows; in memory are one entry per host and as many fetches as run at once. A URL leaves the queue when
its outcome is in the archive, so a crash loses nothing: what was answered is read from there, what was not is asked.
"""

import asyncio
import heapq
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

from castalia.web.archive import Fetched
from castalia.web.politeness import Turns
from castalia.web.urls import canonical_url, host_of

AT_ONCE = 256
"""Fetches under way, most of which wait for the turn of a second host or for its robots.txt; open connections are fewer."""
_BATCH = 1000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS queue (job TEXT NOT NULL, url TEXT NOT NULL, host TEXT NOT NULL, PRIMARY KEY (job, url)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_host ON queue (job, host, url);
"""


class Frontier:
    """The queue of one job in `folder/frontier.sqlite`. Jobs with other names don't see it. URLs of a host come in sorted order."""

    def __init__(self, folder: Path, job: str) -> None:
        self._job = job
        self._file = sqlite3.connect(folder / "frontier.sqlite", timeout=30, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(_SCHEMA)

    def add(self, urls: Iterable[str]) -> set[str]:
        """Queues URLs, at most once each; what is no URL is left out. Returns the hosts they belong to."""
        hosts: set[str] = set()
        batch: list[tuple[str, str, str]] = []
        for url in urls:
            canonical = canonical_url(url)
            if canonical is None:
                continue
            host = host_of(canonical)
            hosts.add(host)
            batch.append((self._job, canonical, host))
            if len(batch) == _BATCH:
                self._insert(batch)
                batch = []
        self._insert(batch)
        return hosts

    def hosts(self) -> list[str]:
        """Hosts with something in the queue."""
        return [row[0] for row in self._file.execute("SELECT DISTINCT host FROM queue WHERE job = ? ORDER BY host", (self._job,))]

    def first(self, host: str) -> str | None:
        """The URL of `host` that is next, left in the queue."""
        row = self._file.execute("SELECT min(url) FROM queue WHERE job = ? AND host = ?", (self._job, host)).fetchone()
        return row[0]

    def remove(self, url: str) -> None:
        """Takes an answered URL out."""
        self._file.execute("DELETE FROM queue WHERE job = ? AND url = ?", (self._job, url))

    def __len__(self) -> int:
        return self._file.execute("SELECT count(*) FROM queue WHERE job = ?", (self._job,)).fetchone()[0]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _insert(self, batch: list[tuple[str, str, str]]) -> None:
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR IGNORE INTO queue VALUES (?,?,?)", batch)
        self._file.execute("COMMIT")


async def crawl(frontier: Frontier, turns: Turns, fetch: Callable[[str], Awaitable[Fetched]]) -> AsyncIterator[Fetched]:
    """Outcomes of everything in the queue, in the order in which they come. Hosts are asked as soon as their turn has come."""
    ready = [(turns.ready_in(host), host) for host in frontier.hosts()]
    clock = asyncio.get_running_loop().time
    start = clock()
    ready = [(start + wait, host) for wait, host in ready]
    heapq.heapify(ready)
    running: dict[asyncio.Task[Fetched], tuple[str, str]] = {}
    try:
        while ready or running:
            while ready and len(running) < AT_ONCE and ready[0][0] <= clock():
                _, host = heapq.heappop(ready)
                url = frontier.first(host)
                if url is not None:
                    running[asyncio.ensure_future(fetch(url))] = (host, url)
            wait = max(0.0, ready[0][0] - clock()) if ready and len(running) < AT_ONCE else None
            if not running:
                await asyncio.sleep(wait or 0.0)
                continue
            done, _ = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                host, url = running.pop(task)
                fetched = task.result()
                frontier.remove(url)
                heapq.heappush(ready, (clock() + turns.ready_in(host), host))
                yield fetched
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
