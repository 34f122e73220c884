"""The ledger: what was asked, what it cost, what came back. Committed in that order around every paid call."""

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from castalia.errors import StoreError
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import operations, reports
from castalia.oracle.ledger.batches import Finish, Receive, Send
from castalia.oracle.ledger.books import Books
from castalia.oracle.ledger.chain import Verification, verify_chain
from castalia.oracle.ledger.owners import Owner, is_alive, lock_file
from castalia.oracle.ledger.rows import (
    Done,
    Doubt,
    Failure,
    Intent,
    LedgerCall,
    Money,
    NoMoney,
    Outcome,
    PromptTotals,
    Reading,
    Sent,
    Theirs,
    UsageRow,
)
from castalia.oracle.ledger.submissions import Submission, submissions
from castalia.oracle.ledger.tables import connect, store_error
from castalia.oracle.ledger.writer import Writer
from castalia.oracle.prices import TokenPrice

R = TypeVar("R")
HEADROOM_BYTES = 32 * 2**20
"""Free space that must be left before a call is sent: an answer that was paid for must find room."""


class Ledger:
    """One SQLite file. Reads go straight to it; writes share commits through one thread."""

    def __init__(self, path: Path, *, readonly: bool = False, headroom: int = HEADROOM_BYTES):
        self.path = path
        self._owner: Owner | None = None
        self._writer: Writer | None = None
        if not readonly:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._owner = Owner(path)
            except OSError as error:
                raise StoreError(f"no ledger can be kept at {str(path)!r}: {error.strerror}; name a file in a writable folder") from error
        try:
            if self._owner:
                self._writer = Writer(connect(path, readonly=False), path, self._owner.token, headroom)
            self._reader = connect(path, readonly=True)
            if self._owner:
                claim = (self._owner.token, self._owner.pid, time.time())
                self._write(lambda db, books: db.execute("INSERT INTO owners VALUES (?, ?, ?)", claim))
        except StoreError:
            self._leave()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the leases and closes the file. What was sent and not answered is in doubt from now on."""
        try:
            if self._owner:
                token = self._owner.token
                self._write(lambda db, books: operations.abandon(db, books, token))
        finally:
            try:
                self._leave()
            finally:
                self._reader.close()

    def _leave(self) -> None:
        writer, owner = self._writer, self._owner
        self._writer = self._owner = None
        try:
            if writer:
                writer.close()
        finally:
            if owner:
                owner.leave()

    # Reading

    def lookup(self, key: str) -> Done | None:
        """The committed answer of a done call."""
        return self.lookup_all([key]).get(key)

    def lookup_all(self, keys: Sequence[str]) -> dict[str, Done]:
        """The committed answers of those calls that are done."""
        rows = self._look(
            "SELECT calls.key, body FROM json_each(?) AS asked CROSS JOIN calls ON calls.key = asked.value AND state = 'done' "
            "JOIN answers ON answers.attempt = answer",
            json.dumps(keys),
        )
        return {key: Done(key, body) for key, body in rows}

    def call(self, key: str) -> LedgerCall:
        """Everything about one call; `key` may be shortened to a unique prefix. Raises InputError when there is no such call."""
        return reports.call(self._read, key)

    def failure(self, key: str) -> str:
        """Why a call was given up; empty for one that was not."""
        rows = self._read("SELECT failure FROM calls WHERE key = ? AND state = 'failed'", key)
        return (rows[0][0] or "") if rows else ""

    def usage(self, equivalent: str | None = None) -> list[UsageRow]:
        """Sums by stage, role and model. `equivalent` names the price entry at which unpaid calls are valued."""
        return reports.usage(self._read, equivalent)

    def failures(self, most: int = 5) -> list[Failure]:
        """Why calls were given up, the commonest reasons first."""
        return reports.failures(self._read, most)

    def in_doubt(self) -> list[Doubt]:
        """Every attempt that may have been billed though its answer isn't here."""
        return reports.in_doubt(self._read)

    def money(self, *, flush: bool = True) -> Money:
        """The accounts in USD; without `flush` as of the last commit, at once."""
        return reports.money(self._read if flush else self._look)

    def counts(self) -> dict[str, int]:
        """Calls by state."""
        return reports.counts(self._read)

    def prompt_totals(self) -> list[PromptTotals]:
        """Calls and tokens of every prompt so far."""
        return reports.prompt_totals(self._read)

    def latest_answers(self) -> Iterator[str]:
        """Key of the latest answer to every task, sorted by task."""
        # A cursor of its own: the rows come one by one, and other questions are asked in between.
        found = self._reader.execute(
            "SELECT key, max(seq) FROM calls WHERE state = 'done' GROUP BY prompt, subject, sample ORDER BY prompt, subject, sample"
        )
        for key, _ in found:
            yield key

    def repairs(self, key: str) -> list[str]:
        """Keys of the calls that asked again because the answer to this one could not be used, in the order they were planned."""
        return [row[0] for row in self._read("SELECT key FROM calls WHERE repair_of = ? ORDER BY planned_at, key", key)]

    def planned(self, provider: str) -> Iterator[tuple[str, str]]:
        """(key, request) of calls that wait for an answer from `provider`, those that failed included, in a stable order."""
        self._flush()
        yield from self._reader.execute(
            "SELECT key, request FROM calls JOIN requests ON call = id WHERE state IN ('planned', 'failed') AND provider = ? ORDER BY key",
            (provider,),
        )

    def count_planned(self, provider: str) -> int:
        """How many they are."""
        return self._read("SELECT count(*) FROM calls WHERE state IN ('planned', 'failed') AND provider = ?", provider)[0][0]

    def verify(self) -> Verification:
        """Recomputes the hash chain and the accounts."""
        self._flush()
        try:
            self._reader.execute("BEGIN")
            try:
                return verify_chain(self._reader)
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def lease(self, key: str) -> str | None:
        """Token of the process that holds the call, or None."""
        rows = self._look("SELECT owner FROM calls WHERE key = ?", key)
        return rows[0][0] if rows else None

    def is_alive(self, owner: str) -> bool:
        """Whether the process behind a lease still runs."""
        return is_alive(self.path, owner)

    def lacks_schema_mode(self, provider: str, base_url: str, model: str) -> bool:
        """Whether the model's server once refused the JSON-schema mode."""
        query = "SELECT 1 FROM schemaless WHERE provider = ? AND base_url = ? AND model = ?"
        return bool(self._look(query, provider, base_url, model))

    def priced(self, key: str, provider: str | None = None) -> tuple[str, TokenPrice, int] | None:
        """(request, price of its tokens, worst case in nano-dollars) of a call; None when there is none with exactly this key.

        `provider` leaves out calls to others.
        """
        return reports.priced(self._look, key, provider)

    def require_room(self) -> None:
        """Raises StorageFull when the disk has no room for answers."""
        self._writing().require_room()

    # Writing

    async def plan(self, intent: Intent) -> None:
        """Writes a call down that isn't sent now, and takes its lease when nobody has it."""
        token = self._token()
        await self._writing().queue(lambda db, books: operations.plan(db, books, intent, token))

    async def release(self, key: str) -> None:
        """Gives back the lease of a call that won't be sent by this process now."""
        token = self._token()
        await self._writing().queue(lambda db, books: operations.release(db, key, token))

    async def send(self, intent: Intent, budget: int | None) -> Sent | Done | Theirs | NoMoney:
        """Commits the intent to send, with its worst case reserved inside the budget. Only after `Sent` may the socket open.

        Raises StorageFull when the disk has no room for the answer, StoreError when it can't be written to.
        """
        failpoint("before-intent")
        result = await self._writing().queue(Send(intent, budget))
        failpoint("after-intent")
        return result

    def receive(self, sent: Sent, raw: bytes, status: int, request_id: str) -> Awaitable[None]:
        """Commits the raw bytes of an answer, before anything parses them.

        They are queued by the call and committed when the result has been awaited. What is queued later commits no earlier.
        """
        failpoint("before-commit")
        return self._writing().queue(Receive(sent, raw, status, request_id))

    def finish(self, intent: Intent, sent: Sent, raw: bytes, status: int, request_id: str, reading: Reading) -> None:
        """Makes a call done: its committed answer could be read. Happens soon; after a crash the next process does it."""
        self._writing().finish(Finish(intent, sent, raw, status, request_id, reading))

    async def miss(self, sent: Sent, outcome: Outcome, *, status: int | None, request_id: str, detail: str, failed: bool) -> None:
        """Ends an attempt without an answer. `unknown` keeps its worst case reserved, because it may have been billed."""
        await self._writing().queue(
            lambda db, books: operations.miss(db, books, sent, outcome, status=status, request_id=request_id, detail=detail, failed=failed)
        )

    async def answer_locally(self, intent: Intent, raw: bytes, reading: Reading) -> Done | Theirs:
        """Writes a free answer from this machine down in one step."""
        token = self._token()
        return await self._writing().queue(lambda db, books: operations.answer_locally(db, books, intent, token, raw, reading))

    def import_answers(self, answers: Iterable[tuple[str, bytes, Reading]]) -> int:
        """Files answers that came by another way, in one commit; those of done calls are left out. Returns how many were new.

        Raises StoreError for an unknown key.
        """
        token, given = self._token(), list(answers)
        return self._write(
            lambda db, books: sum(operations.import_answer(db, books, key, token, raw, reading) for key, raw, reading in given)
        )

    def fail(self, keys: Iterable[tuple[str, str]]) -> None:
        """Marks planned calls as failed, by (key, reason)."""
        pairs = list(keys)
        self._write(lambda db, books: operations.fail(db, pairs))

    def settle(self, key: str, *, billed: bool) -> int:
        """Ends the doubts of a call, whose whole key is given, as found on the provider's bill; returns how many it had."""
        return self._write(lambda db, books: operations.settle(db, books, key, billed=billed))

    async def run(self, operation: Callable[[sqlite3.Connection, Books], R]) -> R:
        """One step of another module, in a transaction of its own."""
        return await self._writing().queue(operation)

    def submissions(self, *, living: bool = False) -> list[Submission]:
        """Batches at providers; `living` are those that haven't ended."""
        return submissions(self._read, living=living)

    @property
    def token(self) -> str:
        """What marks this process's leases."""
        return self._token()

    async def forgo_schema_mode(self, provider: str, base_url: str, model: str, words: str) -> None:
        """Remembers that the model's server refused the JSON-schema mode."""
        row = (provider, base_url, model, words, time.time())
        await self._writing().queue(lambda db, books: db.execute("INSERT OR IGNORE INTO schemaless VALUES (?, ?, ?, ?, ?)", row))

    def hit(self, stage: str, role: str, provider: str, model: str) -> None:
        """Counts an answer that came from the ledger."""
        self._writing().hit((stage, role, provider, model))

    def recover(self, read: operations.ReadEnvelope) -> int:
        """After a crash: what dead processes had sent becomes in doubt, or done where its answer had been committed.

        Returns how many calls were left in doubt.
        """
        token = self._token()

        def operation(db: sqlite3.Connection, books: Books) -> int:
            doubtful = 0
            for (owner,) in db.execute("SELECT token FROM owners").fetchall():
                if owner != token and not is_alive(self.path, owner):
                    operations.finish_committed(db, books, owner, read)
                    doubtful += operations.abandon(db, books, owner)
                    lock_file(self.path, owner).unlink(missing_ok=True)
            return doubtful

        return self._write(operation)

    def _token(self) -> str:
        if self._owner is None:
            raise self._not_writable()
        return self._owner.token

    def _writing(self) -> Writer:
        if self._writer is None:
            raise self._not_writable()
        return self._writer

    def _not_writable(self) -> StoreError:
        return StoreError(f"ledger {str(self.path)!r} is open for reading only; open it without readonly=True")

    def _write(self, operation: Callable[[sqlite3.Connection, Books], Any]) -> Any:
        return self._writing().submit(operation).result()

    def _flush(self) -> None:
        if self._writer:
            self._writer.flush()

    def _read(self, sql: str, *values: Any) -> list[Any]:
        """Rows as of now, with everything that this process has written so far."""
        self._flush()
        return self._look(sql, *values)

    def _look(self, sql: str, *values: Any) -> list[Any]:
        """Rows as of the last commit."""
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error


def open_ledger(path: Path, *, readonly: bool = False) -> Ledger:
    """Opens a ledger. Readers never wait for writers and leave nothing behind."""
    return Ledger(path, readonly=readonly)
