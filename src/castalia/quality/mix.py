"""The mix: which of the records that passed are used. Near-duplicate prompts and what is over a quota are left out, with a reason.

The choice depends on nothing but the records and the settings. Records come in turns, first one of every passage, then a second one, so
that what a quota leaves room for comes from as many passages as can be; within a turn the order is that of their ids.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, get_args

from castalia.quality.alike import AlikeIndex, asked
from castalia.quality.funnel import Stop
from castalia.records import (
    CATEGORIES,
    Difficulty,
    Mix,
    PreferencePair,
    Provenance,
    Quota,
    Record,
    Reject,
    ReplayItem,
    RewardRecord,
    SFTExample,
    SftKind,
    TaxonomyNode,
)
from castalia.records.mix import EACH

LAYER = 7
CHECK = "mix"
"""How the funnel counts it: after the six layers of quality control."""

Place = tuple[str | None, str | None, str | None, str | None]
"""Category, node, difficulty, kind; None where a quota doesn't tell them apart."""


@dataclass(frozen=True)
class Mixed:
    """Records that are used, by dataset and sorted by id, and a reject for each other one, by dataset."""

    records: Mapping[str, tuple[Record, ...]]
    left_out: Mapping[str, tuple[Reject, ...]]

    @property
    def stops(self) -> dict[str, Stop]:
        """Record id -> why it was left out."""
        rejects = (reject for found in self.left_out.values() for reject in found)
        return {reject.provenance.parents[0]: Stop(LAYER, CHECK, reject.reason, reject.detail) for reject in rejects}


class Shortage(NamedTuple):
    """A part of a dataset with fewer records than its quota asks for."""

    dataset: str
    place: Place
    records: int
    wanted: int

    def __str__(self) -> str:
        where = ", ".join(value for value in self.place if value is not None) or "all"
        return f"{where}: {self.records} of {self.wanted}"


def mix(datasets: Mapping[str, Sequence[Record]], settings: Mix) -> Mixed:
    """What is used of records that passed. Of prompts that are alike the first in turn is used; a full quota leaves out what comes later."""
    chosen = {dataset: _choose(dataset, records, settings) for dataset, records in datasets.items()}
    return Mixed({dataset: kept for dataset, (kept, _) in chosen.items()}, {dataset: out for dataset, (_, out) in chosen.items()})


def shortages(datasets: Mapping[str, Sequence[Record]], settings: Mix, nodes: Sequence[TaxonomyNode]) -> list[Shortage]:
    """What quotas ask for and the records don't have, quota by quota. Parts that have no record at all are known from the taxonomy."""
    found: list[Shortage] = []
    for quota in settings.quotas:
        counts = Counter(place for record in datasets.get(quota.dataset, ()) if (place := _place(record, quota)) is not None)
        places = dict.fromkeys((*_expected(quota, nodes), *sorted(counts, key=str)))
        found += [Shortage(quota.dataset, place, counts[place], quota.at_least) for place in places if counts[place] < quota.at_least]
    return found


def kind_of(record: Record) -> str:
    """What is told apart within a category: the kind of an example, what decided a pair, how a reward is checked, how the target failed."""
    if isinstance(record, SFTExample):
        return record.kind
    if isinstance(record, PreferencePair):
        return record.decided_by
    if isinstance(record, ReplayItem):
        return record.failure_type
    return record.check.kind if isinstance(record, RewardRecord) else ""


def _choose(dataset: str, records: Sequence[Record], settings: Mix) -> tuple[tuple[Record, ...], tuple[Reject, ...]]:
    ordered = list(_in_turns(records))
    index = AlikeIndex([asked(record) for record in ordered], settings.near_duplicates) if settings.near_duplicates is not None else None
    quotas = [(quota, quota.at_most) for quota in settings.quotas if quota.dataset == dataset and quota.at_most is not None]
    used: Counter[tuple[int, Place]] = Counter()
    kept: list[Record] = []
    out: list[Reject] = []
    for number, record in enumerate(ordered):
        if index and (like := index.like(number)):
            out.append(_reject(record, "near-duplicate-prompt", f"asks almost what {ordered[like[0]].id} asks"))
            continue
        places = [(nth, place, most) for nth, (quota, most) in enumerate(quotas) if (place := _place(record, quota)) is not None]
        full = [(place, most) for nth, place, most in places if used[nth, place] >= most]
        if full:
            where = ", ".join(value for value in full[0][0] if value is not None) or "all"
            out.append(_reject(record, "over-quota", f"{dataset} has {full[0][1]} of {where}"))
            continue
        used.update((nth, place) for nth, place, _ in places)
        kept.append(record)
        if index:
            index.add(number)
    return tuple(sorted(kept, key=lambda record: record.id)), tuple(out)


def _in_turns(records: Sequence[Record]) -> Iterator[Record]:
    """First one record of every passage, then a second one, and so on."""
    taken: Counter[str] = Counter()
    turns: list[tuple[int, str, Record]] = []
    for record in sorted(records, key=lambda record: record.id):
        passage = str(getattr(record, "section", ""))
        turns.append((taken[passage] if passage else 0, record.id, record))
        taken[passage] += 1
    yield from (record for _, _, record in sorted(turns, key=lambda turn: turn[:2]))


def _place(record: Record, quota: Quota) -> Place | None:
    """Where a record counts under a quota; None where it doesn't."""
    values = (*(str(getattr(record, name, "")) for name in ("category", "node", "difficulty")), kind_of(record))
    wanted = (quota.category, quota.node, quota.difficulty, quota.kind)
    if any(want not in (None, EACH, value) for want, value in zip(wanted, values, strict=True)):
        return None
    category, node, difficulty, kind = (None if want is None else value for want, value in zip(wanted, values, strict=True))
    return category, node, difficulty, kind


def _expected(quota: Quota, nodes: Sequence[TaxonomyNode]) -> Iterator[Place]:
    """All parts that a quota tells apart, as far as they are known without records: kinds are for examples alone."""
    if quota.kind == EACH and quota.dataset != "sft":
        return
    kinds = _values(quota.kind, get_args(SftKind))
    levels = _values(quota.difficulty, get_args(Difficulty))
    there = sorted(nodes, key=lambda node: (CATEGORIES.index(node.category), node.key))
    owners = [node for node in there if quota.category in (None, EACH, node.category) and quota.node in (None, EACH, node.key)]
    heads = [(None if quota.category is None else node.category, None if quota.node is None else node.key) for node in owners]
    if not heads and EACH not in (quota.category, quota.node):
        heads = [(quota.category, quota.node)]
    for (category, node), level, kind in product(dict.fromkeys(heads), levels, kinds):
        yield category, node, level, kind


def _values(wanted: str | None, known: Sequence[str]) -> Sequence[str | None]:
    return known if wanted == EACH else (wanted,)


def _reject(record: Record, reason: str, detail: str) -> Reject:
    subject = str(getattr(record, "subject", record.id))
    return Reject(stage=CHECK, subject=subject, reason=reason, detail=detail, provenance=Provenance(parents=(record.id,)))
