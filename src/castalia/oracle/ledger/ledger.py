"""The ledger: what was asked, what it cost, what came back. Committed in that order around every paid call."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from castalia.errors import StorageFull, StoreError
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import operations, reports
from castalia.oracle.ledger.chain import Verification, verify_chain
from castalia.oracle.ledger.owners import Owner, is_alive
from castalia.oracle.ledger.rows import (
    Done,
    Doubt,
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
from castalia.oracle.ledger.tables import connect, store_error
from castalia.oracle.ledger.writer import Writer

HEADROOM_BYTES = 32 * 2**20
"""Free space that must be left before a call is sent: an answer that was paid for must find room."""


class Ledger:
    """One SQLite file. Reads go straight to it; writes share commits through one thread."""

    def __init__(self, path: Path, *, readonly: bool = False, headroom: int = HEADROOM_BYTES):
        self.path = path
        self._headroom = headroom
        if not readonly:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._owner: Owner | None = Owner(path)
            except OSError as error:
                raise StoreError(f"no ledger can be kept at {str(path)!r}: {error.strerror}; name a file in a writable folder") from error
        else:
            self._owner = None
        try:
            self._writer = None if readonly else Writer(connect(path, readonly=False), path)
            self._reader = connect(path, readonly=True)
        except StoreError:
            if self._owner:
                self._owner.leave()
            raise
        if self._owner:
            owner = self._owner
            self._write(lambda db: db.execute("INSERT INTO owners VALUES (?, ?, ?)", (owner.token, owner.pid, time.time())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the leases and closes the file. What was sent and not answered is in doubt from now on."""
        if self._writer and self._owner:
            owner = self._owner
            try:
                self._write(lambda db: operations.abandon(db, owner.token))
            finally:
                self._writer.close()
                owner.leave()
                self._owner = self._writer = None
        self._reader.close()

    # Reading

    def lookup(self, key: str) -> Done | None:
        """The committed answer of a done call."""
        row = self._read(
            "SELECT body FROM calls JOIN attempts ON attempts.key = calls.key AND number = attempt WHERE calls.key = ? AND state = 'done'",
            key,
        )
        return Done(key, row[0][0]) if row else None

    def call(self, key: str) -> LedgerCall:
        """Everything about one call; `key` may be shortened to a unique prefix. Raises StoreError when there is no such call."""
        return reports.call(self._read, key)

    def usage(self, equivalent: str | None = None) -> list[UsageRow]:
        """Sums by stage, role and model. `equivalent` names the price entry at which unpaid calls are valued."""
        return reports.usage(self._read, equivalent)

    def in_doubt(self) -> list[Doubt]:
        """Every attempt that may have been billed though its answer isn't here."""
        return reports.in_doubt(self._read)

    def money(self) -> Money:
        """The accounts in USD."""
        return reports.money(self._read)

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

    def planned(self, provider: str) -> list[tuple[str, str]]:
        """(key, request) of calls that wait for an answer from `provider`, in a stable order."""
        return self._read("SELECT key, request FROM calls WHERE provider = ? AND state = 'planned' ORDER BY key", provider)

    def verify(self) -> Verification:
        """Recomputes the hash chain and the accounts."""
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
        rows = self._read("SELECT owner FROM calls WHERE key = ?", key)
        return rows[0][0] if rows else None

    def is_alive(self, owner: str) -> bool:
        """Whether the process behind a lease still runs."""
        return is_alive(self.path, owner)

    def prices(self, key: str) -> tuple[int, int, int]:
        """(input, output, worst case) of a call: nano-dollars per token, nano-dollars."""
        row = self._read("SELECT price_in, price_out, worst FROM calls WHERE key = ?", key)
        return row[0]

    # Writing

    async def plan(self, intent: Intent) -> None:
        """Writes a call down that can't be sent yet, and takes its lease when nobody has it."""
        token = self._token()
        await self._writing().run(lambda db: operations.plan(db, intent, token))

    async def release(self, key: str) -> None:
        """Gives back the lease of a call that won't be sent by this process now."""
        token = self._token()
        await self._writing().run(
            lambda db: db.execute("UPDATE calls SET owner = NULL WHERE key = ? AND state = 'planned' AND owner = ?", (key, token))
        )

    async def send(self, intent: Intent, budget: int | None) -> Sent | Done | Theirs | NoMoney:
        """Commits the intent to send, with its worst case reserved inside the budget. Only after `Sent` may the socket open."""
        token = self._token()
        failpoint("before-intent")
        free = shutil.disk_usage(self.path.parent).free
        if free < self._headroom:
            raise StorageFull(
                f"{free // 2**20} MiB are free beside ledger {str(self.path)!r}, {self._headroom // 2**20} MiB are kept for answers; "
                f"nothing was sent. Free some space and run again"
            )
        result = await self._writing().run(lambda db: operations.send(db, intent, token, budget))
        failpoint("after-intent")
        return result

    async def receive(self, key: str, sent: Sent, raw: bytes, status: int, request_id: str) -> None:
        """Commits the raw bytes of an answer, before anything parses them."""
        failpoint("before-commit")
        await self._writing().run(
            lambda db: operations.end(db, key, sent.attempt, "answered", status=status, request_id=request_id, detail="", body=raw)
        )
        failpoint("after-commit")

    async def finish(self, key: str, sent: Sent, reading: Reading) -> None:
        """Makes a call done: its committed answer could be read."""
        token = self._token()
        await self._writing().run(lambda db: operations.finish(db, key, sent, token, reading))

    async def miss(self, key: str, sent: Sent, outcome: Outcome, *, status: int | None, request_id: str, detail: str, failed: bool) -> None:
        """Ends an attempt without an answer. `unknown` keeps its worst case reserved, because it may have been billed."""
        await self._writing().run(
            lambda db: operations.miss(db, key, sent, outcome, status=status, request_id=request_id, detail=detail, failed=failed)
        )

    async def answer_locally(self, intent: Intent, raw: bytes, reading: Reading) -> Done | Theirs:
        """Writes a free answer from this machine down in one step."""
        token = self._token()
        return await self._writing().run(lambda db: operations.answer_locally(db, intent, token, raw, reading))

    def import_answer(self, key: str, raw: bytes, reading: Reading) -> bool:
        """Files an answer that came by another way; False when the call is done already. Raises StoreError for an unknown key."""
        token = self._token()
        return self._write(lambda db: operations.import_answer(db, key, token, raw, reading))

    def fail(self, keys: Iterable[tuple[str, str]]) -> None:
        """Marks planned calls as failed, with the reason."""
        pairs = [(reason, key) for key, reason in keys]
        self._write(lambda db: db.executemany("UPDATE calls SET state = 'failed', failure = ? WHERE key = ? AND state != 'done'", pairs))

    def settle(self, key: str, *, billed: bool) -> int:
        """Ends the doubts of a call, whose whole key is given, as found on the provider's bill; returns how many it had."""
        return self._write(lambda db: operations.settle(db, key, billed=billed))

    def hit(self, stage: str, role: str, provider: str, model: str) -> None:
        """Counts an answer that came from the ledger."""
        self._writing().submit(
            lambda db: db.execute(
                "INSERT INTO hits VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1", (stage, role, provider, model)
            )
        )

    def recover(self, read: operations.ReadEnvelope) -> int:
        """After a crash: what dead processes had sent becomes in doubt, or done where its answer had been committed.

        Returns how many calls were left in doubt.
        """
        token = self._token()

        def operation(db: sqlite3.Connection) -> int:
            doubtful = 0
            for (owner,) in db.execute("SELECT token FROM owners").fetchall():
                if owner != token and not is_alive(self.path, owner):
                    operations.finish_committed(db, owner, read)
                    doubtful += operations.abandon(db, owner)
                    owner_file = self.path.with_name(self.path.name + ".owners") / owner
                    owner_file.unlink(missing_ok=True)
            return doubtful

        return self._write(operation)

    def _token(self) -> str:
        if self._owner is None:
            raise StoreError(f"ledger {str(self.path)!r} is open for reading only; open it without readonly=True")
        return self._owner.token

    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"ledger {str(self.path)!r} is open for reading only; open it without readonly=True")
        return self._writer

    def _write(self, operation: Callable[[sqlite3.Connection], Any]) -> Any:
        return self._writing().submit(operation).result()

    def _read(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error


def open_ledger(path: Path, *, readonly: bool = False) -> Ledger:
    """Opens a ledger. Readers never wait for writers and leave nothing behind."""
    return Ledger(path, readonly=readonly)
