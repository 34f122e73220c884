"""Questions people ask a ledger: one call, sums, doubts, money."""

from collections.abc import Callable
from typing import Any

from castalia.errors import InputError
from castalia.oracle.ledger.rows import Doubt, Failure, LedgerCall, Money, PromptTotals, UsageRow
from castalia.oracle.prices import REFERENCE_PRICE, TokenPrice, named_price, to_usd

Read = Callable[..., list[Any]]

_GROUP = "stage, role, provider, model"
_SUMS = (
    "calls", "repairs", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "cost", "free_in", "free_out",
)  # fmt: skip
_OPEN = "state != 'done'"
"""As the partial index `calls_open` has it: with this term SQLite reads open calls only."""

_CALL = (
    "key", "state", "stage", "role", "prompt", "subject", "prompt_sha256", "sample", "provider", "base_url", "model", "answered_model",
    "sampling", "system_sha256", "request", "body", "tokens_in", "tokens_out", "tokens_estimated", "cost", "stop", "repair_of",
    "repair_reason", "note", "failure", "planned_at", "sent_at", "done_at",
)  # fmt: skip


def call(read: Read, key: str) -> LedgerCall:
    """The call whose key starts with `key`."""
    keys = [row[0] for row in read("SELECT key FROM calls WHERE key >= ? AND key < ? LIMIT 2", key, key + "g")]
    if len(keys) != 1:
        found = "no call" if not keys else "several calls"
        raise InputError(f"{found} in this ledger have a key that starts with {key!r}; give the whole key, from a record's provenance")
    columns = ", ".join(_CALL)
    row = read(
        f"SELECT {columns} FROM calls JOIN requests ON requests.call = calls.id LEFT JOIN answers ON answers.attempt = calls.answer "
        "WHERE key = ?",
        keys[0],
    )[0]
    values = dict(zip(_CALL, row, strict=True))
    attempts = read("SELECT count(*) FROM attempts JOIN calls ON calls.id = call WHERE key = ?", keys[0])[0][0]
    cost, estimated = values.pop("cost"), values.pop("tokens_estimated")
    return LedgerCall(
        **{name: value for name, value in values.items() if name != "body"},
        raw=values["body"],
        tokens_estimated=bool(estimated),
        usd=None if cost is None else to_usd(cost),
        attempts=attempts,
    )


def priced(read: Read, key: str, provider: str | None = None) -> tuple[str, TokenPrice, int] | None:
    """(request, price of its tokens, worst case in nano-dollars) of a call to `provider`, or None."""
    rows = read(
        "SELECT request, price_in, price_out, price_cached, price_written, worst FROM calls JOIN requests ON requests.call = id "
        "WHERE key = ? AND provider = coalesce(?, provider)",
        key,
        provider,
    )
    return (rows[0][0], TokenPrice("", *rows[0][1:5]), rows[0][5]) if rows else None


def usage(read: Read, equivalent: str | None) -> list[UsageRow]:
    """Sums by stage, role and model, in that order. Reads totals and open calls only, however many calls are done."""
    entry = named_price(equivalent or REFERENCE_PRICE)
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    done = {row[:4]: row[4:] for row in read(f"SELECT {_GROUP}, {sums} FROM totals GROUP BY {_GROUP}")}
    hits = {row[:4]: row[4] for row in read(f"SELECT {_GROUP}, n FROM hits")}
    failed = {row[:4]: row[4] for row in read(f"SELECT {_GROUP}, count(*) FROM calls WHERE {_OPEN} AND state = 'failed' GROUP BY {_GROUP}")}
    rows: list[UsageRow] = []
    for group in sorted({*done, *hits, *failed}):
        sums_of = dict(zip(_SUMS, done.get(group, (0,) * len(_SUMS)), strict=True))
        cost, free_in, free_out = (sums_of.pop(name) for name in ("cost", "free_in", "free_out"))
        rows.append(
            UsageRow(
                *group, **sums_of, cached=hits.get(group, 0), failed=failed.get(group, 0), usd=to_usd(cost),
                usd_equivalent=to_usd(cost + entry.cost(free_in, free_out)), equivalent_price=entry.name if free_in + free_out else "",
            )
        )  # fmt: skip
    return rows


def prompt_totals(read: Read) -> list[PromptTotals]:
    """What every prompt took so far, for estimates."""
    columns = ", ".join(PromptTotals._fields)
    return [PromptTotals(*row) for row in read(f"SELECT {columns} FROM totals ORDER BY {columns}")]


def counts(read: Read) -> dict[str, int]:
    """Calls by state."""
    done = read("SELECT coalesce(sum(calls), 0) FROM totals")[0][0]
    still_open = dict(read(f"SELECT state, count(*) FROM calls WHERE {_OPEN} GROUP BY state"))
    return {**({"done": done} if done else {}), **still_open}


def failures(read: Read, most: int) -> list[Failure]:
    """Why calls were given up, the commonest reasons first."""
    rows = read(
        f"SELECT stage, min(prompt), min(subject), model, substr(coalesce(failure, ''), 1, 160) AS reason, count(*) AS calls FROM calls "
        f"WHERE {_OPEN} AND state = 'failed' GROUP BY stage, model, reason ORDER BY calls DESC, stage, reason LIMIT ?",
        most,
    )
    return [Failure(*row) for row in rows]


def in_doubt(read: Read) -> list[Doubt]:
    """Attempts that may have been billed and that nobody settled, oldest first."""
    rows = read(
        "SELECT key, number, stage, role, prompt, subject, provider, model, state, outcome, coalesce(detail, ''), "
        "coalesce(request_id, ''), a.worst, a.sent_at FROM attempts a JOIN calls ON calls.id = a.call "
        "WHERE outcome IN ('unknown', 'in_doubt') AND settled IS NULL ORDER BY a.sent_at, key, number"
    )
    return [Doubt(*row[:12], worst_usd=to_usd(row[12]), sent_at=row[13]) for row in rows]


def money(read: Read) -> Money:
    """The accounts."""
    values = dict(read("SELECT name, value FROM meta"))
    return Money(*(to_usd(values[name]) for name in Money._fields))
