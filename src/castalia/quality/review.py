"""Layer 6: which records people look at. Strata by what the judges said, with known inclusion probabilities.

Allocation after Neyman (1934): proportional to N_h * sqrt(p_h (1 - p_h)), with a floor per stratum, plus a uniform share over all
records. Records of which a judge gave no verdict are all drawn, because only a person can decide them. Drawing is by hash, so the same
records give the same queue. What people then say is in labels.py.
"""

import math
from collections.abc import Mapping, Sequence

from castalia.quality.view import View
from castalia.records import Provenance, ReviewItem, Verdict, content_hash

FLOOR = 5
UNIFORM_SHARE = 0.10

STRATA = {
    "undecided": "a judge gave no verdict; a person decides",
    "disagree": "some judges let it through, a check or another judge did not",
    "flagged": "a judge let it through and asked for a person's look",
    "agree-fail": "nobody let it through",
    "agree-pass": "everybody let it through",
}
"""How the verdicts on a record stand to each other, most in need of a person first."""

# How often the verdicts of a stratum are expected to be wrong: where it is nearer to 1/2, more records are drawn.
_EXPECTED_ERROR = {"agree-pass": 0.05, "flagged": 0.25, "disagree": 0.5, "agree-fail": 0.1, "undecided": 0.5}


def review_queue(views: Sequence[View], verdicts: Mapping[str, Sequence[Verdict]], *, size: int) -> list[ReviewItem]:
    """About `size` records to review; each carries the probability with which it was drawn (Horvitz-Thompson weights)."""
    strata: dict[tuple[str, str], list[View]] = {}
    for view in views:
        strata.setdefault((stratum(verdicts.get(view.record.id, ())), view.category), []).append(view)
    weight = {key: len(members) * math.sqrt(_EXPECTED_ERROR[key[0]] * (1 - _EXPECTED_ERROR[key[0]])) for key, members in strata.items()}
    total = sum(share for key, share in weight.items() if key[0] != "undecided") or 1.0
    queue: list[ReviewItem] = []
    for key, members in sorted(strata.items()):
        share = len(members) if key[0] == "undecided" else round(size * weight[key] / total)
        wanted = min(len(members), max(FLOOR, share))
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
    judged_well = any(verdict.outcome == "pass" and verdict.layer in (2, 3, 5) for verdict in verdicts)
    if outcomes & {"fail", "waiting"}:
        return "disagree" if judged_well else "agree-fail"
    if "abstain" in outcomes:
        return "undecided"
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
