"""What the ledger does to its tables. Each function runs inside one transaction of the writer; money is in nano-dollars."""

import hashlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import astuple, fields
from typing import Any

from castalia.errors import StoreError
from castalia.oracle.ledger.chain import LINKED, link
from castalia.oracle.ledger.rows import Done, Intent, NoMoney, Outcome, Reading, Sent, Theirs

_INTENT = tuple(field.name for field in fields(Intent))
ReadEnvelope = Callable[[str, bytes, str, int, int, int], Reading | None]
"""(provider, raw, request, price_in, price_out, worst) -> what it says, or None when it can't be read."""


def plan(db: sqlite3.Connection, intent: Intent, token: str) -> None:
    """Writes a call down; its lease goes to `token` unless somebody has it."""
    columns = ", ".join(_INTENT)
    marks = ", ".join("?" * len(_INTENT))
    db.execute(
        f"INSERT INTO calls ({columns}, state, owner, fence, planned_at) VALUES ({marks}, 'planned', ?, 0, ?) ON CONFLICT DO NOTHING",
        (*astuple(intent), token, time.time()),
    )
    db.execute("UPDATE calls SET owner = ? WHERE key = ? AND state = 'planned' AND owner IS NULL", (token, intent.key))


def send(db: sqlite3.Connection, intent: Intent, token: str, budget: int | None) -> Sent | Done | Theirs | NoMoney:
    """Takes the lease and reserves the worst case, unless the call is done, another process has it, or the budget forbids it."""
    plan(db, intent, token)
    state, owner, fence = db.execute("SELECT state, owner, fence FROM calls WHERE key = ?", (intent.key,)).fetchone()
    if state == "done":
        return _done(db, intent.key)
    if owner not in (None, token):
        return Theirs(owner)
    if budget is not None:
        money = NoMoney(*(_meta(db, name) for name in ("spent", "in_flight", "in_doubt", "written_off")))
        if sum(money) + intent.worst > budget:
            return money
    number = 1 + db.execute("SELECT coalesce(max(number), 0) FROM attempts WHERE key = ?", (intent.key,)).fetchone()[0]
    now = time.time()
    db.execute(
        "UPDATE calls SET state = 'sent', owner = ?, fence = ?, sent_at = ?, failure = NULL, price_in = ?, price_out = ?, worst = ? "
        "WHERE key = ?",
        (token, fence + 1, now, intent.price_in, intent.price_out, intent.worst, intent.key),
    )
    db.execute(
        "INSERT INTO attempts (key, number, owner, fence, worst, sent_at) VALUES (?, ?, ?, ?, ?, ?)",
        (intent.key, number, token, fence + 1, intent.worst, now),
    )
    _add(db, "in_flight", intent.worst)
    return Sent(fence + 1, number)


def end(
    db: sqlite3.Connection, key: str, number: int, outcome: Outcome, *, status: int | None, request_id: str, detail: str, body: bytes | None
) -> None:
    """Closes an attempt."""
    db.execute(
        "UPDATE attempts SET ended_at = ?, outcome = ?, status = ?, request_id = ?, detail = ?, body = coalesce(body, ?) "
        "WHERE key = ? AND number = ?",
        (time.time(), outcome, status, request_id, detail, body, key, number),
    )


def finish(db: sqlite3.Connection, key: str, sent: Sent, token: str, reading: Reading) -> None:
    """Makes a sent call done, if this process still has its lease."""
    state, owner, fence = db.execute("SELECT state, owner, fence FROM calls WHERE key = ?", (key,)).fetchone()
    if (state, owner, fence) != ("sent", token, sent.fence):
        raise StoreError(
            f"call {key[:12]!r} is {state!r} under fence {fence}, not sent under {sent.fence} by this process: another process took "
            f"its lease. The answer stays with attempt {sent.attempt}; run again"
        )
    body, worst = db.execute("SELECT body, worst FROM attempts WHERE key = ? AND number = ?", (key, sent.attempt)).fetchone()
    _close(db, key, sent.attempt, body, reading)
    _add(db, "in_flight", -worst)


def _close(db: sqlite3.Connection, key: str, attempt: int, body: bytes, reading: Reading) -> None:
    """Appends a call to the chain of done calls and books its cost."""
    seq = _meta(db, "seq") + 1
    note = db.execute("SELECT note FROM calls WHERE key = ?", (key,)).fetchone()[0]
    db.execute(
        "UPDATE calls SET owner = NULL, done_at = ?, attempt = ?, answer_sha256 = ?, tokens_in = ?, tokens_out = ?, tokens_cached = ?, "
        "tokens_reasoning = ?, tokens_estimated = ?, cost = ?, stop = ?, answered_model = ?, note = ?, seq = ?, failure = NULL WHERE key = ?",
        (
            time.time(), attempt, hashlib.sha256(body).hexdigest(), reading.tokens_in, reading.tokens_out, reading.tokens_cached,
            reading.tokens_reasoning, int(reading.tokens_estimated), reading.cost, reading.stop, reading.model,
            "; ".join(part for part in (note, reading.note) if part), seq, key,
        ),
    )  # fmt: skip
    values = db.execute(f"SELECT {', '.join(LINKED)} FROM calls WHERE key = ?", (key,)).fetchone()
    chain = link(_meta(db, "chain"), dict(zip(LINKED, values, strict=True)))
    db.execute("UPDATE calls SET state = 'done', chain = ? WHERE key = ?", (chain, key))
    db.execute("UPDATE meta SET value = ? WHERE name = 'seq'", (seq,))
    db.execute("UPDATE meta SET value = ? WHERE name = 'chain'", (chain,))
    _add(db, "spent", reading.cost)


def miss(
    db: sqlite3.Connection, key: str, sent: Sent, outcome: Outcome, *, status: int | None, request_id: str, detail: str, failed: bool
) -> None:
    """Closes an attempt that gave no usable answer and frees its money, unless it may have been billed."""
    end(db, key, sent.attempt, outcome, status=status, request_id=request_id, detail=detail, body=None)
    worst = db.execute("SELECT worst FROM attempts WHERE key = ? AND number = ?", (key, sent.attempt)).fetchone()[0]
    _add(db, "in_flight", -worst)
    if outcome == "unknown":
        _add(db, "in_doubt", worst)
    # Between attempts the call is planned again, and this process keeps its lease.
    db.execute(
        "UPDATE calls SET state = ?, failure = ?, owner = CASE WHEN ? THEN NULL ELSE owner END "
        "WHERE key = ? AND fence = ? AND state = 'sent'",
        ("failed" if failed else "planned", detail if failed else None, failed, key, sent.fence),
    )


def answer_locally(db: sqlite3.Connection, intent: Intent, token: str, raw: bytes, reading: Reading) -> Done | Theirs:
    """Plans, answers and closes a free call."""
    plan(db, intent, token)
    state, owner = db.execute("SELECT state, owner FROM calls WHERE key = ?", (intent.key,)).fetchone()
    if state == "done":
        return _done(db, intent.key)
    if owner not in (None, token):
        return Theirs(owner)
    _file(db, intent.key, token, raw, reading)
    return Done(intent.key, raw)


def import_answer(db: sqlite3.Connection, key: str, token: str, raw: bytes, reading: Reading) -> bool:
    """Closes a call with an answer that was fetched elsewhere; False when it is done already."""
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
        "INSERT INTO attempts (key, number, owner, fence, worst, sent_at, ended_at, outcome, body) "
        "VALUES (?, ?, ?, 0, 0, ?, ?, 'answered', ?)",
        (key, number, token, now, now, raw),
    )
    _close(db, key, number, raw, reading)


def finish_committed(db: sqlite3.Connection, owner: str, read: ReadEnvelope) -> None:
    """Makes calls of a dead owner done whose answers it had committed."""
    rows = db.execute(
        "SELECT calls.key, number, calls.fence, body, provider, request, price_in, price_out, calls.worst "
        "FROM calls JOIN attempts USING (key) WHERE calls.owner = ? "
        "AND state = 'sent' AND outcome = 'answered' AND attempts.fence = calls.fence",
        (owner,),
    ).fetchall()
    for key, number, fence, body, provider, request, price_in, price_out, worst in rows:
        reading = read(provider, body, request, price_in, price_out, worst)
        if reading is not None:
            finish(db, key, Sent(fence, number), owner, reading)


def abandon(db: sqlite3.Connection, owner: str) -> int:
    """What an owner that is gone had sent is in doubt; what it had planned is free. Returns how many are in doubt."""
    worst = db.execute(
        "SELECT coalesce(sum(a.worst), 0) FROM attempts a JOIN calls USING (key) "
        "WHERE calls.owner = ? AND state = 'sent' AND a.fence = calls.fence",
        (owner,),
    ).fetchone()[0]
    db.execute(
        "UPDATE attempts SET outcome = 'in_doubt', ended_at = ?, detail = CASE WHEN body IS NULL "
        "THEN 'the process ended before an answer was here' ELSE 'an answer is here, but could not be read' END "
        "WHERE owner = ? AND (key, fence) IN (SELECT key, fence FROM calls WHERE owner = ? AND state = 'sent')",
        (time.time(), owner, owner),
    )
    doubtful = db.execute("UPDATE calls SET state = 'in_doubt', owner = NULL WHERE owner = ? AND state = 'sent'", (owner,)).rowcount
    db.execute("UPDATE calls SET owner = NULL WHERE owner = ?", (owner,))
    db.execute("DELETE FROM owners WHERE token = ?", (owner,))
    _add(db, "in_flight", -worst)
    _add(db, "in_doubt", worst)
    return doubtful


def settle(db: sqlite3.Connection, key: str, *, billed: bool) -> int:
    """Ends the doubts of a call as a person found them on the provider's bill; returns how many there were.

    Not billed: their money is free again, and the call is planned. Billed: their worst case counts as spent for good, and the call is
    given up; a stage that still needs it asks again.
    """
    doubtful = "key = ? AND outcome IN ('unknown', 'in_doubt') AND settled IS NULL"
    count, worst = db.execute(f"SELECT count(*), coalesce(sum(worst), 0) FROM attempts WHERE {doubtful}", (key,)).fetchone()
    db.execute(f"UPDATE attempts SET settled = ? WHERE {doubtful}", ("billed" if billed else "unbilled", key))
    _add(db, "in_doubt", -worst)
    if billed:
        _add(db, "written_off", worst)
    db.execute(
        "UPDATE calls SET state = ?, failure = ? WHERE key = ? AND state = 'in_doubt'",
        ("failed" if billed else "planned", "given up: billed, but its answer was lost" if billed else None, key),
    )
    return count


def _done(db: sqlite3.Connection, key: str) -> Done:
    row = db.execute(
        "SELECT body FROM calls JOIN attempts ON attempts.key = calls.key AND number = attempt WHERE calls.key = ?", (key,)
    ).fetchone()
    return Done(key, row[0])


def _meta(db: sqlite3.Connection, name: str) -> Any:
    return db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]


def _add(db: sqlite3.Connection, account: str, nano: int) -> None:
    db.execute("UPDATE meta SET value = value + ? WHERE name = ?", (nano, account))
