"""One adaptive limiter per (provider, address, model): how many calls fly, how many start per minute, with how many tokens.

The limits per minute are those of the configuration and those that the provider's headers tell, whichever bind first.

Additive increase, multiplicative decrease, as TCP does (Chiu and Jain 1989), with one cut per burst: when 40 calls in flight are refused
together, that is one signal, and when one in twenty is refused at random, that is none. The first call to a model flies alone, so that a
wrong key costs one call and not a thousand.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from castalia.errors import OracleError
from castalia.oracle.quotas import Kind, Rate, Told

PROBE_SECONDS = 10.0
"""How long the first call flies alone: refusals come at once, long answers don't."""
CUT = 0.8
BURST_SECONDS = 1.0
NOISE = 0.15
"""Share of refused answers up to which the window stays: single refusals delay their own call, a cut is for a server that is full.
Otherwise slow calls, whose window grows slowly, would shrink to one at a time under a few random refusals."""
PAUSE_STREAK = 4
"""So many refusals in a row, when they are more than noise, mean that the quota is used up: then all calls of the model wait."""


@dataclass
class Flight:
    """One started call."""

    limiter: "Limiter"
    started: float
    """Monotonic seconds."""
    is_landed: bool = False

    def land(self) -> None:
        """Frees its place, once."""
        if not self.is_landed:
            self.is_landed = True
            self.limiter.end()


class Limiter:
    """Lets calls of one model start, first come, first served."""

    def __init__(self, most: int, requests_per_minute: float | None, tokens_per_minute: float | None):
        self._most = float(most)
        self._window = float(most)
        self._requests = Rate(requests_per_minute)
        self._tokens = Rate(tokens_per_minute)
        self._told: dict[Kind, Rate] = {"requests": Rate(None), "tokens": Rate(None)}
        self._usual_tokens: float | None = None
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._flying = 0
        self._proved = False
        self._probe_until = 0.0
        self._paused_until = 0.0
        self._last_cut = 0.0
        self._streak = 0
        self._share = 0.0
        self._refused: OracleError | None = None
        self.reason = ""

    @property
    def flying(self) -> int:
        """Calls in flight."""
        return self._flying

    @property
    def waiting(self) -> int:
        """Calls that wait for their start."""
        return len(self._waiting)

    @property
    def is_proved(self) -> bool:
        """Whether a call to this model has ever succeeded here."""
        return self._proved

    def try_start(self, tokens: float) -> bool:
        """Starts at once where that is allowed. Raises the error that stopped this model for good."""
        self._raise_refusal()
        if self._waiting or self._delay() is not None:
            return False
        self._take(tokens)
        return True

    async def start(self, tokens: float) -> None:
        """Waits for permission to start."""
        if self.try_start(tokens):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, tokens))
        self._pump()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.end()
            raise

    def end(self) -> None:
        """A call came back."""
        self._flying -= 1
        self._pump()

    def correct(self, reserved: float, used: float) -> None:
        """A call used other tokens than it had reserved."""
        self._tokens.take(used - reserved)
        if used:
            self._usual_tokens = used if self._usual_tokens is None else 0.9 * self._usual_tokens + 0.1 * used

    def learn(self, told: Iterable[Told]) -> None:
        """What the headers of an answer say about the quotas."""
        now = time.monotonic()
        for quota in told:
            unseen = self._flying * (1.0 if quota.kind == "requests" else self._usual_tokens or 0.0)
            self._told[quota.kind].learn(quota, now, unseen)

    def accepted(self) -> None:
        """The server did the work: credentials and model are right, and the window grows by one call per round."""
        self._proved = True
        self._streak = 0
        self._share -= self._share / max(10.0, self._window)
        self._window = min(self._most, self._window + 1 / self._window)

    def overloaded(self, started: float, wait: float | None) -> None:
        """The server said it is too much, of a call that started at `started` (monotonic seconds)."""
        now = time.monotonic()
        self._streak += 1
        self._share += (1 - self._share) / max(10.0, self._window)
        if self._share > NOISE and started > self._last_cut and now - self._last_cut > BURST_SECONDS:
            self._window = max(1.0, min(self._window, max(self._flying, 1.0)) * CUT)
            self._last_cut = now
        if wait is not None and self._streak >= PAUSE_STREAK and self._share > NOISE:
            self._paused_until = max(self._paused_until, now + wait)

    def refuse(self, error: OracleError) -> None:
        """Stops this model for good: no call starts any more."""
        self._refused = error
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def _raise_refusal(self) -> None:
        if self._refused is not None:
            raise self._refused

    def _take(self, tokens: float) -> None:
        if not self._proved and self._flying == 0:
            self._probe_until = time.monotonic() + PROBE_SECONDS
        self._flying += 1
        self._requests.take(1)
        self._tokens.take(tokens)
        self._told["requests"].take(1)
        # A provider counts what is used, not what is allowed: with the bound of an answer, few calls would fly at once.
        self._told["tokens"].take(tokens if self._usual_tokens is None else self._usual_tokens)

    def _delay(self) -> float | None:
        """None when a call may start now; otherwise the seconds until it is worth looking again, 0 for `when one ends`."""
        now = time.monotonic()
        if not self._proved and self._flying and now < self._probe_until:
            self.reason = "first call"
            return self._probe_until - now
        if self._flying >= max(1, int(self._window)):
            self.reason = "concurrency" if self._window >= self._most else "server load"
            return 0.0
        for reason, wait in (
            ("retry-after", self._paused_until - now),
            ("requests per minute", max(self._requests.wait(now), self._told["requests"].wait(now))),
            ("tokens per minute", max(self._tokens.wait(now), self._told["tokens"].wait(now))),
        ):
            if wait > 0:
                self.reason = reason
                return wait
        self.reason = ""
        return None

    def _pump(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            delay = self._delay()
            if delay is not None:
                if delay > 0:
                    self._timer = asyncio.get_running_loop().call_later(delay, self._pump)
                return
            future, tokens = self._waiting.popleft()
            if not future.done():
                self._take(tokens)
                future.set_result(None)
