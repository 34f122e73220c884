"""Layer 6: which records people look at. Strata by what the judges said, with known inclusion probabilities.

Allocation after Neyman (1934): proportional to N_h * sqrt(p_h (1 - p_h)), with a floor per stratum, plus a uniform share over all
records. Drawing is by hash, so the same records give the same queue.
"""

import math
from collections.abc import Mapping, Sequence

from castalia.quality.view import View
from castalia.records import Provenance, ReviewItem, Verdict, content_hash

FLOOR = 5
UNIFORM_SHARE = 0.10

# Expected rate of judge errors by stratum before any label is given; labels replace it.
_PRIOR_ERROR = {"agree-pass": 0.05, "flagged": 0.25, "disagree": 0.5, "agree-fail": 0.1}


def review_queue(views: Sequence[View], verdicts: Mapping[str, Sequence[Verdict]], *, size: int) -> list[ReviewItem]:
    """About `size` records to review; each carries the probability with which it was drawn (Horvitz-Thompson weights)."""
    strata: dict[tuple[str, str], list[View]] = {}
    for view in views:
        strata.setdefault((stratum(verdicts.get(view.record.id, ())), view.category), []).append(view)
    weight = {key: len(members) * math.sqrt(_PRIOR_ERROR[key[0]] * (1 - _PRIOR_ERROR[key[0]])) for key, members in strata.items()}
    total = sum(weight.values()) or 1.0
    queue: list[ReviewItem] = []
    for key, members in sorted(strata.items()):
        wanted = min(len(members), max(FLOOR, round(size * weight[key] / total)))
        stratified = wanted / len(members)
        probability = 1 - (1 - stratified) * (1 - UNIFORM_SHARE)
        chosen = set(sorted((view.record.id for view in members), key=lambda identity: _draw(identity, "stratum"))[:wanted])
        for view in members:
            uniform = int(_draw(view.record.id, "uniform")[:8], 16) / 2**32 < UNIFORM_SHARE
            if view.record.id in chosen or uniform:
                queue.append(_item(view, key[0], probability, verdicts.get(view.record.id, ())))
    return queue


def stratum(verdicts: Sequence[Verdict]) -> str:
    """How the judges and checks stand to each other on one record."""
    outcomes = {verdict.outcome for verdict in verdicts}
    failed = bool(outcomes & {"fail", "abstain", "waiting"})
    judged_well = any(verdict.outcome == "pass" and verdict.layer in (2, 3, 5) for verdict in verdicts)
    if failed:
        return "disagree" if judged_well else "agree-fail"
    return "flagged" if "flag" in outcomes else "agree-pass"


def _item(view: View, name: str, probability: float, verdicts: Sequence[Verdict]) -> ReviewItem:
    return ReviewItem(
        record=view.record.id,
        dataset=view.dataset,
        category=view.category,
        stratum=name,
        inclusion_probability=round(probability, 6),
        verdicts=tuple(verdict.id for verdict in verdicts),
        provenance=Provenance(parents=(view.record.id,)),
    )


def _draw(identity: str, purpose: str) -> str:
    return content_hash([purpose, identity])
