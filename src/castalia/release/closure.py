"""Does the provenance of a record close? Every path upwards must end at a licensed page, a frozen item or the oracle's own plan,
and every oracle call on the way must be in the ledger."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from castalia.errors import ReleaseRefused
from castalia.records import Record

Found = tuple[str, dict[str, Any]]


class Origin(NamedTuple):
    """Where released records come from, without repeats, sorted."""

    pages: tuple[str, ...]
    calls: tuple[str, ...]


def close_provenance(
    records: Sequence[Record], find: Callable[[str], Found | None], known_calls: Callable[[Iterable[str]], set[str]]
) -> Mapping[str, Origin]:
    """The origin of each record by id. `find` looks a record id up in the store, `known_calls` keeps the keys the ledger has.

    Raises ReleaseRefused for the first record that names a parent or call that does not exist, or that has no origin at all.
    """
    memory: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    origins: dict[str, Origin] = {}
    for record in records:
        pages, calls = _climb(record.id, find, memory, ())
        if not pages and not calls:
            raise ReleaseRefused(f"record {record.id!r} comes from nowhere: no page and no oracle call stand behind it; rebuild its stage")
        origins[record.id] = Origin(tuple(sorted(pages)), tuple(sorted(calls)))
    wanted = {call for origin in origins.values() for call in origin.calls}
    lost = sorted(wanted - known_calls(wanted))
    if lost:
        holder = next(identity for identity, origin in origins.items() if lost[0] in origin.calls)
        raise ReleaseRefused(
            f"record {holder!r} names oracle call {lost[0]!r}, which the ledger does not have ({len(lost)} such calls); "
            f"use the ledger the records were made with, or rebuild their stages"
        )
    return origins


def _climb(
    identity: str, find: Callable[[str], Found | None], memory: dict[str, tuple[frozenset[str], frozenset[str]]], path: tuple[str, ...]
) -> tuple[frozenset[str], frozenset[str]]:
    """Pages and calls above a record."""
    if identity in memory:
        return memory[identity]
    found = find(identity)
    if found is None:
        below = f", a parent of {path[-1]!r}," if path else ""
        raise ReleaseRefused(f"record {identity!r}{below} is in no dataset of the store; rebuild the stage that made it")
    _, row = found
    provenance = row["provenance"]
    pages = frozenset({identity}) if identity.startswith("page_") else frozenset[str]()
    calls = frozenset[str](provenance["calls"])
    for parent in provenance["parents"]:
        above_pages, above_calls = _climb(parent, find, memory, (*path, identity))
        pages |= above_pages
        calls |= above_calls
    memory[identity] = pages, calls
    return pages, calls
