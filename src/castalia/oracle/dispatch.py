"""One call from intent to answer: ledger, limiter, transport, retries.

Calls run in tasks of their own. A caller that is cancelled stops waiting, but what was sent is received, committed and paid once.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from castalia.errors import AnswerUnusable, BudgetReached, MissingRecording, OracleError
from castalia.oracle.batching import BatchDesk
from castalia.oracle.exchange import Again, Call, Exchange, Failures, NoSchemaMode, Tally
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import approximate_tokens, reading_of
from castalia.oracle.ledger.rows import Done, Intent, NoMoney, Reading, Sent, Theirs
from castalia.oracle.ledger.submissions import PREFIX as BATCH_LEASE
from castalia.oracle.ledger.submissions import Submission
from castalia.oracle.limits import Flight, Limiter
from castalia.oracle.lookups import Lookups
from castalia.oracle.prices import TokenPrice, dollars
from castalia.oracle.providers import provider_class
from castalia.oracle.providers.base import HttpProvider, LocalProvider, Provider, UnreadableAnswer
from castalia.oracle.redact import Redactor
from castalia.oracle.rejected import rejection

POLL_SECONDS = 0.05
DRAIN_SECONDS = 60.0
"""How long calls in flight are waited for when a run is stopped."""


@dataclass(eq=False)
class Run:
    """A call under way, shared by all who ask for it."""

    call: Call
    waiters: "list[asyncio.Future[Done]]" = field(default_factory=list["asyncio.Future[Done]"])
    is_sent: bool = False
    is_written: bool = False
    """Whether the ledger may hold a lease for it."""
    task: "asyncio.Task[Done] | None" = None


def read_committed(provider: str, raw: bytes, request: str, price: TokenPrice, worst: int) -> Reading | None:
    """Reads an answer that a crashed process had committed; None when it isn't one."""
    try:
        return reading_of(provider_class(provider).read(raw), request, price, worst)
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
        self._exchange = Exchange(ledger, self.tally, redactor, keys)
        self.desk = BatchDesk(ledger, self._exchange.transport, redactor, budget)
        self._lookups = Lookups(ledger)
        self._runs: dict[str, Run] = {}
        self.short_of_money = 0
        self._open = 0
        self._settled = 0
        self._change = asyncio.Event()
        self._closing = False

    async def answer(self, call: Call) -> Done:
        """The answer of a call: from the ledger, from a call already under way, or by making it."""
        intent = call.intent
        done = await self._lookups.find(intent.key)
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
        run = self._runs[call.intent.key] = Run(call)
        run.task = asyncio.get_running_loop().create_task(self._drive(run))
        run.task.add_done_callback(lambda task: self._end(run, task))
        return run

    def _end(self, run: Run, task: "asyncio.Task[Done]") -> None:
        del self._runs[run.call.intent.key]
        error = None if task.cancelled() else task.exception()
        for waiter in run.waiters:
            if waiter.done():
                continue
            if task.cancelled():
                waiter.cancel()
            elif error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(task.result())

    async def _join(self, run: Run) -> Done:
        waiter: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        run.waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            run.waiters.remove(waiter)
            if not run.waiters and not run.is_sent and run.task is not None:
                run.task.cancel()
            raise

    async def close(self) -> None:
        """Lets what was sent come back, within a minute; drops what wasn't. Nothing new starts."""
        self._closing = True
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for run in list(self._runs.values()):
            if not run.is_sent and run.task is not None:
                run.task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:  # in doubt from now on, and listed
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._exchange.close()

    async def look_at_batches(self, providers: Iterable[Provider]) -> None:
        """Takes in what the batches of these providers have brought, and finds those that a crash left behind."""
        for provider in providers:
            if isinstance(provider, HttpProvider) and provider.config.batch:
                await self.desk.look(self.desk.account(provider, self._exchange.key(provider)))

    def has_account(self, providers: Iterable[Provider], batch: Submission) -> bool:
        """Whether one of these providers would look at the batch."""
        asking = (provider for provider in providers if isinstance(provider, HttpProvider) and provider.config.batch)
        accounts = [self.desk.account(provider, self._exchange.key(provider)).names for provider in asking]
        return (batch.provider, batch.base_url, batch.account) in accounts

    def limiter(self, call: Call) -> Limiter:
        """The limiter of the call's model."""
        name = (call.intent.provider, call.intent.base_url, call.intent.model)
        if name not in self.limiters:
            config = call.provider.config
            self.limiters[name] = Limiter(self._concurrency, config.requests_per_minute, config.tokens_per_minute)
        return self.limiters[name]

    async def _drive(self, run: Run) -> Done:
        call = run.call
        if isinstance(call.provider, LocalProvider):
            return await self._locally(call, call.provider)
        if not isinstance(call.provider, HttpProvider):
            raise OracleError(f"provider {call.intent.provider!r} is neither local nor HTTP; derive it from LocalProvider or HttpProvider")
        if self._offline:
            raise rejection(call.intent, self.ledger.failure(call.intent.key)) or OracleError(
                f"offline: the ledger has no answer for prompt {call.intent.prompt!r}, subject {call.intent.subject!r} "
                f"(model {call.intent.model!r}). Run without --offline to ask for it"
            )
        if call.provider.config.batch:
            done = await self.desk.answer(call.intent, call.provider, self._exchange.key(call.provider))
            self.tally.cached += 1
            return done
        failures = Failures()
        try:
            while not isinstance(result := await self._attempt(run, call.provider, failures), Done):
                if self._closing:
                    raise OracleError("the oracle was closed before a failed call could be repeated; run again")
                await asyncio.sleep(result.seconds)
            run.is_written = False
            return result
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise OracleError("the oracle was closed before this call was sent; run again") from None
        finally:
            if run.is_written:
                await self.ledger.release(call.intent.key)

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
        reading = reading_of(answer, intent.request, intent.price, intent.worst)._replace(model=found.model, note=found.note)
        while isinstance(result := await self.ledger.answer_locally(intent, found.raw, reading), Theirs):
            await self._wait_for(intent.key, result.owner)
        self.tally.count(reading)
        return result

    async def _attempt(self, run: Run, provider: HttpProvider, failures: Failures) -> Done | Again:
        call = run.call
        intent = call.intent
        limiter = self.limiter(call)
        # Raises before the ledger is touched when the key isn't there.
        key = self._exchange.key(call.provider)
        reserved = approximate_tokens(intent.request) + provider.config.max_tokens
        if not limiter.try_start(reserved):
            await limiter.start(reserved)
        if call.is_native and provider.asks_by_prompt:
            limiter.end()
            limiter.correct(reserved, 0.0)
            raise NoSchemaMode
        used, flight = 0.0, Flight(limiter, time.monotonic())
        try:
            run.is_sent = run.is_written = True
            sent = await self._send(run)
            if isinstance(sent, Sent):
                try:
                    result, used = await self._exchange.run(call, provider, key, sent, flight, failures)
                finally:
                    self._open -= 1
                    self._settled += 1
                    self._change.set()
                return result
            if isinstance(sent, Done):
                return sent
        finally:
            run.is_sent = False
            flight.land()
            limiter.correct(reserved, used)
        await self._wait_for(intent.key, sent.owner)
        return self.ledger.lookup(intent.key) or Again(0.0)

    async def _send(self, run: Run) -> Sent | Done | Theirs:
        call = run.call
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
                self.short_of_money += 1
                try:
                    await self._change.wait()
                finally:
                    self.short_of_money -= 1
                run.is_sent = True

    def _budget_reached(self, intent: Intent, money: NoMoney) -> BudgetReached:
        parts = (
            (money.spent, "paid"), (money.in_flight, "in flight elsewhere"), (money.in_doubt, "in doubt"),
            (money.written_off, "for answers that were billed and lost"),
        )  # fmt: skip
        where = ", ".join(f"{dollars(nano)} {words}" for nano, words in parts if nano or words == "paid")
        return BudgetReached(
            f"the budget of {dollars(self.budget or 0)} is reached: {where}, and the next call ({intent.prompt!r} for {intent.subject!r}) may "
            f"cost up to {dollars(intent.worst)}. Nothing is lost; raise execution.budget_usd and run the same command again to continue"
        )

    async def _wait_for(self, key: str, owner: str) -> None:
        """Waits until another process has answered or left."""
        if owner.startswith(BATCH_LEASE):
            raise OracleError(
                f"call {key[:16]} is under way in a batch that was submitted before. Set `batch: true` for its role again to take in the "
                f"results, or wait for them"
            )
        seconds = POLL_SECONDS
        while self.ledger.lease(key) == owner:
            if not self.ledger.is_alive(owner):
                await asyncio.to_thread(self.ledger.recover, read_committed)
                return
            await asyncio.sleep(seconds)
            seconds = min(1.0, seconds * 1.5)
