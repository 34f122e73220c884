"""What every transaction needs of the ledger as a whole: the accounts, the head of the chain, the next row numbers.

Kept in memory between transactions, and read anew when another process has written in between. Changed values are written back in the
transaction that changed them, so file and memory never differ after a commit.
"""

import sqlite3
from dataclasses import astuple, dataclass, fields

_KEPT = ("spent", "in_flight", "in_doubt", "written_off", "seq", "chain")
_SAVE = f"UPDATE meta SET value = CASE name {' '.join(f'WHEN {name!r} THEN ?' for name in _KEPT)} END WHERE name IN {_KEPT}"


@dataclass
class Books:
    """Money in nano-dollars."""

    spent: int
    """Of done calls."""
    in_flight: int
    """Worst cases of calls under way."""
    in_doubt: int
    """Worst cases of attempts that may have been billed."""
    written_off: int
    """Of doubts that a person settled as billed."""
    seq: int
    """Number of the last done call in the chain."""
    chain: str
    """Its link."""
    next_call: int
    next_attempt: int

    @property
    def committed(self) -> int:
        """What the ledger has paid or may have to pay."""
        return self.spent + self.in_flight + self.in_doubt + self.written_off


def load_books(db: sqlite3.Connection) -> Books:
    """The books as the file has them."""
    meta = dict(db.execute("SELECT name, value FROM meta"))
    call, attempt = db.execute("SELECT (SELECT max(id) FROM calls), (SELECT max(id) FROM attempts)").fetchone()
    return Books(*(meta[name] for name in _KEPT), next_call=(call or 0) + 1, next_attempt=(attempt or 0) + 1)


def save_books(db: sqlite3.Connection, books: Books) -> None:
    """Writes accounts and chain; the row numbers follow from the rows."""
    db.execute(_SAVE, [getattr(books, name) for name in _KEPT])


def restore(books: Books, saved: Books) -> None:
    """Takes back what a rolled-back step did."""
    for field, value in zip(fields(Books), astuple(saved), strict=True):
        setattr(books, field.name, value)
