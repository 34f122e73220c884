"""What the ledger does to its tables, one call at a time. Each function runs inside one transaction of the writer.

`batches` does the three common steps for many calls at once and falls back to these. Money is in nano-dollars.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from castalia.errors import StoreError
from castalia.oracle.ledger.books import Books
from castalia.oracle.ledger.chain import LINKED, link
from castalia.oracle.ledger.rows import Done, Intent, NoMoney, Outcome, Reading, Sent, Theirs
from castalia.oracle.prices import TokenPrice

INTENT = tuple(name for name in Intent._fields if name != "request")
"""Columns of a call that its intent decides."""
ReadEnvelope = Callable[[str, bytes, str, TokenPrice, int], Reading | None]
"""(provider, raw, request, price, worst) -> what it says, or None when it can't be read."""

_INSERT = (
    f"INSERT INTO calls (id, {', '.join(INTENT)}, state, owner, fence, planned_at) VALUES (?{', ?' * len(INTENT)}, 'planned', ?, 0, ?)"
)
_CHAINED = ", ".join(LINKED)


def plan(db: sqlite3.Connection, books: Books, intent: Intent, token: str) -> int:
    """Writes a call down; its lease goes to `token` unless somebody has it. Returns its row number."""
    row = db.execute("SELECT id FROM calls WHERE key = ?", (intent.key,)).fetchone()
    if row is None:
        number, books.next_call = books.next_call, books.next_call + 1
        db.execute(_INSERT, (number, *(getattr(intent, name) for name in INTENT), token, time.time()))
        db.execute("INSERT INTO requests VALUES (?, ?)", (number, intent.request))
        return number
    db.execute("UPDATE calls SET owner = ? WHERE id = ? AND state = 'planned' AND owner IS NULL", (token, row[0]))
    return row[0]


def send(db: sqlite3.Connection, books: Books, intent: Intent, token: str, budget: int | None) -> Sent | Done | Theirs | NoMoney:
    """Takes the lease and reserves the worst case, unless the call is done, another process has it, or the budget forbids it."""
    call = plan(db, books, intent, token)
    state, owner, fence = db.execute("SELECT state, owner, fence FROM calls WHERE id = ?", (call,)).fetchone()
    if state == "done":
        return _done(db, intent.key)
    if owner not in (None, token):
        return Theirs(owner)
    if not affordable(books, intent.worst, budget):
        return no_money(books)
    now = time.time()
    db.execute(
        "UPDATE calls SET state = 'sent', owner = ?, fence = ?, sent_at = ?, failure = NULL, price_in = ?, price_out = ?, "
        "price_cached = ?, price_written = ?, worst = ? WHERE id = ?",
        (token, fence + 1, now, *intent.price[1:], intent.worst, call),
    )
    number, row = attempt(db, books, call, token, fence + 1, intent.worst, now)
    books.in_flight += intent.worst
    return Sent(fence + 1, number, call, row, intent.worst, now, is_first=False)


def affordable(books: Books, worst: int, budget: int | None) -> bool:
    """Whether a call that may cost `worst` still fits."""
    return budget is None or books.committed + worst <= budget


def no_money(books: Books) -> NoMoney:
    """Where the budget went."""
    return NoMoney(books.spent, books.in_flight, books.in_doubt, books.written_off)


def receive(db: sqlite3.Connection, sent: Sent, raw: bytes, status: int | None, request_id: str) -> None:
    """Keeps the bytes of an answer."""
    db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (sent.attempt_id, time.time(), status, request_id, raw))


def finish(db: sqlite3.Connection, books: Books, sent: Sent, token: str, reading: Reading) -> None:
    """Makes a sent call done, if this process still has its lease."""
    key, state, owner, fence = db.execute("SELECT key, state, owner, fence FROM calls WHERE id = ?", (sent.call_id,)).fetchone()
    if (state, owner, fence) != ("sent", token, sent.fence):
        raise StoreError(
            f"call {key[:12]!r} is {state!r} under fence {fence}, not sent under {sent.fence} by this process: another process took "
            f"its lease. The answer stays with attempt {sent.attempt}; run again"
        )
    _close(db, books, sent.call_id, sent.attempt, sent.attempt_id, reading)
    books.in_flight -= sent.worst


def _close(db: sqlite3.Connection, books: Books, call: int, number: int, attempt: int, reading: Reading) -> None:
    """Appends a call to the chain of done calls and books its cost."""
    now, seq = time.time(), books.seq + 1
    body, status, request_id = db.execute("SELECT body, status, request_id FROM answers WHERE attempt = ?", (attempt,)).fetchone()
    db.execute(
        "UPDATE attempts SET ended_at = ?, outcome = 'answered', status = ?, request_id = ? WHERE id = ?",
        (now, status, request_id, attempt),
    )
    note = db.execute("SELECT note FROM calls WHERE id = ?", (call,)).fetchone()[0]
    db.execute(
        "UPDATE calls SET owner = NULL, done_at = ?, attempt = ?, answer = ?, answer_sha256 = ?, tokens_in = ?, tokens_out = ?, "
        "tokens_cached = ?, tokens_reasoning = ?, tokens_estimated = ?, cost = ?, stop = ?, answered_model = ?, note = ?, seq = ?, "
        "failure = NULL WHERE id = ?",
        (
            now, number, attempt, hashlib.sha256(body).hexdigest(), reading.tokens_in, reading.tokens_out, reading.tokens_cached,
            reading.tokens_reasoning, int(reading.tokens_estimated), reading.cost, reading.stop, reading.model,
            joined_note(note, reading), seq, call,
        ),
    )  # fmt: skip
    values = db.execute(f"SELECT {_CHAINED} FROM calls JOIN requests ON requests.call = id WHERE id = ?", (call,)).fetchone()
    books.chain, books.seq = link(books.chain, values), seq
    db.execute("UPDATE calls SET state = 'done', chain = ? WHERE id = ?", (books.chain, call))
    books.spent += reading.cost


def joined_note(note: str, reading: Reading) -> str:
    """The call's note with what its answer adds."""
    return "; ".join(part for part in (note, reading.note) if part)


def miss(
    db: sqlite3.Connection, books: Books, sent: Sent, outcome: Outcome, *, status: int | None, request_id: str, detail: str, failed: bool
) -> None:
    """Closes an attempt that gave no usable answer and frees its money, unless it may have been billed."""
    db.execute(
        "UPDATE attempts SET ended_at = ?, outcome = ?, status = ?, request_id = ?, detail = ? WHERE id = ?",
        (time.time(), outcome, status, request_id, detail, sent.attempt_id),
    )
    books.in_flight -= sent.worst
    if outcome == "unknown":
        books.in_doubt += sent.worst
    # Between attempts the call is planned again, and this process keeps its lease.
    db.execute(
        "UPDATE calls SET state = ?, failure = ?, owner = CASE WHEN ? THEN NULL ELSE owner END WHERE id = ? AND fence = ? AND state = 'sent'",
        ("failed" if failed else "planned", detail if failed else None, failed, sent.call_id, sent.fence),
    )


def release(db: sqlite3.Connection, key: str, token: str) -> None:
    """Gives back the lease of a call that isn't under way."""
    db.execute("UPDATE calls SET owner = NULL WHERE key = ? AND state = 'planned' AND owner = ?", (key, token))


def answer_locally(db: sqlite3.Connection, books: Books, intent: Intent, token: str, raw: bytes, reading: Reading) -> Done | Theirs:
    """Plans, answers and closes a free call."""
    call = plan(db, books, intent, token)
    state, owner = db.execute("SELECT state, owner FROM calls WHERE id = ?", (call,)).fetchone()
    if state == "done":
        return _done(db, intent.key)
    if owner not in (None, token):
        return Theirs(owner)
    _file(db, books, call, token, raw, reading)
    return Done(intent.key, raw)


def import_answer(db: sqlite3.Connection, books: Books, key: str, token: str, raw: bytes, reading: Reading) -> bool:
    """Closes a call with an answer that was fetched elsewhere; False when it is done already."""
    row = db.execute("SELECT id, state FROM calls WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise StoreError(f"call {key!r} is not in this ledger; import the results into the ledger whose run asked for them")
    if row[1] == "done":
        return False
    _file(db, books, row[0], token, raw, reading)
    return True


def _file(db: sqlite3.Connection, books: Books, call: int, token: str, raw: bytes, reading: Reading) -> None:
    now = time.time()
    number, row = attempt(db, books, call, token, 0, 0, now)
    db.execute("INSERT INTO answers VALUES (?, ?, NULL, '', ?)", (row, now, raw))
    _close(db, books, call, number, row, reading)


def attempt(db: sqlite3.Connection, books: Books, call: int, token: str, fence: int, worst: int, now: float) -> tuple[int, int]:
    """A new attempt: (its number for the call, its row number)."""
    number = 1 + db.execute("SELECT coalesce(max(number), 0) FROM attempts WHERE call = ?", (call,)).fetchone()[0]
    row, books.next_attempt = books.next_attempt, books.next_attempt + 1
    db.execute(
        "INSERT INTO attempts (id, call, number, owner, fence, worst, sent_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (row, call, number, token, fence, worst, now),
    )
    return number, row


def fail(db: sqlite3.Connection, keys: list[tuple[str, str]]) -> None:
    """Marks calls that aren't done as failed, by (key, reason)."""
    db.executemany(
        "UPDATE calls SET state = 'failed', failure = ? WHERE key = ? AND state != 'done'", [(reason, key) for key, reason in keys]
    )


def finish_committed(db: sqlite3.Connection, books: Books, owner: str, read: ReadEnvelope) -> None:
    """Makes calls of a dead owner done whose answers it had committed."""
    rows = db.execute(
        "SELECT calls.id, attempts.id, number, calls.fence, attempts.worst, attempts.sent_at, body, provider, request, "
        "price_in, price_out, price_cached, price_written "
        "FROM calls JOIN attempts ON attempts.call = calls.id AND attempts.fence = calls.fence JOIN answers ON answers.attempt = attempts.id "
        "JOIN requests ON requests.call = calls.id WHERE calls.owner = ? AND state = 'sent'",
        (owner,),
    ).fetchall()
    for call, attempt, number, fence, worst, sent_at, body, provider, request, *prices in rows:
        reading = read(provider, body, request, TokenPrice("", *prices), worst)
        if reading is not None:
            finish(db, books, Sent(fence, number, call, attempt, worst, sent_at, is_first=False), owner, reading)


def abandon(db: sqlite3.Connection, books: Books, owner: str) -> int:
    """What an owner that is gone had sent is in doubt; what it had planned is free. Returns how many are in doubt."""
    lost = "owner = ? AND (call, fence) IN (SELECT id, fence FROM calls WHERE owner = ? AND state = 'sent')"
    worst = db.execute(f"SELECT coalesce(sum(worst), 0) FROM attempts WHERE {lost}", (owner, owner)).fetchone()[0]
    db.execute(
        "UPDATE attempts SET outcome = 'in_doubt', ended_at = ?, detail = CASE WHEN EXISTS (SELECT 1 FROM answers WHERE answers.attempt = attempts.id) "
        f"THEN 'an answer is here, but could not be read' ELSE 'the process ended before an answer was here' END WHERE {lost}",
        (time.time(), owner, owner),
    )
    doubtful = db.execute("UPDATE calls SET state = 'in_doubt', owner = NULL WHERE owner = ? AND state = 'sent'", (owner,)).rowcount
    db.execute("UPDATE calls SET owner = NULL WHERE owner = ? AND state != 'done'", (owner,))
    db.execute("DELETE FROM owners WHERE token = ?", (owner,))
    books.in_flight -= worst
    books.in_doubt += worst
    return doubtful


def settle(db: sqlite3.Connection, books: Books, key: str, *, billed: bool) -> int:
    """Ends the doubts of a call as a person found them on the provider's bill; returns how many there were.

    Not billed: their money is free again, and the call is planned. Billed: their worst case counts as spent for good, and the call is
    given up; a stage that still needs it asks again.
    """
    doubtful = "call = (SELECT id FROM calls WHERE key = ?) AND outcome IN ('unknown', 'in_doubt') AND settled IS NULL"
    count, worst = db.execute(f"SELECT count(*), coalesce(sum(worst), 0) FROM attempts WHERE {doubtful}", (key,)).fetchone()
    db.execute(f"UPDATE attempts SET settled = ? WHERE {doubtful}", ("billed" if billed else "unbilled", key))
    books.in_doubt -= worst
    if billed:
        books.written_off += worst
    db.execute(
        "UPDATE calls SET state = ?, failure = ? WHERE key = ? AND state = 'in_doubt'",
        ("failed" if billed else "planned", "given up: billed, but its answer was lost" if billed else None, key),
    )
    return count


def _done(db: sqlite3.Connection, key: str) -> Done:
    return Done(key, db.execute("SELECT body FROM calls JOIN answers ON answers.attempt = answer WHERE key = ?", (key,)).fetchone()[0])


def count_hits(db: sqlite3.Connection, hits: dict[tuple[Any, ...], int]) -> None:
    """Adds answers that came from the ledger, by (stage, role, provider, model)."""
    db.executemany(
        "INSERT INTO hits VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", [(*name, n) for name, n in hits.items()]
    )
