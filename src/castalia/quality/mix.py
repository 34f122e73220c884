"""The mix: which of the records that passed are used. Near-duplicate prompts and what is over a quota are left out, with a reason.

The choice depends on nothing but the records and the settings. Records come in turns, first one of every passage, then a second one, so
that what a quota leaves room for comes from as many passages as can be; within a turn the order is that of their ids. Records that a
quota asks for come before all others.

A share is one of what is used, which the choice itself decides. So the choice is made without maximum shares first. Then, as long as a part
has more than its share, its last record in turn is left out again, and last comes whatever there is room for. A share smaller than an equal
share of the parts that there are can't be met, and counts as that equal share; where several shares together would leave nothing, the last
one of the settings is set aside, then the one before it. What then has more than the settings ask for is named (castalia.quality.quotas).
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from castalia.quality.alike import AlikeIndex, asked
from castalia.quality.funnel import Stop
from castalia.quality.parts import Place, place_of
from castalia.quality.quotas import is_over
from castalia.records import Mix, Provenance, Quota, Record, Reject

LAYER = 7
CHECK = "mix"
"""How the funnel counts it: after the six layers of quality control."""


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


def mix(datasets: Mapping[str, Sequence[Record]], settings: Mix) -> Mixed:
    """What is used of records that passed. Of prompts that are alike the first in turn is used; a full quota leaves out what comes later."""
    chosen = {dataset: _choose(dataset, records, settings) for dataset, records in datasets.items()}
    return Mixed({dataset: kept for dataset, (kept, _) in chosen.items()}, {dataset: out for dataset, (_, out) in chosen.items()})


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
    places = [[(nth, place) for nth, one in enumerate(quotas) if (place := place_of(record, one))] for record in ordered]
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
            if part[0] in shares and is_over(used.counts[part] + 1, shares[part[0]], len(used.taken) + 1):
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
            while is_over(counts[part], shares[part[0]], left):
                number = numbers.pop()
                if number not in over:
                    over.add(number)
                    counts.subtract(used.places[number])
                    left -= 1
        if left == before:
            return over


def _in_turns(records: Sequence[Record]) -> Iterator[Record]:
    """First one record of every passage, then a second one, and so on."""
    taken: Counter[str] = Counter()
    turns: list[tuple[int, str, Record]] = []
    for record in sorted(records, key=lambda record: record.id):
        passage = str(getattr(record, "section", ""))
        turns.append((taken[passage] if passage else 0, record.id, record))
        taken[passage] += 1
    yield from (record for _, _, record in sorted(turns, key=lambda turn: turn[:2]))


def _reject(record: Record, reason: str, detail: str) -> Reject:
    subject = str(getattr(record, "subject", record.id))
    return Reject(stage=CHECK, subject=subject, reason=reason, detail=detail, provenance=Provenance(parents=(record.id,)))
