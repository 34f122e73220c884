"""What quotas ask for and the records don't have, and what they have too much of."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from castalia.quality.parts import Place, expected_places, place_of
from castalia.records import Mix, Record, TaxonomyNode


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


def shortages(datasets: Mapping[str, Sequence[Record]], settings: Mix, nodes: Sequence[TaxonomyNode]) -> list[Shortage]:
    """What quotas ask for and the records don't have, quota by quota. Parts that have no record at all are known from the taxonomy.

    Of a share so many are wanted that it would be met if only they were added.
    """
    found: list[Shortage] = []
    for quota in settings.quotas:
        records = datasets.get(quota.dataset, ())
        counts = Counter(place for record in records if (place := place_of(record, quota)) is not None)
        for place in dict.fromkeys((*expected_places(quota, nodes), *sorted(counts, key=str))):
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
        counts = Counter(place for record in records if (place := place_of(record, quota)) is not None)
        share = 1.0 if quota.at_most_share is None else quota.at_most_share
        over = [place for place in sorted(counts, key=str) if is_over(counts[place], share, len(records))]
        found += [Excess(quota.dataset, place, counts[place], len(records), share) for place in over]
    return found


def is_over(count: int, share: float, size: int) -> bool:
    """Whether a part of `count` records has more than its share of `size`."""
    return count > share * size + 1e-9
