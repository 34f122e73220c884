# pyright: basic
"""Does the provenance of a record close? Every path upwards must end at a licensed page, a frozen item or the oracle's own plan,
and every oracle call on the way must be in the ledger. A document that a record cites stands above it like a parent."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow.compute as pc

from castalia.errors import ReleaseRefused
from castalia.records import Page, Query, Record, SuiteItem, TaxonomyNode
from castalia.store import Store

_ENDS = frozenset(kind.PREFIX for kind in (Page, SuiteItem, TaxonomyNode, Query))
"""What a path may end at; nodes and queries are the plan."""


class Origin(NamedTuple):
    """Where released records come from, without repeats, sorted."""

    pages: tuple[str, ...]
    calls: tuple[str, ...]


class Closure(NamedTuple):
    """The origin of each record by id, and the datasets in which something above the records was found."""

    origins: Mapping[str, Origin]
    datasets: frozenset[str]


class _Step(NamedTuple):
    """What a record says it was made from, and the documents that its evidence names."""

    parents: tuple[str, ...]
    calls: tuple[str, ...]
    cited: tuple[str, ...] = ()


_Above = tuple[frozenset[str], frozenset[str]]


def close_provenance(
    records: Sequence[Record], store: Store, names: Sequence[str], known_calls: Callable[[Iterable[str]], set[str]]
) -> Closure:
    """Looks up everything above `records` in the datasets `names`, the first that has a record counting; `known_calls` keeps the keys the
    ledger has. Each dataset is read once per generation, and only ids and provenance of it.

    Raises ReleaseRefused for the first record that names a parent, document or call that does not exist, that ends at anything else
    than a page, item or plan, or cites a document without a page.
    """
    steps, datasets = _climb(records, store, names)
    memory: dict[str, _Above] = {}
    origins: dict[str, Origin] = {}
    for record in records:
        pages, calls = _above(record.id, steps, memory)
        origins[record.id] = Origin(tuple(sorted(pages)), tuple(sorted(calls)))
        bare = next((document for document in steps[record.id].cited if not _above(document, steps, memory)[0]), None)
        if bare is not None:
            raise ReleaseRefused(
                f"record {record.id!r} cites {bare!r}, behind which no page stands: its licence is unknown; rebuild its stage"
            )
    wanted = {call for origin in origins.values() for call in origin.calls}
    lost = sorted(wanted - known_calls(wanted))
    if lost:
        holder = next(identity for identity, origin in origins.items() if lost[0] in origin.calls)
        raise ReleaseRefused(
            f"record {holder!r} names oracle call {lost[0]!r}, which the ledger does not have ({len(lost)} such calls); "
            f"use the ledger the records were made with, or rebuild their stages"
        )
    return Closure(origins, datasets)


def _climb(records: Sequence[Record], store: Store, names: Sequence[str]) -> tuple[dict[str, _Step], frozenset[str]]:
    """Parents and calls of the records and of everything above them, generation by generation."""
    steps: dict[str, _Step] = {}
    datasets: set[str] = set()
    below: dict[str, str] = {}
    found = {record.id: _Step(record.provenance.parents, record.provenance.calls, _cited(record)) for record in records}
    while found:
        steps.update(found)
        end = next((one for one, step in found.items() if not step.parents and _kind(one) not in _ENDS), None)
        if end is not None:
            above = f", from which {below[end]!r} was made," if end in below else ""
            raise ReleaseRefused(f"record {end!r}{above} comes from nowhere: no page, item or plan stands behind it; rebuild its stage")
        wanted: dict[str, str] = {}
        for one, step in found.items():
            wanted.update((parent, one) for parent in (*step.parents, *step.cited) if parent not in steps)
        found = {}
        for name, identity, step in _read(store, names, wanted):
            if identity not in found:
                found[identity] = step
                datasets.add(name)
        below |= wanted
        lost = next((parent for parent in wanted if parent not in found), None)
        if lost is not None:
            raise ReleaseRefused(
                f"record {lost!r}, a parent of {wanted[lost]!r}, is in no dataset of the store; rebuild the stage that made it"
            )
    return steps, frozenset(datasets)


def _read(store: Store, names: Sequence[str], wanted: Iterable[str]) -> Iterator[tuple[str, str, _Step]]:
    """The wanted records with their dataset, from the datasets of their kinds."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for identity in wanted:
        kinds[_kind(identity)].append(identity)
    for name in names:
        ids = kinds.get(store.manifest(name).prefix)
        if not ids:
            continue
        among = pc.field("id").isin(ids)
        for table in store.read_columns(name, ("id", "provenance")):
            for row in table.filter(among).to_pylist():
                yield name, row["id"], _Step(tuple(row["provenance"]["parents"]), tuple(row["provenance"]["calls"]))


def _above(identity: str, steps: Mapping[str, _Step], memory: dict[str, _Above]) -> _Above:
    """Pages and calls above a record, its own included."""
    if identity not in memory:
        memory[identity] = frozenset(), frozenset()  # a circle adds nothing to itself
        pages = {identity} if _kind(identity) == Page.PREFIX else set[str]()
        calls = set(steps[identity].calls)
        for parent in (*steps[identity].parents, *steps[identity].cited):
            above = _above(parent, steps, memory)
            pages |= above[0]
            calls |= above[1]
        memory[identity] = frozenset(pages), frozenset(calls)
    return memory[identity]


def _cited(record: Record) -> tuple[str, ...]:
    """The documents that a record's evidence names."""
    return tuple(evidence.document for evidence in getattr(record, "evidence", ()))


def _kind(identity: str) -> str:
    return identity.rpartition("_")[0]
