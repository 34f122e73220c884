"""Tells once a second how the asking goes: rate, money, time left, and what limits the speed right now."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from castalia.engine.events import Event, OracleAsking, OracleStopping, StageAdvanced, StageFinished, StageStarted
from castalia.oracle import OracleClient, Stats
from castalia.oracle.dispatch import DRAIN_SECONDS

EVERY_SECONDS = 1.0
WINDOW_SECONDS = 30.0
"""Rates are means over so many seconds."""
LIMITS = {"server load": "provider (it refuses more)", "retry-after": "provider (Retry-After)", "": "provider"}
"""Limits in words for people."""

Listener = Callable[[Event], None]


@asynccontextmanager
async def told(oracle: OracleClient, on_event: Listener, *, every: float = EVERY_SECONDS) -> AsyncGenerator[Listener]:
    """A listener that passes events on, and between them tells of the oracle while it is asked."""
    watch = _Watch(oracle)

    def listener(event: Event) -> None:
        watch.see(event)
        on_event(event)

    async def tell() -> None:
        while True:
            await asyncio.sleep(every)
            if (event := watch.look()) is not None:
                on_event(event)

    task = asyncio.get_running_loop().create_task(tell())
    try:
        yield listener
    except asyncio.CancelledError:
        if in_flight := oracle.stats().in_flight:
            on_event(OracleStopping(in_flight, DRAIN_SECONDS))
        raise
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if (event := watch.look()) is not None:
            on_event(event)


class _Watch:
    """The last looks at one client, and how far its stage is."""

    def __init__(self, oracle: OracleClient):
        self._oracle = oracle
        self._stage = ""
        self._total: int | None = None
        self._steps: deque[tuple[float, float]] = deque()
        """(moment, records done)"""
        self._tokens: deque[tuple[float, float]] = deque()
        self._calls: deque[tuple[float, float]] = deque()

    def see(self, event: Event) -> None:
        """Notes how far the stage is."""
        if isinstance(event, StageStarted):
            self._stage, self._total = event.stage, event.total
            self._steps.clear()
            self._steps.append((time.monotonic(), 0))
        elif isinstance(event, StageAdvanced):
            _note(self._steps, event.done)
        elif isinstance(event, StageFinished):
            self._total = None
            self._steps.clear()

    def look(self) -> OracleAsking | None:
        """What to tell now; None while nothing is asked."""
        stats = self._oracle.stats()
        before = self._calls[-1][1] if self._calls else 0.0
        _note(self._tokens, stats.tokens_in + stats.tokens_out)
        _note(self._calls, stats.calls)
        if not stats.in_flight and not stats.waiting and stats.calls == before:
            return None
        return OracleAsking(
            stage=self._stage, calls=stats.calls, cached=stats.cached, calls_per_second=round(_rate(self._calls), 2),
            tokens_per_second=round(_rate(self._tokens), 1), usd=stats.usd, usd_left=stats.usd_left, in_flight=stats.in_flight,
            waiting=stats.waiting, limit=_in_words(stats), seconds_left=self._seconds_left(),
        )  # fmt: skip

    def _seconds_left(self) -> float | None:
        """Of the stage, at the rate of its records; None before the first and for stages without a known end."""
        rate = _rate(self._steps)
        return None if self._total is None or not rate else max(0.0, (self._total - self._steps[-1][1]) / rate)


def _in_words(stats: Stats) -> str:
    if not stats.in_flight and not stats.waiting:
        return "this machine"
    # Where nothing holds calls back, what is waited for is the provider's answers.
    return LIMITS.get(stats.limit, stats.limit)


def _note(looks: deque[tuple[float, float]], value: float) -> None:
    now = time.monotonic()
    looks.append((now, value))
    while len(looks) > 2 and now - looks[0][0] > WINDOW_SECONDS:
        looks.popleft()


def _rate(looks: deque[tuple[float, float]]) -> float:
    """Per second, over the window."""
    if len(looks) < 2:
        return 0.0
    seconds = looks[-1][0] - looks[0][0]
    return (looks[-1][1] - looks[0][1]) / seconds if seconds > 0 else 0.0
