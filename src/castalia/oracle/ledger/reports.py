"""Questions people ask a ledger: one call, sums, doubts, money."""

from collections.abc import Callable
from typing import Any

from castalia.errors import StoreError
from castalia.oracle.ledger.rows import Doubt, LedgerCall, Money, UsageRow
from castalia.oracle.prices import REFERENCE_PRICE, named_price, to_usd

Read = Callable[..., list[Any]]

_CALL = (
    "key", "state", "stage", "role", "prompt", "subject", "prompt_sha256", "sample", "provider", "base_url", "model", "answered_model",
    "sampling", "system_sha256", "request", "body", "tokens_in", "tokens_out", "tokens_estimated", "cost", "stop", "repair_of",
    "repair_reason", "note", "failure", "planned_at", "calls.sent_at", "done_at",
)  # fmt: skip


def call(read: Read, key: str) -> LedgerCall:
    """The call whose key starts with `key`."""
    keys = [row[0] for row in read("SELECT key FROM calls WHERE key >= ? AND key < ? LIMIT 2", key, key + "g")]
    if len(keys) != 1:
        found = "no call" if not keys else "several calls"
        raise StoreError(f"{found} in this ledger have a key that starts with {key!r}; give the whole key, from a record's provenance")
    columns = ", ".join(f"calls.{name}" if name == "key" else name for name in _CALL)
    row = read(
        f"SELECT {columns} FROM calls LEFT JOIN attempts ON attempts.key = calls.key AND number = attempt WHERE calls.key = ?", keys[0]
    )[0]
    values = dict(zip(_CALL, row, strict=True))
    attempts = read("SELECT count(*) FROM attempts WHERE key = ?", keys[0])[0][0]
    cost, estimated = values.pop("cost"), values.pop("tokens_estimated")
    return LedgerCall(
        **{name.removeprefix("calls."): value for name, value in values.items() if name != "body"},
        raw=values["body"],
        tokens_estimated=bool(estimated),
        usd=None if cost is None else to_usd(cost),
        attempts=attempts,
    )


def usage(read: Read, equivalent: str | None) -> list[UsageRow]:
    """Sums by stage, role and model, in that order."""
    entry = named_price(equivalent or REFERENCE_PRICE)
    done = {
        row[:4]: row[4:]
        for row in read(
            "SELECT stage, role, provider, model, count(*), sum(tokens_in), sum(tokens_out), sum(cost), "
            "sum(CASE WHEN price_in + price_out = 0 THEN tokens_in ELSE 0 END), "
            "sum(CASE WHEN price_in + price_out = 0 THEN tokens_out ELSE 0 END) "
            "FROM calls WHERE state = 'done' GROUP BY stage, role, provider, model"
        )
    }
    hits = {row[:4]: row[4] for row in read("SELECT stage, role, provider, model, n FROM hits")}
    rows: list[UsageRow] = []
    for group in sorted({*done, *hits}):
        calls, tokens_in, tokens_out, cost, free_in, free_out = done.get(group, (0, 0, 0, 0, 0, 0))
        rows.append(
            UsageRow(
                *group, calls=calls, cached=hits.get(group, 0), tokens_in=tokens_in, tokens_out=tokens_out, usd=to_usd(cost),
                usd_equivalent=to_usd(cost + entry.cost(free_in, free_out)), equivalent_price=entry.name if free_in + free_out else "",
            )
        )  # fmt: skip
    return rows


def in_doubt(read: Read) -> list[Doubt]:
    """Attempts that may have been billed, oldest first."""
    rows = read(
        "SELECT a.key, number, stage, model, subject, outcome, coalesce(detail, ''), a.worst, a.sent_at "
        "FROM attempts a JOIN calls USING (key) WHERE outcome IN ('unknown', 'in_doubt') ORDER BY a.sent_at, a.key"
    )
    return [Doubt(*row[:7], worst_usd=to_usd(row[7]), sent_at=row[8]) for row in rows]


def money(read: Read) -> Money:
    """The three accounts."""
    values = dict(read("SELECT name, value FROM meta WHERE name IN ('spent', 'in_flight', 'in_doubt')"))
    return Money(*(to_usd(values[name]) for name in ("spent", "in_flight", "in_doubt")))
