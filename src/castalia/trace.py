"""Where a record comes from: the chain up to the page, its licence evidence and the raw oracle answers."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, NamedTuple

from castalia.errors import InputError
from castalia.oracle import Ledger, LedgerCall, open_ledger
from castalia.web.archive import Archive, Fetched
from castalia.workspace import Workspace


class Step(NamedTuple):
    """One line of a trace. `depth` says how far above the traced record it stands."""

    depth: int
    kind: str
    identity: str
    facts: Mapping[str, Any]


def trace(workspace: Workspace, identity: str) -> Iterator[Step]:
    """The record, then everything behind it, each shown once where it is met first.

    Raises InputError when no dataset of the store has the record.
    """
    if workspace.store.find(identity) is None:
        names = ", ".join(workspace.store.names())
        raise InputError(f"no record {identity!r} in the store; look ids up with `castalia show DATASET` (datasets: {names})")
    with ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(workspace.ledger, readonly=True)) if workspace.ledger.is_file() else None
        archive = Archive(workspace.archive, read_only=True) if workspace.archive.is_dir() else None
        if archive is not None:
            stack.callback(archive.close)
        yield from _climb(workspace, identity, ledger, archive)


def _climb(workspace: Workspace, identity: str, ledger: Ledger | None, archive: Archive | None) -> Iterator[Step]:
    seen: set[str] = set()

    def climb(current: str, depth: int) -> Iterator[Step]:
        if current in seen:
            return
        seen.add(current)
        found = workspace.store.find(current)
        if found is None:
            yield Step(depth, "missing", current, {"why": "no dataset of the store has it any more"})
            return
        dataset, row = found
        yield Step(depth, dataset, current, _facts(row))
        if current.startswith("page_"):
            fetch = archive.lookup(row["body_sha256"]) if archive else None
            yield Step(depth + 1, "archive", row["body_sha256"][:16], _fetch_facts(fetch))
            for evidence in row["licence"]["evidence"]:
                yield Step(depth + 1, "licence evidence", evidence["spdx"] or "unknown", evidence)
        for key in row["provenance"]["calls"]:
            if key not in seen:
                seen.add(key)
                known = ledger is not None and ledger.lookup(key) is not None
                yield Step(
                    depth + 1, "oracle", key[:16], _call_facts(ledger.call(key)) if ledger and known else {"why": "not in this ledger"}
                )
        for parent in row["provenance"]["parents"]:
            yield from climb(parent, depth + 1)

    yield from climb(identity, 0)


# One answer of this stage holds items of all three banks of a node; who has seen GATE or VAULT items writes data for them.
_SUITE_STAGE = "design_suite"
_PROTECTED = "not shown: it holds GATE and VAULT items"
_READABLE = ("subject", "url", "section", "kind", "category", "node", "key", "title", "text", "check", "outcome", "reason")


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The few fields a reader recognizes a record by."""
    if row.get("bank", "dev") != "dev":
        return {"why": _PROTECTED}
    facts: dict[str, Any] = {name: row[name] for name in _READABLE if isinstance(row.get(name), str) and row[name]}
    if "licence" in row:
        facts["licence"] = f"{row['licence']['spdx']} ({row['licence']['verdict']}: {row['licence']['reason']})"
    evidence: Any = row.get("evidence") or []
    cites: list[Any] = [evidence] if isinstance(evidence, dict) else evidence  # an atom cites one place, a record several
    for cited in cites:
        facts.setdefault("cites", []).append(f"{cited['url']} blocks {list(cited['blocks'])}")
    return facts


def _fetch_facts(fetched: Fetched | None) -> dict[str, Any]:
    if fetched is None:
        return {"why": "not in the archive"}
    return {
        "fetched": fetched.fetched_at,
        "url": fetched.url,
        "status": fetched.status,
        "media type": fetched.media_type,
        "sha256": fetched.body_sha256,
    }


def _call_facts(call: LedgerCall) -> dict[str, Any]:
    """Who was asked what and how, and the raw answer as text."""
    facts = {
        "asked": f"{call.role} in stage {call.stage}, prompt {call.prompt!r} about {call.subject!r}",
        "model": f"{call.provider} {call.answered_model or call.model}".strip(),
        "sampling": call.sampling,
        "system prompt sha256": call.system_sha256,
        "prompt file sha256": call.prompt_sha256,
        "answered at": _time(call.done_at),
        "usd": call.usd,
        "note": call.note,
        "answer": _PROTECTED if call.stage == _SUITE_STAGE else "" if call.raw is None else call.raw.decode("utf-8", errors="replace"),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
