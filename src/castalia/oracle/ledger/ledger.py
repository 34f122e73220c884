"""The ledger: what was asked, what it cost, what came back. Committed in that order around every paid call."""

import hashlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Self

from castalia.errors import StorageFull, StoreError
from castalia.oracle.failpoints import failpoint
from castalia.oracle.ledger import reports
from castalia.oracle.ledger.chain import LINKED, Verification, link, verify_chain
from castalia.oracle.ledger.owners import Owner, is_alive
from castalia.oracle.ledger.rows import Done, Doubt, Intent, LedgerCall, Money, NoMoney, Outcome, Reading, Sent, Theirs, UsageRow
from castalia.oracle.ledger.tables import connect, store_error
from castalia.oracle.ledger.writer import Writer

HEADROOM_BYTES = 32 * 2**20
"""Free space that must be left before a call is sent: an answer that was paid for must find room."""

_INTENT = tuple(field.name for field in fields(Intent))
ReadEnvelope = Callable[[str, bytes, str, int, int, int], Reading | None]
"""(provider, raw, request, price_in, price_out, worst) -> what it says, or None when it can't be read."""


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
                self._write(lambda db: _abandon(db, owner.token))
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
        return dict(self._read("SELECT state, count(*) FROM calls GROUP BY state"))

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
        await self._writing().run(lambda db: _plan(db, intent, token))

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
        result = await self._writing().run(lambda db: _send(db, intent, token, budget))
        failpoint("after-intent")
        return result

    async def receive(self, key: str, sent: Sent, raw: bytes, status: int, request_id: str) -> None:
        """Commits the raw bytes of an answer, before anything parses them."""
        failpoint("before-commit")
        await self._writing().run(
            lambda db: _end(db, key, sent.attempt, "answered", status=status, request_id=request_id, detail="", body=raw)
        )
        failpoint("after-commit")

    async def finish(self, key: str, sent: Sent, reading: Reading) -> None:
        """Makes a call done: its committed answer could be read."""
        token = self._token()
        await self._writing().run(lambda db: _finish(db, key, sent, token, reading))

    async def miss(self, key: str, sent: Sent, outcome: Outcome, *, status: int | None, request_id: str, detail: str, failed: bool) -> None:
        """Ends an attempt without an answer. `unknown` keeps its worst case reserved, because it may have been billed."""
        await self._writing().run(
            lambda db: _miss(db, key, sent, outcome, status=status, request_id=request_id, detail=detail, failed=failed)
        )

    async def answer_locally(self, intent: Intent, raw: bytes, reading: Reading) -> Done | Theirs:
        """Writes a free answer from this machine down in one step."""
        token = self._token()
        return await self._writing().run(lambda db: _answer_locally(db, intent, token, raw, reading))

    def import_answer(self, key: str, raw: bytes, reading: Reading) -> bool:
        """Files an answer that came by another way to a planned call; False when the call is done already. Raises StoreError for an unknown key."""
        token = self._token()
        return self._write(lambda db: _import(db, key, token, raw, reading))

    def fail(self, keys: Iterable[tuple[str, str]]) -> None:
        """Marks planned calls as failed, with the reason."""
        pairs = [(reason, key) for key, reason in keys]
        self._write(lambda db: db.executemany("UPDATE calls SET state = 'failed', failure = ? WHERE key = ? AND state != 'done'", pairs))

    def hit(self, stage: str, role: str, provider: str, model: str) -> None:
        """Counts an answer that came from the ledger."""
        self._writing().submit(
            lambda db: db.execute(
                "INSERT INTO hits VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1", (stage, role, provider, model)
            )
        )

    def recover(self, read: ReadEnvelope) -> int:
        """After a crash: what dead processes had sent becomes in doubt, or done where its answer had been committed.

        Returns how many calls were left in doubt.
        """
        token = self._token()

        def operation(db: sqlite3.Connection) -> int:
            doubtful = 0
            for (owner,) in db.execute("SELECT token FROM owners").fetchall():
                if owner != token and not is_alive(self.path, owner):
                    _finish_committed(db, owner, read)
                    doubtful += _abandon(db, owner)
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


# Operations: each runs inside the writer's transaction.


def _plan(db: sqlite3.Connection, intent: Intent, token: str) -> None:
    columns = ", ".join(_INTENT)
    marks = ", ".join("?" * len(_INTENT))
    db.execute(
        f"INSERT INTO calls ({columns}, state, owner, fence, planned_at) VALUES ({marks}, 'planned', ?, 0, ?) ON CONFLICT DO NOTHING",
        (*astuple(intent), token, time.time()),
    )
    db.execute("UPDATE calls SET owner = ? WHERE key = ? AND state = 'planned' AND owner IS NULL", (token, intent.key))


def _send(db: sqlite3.Connection, intent: Intent, token: str, budget: int | None) -> Sent | Done | Theirs | NoMoney:
    _plan(db, intent, token)
    state, owner, fence = db.execute("SELECT state, owner, fence FROM calls WHERE key = ?", (intent.key,)).fetchone()
    if state == "done":
        return _done(db, intent.key)
    if owner not in (None, token):
        return Theirs(owner)
    if budget is not None:
        money = NoMoney(*(_meta(db, name) for name in ("spent", "in_flight", "in_doubt")))
        if sum(money) + intent.worst > budget:
            return money
    number = 1 + db.execute("SELECT coalesce(max(number), 0) FROM attempts WHERE key = ?", (intent.key,)).fetchone()[0]
    now = time.time()
    db.execute(
        "UPDATE calls SET state = 'sent', owner = ?, fence = ?, sent_at = ?, failure = NULL, price_in = ?, price_out = ?, worst = ? WHERE key = ?",
        (token, fence + 1, now, intent.price_in, intent.price_out, intent.worst, intent.key),
    )
    db.execute(
        "INSERT INTO attempts (key, number, owner, fence, worst, sent_at) VALUES (?, ?, ?, ?, ?, ?)",
        (intent.key, number, token, fence + 1, intent.worst, now),
    )
    _add(db, "in_flight", intent.worst)
    return Sent(fence + 1, number)


def _end(
    db: sqlite3.Connection, key: str, number: int, outcome: Outcome, *, status: int | None, request_id: str, detail: str, body: bytes | None
) -> None:
    db.execute(
        "UPDATE attempts SET ended_at = ?, outcome = ?, status = ?, request_id = ?, detail = ?, body = coalesce(body, ?) WHERE key = ? AND number = ?",
        (time.time(), outcome, status, request_id, detail, body, key, number),
    )


def _finish(db: sqlite3.Connection, key: str, sent: Sent, token: str, reading: Reading) -> None:
    state, owner, fence = db.execute("SELECT state, owner, fence FROM calls WHERE key = ?", (key,)).fetchone()
    if (state, owner, fence) != ("sent", token, sent.fence):
        raise StoreError(
            f"call {key[:12]!r} is {state!r} under fence {fence}, not sent under {sent.fence} by this process: another process took its lease. "
            f"The answer stays with attempt {sent.attempt}; run again"
        )
    body, worst = db.execute("SELECT body, worst FROM attempts WHERE key = ? AND number = ?", (key, sent.attempt)).fetchone()
    _close(db, key, sent.attempt, body, reading)
    _add(db, "in_flight", -worst)


def _close(db: sqlite3.Connection, key: str, attempt: int, body: bytes, reading: Reading) -> None:
    """Appends a call to the chain of done calls and books its cost."""
    seq = _meta(db, "seq") + 1
    note = db.execute("SELECT note FROM calls WHERE key = ?", (key,)).fetchone()[0]
    db.execute(
        "UPDATE calls SET owner = NULL, done_at = ?, attempt = ?, answer_sha256 = ?, tokens_in = ?, tokens_out = ?, tokens_estimated = ?, cost = ?, "
        "stop = ?, answered_model = ?, note = ?, seq = ?, failure = NULL WHERE key = ?",
        (
            time.time(), attempt, hashlib.sha256(body).hexdigest(), reading.tokens_in, reading.tokens_out, int(reading.tokens_estimated),
            reading.cost, reading.stop, reading.model, "; ".join(part for part in (note, reading.note) if part), seq, key,
        ),
    )  # fmt: skip
    values = db.execute(f"SELECT {', '.join(LINKED)} FROM calls WHERE key = ?", (key,)).fetchone()
    chain = link(_meta(db, "chain"), dict(zip(LINKED, values, strict=True)))
    db.execute("UPDATE calls SET state = 'done', chain = ? WHERE key = ?", (chain, key))
    db.execute("UPDATE meta SET value = ? WHERE name = 'seq'", (seq,))
    db.execute("UPDATE meta SET value = ? WHERE name = 'chain'", (chain,))
    _add(db, "spent", reading.cost)


def _miss(
    db: sqlite3.Connection, key: str, sent: Sent, outcome: Outcome, *, status: int | None, request_id: str, detail: str, failed: bool
) -> None:
    _end(db, key, sent.attempt, outcome, status=status, request_id=request_id, detail=detail, body=None)
    worst = db.execute("SELECT worst FROM attempts WHERE key = ? AND number = ?", (key, sent.attempt)).fetchone()[0]
    _add(db, "in_flight", -worst)
    if outcome == "unknown":
        _add(db, "in_doubt", worst)
    # Between attempts the call is planned again, and this process keeps its lease.
    db.execute(
        "UPDATE calls SET state = ?, failure = ?, owner = CASE WHEN ? THEN NULL ELSE owner END WHERE key = ? AND fence = ? AND state = 'sent'",
        ("failed" if failed else "planned", detail if failed else None, failed, key, sent.fence),
    )


def _answer_locally(db: sqlite3.Connection, intent: Intent, token: str, raw: bytes, reading: Reading) -> Done | Theirs:
    _plan(db, intent, token)
    state, owner = db.execute("SELECT state, owner FROM calls WHERE key = ?", (intent.key,)).fetchone()
    if state == "done":
        return _done(db, intent.key)
    if owner not in (None, token):
        return Theirs(owner)
    _file(db, intent.key, token, raw, reading)
    return Done(intent.key, raw)


def _import(db: sqlite3.Connection, key: str, token: str, raw: bytes, reading: Reading) -> bool:
    row = db.execute("SELECT state FROM calls WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise StoreError(f"call {key!r} is not in this ledger; import the results into the ledger whose run asked for them")
    if row[0] == "done":
        return False
    _file(db, key, token, raw, reading)
    return True


def _file(db: sqlite3.Connection, key: str, token: str, raw: bytes, reading: Reading) -> None:
    now = time.time()
    number = 1 + db.execute("SELECT coalesce(max(number), 0) FROM attempts WHERE key = ?", (key,)).fetchone()[0]
    db.execute(
        "INSERT INTO attempts (key, number, owner, fence, worst, sent_at, ended_at, outcome, body) VALUES (?, ?, ?, 0, 0, ?, ?, 'answered', ?)",
        (key, number, token, now, now, raw),
    )
    _close(db, key, number, raw, reading)


def _finish_committed(db: sqlite3.Connection, owner: str, read: ReadEnvelope) -> None:
    rows = db.execute(
        "SELECT calls.key, number, calls.fence, body, provider, request, price_in, price_out, calls.worst FROM calls JOIN attempts USING (key) "
        "WHERE calls.owner = ? AND state = 'sent' AND outcome = 'answered' AND attempts.fence = calls.fence",
        (owner,),
    ).fetchall()
    for key, number, fence, body, provider, request, price_in, price_out, worst in rows:
        reading = read(provider, body, request, price_in, price_out, worst)
        if reading is not None:
            _finish(db, key, Sent(fence, number), owner, reading)


def _abandon(db: sqlite3.Connection, owner: str) -> int:
    """What an owner that is gone had sent is in doubt; what it had planned is free. Returns how many are in doubt."""
    worst = db.execute(
        "SELECT coalesce(sum(a.worst), 0) FROM attempts a JOIN calls USING (key) WHERE calls.owner = ? AND state = 'sent' AND a.fence = calls.fence",
        (owner,),
    ).fetchone()[0]
    db.execute(
        "UPDATE attempts SET outcome = 'in_doubt', ended_at = ?, detail = CASE WHEN body IS NULL THEN 'the process ended before an answer was here' "
        "ELSE 'an answer is here, but could not be read' END WHERE owner = ? AND (key, fence) IN "
        "(SELECT key, fence FROM calls WHERE owner = ? AND state = 'sent')",
        (time.time(), owner, owner),
    )
    doubtful = db.execute("UPDATE calls SET state = 'in_doubt', owner = NULL WHERE owner = ? AND state = 'sent'", (owner,)).rowcount
    db.execute("UPDATE calls SET owner = NULL WHERE owner = ?", (owner,))
    db.execute("DELETE FROM owners WHERE token = ?", (owner,))
    _add(db, "in_flight", -worst)
    _add(db, "in_doubt", worst)
    return doubtful


def _done(db: sqlite3.Connection, key: str) -> Done:
    row = db.execute(
        "SELECT body FROM calls JOIN attempts ON attempts.key = calls.key AND number = attempt WHERE calls.key = ?", (key,)
    ).fetchone()
    return Done(key, row[0])


def _meta(db: sqlite3.Connection, name: str) -> Any:
    return db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]


def _add(db: sqlite3.Connection, account: str, nano: int) -> None:
    db.execute("UPDATE meta SET value = value + ? WHERE name = ?", (nano, account))
