"""Batches at a provider, as the ledger knows them: written down before the provider hears of them, so that none is sent twice.

A submission is `prepared` before anything is sent, `open` once the provider's name for it is known, and `ended` when its results are in.
While it lives, its calls are `sent` under the lease of the submission itself, which no process's death ends.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from castalia.errors import StoreError
from castalia.oracle.ledger import operations
from castalia.oracle.ledger.books import Books
from castalia.oracle.ledger.rows import Intent, Outcome, Reading, Sent

PREFIX = "batch:"
_SENDABLE = "state = 'planned' AND owner IS NULL AND NOT redacted"
_COLUMNS = "id, provider, base_url, account, digest, calls, state, owner, remote, excluded, detail, prepared_at"


class Submission(NamedTuple):
    """One batch."""

    id: int
    provider: str
    base_url: str
    account: str
    """Fingerprint of the API key it is sent with."""
    digest: str
    """sha256 of its file."""
    calls: int
    state: Literal["prepared", "open", "ended"]
    owner: str
    """Process that prepared it."""
    remote: str | None
    """The provider's name for it."""
    excluded: tuple[str, ...]
    """Provider's names of other batches: the newest one there was before this was prepared, then those that were taken for it."""
    detail: str
    prepared_at: float

    @property
    def newest_before(self) -> str:
        """The provider's name of a batch than which this one is newer; empty where there was none."""
        return self.excluded[0] if self.excluded else ""

    @property
    def lease(self) -> str:
        """Owner of its calls."""
        return f"{PREFIX}{self.id}"


class Prepared(NamedTuple):
    """A submission that was written down, and its file."""

    submission: Submission
    file: bytes
    left_out: int
    """Calls that would have exceeded the budget."""


class Result(NamedTuple):
    """What became of one call of a batch."""

    key: str
    raw: bytes | None
    reading: Reading | None
    outcome: Outcome
    detail: str
    is_final: bool
    """Whether asking again can't help."""


def await_batch(db: sqlite3.Connection, books: Books, intent: Intent, token: str) -> None:
    """Writes a call down that a batch will carry, at the batch's price, and leaves it without a lease."""
    call = operations.plan(db, books, intent, token)
    db.execute(
        "UPDATE calls SET state = 'planned', owner = NULL, price_in = ?, price_out = ?, price_cached = ?, price_written = ?, worst = ? "
        "WHERE id = ? AND state IN ('planned', 'failed', 'in_doubt') AND (owner IS NULL OR owner = ?)",
        (*intent.price[1:], intent.worst, call, token),
    )


def unsent(db: sqlite3.Connection, keys: Iterable[str]) -> list[str]:
    """Those of the calls that a batch may carry now."""
    query = f"SELECT 1 FROM calls WHERE key = ? AND {_SENDABLE}"
    return [key for key in keys if db.execute(query, (key,)).fetchone()]


def prepare(
    db: sqlite3.Connection, books: Books, keys: Sequence[str], to: tuple[str, str, str], token: str, budget: int | None,
    line: Callable[[str, Any], bytes], most_bytes: int, others: Sequence[str],
) -> Prepared | None:  # fmt: skip
    """Reserves as many of the calls as fit into one file and the budget; None when none is left to send.

    `others` holds the provider's newest batch, so that this one can be told from all that are older.
    """
    now = time.time()
    number = 1 + db.execute("SELECT coalesce(max(id), 0) FROM submissions").fetchone()[0]
    lines: list[bytes] = []
    size = left_out = 0
    taken: list[tuple[int, int, int]] = []
    for key in sorted(keys):
        call, request, fence, worst = db.execute(
            f"SELECT id, request, fence, worst FROM calls JOIN requests ON requests.call = id WHERE key = ? AND {_SENDABLE}", (key,)
        ).fetchone() or (None, "", 0, 0)
        if call is None:
            continue
        if not operations.affordable(books, worst, budget):
            left_out += 1
            continue
        text = line(key, json.loads(request)["body"])
        if lines and size + len(text) > most_bytes:
            break
        lines.append(text)
        size += len(text)
        _, attempt = operations.attempt(db, books, call, f"{PREFIX}{number}", fence + 1, worst, now)
        books.in_flight += worst
        db.execute(
            "UPDATE calls SET state = 'sent', owner = ?, fence = ?, sent_at = ?, failure = NULL WHERE id = ?",
            (f"{PREFIX}{number}", fence + 1, now, call),
        )
        taken.append((number, call, attempt))
    if not lines:
        return None if not left_out else Prepared(Submission(0, *to, "", 0, "prepared", token, None, (), "", now), b"", left_out)
    file = b"".join(lines)
    digest = hashlib.sha256(file).hexdigest()
    db.execute(
        "INSERT INTO submissions (id, provider, base_url, account, digest, calls, state, owner, excluded, prepared_at) "
        "VALUES (?, ?, ?, ?, ?, ?, 'prepared', ?, ?, ?)",
        (number, *to, digest, len(lines), token, json.dumps(list(others)), now),
    )
    db.executemany("INSERT INTO submission_calls VALUES (?, ?, ?)", taken)
    return Prepared(Submission(number, *to, digest, len(lines), "prepared", token, None, tuple(others), "", now), file, left_out)


def rebuild(db: sqlite3.Connection, submission: Submission, line: Callable[[str, Any], bytes]) -> bytes:
    """The file of a submission once more. Raises StoreError when it isn't the file whose hash was committed."""
    rows = db.execute(
        "SELECT key, request FROM submission_calls s JOIN calls ON calls.id = s.call JOIN requests ON requests.call = s.call "
        "WHERE submission = ? ORDER BY key",
        (submission.id,),
    )
    file = b"".join(line(key, json.loads(request)["body"]) for key, request in rows)
    if hashlib.sha256(file).hexdigest() != submission.digest:
        raise StoreError(
            f"batch {submission.id} would be made differently now than when it was prepared (its prompt cache setting or the program "
            f"changed); give it up with the settings of that time, or settle its calls"
        )
    return file


def claim(db: sqlite3.Connection, submission: Submission, token: str) -> bool:
    """Takes over a prepared submission of a process that is gone; False when another was faster."""
    return (
        db.execute(
            "UPDATE submissions SET owner = ? WHERE id = ? AND owner = ? AND state = 'prepared'", (token, submission.id, submission.owner)
        ).rowcount
        == 1
    )


def adopt(db: sqlite3.Connection, number: int, remote: str) -> None:
    """The provider has it under this name."""
    db.execute("UPDATE submissions SET state = 'open', remote = ? WHERE id = ? AND state = 'prepared'", (remote, number))


def disown(db: sqlite3.Connection, submission: Submission, token: str) -> bool:
    """The batch under that name is another one: look for it anew. False when another process has found that out already."""
    excluded = json.dumps([*(submission.excluded or ("",)), submission.remote])
    return (
        db.execute(
            "UPDATE submissions SET state = 'prepared', remote = NULL, excluded = ?, owner = ? WHERE id = ? AND state = 'open' AND remote = ?",
            (excluded, token, submission.id, submission.remote),
        ).rowcount
        == 1
    )


def file_results(db: sqlite3.Connection, books: Books, submission: Submission, results: Iterable[Result]) -> tuple[int, int]:
    """Files what became of calls; what is filed already stays. Returns (newly answered, not of this batch)."""
    answered = foreign = 0
    for item in results:
        row = db.execute(
            "SELECT c.id, c.state, c.owner, c.fence, a.number, a.id, a.worst, a.sent_at FROM calls c JOIN submission_calls s ON s.call = c.id "
            "JOIN attempts a ON a.id = s.attempt WHERE key = ? AND submission = ?",
            (item.key, submission.id),
        ).fetchone()
        if row is None:
            foreign += 1
            continue
        call, state, owner, fence, number, attempt, worst, sent_at = row
        if state != "sent" or owner != submission.lease:
            continue
        sent = Sent(fence, number, call, attempt, worst, sent_at, is_first=False)
        if item.raw is not None:
            operations.receive(db, sent, item.raw, 200, submission.remote or "")
        if item.reading is not None:
            operations.finish(db, books, sent, submission.lease, item.reading)
            answered += 1
        else:
            _release(db, books, sent, item.outcome, item.detail, failed=item.is_final)
    return answered, foreign


def end(db: sqlite3.Connection, books: Books, submission: Submission, detail: str, *, may_be_billed: bool = False) -> int:
    """Ends a submission. Calls without a result are open again, and in doubt where they may have been made. Returns how many."""
    rows = db.execute(
        "SELECT c.id, c.fence, a.number, a.id, a.worst, a.sent_at FROM calls c JOIN submission_calls s ON s.call = c.id "
        "JOIN attempts a ON a.id = s.attempt WHERE submission = ? AND c.state = 'sent' AND c.owner = ?",
        (submission.id, submission.lease),
    ).fetchall()
    for call, fence, number, attempt, worst, sent_at in rows:
        sent = Sent(fence, number, call, attempt, worst, sent_at, is_first=False)
        outcome: Outcome = "unknown" if may_be_billed else "rejected"
        _release(db, books, sent, outcome, detail or "the batch ended without a result", failed=False)
    db.execute(
        "UPDATE submissions SET state = 'ended', detail = ?, ended_at = ? WHERE id = ? AND state != 'ended'",
        (detail, time.time(), submission.id),
    )
    return len(rows)


def _release(db: sqlite3.Connection, books: Books, sent: Sent, outcome: Outcome, detail: str, *, failed: bool) -> None:
    operations.miss(db, books, sent, outcome, status=None, request_id="", detail=detail, failed=failed)
    db.execute("UPDATE calls SET owner = NULL WHERE id = ?", (sent.call_id,))


def submissions(read: Callable[..., list[Any]], *, living: bool) -> list[Submission]:
    """All submissions, or those that haven't ended."""
    rows = read(f"SELECT {_COLUMNS} FROM submissions {'WHERE state != ?' if living else ''} ORDER BY id", *(["ended"] if living else []))
    return [Submission(*row[:9], excluded=tuple(json.loads(row[9])), detail=row[10], prepared_at=row[11]) for row in rows]
