"""Gold: of what reviewers see, 5 to 10 % is known to be right or wrong, so that people are measured, too.

First come records that running them has proved; where too few of those are drawn, more of them are (castalia.quality.review). Where there are
none, records are planted as for judges: a cited sentence, its denial, or the answer to another question. Everybody is shown the planted ones;
no label on them decides anything or counts as one on a record.
"""

import math
from collections.abc import Mapping, Sequence

from castalia.quality.planting import Planted, denied_answer, good_answer, planted, swapped_answers
from castalia.quality.view import View
from castalia.records import Canary, Document, Provenance, ReviewItem, SFTExample

STRATUM = "gold"
"""Of review items that are planted."""
PEOPLE = "people"
LEAST = 0.05
AIMED = 0.075
"""Share of the queue, where there are not enough."""


def plant_gold(queue: Sequence[ReviewItem], views: Sequence[View], documents: Mapping[str, Document]) -> list[tuple[Canary, ReviewItem]]:
    """What is planted in a queue, with the items that show it to reviewers: nothing where enough of it is known already."""
    known = sum(item.proved is not None for item in queue)
    if known >= LEAST * len(queue):
        return []
    missing = math.ceil((AIMED * len(queue) - known) / (1 - AIMED))

    def good(view: View) -> Planted | None:
        return good_answer(view, documents)

    def denied(view: View) -> Planted | None:
        return denied_answer(view, documents)

    swapped = swapped_answers(documents, views)
    made = list(planted({"good": (good,), "bad": (swapped, denied)}, views, math.ceil(missing / 2), PEOPLE))
    # One of each in turn, so that neither kind is what is left out.
    by_kind = [[one for one in made if one.kind == kind] for kind in ("bad", "good")]
    turns = [one for number in range(len(made)) for ones in by_kind for one in ones[number : number + 1]]
    return [_shown(one) for one in turns[:missing]]


def _shown(one: Planted) -> tuple[Canary, ReviewItem]:
    assert isinstance(one.view.record, SFTExample)
    canary = Canary(
        judge=PEOPLE,
        kind=one.kind,
        how=one.how,
        category=one.view.category,
        conversation=one.view.record.conversation,
        evidence=one.view.record.evidence,
        provenance=Provenance(parents=(one.origin,)),
    )
    item = ReviewItem(
        record=canary.id,
        dataset=one.view.dataset,
        category=one.view.category,
        stratum=STRATUM,
        inclusion_probability=1.0,
        proved="right" if one.kind == "good" else "wrong",
        provenance=Provenance(parents=(canary.id,)),
    )
    return canary, item
