"""Calls that go out together through a provider's batch API, at its price, and come back within a day.

While a run asks, its calls are only written down. When it ends, they are submitted; a later run looks once for results before it asks.
A submission is committed to the ledger before the provider hears of it, and after a crash, or a lost answer to its creation, it is looked
for at the provider before it may be sent again: so none is sent twice.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from castalia.errors import BudgetReached, MissingRecording, OracleError, OracleRefused
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import submissions as ledger_submissions
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.reading import reading_of
from castalia.oracle.ledger.rows import Done, Intent
from castalia.oracle.ledger.submissions import Result, Submission
from castalia.oracle.providers.base import HttpProvider, UnreadableAnswer
from castalia.oracle.providers.batch_apis import BatchApi, OpenAIBatches, Progress, batch_api, form, read_object
from castalia.oracle.redact import Redactor
from castalia.oracle.transport import BODY_LIMIT, HttpReply, Lost, Transport, Unsent

MOST_CALLS = 10_000
MOST_BYTES = 64 * 2**20
"""Of one file; the providers take more, but it has to fit into memory."""
SETTLE_SECONDS = 10.0
"""After a lost creation: how long until the provider's list is trusted to show it."""
MOST_TRIES = 5
BACKOFF_SECONDS = 0.5
FILED_AT_ONCE = 500


@dataclass(frozen=True)
class Account:
    """Where batches go, and with which key."""

    provider: HttpProvider
    key: str | None
    api: BatchApi = field(compare=False)

    @property
    def names(self) -> tuple[str, str, str]:
        """(provider, address, fingerprint of the key), as the ledger has them."""
        return self.provider.name, self.provider.base_url, hashlib.sha256((self.key or "").encode()).hexdigest()[:16]


@dataclass
class Waiting:
    """Calls of one account that this run asked for."""

    account: Account
    keys: set[str] = field(default_factory=set[str])
    is_looked_up: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Counts:
    """What became of the calls of a batch."""

    answered: int = 0
    refused: int = 0
    open: int = 0
    filed: int = 0
    foreign: int = 0
    """Results for calls that aren't of this batch."""


class BatchDesk:
    """Batches of one client."""

    def __init__(self, ledger: Ledger, transport: Transport, redactor: Redactor, budget: int | None):
        self._ledger = ledger
        self._transport = transport
        self._redactor = redactor
        self._budget = budget
        self._waiting: dict[tuple[str, str, str], Waiting] = {}
        self.notes: list[str] = []
        """What a person should know about batches that were sent, found, or came back."""

    async def answer(self, intent: Intent, provider: HttpProvider, key: str | None) -> Done:
        """The answer, where it is in. Raises MissingRecording, which says when to come again."""
        account = Account(provider, key, batch_api(provider))
        waiting = self._waiting.setdefault(account.names, Waiting(account))
        async with waiting.lock:
            if not waiting.is_looked_up:
                await self.look(account)
                waiting.is_looked_up = True
        done = self._ledger.lookup(intent.key)
        if done is not None:
            return done
        token = self._ledger.token
        await self._ledger.run(lambda db, books: ledger_submissions.await_batch(db, books, intent, token))
        waiting.keys.add(intent.key)
        raise MissingRecording(
            f"prompt {intent.prompt!r} for {intent.subject!r} waits for a batch of {provider.name} at {provider.base_url}. Calls that are "
            f"not under way are submitted when this run ends; results take up to a day. Run the same command again later to go on"
        )

    async def look(self, account: Account) -> None:
        """Finds submissions that a crash left behind, and takes in the results there are."""
        for submission in self._ledger.submissions(living=True):
            if (submission.provider, submission.base_url, submission.account) != account.names:
                continue
            if submission.state == "prepared":
                if submission.owner != self._ledger.token and self._ledger.is_alive(submission.owner):
                    continue
                if await self._claim(submission):
                    await self._send(account, submission, is_repeat=True)
            else:
                await self._collect(account, submission)

    async def _claim(self, submission: Submission) -> bool:
        token = self._ledger.token
        return await self._ledger.run(lambda db, _: ledger_submissions.claim(db, submission, token))

    async def submit(self) -> None:
        """Sends what was asked for and isn't under way."""
        for waiting in self._waiting.values():
            keys = sorted(waiting.keys)
            waiting.keys.clear()
            for start in range(0, len(keys), MOST_CALLS):
                while await self._submit_file(waiting.account, keys[start : start + MOST_CALLS]):
                    pass

    async def _submit_file(self, account: Account, keys: list[str]) -> bool:
        """Sends one file with as many of the calls as fit into it; False when none was left."""
        token, budget, line = self._ledger.token, self._budget, account.api.line
        prepared = await self._ledger.run(
            lambda db, books: ledger_submissions.prepare(db, books, keys, account.names, token, budget, line, MOST_BYTES)
        )
        if prepared is None:
            return False
        if not prepared.file:
            raise BudgetReached(
                f"{prepared.left_out} calls for a batch of {account.provider.name} don't fit into the budget, counted at their "
                f"worst case. Nothing is lost; raise execution.budget_usd and run the same command again to continue"
            )
        failpoint("batch-prepared")
        await self._send(account, prepared.submission, file=prepared.file)
        return True

    async def _send(self, account: Account, submission: Submission, *, file: bytes = b"", is_repeat: bool = False) -> None:
        """Makes the batch at the provider, once. A repeat looks for it first."""
        for attempt in range(MOST_TRIES):
            if is_repeat or attempt:
                await asyncio.sleep(max(0.0, submission.prepared_at + SETTLE_SECONDS - time.time()) if not attempt else SETTLE_SECONDS)
                remote = await self._find(account, submission)
                if remote is not None:
                    await self._adopt(account, submission, remote, "found again")
                    return
            if not file:
                file = await self._ledger.run(lambda db, _: ledger_submissions.rebuild(db, submission, account.api.line))
            try:
                remote = await self._create(account, submission, file)
            except OracleError as error:
                if not is_repeat and not attempt:  # nothing was made, for certain
                    await self._give_up(submission, str(error))
                raise
            if remote is not None:
                failpoint("batch-created")
                await self._adopt(account, submission, remote, "submitted")
                return
        raise OracleError(
            f"batch {submission.id} with {submission.calls} calls could not be made at {account.provider.base_url}, and isn't in its list. "
            f"Run the same command again to look for it once more"
        )

    async def _adopt(self, account: Account, submission: Submission, remote: str, how: str) -> None:
        await self._ledger.run(lambda db, _: ledger_submissions.adopt(db, submission.id, remote))
        failpoint("batch-adopted")
        self.notes.append(f"batch {remote} with {submission.calls} calls at {account.provider.base_url}: {how}")

    async def _create(self, account: Account, submission: Submission, file: bytes) -> str | None:
        """The provider's name for the new batch; None when its answer was lost, so that it may exist."""
        file_id = ""
        if isinstance(account.api, OpenAIBatches):
            body, kind = form(file, submission.digest[:32])
            file_id = str((await self._call(account, "POST", "/files", body, kind))["id"])
            failpoint("batch-uploaded")
        body = account.api.creation(submission, file, file_id)
        try:
            reply = await self._request(account, "POST", account.api.path, body, "application/json")
        except Lost:
            return None
        except Unsent as error:
            raise OracleError(f"{account.provider.base_url} can't be reached: {error}; nothing was submitted, run again later") from error
        if 200 <= reply.status < 300:
            return str(read_object(reply.raw)["id"])
        if reply.status >= 500 or reply.status == 408:
            return None
        words = self._redactor.error(f"HTTP {reply.status}: {reply.raw[:500].decode('utf-8', 'replace')}")
        raise OracleRefused(f"{account.provider.name} at {account.provider.base_url} refused the batch: {words}. Nothing was submitted")

    async def _give_up(self, submission: Submission, detail: str) -> None:
        await self._ledger.run(lambda db, books: ledger_submissions.end(db, books, submission, detail))

    async def _find(self, account: Account, submission: Submission) -> str | None:
        """Looks through the provider's list, back to when the submission was prepared."""
        known = {other.remote for other in self._ledger.submissions() if other.remote}
        place = ""
        found: list[str] = []
        while True:
            page = await self._call(account, "GET", f"{account.api.path}?limit=100{place}")
            batches: list[dict[str, Any]] = page["data"]
            found += [str(batch["id"]) for batch in batches if str(batch["id"]) not in known and account.api.may_be(batch, submission)]
            if not batches or not page.get("has_more") or account.api.created_at(batches[-1]) < submission.prepared_at - 3600:
                return found[-1] if found else None
            place = f"&{account.api.after}={page.get('last_id') or batches[-1]['id']}"

    async def _collect(self, account: Account, submission: Submission) -> None:
        """Takes in the results of a batch that ended."""
        progress = account.api.progress(await self._call(account, "GET", f"{account.api.path}/{submission.remote}"))
        if not progress.is_ended:
            self.notes.append(f"batch {submission.remote} is under way: {progress.done} of {progress.total} calls")
            return
        counts = await self._file(account, submission, progress)
        if counts.foreign and not counts.filed:
            token = self._ledger.token
            await self._ledger.run(lambda db, _: ledger_submissions.disown(db, submission, token))
            self.notes.append(f"batch {submission.remote} is not ours: none of its {counts.foreign} results was asked for")
            again = next(item for item in self._ledger.submissions(living=True) if item.id == submission.id)
            await self._send(account, again, is_repeat=True)
            return
        still_open = await self._ledger.run(lambda db, books: ledger_submissions.end(db, books, submission, progress.detail))
        more = ((counts.refused, "refused"), (counts.open + still_open, "open again"), (counts.foreign, "foreign"))
        parts = [f"batch {submission.remote} ended: {counts.answered} answered", *(f"{number} {what}" for number, what in more if number)]
        self.notes.append(", ".join(parts) + (f" ({progress.detail})" if progress.detail else ""))

    async def _file(self, account: Account, submission: Submission, progress: Progress) -> "Counts":
        counts = Counts()
        results: list[Result] = []

        async def flush() -> None:
            batch = list(results)
            results.clear()
            answered, foreign = await self._ledger.run(lambda db, books: ledger_submissions.file_results(db, books, submission, batch))
            counts.answered += answered
            counts.foreign += foreign
            counts.filed += len(batch) - foreign
            failpoint("batch-results")

        for path in progress.results:
            async for line in self._lines(account, path):
                result = await self._result(account, line)
                counts.refused += result.is_final
                counts.open += result.outcome == "rejected" and not result.is_final
                results.append(result)
                if len(results) >= FILED_AT_ONCE:
                    await flush()
        await flush()
        return counts

    async def _result(self, account: Account, line: bytes) -> Result:
        """What becomes of a call. An answer that can't be read may have been billed."""
        fate = account.api.fate(line)
        if fate.kind != "answered":
            return Result(fate.key, None, None, "rejected", self._redactor.error(fate.detail), fate.kind == "refused")
        raw = self._redactor.raw(line)
        known = await self._ledger.run(lambda db, _: ledger_submissions.prices_of(db, fate.key))
        try:
            answer = account.provider.read(raw)
        except UnreadableAnswer as error:
            return Result(fate.key, raw, None, "unknown", str(error), is_final=False)
        if known is None:
            return Result(fate.key, raw, None, "unknown", "not in this ledger", is_final=False)
        request, price, worst = known
        return Result(fate.key, raw, reading_of(answer, request, price, worst), "answered", "", is_final=False)

    # The wire

    async def _call(self, account: Account, method: str, path: str, body: bytes | None = None, kind: str = "") -> dict[str, Any]:
        """A request that may be repeated freely."""
        words = ""
        for attempt in range(MOST_TRIES):
            try:
                reply = await self._request(account, method, path, body, kind)
                if 200 <= reply.status < 300:
                    return read_object(reply.raw)
                words = f"HTTP {reply.status}: {reply.raw[:500].decode('utf-8', 'replace')}"
                if reply.status != 429 and reply.status < 500 and reply.status != 408:
                    raise OracleRefused(
                        f"{account.provider.name} at {account.provider.base_url} refused {method} {path.partition('?')[0]}: "
                        f"{self._redactor.error(words)}. Check the key and `base_url`, then run again"
                    )
            except (Lost, Unsent, ValueError) as error:
                words = f"{type(error).__name__}: {error}"
            if attempt < MOST_TRIES - 1:
                await asyncio.sleep(random.uniform(0, BACKOFF_SECONDS * 2**attempt))
        raise OracleError(
            f"{account.provider.base_url}{path.partition('?')[0]} did not answer after {MOST_TRIES} tries; last: "
            f"{self._redactor.error(words)}. Run the same command again later"
        )

    async def _request(self, account: Account, method: str, path: str, body: bytes | None, kind: str) -> HttpReply:
        headers = {**account.provider.headers(account.key), **({"Content-Type": kind} if kind else {})}
        return await self._transport.request(account.provider, method, path, body, headers)

    async def _lines(self, account: Account, path: str) -> AsyncIterator[bytes]:
        rest = b""
        try:
            async for part in self._transport.download(account.provider, path, account.provider.headers(account.key)):
                *lines, rest = (rest + part).split(b"\n")
                if len(rest) > BODY_LIMIT:
                    raise OracleError(f"a line of {path} is longer than {BODY_LIMIT // 2**20} MiB; these are no batch results")
                for line in lines:
                    if line.strip():
                        yield line
        except (Lost, Unsent) as error:
            raise OracleError(
                f"the results at {account.provider.base_url}{path} did not arrive whole: {error}. What came is in the ledger; run again"
            ) from error
        if rest.strip():
            yield rest
