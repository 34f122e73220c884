"""The three steps of every call, for many calls at once: a few SQL statements for the whole batch instead of several for each call.

SQLite lets go of the interpreter lock for every statement and has to win it back from the event loop, so the number of statements, not
their size, decides what the ledger costs. Whatever isn't plain (a call that was here before, a lease that was lost) is left to
`operations`, one call at a time.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from castalia.oracle.ledger import operations
from castalia.oracle.ledger.books import Books
from castalia.oracle.ledger.chain import link
from castalia.oracle.ledger.rows import Done, Intent, NoMoney, Reading, Sent, Theirs

LARGEST = 128
"""Rows in one statement. Statements have 1, 2, 4, ... rows, so that there are few to prepare."""


class Send(NamedTuple):
    """Commit the intent of a call."""

    intent: Intent
    budget: int | None


class Receive(NamedTuple):
    """Commit the bytes of an answer."""

    sent: Sent
    raw: bytes
    status: int
    request_id: str


class Finish(NamedTuple):
    """Make a call done whose bytes are committed."""

    intent: Intent
    sent: Sent
    raw: bytes
    status: int
    request_id: str
    reading: Reading


class NotPlain(Exception):
    """A batch met something that needs its calls to be handled one by one."""


def send_all(db: sqlite3.Connection, books: Books, sends: Sequence[Send], token: str) -> list[Sent | Done | Theirs | NoMoney]:
    """As `operations.send` for each."""
    known = _known(db, [item.intent.key for item in sends])
    now = time.time()
    results: list[Sent | Done | Theirs | NoMoney] = []
    calls: list[Sequence[Any]] = []
    requests: list[Sequence[Any]] = []
    attempts: list[Sequence[Any]] = []
    for intent, budget in sends:
        if intent.key in known:
            results.append(operations.send(db, books, intent, token, budget))
            continue
        known.add(intent.key)
        if not operations.affordable(books, intent.worst, budget):
            # The call is written down all the same, so that it can be seen what is left to do.
            operations.plan(db, books, intent, token)
            results.append(operations.no_money(books))
            continue
        call, books.next_call = books.next_call, books.next_call + 1
        attempt, books.next_attempt = books.next_attempt, books.next_attempt + 1
        calls.append((call, *_intent_values(intent), "sent", token, 1, now, now))
        requests.append((call, intent.request))
        attempts.append((attempt, call, 1, token, 1, intent.worst, now))
        books.in_flight += intent.worst
        results.append(Sent(1, 1, call, attempt, intent.worst, now, is_first=True))
    _insert(db, _CALLS, calls)
    _insert(db, "INSERT INTO requests VALUES ", requests)
    _insert(db, "INSERT INTO attempts (id, call, number, owner, fence, worst, sent_at) VALUES ", attempts)
    return results


def receive_all(db: sqlite3.Connection, receives: Sequence[Receive]) -> None:
    """As `operations.receive` for each."""
    now = time.time()
    _insert(db, "INSERT INTO answers VALUES ", [(item.sent.attempt_id, now, item.status, item.request_id, item.raw) for item in receives])


def finish_all(db: sqlite3.Connection, books: Books, finishes: Sequence[Finish], token: str) -> None:
    """As `operations.finish` for each. Raises NotPlain, with nothing kept, when a lease was lost."""
    now = time.time()
    calls: list[Sequence[Any]] = []
    attempts: list[Sequence[Any]] = []
    for intent, sent, raw, status, request_id, reading in finishes:
        if not sent.is_first:
            operations.finish(db, books, sent, token, reading)
            continue
        digest, seq = hashlib.sha256(raw).hexdigest(), books.seq + 1
        note, estimated = operations.joined_note(intent.note, reading), int(reading.tokens_estimated)
        # In the order of chain.LINKED.
        books.chain = link(
            books.chain,
            (
                intent.key, intent.stage, intent.role, intent.prompt, intent.subject, intent.prompt_sha256, intent.sample, intent.provider,
                intent.base_url, intent.model, intent.sampling, intent.system_sha256, intent.request, intent.price_in, intent.price_out,
                intent.price_cached, intent.price_written,
                intent.repair_of, intent.repair_reason, note, sent.attempt, digest, reading.tokens_in, reading.tokens_out,
                reading.tokens_cached, reading.tokens_reasoning, estimated, reading.cost, reading.stop, reading.model, sent.sent_at, now, seq,
            ),
        )  # fmt: skip
        books.seq = seq
        books.spent += reading.cost
        books.in_flight -= sent.worst
        calls.append(
            (
                sent.call_id, sent.fence, now, sent.attempt, sent.attempt_id, digest, reading.tokens_in, reading.tokens_out,
                reading.tokens_cached, reading.tokens_reasoning, estimated, reading.cost, reading.stop, reading.model, note, seq, books.chain,
            )
        )  # fmt: skip
        attempts.append((sent.attempt_id, now, status, request_id))
    if _update(db, _DONE, calls, f"AND calls.id = v.column1 AND calls.fence = v.column2 AND calls.owner = '{token}'") != len(calls):
        raise NotPlain
    _update(db, _ANSWERED, attempts, "AND attempts.id = v.column1")


_CALLS = f"INSERT INTO calls (id, {', '.join(operations.INTENT)}, state, owner, fence, planned_at, sent_at) VALUES "
_DONE = (
    "UPDATE calls SET state = 'done', owner = NULL, failure = NULL, done_at = v.column3, attempt = v.column4, answer = v.column5, "
    "answer_sha256 = v.column6, tokens_in = v.column7, tokens_out = v.column8, tokens_cached = v.column9, tokens_reasoning = v.column10, "
    "tokens_estimated = v.column11, cost = v.column12, stop = v.column13, answered_model = v.column14, note = v.column15, "
    "seq = v.column16, chain = v.column17 FROM (VALUES {rows}) AS v WHERE calls.state = 'sent' "
)
_ANSWERED = (
    "UPDATE attempts SET outcome = 'answered', ended_at = v.column2, status = v.column3, request_id = v.column4 "
    "FROM (VALUES {rows}) AS v WHERE outcome IS NULL "
)


def _intent_values(intent: Intent) -> tuple[Any, ...]:
    return (intent[0], *intent[2:])  # as operations.INTENT: all but the request


def _known(db: sqlite3.Connection, keys: list[str]) -> set[str]:
    """Which of the keys the ledger has. The list comes back as one row, because every row is a statement's price."""
    found: set[str] = set()
    for start in range(0, len(keys), LARGEST):
        part = keys[start : start + LARGEST]
        size = 1 << (len(part) - 1).bit_length()
        row = db.execute(
            f"SELECT group_concat(key, ' ') FROM calls WHERE key IN ({_marks(1, size)})", part + part[-1:] * (size - len(part))
        ).fetchone()
        found.update((row[0] or "").split())
    return found


def _insert(db: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]]) -> None:
    for part in _parts(rows):
        db.execute(head + _marks(len(part[0]), len(part), "({})"), list(chain.from_iterable(part)))


def _update(db: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]], where: str) -> int:
    changed = 0
    for part in _parts(rows):
        marks = _marks(len(part[0]), len(part), "({})")
        changed += db.execute(statement.replace("{rows}", marks) + where, list(chain.from_iterable(part))).rowcount
    return changed


def _parts(rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Sequence[Any]]]:
    start = 0
    while start < len(rows):
        size = min(LARGEST, 1 << ((len(rows) - start).bit_length() - 1))
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=256)
def _marks(columns: int, rows: int, around: str = "{}") -> str:
    return ", ".join([around.format(", ".join("?" * columns))] * rows)
