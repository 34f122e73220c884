"""One line of a trace, and what a reader recognizes records, calls and fetches by."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from castalia.oracle import LedgerCall
from castalia.web.archive import Fetched


class Step(NamedTuple):
    """One line of a trace. `depth` says how many links it stands from the traced record."""

    depth: int
    kind: str
    identity: str
    facts: Mapping[str, Any]


KEY_SHOWN = 16
"""Digits of a call's key that are printed; enough to give back to `castalia trace`."""

PROTECTED = "not shown: it holds GATE and VAULT items"

# One answer of this stage holds items of all three banks of a node; who has seen GATE or VAULT items writes data for them.
_SUITE_STAGE = "design_suite"
_READABLE = (
    "subject", "url", "section", "kind", "category", "node", "key", "title", "text", "check", "outcome", "reason", "reviewer", "label",
)  # fmt: skip


def record_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The few fields a reader recognizes a record by."""
    if row.get("bank", "dev") != "dev":
        return {"why": PROTECTED}
    facts: dict[str, Any] = {name: row[name] for name in _READABLE if isinstance(row.get(name), str) and row[name]}
    if "licence" in row:
        facts["licence"] = f"{row['licence']['spdx']} ({row['licence']['verdict']}: {row['licence']['reason']})"
    evidence: Any = row.get("evidence") or []
    cites: list[Any] = [evidence] if isinstance(evidence, dict) else evidence  # an atom cites one place, a record several
    for cited in cites:
        facts.setdefault("cites", []).append(f"{cited['url']} blocks {list(cited['blocks'])}")
    return facts


def fetch_facts(fetched: Fetched | None) -> dict[str, Any]:
    """When and how a page was received."""
    if fetched is None:
        return {"why": "not in the archive"}
    return {
        "fetched": fetched.fetched_at,
        "url": fetched.url,
        "status": fetched.status,
        "media type": fetched.media_type,
        "sha256": fetched.body_sha256,
    }


def call_facts(call: LedgerCall) -> dict[str, Any]:
    """Who was asked what and how, what it cost, and the raw answer as text."""
    protected = call.stage == _SUITE_STAGE
    facts = {
        "asked": f"{call.role} in stage {call.stage}, prompt {call.prompt!r} about {call.subject!r}"
        + (f", sample {call.sample}" * (call.sample > 0)),
        "model": f"{call.provider} {call.answered_model or call.model}".strip(),
        "sampling": call.sampling,
        "system prompt sha256": call.system_sha256,
        "prompt file sha256": call.prompt_sha256,
        "state": call.state if call.state != "done" else "",
        "failure": call.failure,
        "attempts": call.attempts if call.attempts > 1 else None,
        "answered at": _time(call.done_at),
        "tokens": _tokens(call),
        "usd": call.usd,
        "stopped": call.stop if call.stop != "end" else "",
        "asked again because": PROTECTED if protected and call.repair_reason else call.repair_reason,
        "note": call.note,
        "answer": PROTECTED if protected else "" if call.raw is None else call.raw.decode("utf-8", errors="replace"),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _tokens(call: LedgerCall) -> str:
    if call.tokens_in is None or call.tokens_out is None:
        return ""
    return f"{call.tokens_in} in, {call.tokens_out} out" + (" (estimated)" if call.tokens_estimated else "")


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
