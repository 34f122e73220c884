"""The hash chain over done calls: whoever edits, drops or reorders one breaks every link after it."""

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from castalia.oracle.compact import compact_json


class Verification(NamedTuple):
    """What `verify` found; no problems means that nothing was edited."""

    done: int
    head: str
    problems: tuple[str, ...]


LINKED = (
    "key", "stage", "role", "prompt", "subject", "prompt_sha256", "sample", "provider", "base_url", "model", "sampling", "system_sha256",
    "request", "price_in", "price_out", "price_cached", "price_written", "repair_of", "repair_reason", "note", "attempt", "answer_sha256",
    "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "tokens_estimated", "cost", "stop", "answered_model", "sent_at",
    "done_at", "seq",
)  # fmt: skip
_LINKED = ", ".join(f"calls.{name}" if name == "attempt" else name for name in LINKED)


def link(previous: str, values: Sequence[Any]) -> str:
    """The chain value of a done call after `previous`, from its values in the order of LINKED."""
    return hashlib.sha256(compact_json([previous, *values])).hexdigest()


def verify_chain(connection: sqlite3.Connection) -> Verification:
    """Recomputes every link, every answer's hash, every key, and the sums of money."""
    problems: list[str] = []
    previous, count, done, spent = "", 0, 0, 0
    rows = connection.execute(
        f"SELECT {_LINKED}, chain, redacted, body FROM calls LEFT JOIN requests ON requests.call = calls.id "
        "LEFT JOIN answers ON answers.attempt = calls.answer WHERE seq IS NOT NULL AND state = 'done' ORDER BY seq"
    )
    for values in rows:
        row: dict[str, Any] = dict(zip((*LINKED, "chain", "redacted", "body"), values, strict=True))
        count += 1
        done += 1
        spent += row["cost"]
        name = f"call {row['key'][:12]} ({row['prompt']!r} for {row['subject']!r})"
        if row["seq"] != count:
            problems.append(f"{name} has number {row['seq']} in the chain where {count} is due")
            count = row["seq"]
        if row["body"] is None or hashlib.sha256(row["body"]).hexdigest() != row["answer_sha256"]:
            problems.append(f"{name}: the stored answer does not match its hash")
        if row["request"] is None:
            problems.append(f"{name}: its request is gone")
        elif not row["redacted"] and hashlib.sha256(row["request"].encode()).hexdigest() != row["key"]:
            problems.append(f"{name}: the stored request does not hash to its key")
        previous_due = link(previous, values[: len(LINKED)])
        if row["chain"] != previous_due:
            problems.append(f"{name}: its link in the chain is broken")
        previous = row["chain"]
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    if (meta["chain"], meta["seq"]) != (previous, count):
        problems.append(f"the chain ends at call {count}, the ledger remembers {meta['seq']}: calls were removed or added")
    reserved = dict(
        connection.execute(
            "SELECT CASE WHEN settled = 'billed' THEN 'written_off' WHEN settled = 'unbilled' THEN 'free' "
            "WHEN outcome IN ('unknown', 'in_doubt') THEN 'in_doubt' ELSE 'in_flight' END AS kind, sum(worst) FROM attempts "
            "WHERE outcome IS NULL OR outcome IN ('unknown', 'in_doubt') "
            "GROUP BY kind"
        )
    )
    for kind, due in (("spent", spent), *((kind, reserved.get(kind, 0)) for kind in ("in_flight", "in_doubt", "written_off"))):
        if meta[kind] != due:
            problems.append(f"the account {kind!r} holds {meta[kind]} nano-dollars, its calls sum to {due}")
    totals = connection.execute("SELECT coalesce(sum(calls), 0), coalesce(sum(cost), 0) FROM totals").fetchone()
    if totals != (done, spent):
        problems.append(f"the totals say {totals[0]} calls and {totals[1]} nano-dollars, the calls themselves {done} and {spent}")
    return Verification(count, previous, tuple(problems))
