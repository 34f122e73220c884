"""What must hold of a ledger after every run, however often it was killed: the ledger is compared with the provider's own bill.

I1 every answer that was acknowledged is in the ledger, byte for byte
I2 what was billed and isn't in the ledger is listed as a possible duplicate
I3 no call was answered twice
I4 no attempt follows the one that made its call done
I5 an answered call costs what the bill says
I6 the ledger alone gives the same answers again (`answers_of` is compared by the caller, network off)
I7 the hash chain, the accounts and the totals verify
I8 nothing is under way and nobody holds a lease after the last run has ended
Budget: nothing paid or reserved exceeds it.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from castalia.oracle import open_ledger


class Charged(NamedTuple):
    """One answer on a provider's bill. Request ids are unique per bill."""

    request_id: str
    """As sent in the header `x-request-id`; empty where it isn't known, then the bytes decide."""
    body: bytes
    tokens: tuple[int, int]
    """In and out."""
    share: float = 1.0
    """Of the price, what is charged: less in a batch."""
    in_batch: str = ""
    """What was asked, where it was answered in a batch."""

    def due(self, price: "Price") -> int:
        """Nano-dollars."""
        return round(self.share * (self.tokens[0] * price.input + self.tokens[1] * price.output))


class Price(NamedTuple):
    """Nano-dollars per token."""

    input: int
    output: int


class Broken(NamedTuple):
    """An invariant that doesn't hold."""

    name: str
    """`I1` to `I8`, or `budget`."""
    words: str


def broken_invariants(
    ledger: Path,
    bill: Iterable[Charged],
    acknowledged: Mapping[str, bytes],
    *,
    price: Price | None = None,
    budget: int | None = None,
    ended: bool = True,
) -> list[Broken]:
    """Everything that doesn't hold; an empty list is the wanted result.

    `acknowledged` are the answers that callers were given, by ledger key. `price` turns on I5, `budget` (nano-dollars) the check of the
    cap. `ended` says that the last process ended by itself, so that nothing may be left under way.
    """
    charged = list(bill)
    broken: list[Broken] = []
    done = answers_of(ledger)
    for key, raw in acknowledged.items():
        if done.get(key) != raw:
            broken.append(Broken("I1", f"call {key[:12]}: its caller was given {raw[:60]!r}, the ledger has {done.get(key, b'')[:60]!r}"))
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as db:
        paid = [Paid(*row) for row in db.execute(_PAID)]
        doubts = db.execute("SELECT count(*) FROM attempts WHERE outcome IN ('unknown', 'in_doubt')").fetchone()[0]
        unmatched = _unmatched(charged, paid, broken, price)
        if len(unmatched) > doubts:
            broken.append(Broken("I2", f"{len(unmatched)} billed answers are not in the ledger, {doubts} possible duplicates are listed"))
        for (key,) in db.execute(_ANSWERED_TWICE):
            broken.append(Broken("I3", f"call {key[:12]} was answered more than once"))
        for (key,) in db.execute(_LATE):
            broken.append(Broken("I4", f"call {key[:12]} has an attempt after the one that answered it"))
        broken += [Broken("I7", words) for words in _verified(ledger)]
        if ended:
            broken += [Broken("I8", f"{count} calls are left {what}") for what, count in db.execute(_LEFT) if count]
        committed = db.execute("SELECT sum(value) FROM meta WHERE name IN ('spent', 'in_flight', 'in_doubt', 'written_off')").fetchone()[0]
    if budget is not None:
        billed = sum(item.due(price) for item in charged) if price else 0
        for what, nano in (("the ledger holds", committed), ("the provider billed", billed)):
            if nano > budget:
                broken.append(Broken("budget", f"{what} {nano} nano-dollars, the budget is {budget}"))
    return broken


def answers_of(ledger: Path) -> dict[str, bytes]:
    """The raw answer of every done call, by key."""
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT key, body FROM calls JOIN answers ON answers.attempt = calls.answer WHERE state = 'done'"))


class Paid(NamedTuple):
    """A done call as the ledger has it."""

    key: str
    request_id: str
    body: bytes
    cost: int
    is_estimated: bool


_PAID = (
    "SELECT key, attempts.request_id, body, cost, tokens_estimated FROM calls JOIN answers ON answers.attempt = calls.answer "
    "JOIN attempts ON attempts.id = calls.answer WHERE state = 'done'"
)
_ANSWERED_TWICE = (
    "SELECT key FROM attempts JOIN calls ON calls.id = call WHERE outcome = 'answered' GROUP BY call HAVING count(*) > 1 "
    "UNION SELECT key FROM calls WHERE state = 'done' GROUP BY key HAVING count(*) > 1"
)
_LATE = "SELECT DISTINCT key FROM attempts JOIN calls ON calls.id = call WHERE state = 'done' AND number > attempt"
_LEFT = (
    "SELECT 'under way', count(*) FROM calls WHERE state = 'sent' UNION SELECT 'leased', count(*) FROM calls WHERE owner IS NOT NULL "
    "UNION SELECT 'without an outcome', count(*) FROM attempts WHERE outcome IS NULL"
)


def _unmatched(charged: list[Charged], paid: list[Paid], broken: list[Broken], price: Price | None) -> list[Charged]:
    """What was billed and isn't in the ledger; on the way I1 and I5 are checked for what is."""
    by_id = {item.request_id: item for item in paid if item.request_id}
    by_body: dict[bytes, list[Paid]] = {}
    for item in paid:
        by_body.setdefault(item.body, []).append(item)
    unmatched: list[Charged] = []
    for item in charged:
        same = by_body.get(item.body, [])
        found = by_id.get(item.request_id) if item.request_id else (same.pop() if same else None)
        if found is None:
            unmatched.append(item)
            continue
        if found.body != item.body:
            broken.append(Broken("I1", f"call {found.key[:12]}: the provider sent {item.body[:60]!r}, the ledger has {found.body[:60]!r}"))
        if price and not found.is_estimated:
            due = item.due(price)
            if found.cost != due:
                broken.append(Broken("I5", f"call {found.key[:12]} cost {found.cost} nano-dollars, the bill says {due}"))
    return unmatched


def _verified(ledger: Path) -> tuple[str, ...]:
    with open_ledger(ledger, readonly=True) as book:
        return book.verify().problems
