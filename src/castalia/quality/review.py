"""Layer 6: which records people look at. Strata by what the judges said, with known inclusion probabilities.

Allocation after Neyman (1934): proportional to N_h * sqrt(p_h (1 - p_h)), with a floor per stratum, plus a uniform share over all
records. Records of which a judge gave no verdict are all drawn, because only a person can decide them. Some are drawn to be labelled by two
people, and what execution proved of a record is noted beside it: so reviewers are measured too. Where fewer of those are drawn than measuring
takes, more are. Drawing is by hash, so the same records give the same queue. What people then say is in labels.py, what follows from it in audit.py.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from castalia.quality.checks.execution import EXECUTION, PROVES_NOTHING
from castalia.quality.gold import AIMED
from castalia.quality.view import View
from castalia.records import RELEASING, Provenance, ReviewItem, Verdict, content_hash
from castalia.statistics import allocate

FLOOR = 5
UNIFORM_SHARE = 0.10
TWICE_SHARE = 0.15

STRATA = {
    "undecided": "a judge gave no verdict; a person decides",
    "suspended": "people often disagree with a judge of it; a person decides",
    "doubted": "a judge stopped it that stops what is right, too",
    "proof-against-judge": "a judge let it through, what ran or a program's check did not",
    "disagree": "some judges let it through, another judge did not",
    "policy-flag": "the judge of the policy asked for a person's look",
    "flagged": "a judge let it through and asked for a person's look",
    "agree-fail": "nobody let it through",
    "agree-pass": "everybody let it through",
}
"""How the verdicts on a record stand to each other, most in need of a person first."""

# How often the verdicts of a stratum are expected to be wrong: where it is nearer to 1/2, more records are drawn.
EXPECTED_ERROR = {
    "agree-pass": 0.05,
    "flagged": 0.25,
    "policy-flag": 0.5,
    "disagree": 0.5,
    "proof-against-judge": 0.1,
    "agree-fail": 0.1,
    "undecided": 0.5,
}


def review_queue(
    views: Sequence[View], verdicts: Mapping[str, Sequence[Verdict]], *, size: int, doubted: Collection[str] = ()
) -> list[ReviewItem]:
    """About `size` records to review; each carries the probability with which it was drawn (Horvitz-Thompson weights). Beside them all
    that checks of `doubted` stopped, whose judges stop what is right."""
    strata: dict[tuple[str, str], list[View]] = {}
    for view in views:
        said = verdicts.get(view.record.id, ())
        name = "doubted" if any(one.check in doubted and one.outcome == "fail" for one in said) else stratum(said)
        strata.setdefault((name, view.category), []).append(view)
    keys = sorted(strata)
    sampled = [key for key in keys if key[0] not in ("undecided", "doubted")]
    wanted = dict(
        zip(
            sampled,
            allocate([len(strata[key]) for key in sampled], [_deviation(key[0]) for key in sampled], size, floor=FLOOR),
            strict=True,
        )
    )
    chances = {key: 1 - (1 - wanted.get(key, len(strata[key])) / len(strata[key])) * (1 - UNIFORM_SHARE) for key in keys}
    known = {view.record.id: chances[key] for key in keys for view in strata[key] if proved(verdicts.get(view.record.id, ()))}
    share = _more_known(sum(chances[key] * len(strata[key]) for key in keys), list(known.values()))
    more = set(sorted(known, key=lambda identity: _draw(identity, "gold"))[: round(share * len(known))])
    queue: list[ReviewItem] = []
    for key in keys:
        members = strata[key]
        count = wanted.get(key, len(members))
        chosen = set(sorted((view.record.id for view in members), key=lambda identity: _draw(identity, "stratum"))[:count])
        for view in members:
            identity = view.record.id
            if identity in chosen or identity in more or _share(identity, "uniform") < UNIFORM_SHARE:
                chance = 1 - (1 - chances[key]) * (1 - share) if identity in known else chances[key]
                queue.append(_item(view, key[0], chance, verdicts.get(identity, ())))
    return queue


def _more_known(expected: float, known: Sequence[float]) -> float:
    """The share of the records whose truth is known to draw beside the others, so that they are AIMED of the queue. `expected` is how long
    that is without, `known` the chances with which these records are in it."""
    missing = (AIMED * expected - sum(known)) / (1 - AIMED)
    rest = len(known) - sum(known)
    if missing <= 0 or rest <= 0:
        return 0.0
    return min(len(known), math.ceil(len(known) * missing / rest)) / len(known)


def stratum(verdicts: Sequence[Verdict]) -> str:
    """How the judges and checks stand to each other on one record."""
    outcomes = {verdict.outcome for verdict in verdicts}
    judged_well = any(verdict.outcome in RELEASING and verdict.provenance.calls for verdict in verdicts)
    if outcomes & {"fail", "waiting"}:
        if not judged_well:
            return "agree-fail"
        proof = any(verdict.outcome == "fail" and not verdict.provenance.calls for verdict in verdicts)
        return "proof-against-judge" if proof else "disagree"
    if "abstain" in outcomes:
        return "undecided"
    if any(verdict.outcome == "flag" and verdict.layer == 5 for verdict in verdicts):
        return "policy-flag"
    return "flagged" if "flag" in outcomes else "agree-pass"


def proved(verdicts: Sequence[Verdict]) -> Literal["right", "wrong"] | None:
    """What running a record showed, where it ran and nothing else speaks against it: a reviewer should see it, too. A check that was
    refused unseen showed nothing of the answer."""
    ran = {verdict.outcome for verdict in verdicts if verdict.check == EXECUTION.name and not verdict.reason.startswith(PROVES_NOTHING)}
    if "fail" in ran:
        return "wrong"
    return "right" if ran == {"pass"} and all(verdict.outcome in RELEASING for verdict in verdicts) else None


def _deviation(name: str) -> float:
    return math.sqrt(EXPECTED_ERROR[name] * (1 - EXPECTED_ERROR[name]))


def _item(view: View, name: str, probability: float, verdicts: Sequence[Verdict]) -> ReviewItem:
    return ReviewItem(
        record=view.record.id,
        dataset=view.dataset,
        category=view.category,
        stratum=name,
        inclusion_probability=round(probability, 6),
        reviews=2 if _share(view.record.id, "twice") < TWICE_SHARE else 1,
        proved=proved(verdicts),
        verdicts=tuple(verdict.id for verdict in verdicts),
        provenance=Provenance(parents=(view.record.id,)),
    )


def _share(identity: str, purpose: str) -> float:
    """A number in [0, 1) that is the record's own for this purpose."""
    return int(_draw(identity, purpose)[:8], 16) / 2**32


def _draw(identity: str, purpose: str) -> str:
    return content_hash([purpose, identity])
