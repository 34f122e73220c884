"""One call from intent to answer: ledger, limiter, transport, retries.

Calls run in tasks of their own. A caller that is cancelled stops waiting, but what was sent is received, committed and paid once.
"""

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from castalia.errors import AnswerUnusable, BudgetReached, MissingRecording, OracleError, OracleRefused
from castalia.oracle.calls import Ask
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import approximate_tokens, reading_of
from castalia.oracle.ledger.rows import Done, Intent, NoMoney, Outcome, Reading, Sent, Theirs
from castalia.oracle.limits import Limiter, retry_after
from castalia.oracle.prices import to_usd
from castalia.oracle.providers import provider_class
from castalia.oracle.providers.base import HttpProvider, LocalProvider, Provider, UnreadableAnswer
from castalia.oracle.redact import Redactor
from castalia.oracle.transport import HttpReply, Lost, Transport, Unsent

OVERLOADED = frozenset({429, 503, 529})
MAYBE_BILLED = frozenset({408, 502, 504})
"""A gateway gave up on a server that may have finished the work."""
FOREVER = frozenset({401, 403, 404})
"""Wrong for every call to this model, so none follows."""
MOST_ERRORS = 6
MOST_OVERLOADS = 60
MOST_UNCONNECTED = 4
BACKOFF_SECONDS = 0.5
BACKOFF_CAP = 30.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Call:
    """A call ready to be made."""

    intent: Intent
    ask: Ask
    provider: Provider


@dataclass
class Run:
    """A call under way, shared by all who ask for it."""

    task: "asyncio.Task[Done]"
    waiters: int = 0
    is_sent: bool = False


class Again(NamedTuple):
    """Try again after so many seconds."""

    seconds: float


@dataclass
class Failures:
    """How often a call failed, by kind."""

    errors: int = 0
    overloads: int = 0
    unconnected: int = 0


@dataclass
class Tally:
    """What this session did so far."""

    calls: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    nano: int = 0
    recent: deque[float] = field(default_factory=lambda: deque[float](maxlen=4096))


def read_committed(provider: str, raw: bytes, request: str, price_in: int, price_out: int, worst: int) -> Reading | None:
    """Reads an answer that a crashed process had committed; None when it isn't one."""
    try:
        return reading_of(provider_class(provider).read(raw), request, price_in, price_out, worst)
    except UnreadableAnswer:
        return None


class Dispatch:
    """Makes calls, each once."""

    def __init__(
        self, ledger: Ledger, *, budget: int | None, concurrency: int, offline: bool, redactor: Redactor, keys: dict[str, str | None]
    ):
        self.ledger = ledger
        self.budget = budget
        self.tally = Tally()
        self.limiters: dict[tuple[str, str, str], Limiter] = {}
        self._concurrency = concurrency
        self._offline = offline
        self._redactor = redactor
        self._keys = keys
        self._transport = Transport()
        self._runs: dict[str, Run] = {}
        self._open = 0
        self._settled = 0
        self._change = asyncio.Event()
        self._closing = False

    async def answer(self, call: Call) -> Done:
        """The answer of a call: from the ledger, from a call already under way, or by making it."""
        intent = call.intent
        done = self.ledger.lookup(intent.key)
        if done is None:
            run = self._runs.get(intent.key)
            if run is None:
                return await self._join(self._start(call))
            done = await self._join(run)
        self.tally.cached += 1
        self.ledger.hit(intent.stage, intent.role, intent.provider, intent.model)
        return done

    def _start(self, call: Call) -> Run:
        if self._closing:
            raise OracleError("the oracle is closing; open it again to make calls")
        task = asyncio.get_running_loop().create_task(self._drive(call))
        run = self._runs[call.intent.key] = Run(task)

        def end(task: "asyncio.Task[Done]") -> None:
            del self._runs[call.intent.key]
            if not task.cancelled():
                task.exception()  # marks it as seen: all who waited may have left

        task.add_done_callback(end)
        return run

    async def _join(self, run: Run) -> Done:
        run.waiters += 1
        try:
            return await asyncio.shield(run.task)
        finally:
            run.waiters -= 1
            if not run.waiters and not run.is_sent and not run.task.done():
                run.task.cancel()

    async def close(self) -> None:
        """Lets what was sent come back; drops what wasn't. Nothing new starts."""
        self._closing = True
        for run in list(self._runs.values()):
            if not run.is_sent:
                run.task.cancel()
        if self._runs:
            await asyncio.wait([run.task for run in self._runs.values()])
        await self._transport.close()

    def limiter(self, call: Call) -> Limiter:
        """The limiter of the call's model."""
        name = (call.intent.provider, call.intent.base_url, call.intent.model)
        if name not in self.limiters:
            config = call.provider.config
            self.limiters[name] = Limiter(self._concurrency, config.requests_per_minute, config.tokens_per_minute)
        return self.limiters[name]

    async def _drive(self, call: Call) -> Done:
        if isinstance(call.provider, LocalProvider):
            return await self._locally(call, call.provider)
        if not isinstance(call.provider, HttpProvider):
            raise OracleError(f"provider {call.intent.provider!r} is neither local nor HTTP; derive it from LocalProvider or HttpProvider")
        if self._offline:
            raise OracleError(
                f"offline: the ledger has no answer for prompt {call.intent.prompt!r}, subject {call.intent.subject!r} (model {call.intent.model!r}). "
                f"Run without --offline to ask for it"
            )
        failures = Failures()
        try:
            while True:
                result = await self._attempt(call, call.provider, failures)
                if isinstance(result, Done):
                    return result
                if self._closing:
                    raise OracleError("the oracle was closed before a failed call could be repeated; run again")
                await asyncio.sleep(result.seconds)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise OracleError("the oracle was closed before this call was sent; run again") from None
        finally:
            if not self._is_done(call):
                await self.ledger.release(call.intent.key)

    def _is_done(self, call: Call) -> bool:
        return self.ledger.lookup(call.intent.key) is not None

    async def _locally(self, call: Call, provider: LocalProvider) -> Done:
        found = provider.answer(call.ask)
        if found is None:
            await self.ledger.plan(call.intent)
            await self.ledger.release(call.intent.key)
            raise MissingRecording(provider.missing(call.ask))
        intent = call.intent
        try:
            answer = provider.read(found.raw)
        except UnreadableAnswer as error:
            raise AnswerUnusable(
                f"the local answer for prompt {intent.prompt!r}, subject {intent.subject!r} can't be read: {error}"
            ) from error
        reading = reading_of(answer, intent.request, intent.price_in, intent.price_out, intent.worst)._replace(
            model=found.model, note=found.note
        )
        while isinstance(result := await self.ledger.answer_locally(intent, found.raw, reading), Theirs):
            await self._wait_for(intent.key, result.owner)
        self._count(reading)
        return result

    async def _attempt(self, call: Call, provider: HttpProvider, failures: Failures) -> Done | Again:
        intent = call.intent
        limiter = self.limiter(call)
        # Raises before the ledger is touched when the key isn't there.
        key = self._key(call)
        reserved = approximate_tokens(intent.request) + call.provider.config.max_tokens
        if not limiter.try_start(reserved):
            await self.ledger.plan(intent)
            await limiter.start(reserved)
        run = self._runs[intent.key]
        used, started = 0.0, time.monotonic()
        try:
            run.is_sent = True
            sent = await self._send(call, run)
            if isinstance(sent, Theirs):
                run.is_sent = False
            elif isinstance(sent, Sent):
                try:
                    result, used = await self._exchange(call, provider, key, sent, started, limiter, failures)
                finally:
                    self._open -= 1
                    self._settled += 1
                    self._change.set()
                return result
            else:
                return sent
        finally:
            run.is_sent = False
            limiter.end(reserved=reserved, used=used)
        await self._wait_for(intent.key, sent.owner)
        return self.ledger.lookup(intent.key) or Again(0.0)

    async def _send(self, call: Call, run: Run) -> Sent | Done | Theirs:
        while True:
            settled = self._settled
            result = await self.ledger.send(call.intent, self.budget)
            if isinstance(result, Sent):
                self._open += 1
            if not isinstance(result, NoMoney):
                return result
            if self._settled == settled:
                if self._open == 0:
                    raise self._budget_reached(call.intent, result)
                # What flies reserves its worst case; when it lands there may be room.
                self._change.clear()
                run.is_sent = False
                await self._change.wait()
                run.is_sent = True

    def _budget_reached(self, intent: Intent, money: NoMoney) -> BudgetReached:
        return BudgetReached(
            f"the budget of ${to_usd(self.budget or 0):.2f} is reached: ${to_usd(money.spent):.4f} paid, ${to_usd(money.in_flight):.4f} in flight "
            f"elsewhere, ${to_usd(money.in_doubt):.4f} in doubt, and the next call ({intent.prompt!r} for {intent.subject!r}) may cost up to "
            f"${to_usd(intent.worst):.4f}. Nothing is lost; raise execution.budget_usd and run the same command again to continue"
        )

    async def _exchange(
        self, call: Call, provider: HttpProvider, key: str | None, sent: Sent, started: float, limiter: Limiter, failures: Failures
    ) -> tuple[Done | Again, float]:
        """Sends and settles one attempt. Returns what to do next, and the tokens it used."""
        intent = call.intent
        try:
            reply = await self._transport.post(provider, call.ask, key)
        except Unsent as error:
            failures.unconnected += 1
            last = failures.unconnected >= MOST_UNCONNECTED
            return await self._missed(call, sent, "unsent", None, str(error), failures.unconnected, last=last), 0.0
        except Lost as error:
            failures.errors += 1
            return await self._missed(call, sent, "unknown", None, str(error), failures.errors, last=failures.errors >= MOST_ERRORS), 0.0
        if 200 <= reply.status < 300:
            raw = self._redactor.raw(reply.raw)
            await self.ledger.receive(intent.key, sent, raw, reply.status, _request_id(reply))
            limiter.accepted()
            try:
                answer = provider.read(raw)
            except UnreadableAnswer as error:
                failures.errors += 1
                return await self._missed(
                    call, sent, "unknown", reply, str(error), failures.errors, last=failures.errors >= MOST_ERRORS
                ), 0.0
            reading = reading_of(answer, intent.request, intent.price_in, intent.price_out, intent.worst)
            await self.ledger.finish(intent.key, sent, reading)
            self._count(reading)
            return Done(intent.key, raw), reading.tokens_in + reading.tokens_out
        words = f"HTTP {reply.status}: {reply.raw[:500].decode('utf-8', 'replace')}"
        if reply.status in OVERLOADED:
            failures.overloads += 1
            wait = retry_after(reply.headers)
            limiter.overloaded(started, wait)
            last = failures.overloads >= MOST_OVERLOADS
            again = await self._missed(call, sent, "rejected", reply, words, failures.overloads, last=last)
            return (again if wait is None else Again(wait + random.uniform(0, 0.1))), 0.0
        if reply.status in (408, 409) or reply.status >= 500:
            failures.errors += 1
            outcome: Outcome = "unknown" if reply.status in MAYBE_BILLED else "rejected"
            return await self._missed(call, sent, outcome, reply, words, failures.errors, last=failures.errors >= MOST_ERRORS), 0.0
        raise await self._refused(call, sent, reply, words, limiter)

    async def _missed(
        self, call: Call, sent: Sent, outcome: Outcome, reply: HttpReply | None, detail: str, number: int, *, last: bool
    ) -> Again:
        detail = self._redactor.error(detail)
        await self.ledger.miss(
            call.intent.key,
            sent,
            outcome,
            status=reply.status if reply else None,
            request_id=_request_id(reply),
            detail=detail,
            failed=last,
        )
        if last:
            place = f"{call.intent.provider} at {call.intent.base_url}"
            raise OracleError(
                f"{place} did not answer prompt {call.intent.prompt!r} for {call.intent.subject!r} after {number} tries; last: {detail}. "
                f"Check the server or wait, then run the same command again: nothing that was paid is asked twice"
            )
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        return Again(random.uniform(0, min(BACKOFF_CAP, BACKOFF_SECONDS * 2**number)))

    async def _refused(self, call: Call, sent: Sent, reply: HttpReply, words: str, limiter: Limiter) -> OracleRefused:
        words = self._redactor.error(words)
        await self.ledger.miss(
            call.intent.key, sent, "rejected", status=reply.status, request_id=_request_id(reply), detail=words, failed=True
        )
        variable = call.provider.config.key_variable()
        cure = {
            401: f"check the key in environment variable {variable}"
            if variable
            else "the server wants a key: name its variable in `api_key_env`",
            403: f"the key in {variable} may not use model {call.intent.model!r}",
            404: f"check `model: {call.intent.model}` and `base_url`",
            400: "check `model`, `max_tokens`, `temperature` and `effort`; for models without a JSON-schema mode set `native_schema: false`",
        }.get(reply.status, "this request can't succeed as it is")
        error = OracleRefused(f"{call.intent.provider} at {call.intent.base_url} refused the call for good: {words}. Next: {cure}")
        if reply.status in FOREVER or (reply.status == 400 and not limiter.is_proved):
            limiter.refuse(error)
        return error

    def _key(self, call: Call) -> str | None:
        variable = call.provider.config.key_variable()
        if variable is None:
            return None
        key = self._keys.get(variable)
        if not key:
            raise OracleRefused(
                f"provider {call.intent.provider!r} needs an API key in environment variable {variable!r}, which is not set. Set it, or point the role "
                f"at a local server (`provider: openai`, `base_url: http://localhost:8000/v1`), or use `provider: batch_file`"
            )
        return key

    async def _wait_for(self, key: str, owner: str) -> None:
        """Waits until another process has answered or left."""
        seconds = POLL_SECONDS
        while self.ledger.lease(key) == owner:
            if not self.ledger.is_alive(owner):
                await asyncio.to_thread(self.ledger.recover, read_committed)
                return
            await asyncio.sleep(seconds)
            seconds = min(1.0, seconds * 1.5)

    def _count(self, reading: Reading) -> None:
        self.tally.calls += 1
        self.tally.tokens_in += reading.tokens_in
        self.tally.tokens_out += reading.tokens_out
        self.tally.nano += reading.cost
        self.tally.recent.append(time.monotonic())


def _request_id(reply: HttpReply | None) -> str:
    if reply is None:
        return ""
    return (reply.headers.get("x-request-id") or reply.headers.get("request-id") or "")[:200]
