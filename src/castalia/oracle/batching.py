"""Calls that go out together through a provider's batch API, at its price, and come back within a day.

While a run asks, its calls are only written down. When it ends, they are submitted; a later run looks once for results before it asks.
A submission is committed to the ledger before the provider hears of it, and after a crash, or a lost answer to its creation, it is looked
for at the provider before it may be sent again: so none is sent twice. No clock decides about that: ours may jump, and isn't theirs.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from castalia.errors import BudgetReached, MissingRecording, OracleError, OracleRefused, RequestRejected
from castalia.oracle.batch_results import Counts, take_in
from castalia.oracle.batch_wire import MOST_TRIES, Account, BatchWire, Gone
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import submissions as ledger_submissions
from castalia.oracle.ledger.ledger import Ledger
from castalia.oracle.ledger.rows import Done, Intent
from castalia.oracle.ledger.submissions import Submission
from castalia.oracle.providers.base import HttpProvider
from castalia.oracle.providers.batch_apis import OpenAIBatches, batch_api, form, read_object
from castalia.oracle.redact import Redactor
from castalia.oracle.rejected import rejection
from castalia.oracle.transport import Lost, Transport, Unsent

MOST_CALLS = 10_000
MOST_BYTES = 64 * 2**20
"""Of one file; the providers take more, but it has to fit into memory."""
SETTLE_SECONDS = 10.0
"""After a lost creation: how long until the provider's list is trusted to show it. Always waited in full."""


@dataclass
class Waiting:
    """Calls of one account that this run asked for."""

    account: Account
    keys: set[str] = field(default_factory=set[str])
    is_looked_up: bool = False
    problem: OracleError | None = None
    """Why the account could not be looked at: told to every call, and found out once."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class BatchDesk:
    """Batches of one client."""

    def __init__(self, ledger: Ledger, transport: Transport, redactor: Redactor, budget: int | None):
        self._ledger = ledger
        self._wire = BatchWire(transport, redactor)
        self._redactor = redactor
        self._budget = budget
        self._waiting: dict[tuple[str, str, str], Waiting] = {}
        self.notes: list[str] = []
        """What a person should know about batches that were sent, found, or came back."""

    async def answer(self, intent: Intent, provider: HttpProvider, key: str | None) -> Done:
        """The answer, where it is in. Raises MissingRecording, which says when to come again, and RequestRejected for what the provider could
        not take: batched once more, it would keep the run from ever ending."""
        if intent.redacted:
            raise RequestRejected(
                f"prompt {intent.prompt!r} for {intent.subject!r} holds a key from the environment, which the ledger masks, so no batch can "
                f"carry it; take it out of what is asked, or ask without `batch: true`"
            )
        account = self.account(provider, key)
        waiting = self._waiting.setdefault(account.names, Waiting(account))
        async with waiting.lock:
            if waiting.problem is not None:
                raise waiting.problem
            if not waiting.is_looked_up:
                try:
                    await self.look(account)
                except OracleError as error:
                    waiting.problem = error
                    raise
                waiting.is_looked_up = True
        done = self._ledger.lookup(intent.key)
        if done is not None:
            return done
        if rejected := rejection(intent, self._ledger.failure(intent.key)):
            raise rejected
        token = self._ledger.token
        await self._ledger.run(lambda db, books: ledger_submissions.await_batch(db, books, intent, token))
        waiting.keys.add(intent.key)
        raise MissingRecording(
            f"prompt {intent.prompt!r} for {intent.subject!r} waits for a batch of {provider.name} at {provider.base_url}. Calls that are "
            f"not under way are submitted when this run ends; results take up to a day. Run the same command again later to go on"
        )

    @staticmethod
    def account(provider: HttpProvider, key: str | None) -> Account:
        """Where a provider's batches go."""
        return Account(provider, key, batch_api(provider))

    async def look(self, account: Account) -> None:
        """Finds submissions that a crash left behind, and takes in the results there are."""
        for submission in self._ledger.submissions(living=True):
            if (submission.provider, submission.base_url, submission.account) != account.names:
                continue
            if submission.state == "prepared":
                if submission.owner != self._ledger.token and self._ledger.is_alive(submission.owner):
                    continue
                if await self._claim(submission):
                    failpoint("batch-claimed")
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
        keys = await self._ledger.run(lambda db, _: ledger_submissions.unsent(db, keys))
        if not keys:
            return False
        self._ledger.require_room()
        newest = (await self._wire.call(account, "GET", f"{account.api.path}?limit=1", has="data"))["data"]
        others = [str(batch["id"]) for batch in newest[:1]]
        prepared = await self._ledger.run(
            lambda db, books: ledger_submissions.prepare(db, books, keys, account.names, token, budget, line, MOST_BYTES, others)
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
                await asyncio.sleep(SETTLE_SECONDS)
                remote = await self._find(account, submission)
                if remote is not None:
                    failpoint("batch-found")
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
            file_id = str((await self._wire.call(account, "POST", "/files", body, kind, has="id"))["id"])
            failpoint("batch-uploaded")
        body = account.api.creation(submission, file, file_id)
        try:
            reply = await self._wire.send(account, "POST", account.api.path, body, "application/json")
        except Lost:
            return None
        except Unsent as error:
            raise OracleError(f"{account.provider.base_url} can't be reached: {error}; nothing was submitted, run again later") from error
        if 200 <= reply.status < 300:
            try:
                return str(read_object(reply.raw, "id")["id"])
            except ValueError:
                return None  # a proxy's page: what the provider did isn't known
        if reply.status >= 500 or reply.status == 408:
            return None
        raise OracleRefused(
            f"{account.provider.name} at {account.provider.base_url} refused the batch: {self._wire.words(reply)}. Nothing was submitted"
        )

    async def _give_up(self, submission: Submission, detail: str) -> None:
        await self._ledger.run(lambda db, books: ledger_submissions.end(db, books, submission, detail))

    async def _find(self, account: Account, submission: Submission) -> str | None:
        """Looks through the provider's list, which begins with the newest, down to the one that was the newest before the submission."""
        known = {other.remote for other in self._ledger.submissions() if other.remote}
        place = ""
        found: list[str] = []
        while True:
            page = await self._wire.call(account, "GET", f"{account.api.path}?limit=100{place}", has="data")
            batches: list[dict[str, Any]] = page["data"]
            older = account.api.is_newest_first and any(str(batch["id"]) == submission.newest_before for batch in batches)
            for batch in batches:
                if older and str(batch["id"]) == submission.newest_before:
                    break
                if str(batch["id"]) not in known and account.api.may_be(batch, submission):
                    found.append(str(batch["id"]))
            if not batches or not page.get("has_more") or older:
                return found[-1] if found else None
            place = f"&{account.api.after}={page.get('last_id') or batches[-1]['id']}"

    async def _collect(self, account: Account, submission: Submission) -> None:
        """Takes in the results of a batch that ended."""
        try:
            view = await self._wire.look(account, "GET", f"{account.api.path}/{submission.remote}", has=account.api.state)
        except Gone as error:
            await self._lose(submission, f"the provider doesn't have the batch any more ({error})")
            return
        progress = account.api.progress(view)
        failpoint("batch-polled")
        if not progress.is_ended:
            self.notes.append(f"batch {submission.remote} is under way: {progress.done} of {progress.total} calls")
            return
        try:
            counts = await take_in(self._wire, self._ledger, self._redactor, account, submission, progress.results)
        except Gone as error:
            await self._lose(submission, f"the provider doesn't have its results any more ({error})")
            return
        if counts.foreign and not counts.filed:
            await self._disown(account, submission, counts)
            return
        # The calls of a batch that was completed were made, also where their answers can't be found.
        may_be_billed = counts.unreadable > 0 or not progress.detail
        missing = await self._ledger.run(
            lambda db, books: ledger_submissions.end(db, books, submission, progress.detail, may_be_billed=may_be_billed)
        )
        failpoint("batch-ended")
        more = (
            (counts.refused, "refused"), (counts.open + (0 if may_be_billed else missing), "open again"),
            (missing if may_be_billed else 0, "without a result, in doubt now"), (counts.unreadable, "results can't be read"),
            (counts.twice, "more results of calls that have one"), (counts.foreign, "results of calls that aren't in it"),
        )  # fmt: skip
        parts = [f"batch {submission.remote} ended: {counts.answered} answered", *(f"{number} {what}" for number, what in more if number)]
        self.notes.append(", ".join(parts) + (f" ({progress.detail})" if progress.detail else ""))

    async def _lose(self, submission: Submission, words: str) -> None:
        """Nobody can tell what became of its calls: they are in doubt, and asked again when they are needed."""
        missing = await self._ledger.run(lambda db, books: ledger_submissions.end(db, books, submission, words, may_be_billed=True))
        self.notes.append(
            f"batch {submission.remote} with {submission.calls} calls: {words}. Of them {missing} may have been billed and are in doubt now; "
            f"`castalia oracle --in-doubt` lists them"
        )

    async def _disown(self, account: Account, submission: Submission, counts: Counts) -> None:
        """Looks anew for a batch that was taken for this one."""
        token = self._ledger.token
        if not await self._ledger.run(lambda db, _: ledger_submissions.disown(db, submission, token)):
            return  # another process was faster
        self.notes.append(f"batch {submission.remote} is not ours: none of its {counts.foreign} results was asked for")
        again = next(item for item in self._ledger.submissions(living=True) if item.id == submission.id)
        await self._send(account, again, is_repeat=True)
