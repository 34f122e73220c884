"""Whose turn it is: at most one request to a host at a time, and a pause after each, which survives a crash.

The pause is the slower of the configured rate and the host's Crawl-delay. A host that says Retry-After, or that fails again and again,
is left alone for a while. When a request may be sent next is in SQLite before the request is sent.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 64
"""Open at once, over all hosts."""
_LONGEST_PAUSE = 24 * 3600.0
"""Seconds; a longer Retry-After is taken for this."""
_CATCH_UP = 0.1
"""Share of the interval that a late request may be made up for."""
_AFTER_ANSWER, _AFTER_ANSWER_ASKED = 0.5, 0.9
"""Share of the pause that lies between an answer and the next request at least; the latter for a Crawl-delay."""
_FAILURES = 5
_FAILURE_PAUSE = 300.0
"""Seconds a host is left alone after so many failed connections in a row."""
_REMEMBERED = 20_000
"""Hosts in memory; the others are in the file."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS hosts (
    host TEXT PRIMARY KEY, next_at REAL NOT NULL, paused_until REAL NOT NULL, crawl_delay REAL NOT NULL, robots TEXT NOT NULL,
    requests INTEGER NOT NULL, bytes INTEGER NOT NULL, waited REAL NOT NULL, retry_after INTEGER NOT NULL, failures INTEGER NOT NULL);
"""


class HostSummary(NamedTuple):
    """How a host was treated, over all runs on this archive."""

    host: str
    requests: int
    bytes: int
    """Of unpacked bodies."""
    waited_seconds: float
    """Spent waiting for its turn."""
    crawl_delay: float
    """Seconds that its robots.txt asks for, 0 when it asks for nothing."""
    robots: str
    """`rules`, `none (404)` or why it couldn't be read; empty when it wasn't asked."""
    retry_after: int
    """Pauses it asked for, and got."""
    failures: int
    """Requests without an answer."""


@dataclass
class _Host:
    next_at: float = 0.0  # wall clock, as in the file
    paused_until: float = 0.0
    crawl_delay: float = 0.0
    robots: str = ""
    requests: int = 0
    bytes: int = 0
    waited: float = 0.0
    retry_after: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """Turns by host, kept in `folder/hosts.sqlite`. `rate` counts requests per second and host."""

    def __init__(self, folder: Path, rate: float) -> None:
        self._interval = 1 / rate
        self._file = sqlite3.connect(folder / "hosts.sqlite", timeout=30, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(_SCHEMA)
        self._hosts: dict[str, _Host] = {}
        self._connections = asyncio.Semaphore(CONNECTIONS)

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncGenerator[None]:
        """Waits until `host` may be asked and a connection is free, and holds both for one request."""
        state = self._state(host)
        state.users += 1
        begun = time.monotonic()
        try:
            async with state.lock:
                while (pause := max(state.next_at, state.paused_until) - time.time()) > 0:
                    await asyncio.sleep(min(pause, _LONGEST_PAUSE))
                state.waited += time.monotonic() - begun
                async with self._connections:  # the pause begins when the request leaves, not when it queues for a connection
                    state.requests += 1
                    state.next_at = self._after(state, time.time())
                    self._save(host, state)
                    try:
                        yield
                    finally:  # a request that queued on its way was read late, and the host counts from there
                        share = _AFTER_ANSWER_ASKED if state.crawl_delay > self._interval else _AFTER_ANSWER
                        state.next_at = max(state.next_at, time.time() + share * self._pause(state))
        finally:
            state.users -= 1

    def note(self, host: str, *, body_bytes: int = 0, failed: bool = False) -> None:
        """What came of a request. Failed connections in a row pause the host."""
        state = self._state(host)
        state.bytes += body_bytes
        state.failures += failed
        state.failures_in_a_row = state.failures_in_a_row + 1 if failed else 0
        if state.failures_in_a_row >= _FAILURES:
            state.failures_in_a_row = 0
            state.paused_until = max(state.paused_until, time.time() + _FAILURE_PAUSE)
            self._save(host, state)  # the counters alone can wait for the next turn

    def note_robots(self, host: str, crawl_delay: float, summary: str) -> None:
        """What the host's robots.txt asks for. It holds from the next request on."""
        state = self._state(host)
        longer = max(self._interval, crawl_delay) - self._pause(state)
        state.crawl_delay, state.robots = crawl_delay, summary
        if state.requests and longer > 0:
            state.next_at += longer
        self._save(host, state)

    def pause(self, host: str, seconds: float) -> None:
        """The host said when to come back."""
        state = self._state(host)
        state.retry_after += 1
        state.paused_until = max(state.paused_until, time.time() + min(seconds, _LONGEST_PAUSE))
        self._save(host, state)

    def paused_for(self, host: str) -> float:
        """Seconds the host must be left alone from now on, its ordinary pause not counted."""
        return max(0.0, self._state(host).paused_until - time.time())

    def ready_in(self, host: str) -> float:
        """Seconds until the host may be asked."""
        state = self._state(host)
        return max(0.0, max(state.next_at, state.paused_until) - time.time())

    def summary(self) -> Iterator[HostSummary]:
        """Every host that was ever asked, by name."""
        rows = self._file.execute(
            "SELECT host, requests, bytes, waited, crawl_delay, robots, retry_after, failures FROM hosts WHERE requests > 0 ORDER BY host"
        )
        for row in rows:
            yield HostSummary(*row)

    def close(self) -> None:
        """Closes the file."""
        for host, state in self._hosts.items():
            self._save(host, state)
        self._file.close()

    def _after(self, state: _Host, sent: float) -> float:
        """When the next request may go. The configured rate is kept on average: being a little late isn't paid for twice. What a host
        asks for is kept between any two requests."""
        if state.crawl_delay > self._interval:
            return sent + state.crawl_delay
        return max(state.next_at, sent - _CATCH_UP * self._interval) + self._interval

    def _pause(self, state: _Host) -> float:
        return max(self._interval, state.crawl_delay)

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            if len(self._hosts) >= _REMEMBERED:
                self._forget()
            row = self._file.execute(
                "SELECT next_at, paused_until, crawl_delay, robots, requests, bytes, waited, retry_after, failures FROM hosts WHERE host = ?",
                (host,),
            ).fetchone()
            state = self._hosts[host] = _Host(*row) if row else _Host()
            # A clock that was set back must not stop a host for longer than it could have asked for.
            latest = time.time() + _LONGEST_PAUSE
            state.next_at, state.paused_until = min(state.next_at, latest), min(state.paused_until, latest)
        return state

    def _forget(self) -> None:
        idle = [host for host, state in self._hosts.items() if not state.users and state.next_at < time.time()]
        for host in idle[: _REMEMBERED // 2]:
            self._save(host, self._hosts.pop(host))

    def _save(self, host: str, state: _Host) -> None:
        self._file.execute(
            "INSERT OR REPLACE INTO hosts VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                *(host, state.next_at, state.paused_until, state.crawl_delay, state.robots, state.requests),
                *(state.bytes, state.waited, state.retry_after, state.failures),
            ),
        )
