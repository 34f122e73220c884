"""The mix: which of the records that passed are used. Near-duplicate prompts and what is over a quota are left out, with a reason.

The choice depends on nothing but the records and the settings. Records come in turns, first one of every passage, then a second one, so
that what a quota leaves room for comes from as many passages as can be; within a turn the order is that of their ids. Records that a
quota asks for come before all others.

A share is one of what is used, which the choice itself decides. So the choice is made without maximum shares first. Then, as long as a part
has more than its share, its last record in turn is left out again, and last comes whatever there is room for. A share smaller than an equal
share of the parts that there are can't be met, and counts as that equal share; where several shares together would leave nothing, the last
one of the settings is set aside, then the one before it. What then has more than the settings ask for is named (`excesses`).
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from castalia.quality.alike import AlikeIndex, asked
from castalia.quality.funnel import Stop
from castalia.records import (
    CATEGORIES,
    Mix,
    PreferencePair,
    Provenance,
    Quota,
    Record,
    Reject,
    ReplayItem,
    RewardRecord,
    SFTExample,
    TaxonomyNode,
)
from castalia.records.quota import EACH, KNOWN, PARTS, SFT_KINDS

LAYER = 7
CHECK = "mix"
"""How the funnel counts it: after the six layers of quality control."""


class Place(NamedTuple):
    """A part of a dataset; None where a quota doesn't tell records apart."""

    category: str | None
    domain: str | None
    node: str | None
    difficulty: str | None
    kind: str | None
    style: str | None

    def __str__(self) -> str:
        return ", ".join(value for value in self if value is not None) or "all"


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
        return f"{self.place}: {self.records} of {self.wanted}"


class Excess(NamedTuple):
    """A part that has more than its maximum share of a dataset, because the records allow no less."""

    dataset: str
    place: Place
    records: int
    of: int
    share: float

    def __str__(self) -> str:
        return f"{self.place}: {self.records} of {self.of}, where {self.share:.0%} may be"


def mix(datasets: Mapping[str, Sequence[Record]], settings: Mix) -> Mixed:
    """What is used of records that passed. Of prompts that are alike the first in turn is used; a full quota leaves out what comes later."""
    chosen = {dataset: _choose(dataset, records, settings) for dataset, records in datasets.items()}
    return Mixed({dataset: kept for dataset, (kept, _) in chosen.items()}, {dataset: out for dataset, (_, out) in chosen.items()})


def shortages(datasets: Mapping[str, Sequence[Record]], settings: Mix, nodes: Sequence[TaxonomyNode]) -> list[Shortage]:
    """What quotas ask for and the records don't have, quota by quota. Parts that have no record at all are known from the taxonomy.

    Of a share so many are wanted that it would be met if only they were added.
    """
    found: list[Shortage] = []
    for quota in settings.quotas:
        records = datasets.get(quota.dataset, ())
        counts = Counter(place for record in records if (place := _place(record, quota)) is not None)
        for place in dict.fromkeys((*_expected(quota, nodes), *sorted(counts, key=str))):
            lacking = quota.at_least_share * len(records) - counts[place]
            share = counts[place] + math.ceil(lacking / (1 - quota.at_least_share) - 1e-9) if lacking > 0 else 0
            if counts[place] < (wanted := max(quota.at_least, share)):
                found.append(Shortage(quota.dataset, place, counts[place], wanted))
    return found


def excesses(datasets: Mapping[str, Sequence[Record]], settings: Mix) -> list[Excess]:
    """Parts of what is used that have more than their maximum share, quota by quota."""
    found: list[Excess] = []
    for quota in settings.quotas:
        records = datasets.get(quota.dataset, ())
        counts = Counter(place for record in records if (place := _place(record, quota)) is not None)
        share = 1.0 if quota.at_most_share is None else quota.at_most_share
        over = [place for place in sorted(counts, key=str) if _is_over(counts[place], share, len(records))]
        found += [Excess(quota.dataset, place, counts[place], len(records), share) for place in over]
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


_Part = tuple[int, Place]
"""A quota, by number, and a part that it is about."""


class _Used:
    """The records of a dataset that are used, by number and in the order they were taken, and how many each part has of them."""

    def __init__(self, places: Sequence[Sequence[_Part]], index: AlikeIndex | None) -> None:
        self.places = places
        self.taken: dict[int, None] = {}
        self.counts: Counter[_Part] = Counter()
        self._index = index
        self._restart()

    def take(self, number: int) -> None:
        """Uses a record."""
        self.taken[number] = None
        self.counts.update(self.places[number])
        if self._index:
            self._index.add(number)

    def leave(self, numbers: Collection[int]) -> None:
        """Uses some no longer."""
        for number in numbers:
            del self.taken[number]
            self.counts.subtract(self.places[number])
        self._restart()

    def like(self, number: int) -> int | None:
        """The first one in use that asks almost the same."""
        return next(iter(self._index.like(number)), None) if self._index else None

    def _restart(self) -> None:
        if self._index:
            self._index.clear()
            for number in self.taken:
                self._index.add(number)


def _choose(dataset: str, records: Sequence[Record], settings: Mix) -> tuple[tuple[Record, ...], tuple[Reject, ...]]:
    ordered = list(_in_turns(records))
    quotas = [quota for quota in settings.quotas if quota.dataset == dataset]
    near = settings.near_duplicates
    index = None if near is None else AlikeIndex([asked(record) for record in ordered], near)
    places = [[(nth, place) for nth, one in enumerate(quotas) if (place := _place(record, one))] for record in ordered]
    used, out = _fill(quotas, places, index, len(ordered))
    if len(used.taken) < len(ordered) and any(quota.at_least_share for quota in quotas):
        used, out = _fill(quotas, places, index, len(used.taken))  # what a share asks for, of what came out
    rejects: list[Reject] = []
    for number, why in out.items():
        if isinstance(why, int):
            rejects.append(_reject(ordered[number], "near-duplicate-prompt", f"asks almost what {ordered[why].id} asks"))
        else:
            rejects.append(_reject(ordered[number], "over-quota", f"{dataset} has {used.counts[why]} of {why[1]}"))
    return tuple(sorted((ordered[number] for number in used.taken), key=lambda record: record.id)), tuple(rejects)


def _fill(
    quotas: Sequence[Quota], places: Sequence[Sequence[_Part]], index: AlikeIndex | None, size: int
) -> tuple[_Used, dict[int, int | _Part]]:
    """What is used; and of each other record the one that asks the same, or the part that is full. `size` is what minimum shares are of."""
    used = _Used(places, index)
    least = [max(quota.at_least, math.ceil(quota.at_least_share * size - 1e-9)) for quota in quotas]

    def full(number: int, shares: Mapping[int, float]) -> _Part | None:
        for part in places[number]:
            most = quotas[part[0]].at_most
            if most is not None and used.counts[part] >= most:
                return part
            if part[0] in shares and _is_over(used.counts[part] + 1, shares[part[0]], len(used.taken) + 1):
                return part
        return None

    for asked_for in (True, False):
        for number in range(len(places)):
            is_asked_for = any(used.counts[part] < least[part[0]] for part in places[number])
            if number not in used.taken and (is_asked_for or not asked_for) and full(number, {}) is None and used.like(number) is None:
                used.take(number)
    shares, over = _within_shares(quotas, used)
    used.leave(over)
    out: dict[int, int | _Part] = {}
    for number in range(len(places)):
        if number not in used.taken:
            why = used.like(number)
            why = full(number, shares) if why is None else why
            if why is None:
                used.take(number)
            else:
                out[number] = why
    return used, out


def _within_shares(quotas: Sequence[Quota], used: _Used) -> tuple[dict[int, float], set[int]]:
    """The maximum shares that can be met, by quota, and the records to leave out for them."""
    shares = {nth: quota.at_most_share for nth, quota in enumerate(quotas) if quota.at_most_share is not None}
    parts = {nth: {place for of, place in used.counts if of == nth and used.counts[of, place]} for nth in shares}
    for nth, places in parts.items():
        if places and sum(used.counts[nth, place] for place in places) == len(used.taken):  # no record is of no part
            shares[nth] = max(shares[nth], 1 / len(places))
    while True:
        over = _over(shares, used)
        if len(over) < len(used.taken) or not shares:
            return shares, over
        del shares[max(shares)]


def _over(shares: Mapping[int, float], used: _Used) -> set[int]:
    """The records that parts have over their shares: the last in turn of each, until no part is over."""
    members: dict[_Part, list[int]] = {}
    for number in used.taken:
        for part in used.places[number]:
            if part[0] in shares:
                members.setdefault(part, []).append(number)
    counts, left = Counter(used.counts), len(used.taken)
    over: set[int] = set()
    while True:
        before = left
        for part, numbers in members.items():
            while _is_over(counts[part], shares[part[0]], left):
                number = numbers.pop()
                if number not in over:
                    over.add(number)
                    counts.subtract(used.places[number])
                    left -= 1
        if left == before:
            return over


def _is_over(count: int, share: float, size: int) -> bool:
    return count > share * size + 1e-9


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
    values = [kind_of(record) if name == "kind" else getattr(record, name, None) or "" for name in PARTS]
    if any(want not in (None, EACH, value) or (want == EACH and not value) for want, value in zip(quota.place, values, strict=True)):
        return None
    return Place(*(None if want is None else value for want, value in zip(quota.place, values, strict=True)))


def _expected(quota: Quota, nodes: Sequence[TaxonomyNode]) -> Iterator[Place]:
    """All parts that a quota tells apart, as far as they are known without records: kinds are for examples alone, and of styles nobody
    knows which ones a domain has."""
    if quota.style == EACH or (quota.kind == EACH and quota.dataset != "sft"):
        return
    kinds = SFT_KINDS if quota.kind == EACH else (quota.kind,)
    levels = KNOWN["difficulty"] if quota.difficulty == EACH else (quota.difficulty,)
    there = sorted(nodes, key=lambda node: (CATEGORIES.index(node.category), node.key))
    wanted = (quota.category, quota.domain, quota.node)
    heads = [
        tuple(None if want is None else value for want, value in zip(wanted, values, strict=True))
        for values in ((node.category, node.part, node.key) for node in there)
        if all(want in (None, EACH, value) for want, value in zip(wanted, values, strict=True))
    ]
    if not heads and EACH not in wanted:
        heads = [wanted]
    for (category, domain, node), level, kind in product(dict.fromkeys(heads), levels, kinds):
        yield Place(category, domain, node, level, kind, quota.style)


def _reject(record: Record, reason: str, detail: str) -> Reject:
    subject = str(getattr(record, "subject", record.id))
    return Reject(stage=CHECK, subject=subject, reason=reason, detail=detail, provenance=Provenance(parents=(record.id,)))
