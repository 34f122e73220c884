"""Up: everything behind a record, to pages with their licence evidence and to raw oracle answers."""

from collections.abc import Iterator
from typing import Any

from castalia.errors import InputError
from castalia.oracle import Ledger
from castalia.trace.steps import KEY_SHOWN, Step, call_facts, fetch_facts, record_facts
from castalia.web.archive import Archive
from castalia.workspace import Workspace


def climb(workspace: Workspace, identity: str, ledger: Ledger | None, archive: Archive | None) -> Iterator[Step]:
    """The record at depth 0, then its parents and calls, each shown once where it is met first."""
    seen: set[str] = set()
    versions = [workspace.store.manifest(name).hash for name in workspace.store.names()]

    def up(current: str, depth: int) -> Iterator[Step]:
        if current in seen:
            return
        seen.add(current)
        found = workspace.store.find(current, versions)
        if found is None:
            yield Step(depth, "missing", current, {"why": "no dataset of the store has it any more"})
            return
        dataset, row = found
        yield Step(depth, dataset, current, record_facts(row))
        if current.startswith("page_"):
            fetch = archive.lookup(row["body_sha256"]) if archive else None
            yield Step(depth + 1, "archive", row["body_sha256"][:KEY_SHOWN], fetch_facts(fetch))
            for evidence in row["licence"]["evidence"]:
                yield Step(depth + 1, "licence evidence", evidence["spdx"] or "unknown", evidence)
        for key in row["provenance"]["calls"]:
            if key not in seen:
                seen.add(key)
                yield Step(depth + 1, "oracle", key[:KEY_SHOWN], _asked(ledger, key))
        for parent in row["provenance"]["parents"]:
            yield from up(parent, depth + 1)

    yield from up(identity, 0)


def _asked(ledger: Ledger | None, key: str) -> dict[str, Any]:
    """A call, answered or not: behind a reject stands one that the provider would not take."""
    try:
        return call_facts(ledger.call(key)) if ledger else {"why": "not in this ledger"}
    except InputError:
        return {"why": "not in this ledger"}
