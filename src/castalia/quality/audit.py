"""What people's labels say: how often each judge is wrong by category, how good the set is, and whether people agree among themselves.

People see a stratified sample, so every figure is weighted back to the whole set (castalia.statistics.corrected). A judge that is often wrong in
a category is suspended there: what it let through counts as undecided and goes back to the queue, where a person may approve it. What it
stopped stays stopped, because the layers below never looked at it.

A judge is wrong when it stops what people approve, or lets through what people reject. What it let through and something else stopped says
nothing of it: people who reject such a record may mean what the other one saw. Records are told apart by what stopped them, too, because all
that some checks stop are drawn.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from castalia.quality import gold
from castalia.quality.labels import decisions, read_decided, stops
from castalia.quality.review import proved, stratum
from castalia.records import RELEASING, Category, Label, Provenance, ReviewItem, Verdict
from castalia.statistics import CorrectedShare, Estimate, JudgedStratum, Stratum, corrected_kappa, corrected_share, krippendorff_interval

MOST_ERROR = 0.2
"""A judge that is wrong on a larger share of a category's records is no judge of them."""
SURE = 0.9
"""Probability that its error exceeds MOST_ERROR from which on a judge is suspended."""
LEAST_LABELS = 10
"""Labels of a category's records before its judge can be suspended: one reviewer's two slips must not take a category out of a release."""
ENOUGH_LABELS = 20
"""Records that people decided and a judge, too, before their agreement says anything."""
_NO_RATING = float("nan")


class JudgeError(NamedTuple):
    """How often one judge is wrong on the records of one category."""

    check: str
    category: Category
    records: int
    """That it stopped, or that it let through and nothing else stopped."""
    error: CorrectedShare
    suspended: bool

    def __str__(self) -> str:
        wrong = f"wrong on {_percent(self.error)} of {self.records} {self.category} records ({self.error.labelled} labelled)"
        return f"{self.check} is {wrong}" + ("; suspended there" if self.suspended else "")


class Agreement(NamedTuple):
    """One judging check against people, over all records that it judged."""

    check: str
    records: int
    """That both decided."""
    same: float
    """Share of all records that it judged on which they agree, weighted back. It flatters: two who let everything through agree by chance."""
    kappa: Estimate | None
    """Cohen's kappa, agreement beyond chance; None where both gave one and the same answer throughout."""

    def __str__(self) -> str:
        if self.kappa is None:
            beyond = "no kappa: there was only one answer"
        else:
            beyond = f"kappa {self.kappa.mean:.2f}, 95 % interval {self.kappa.interval[0]:.2f} to {self.kappa.interval[1]:.2f}"
        return f"{self.check} {100 * self.same:.0f} % of {self.records} records ({beyond})"


class Reviewers(NamedTuple):
    """People against each other and against what execution proved."""

    twice: int
    """Records that two people or more decided."""
    alpha: Estimate | None
    """Krippendorff's alpha over those; None where all labels are equal or there are none."""
    proved: Mapping[str, tuple[int, int]]
    """Reviewer -> records whose truth is known, and how many of them they labelled right."""


class _Seen(NamedTuple):
    """A record as its verdicts stand."""

    category: Category
    stratum: str
    stopped: bool
    failed: tuple[str, ...]
    """Checks that stopped it."""
    known: bool
    """Whether running it proved what it is: more of those are drawn, so they are counted by themselves."""
    verdicts: Sequence[Verdict]


_Cell = tuple[str, bool, tuple[str, ...], Category, str]
"""Records that are drawn alike and of which a judge said the same."""


def judge_errors(verdicts: Iterable[Verdict], labels: Iterable[Label]) -> list[JudgeError]:
    """By check and category, for judges that somebody's label can be held against."""
    decided = decisions(labels)
    if not decided:
        return []
    by_judge: dict[tuple[str, Category], dict[_Cell, Counter[str]]] = {}
    for record, seen in _records(verdicts).items():
        for verdict in _judged(seen.verdicts):
            if _said(verdict) == "approve" and seen.stopped:
                continue
            cell = by_judge.setdefault((verdict.check, seen.category), {}).setdefault(_cell(seen, verdict), Counter())
            cell["size"] += 1
            cell["labelled"] += record in decided
            cell["wrong"] += decided.get(record, _said(verdict)) != _said(verdict)
    found: list[JudgeError] = []
    for (check, category), cells in sorted(by_judge.items()):
        counted = [Stratum(cell["size"], cell["labelled"], cell["wrong"]) for cell in cells.values()]
        if any(stratum.labelled for stratum in counted):
            error = corrected_share(counted, threshold=MOST_ERROR)
            records = sum(stratum.size for stratum in counted)
            is_suspended = error.labelled >= LEAST_LABELS and error.certainty_above >= SURE
            found.append(JudgeError(check, category, records, error, is_suspended))
    return found


def suspensions(verdicts: Iterable[Verdict], labels: Iterable[Label]) -> dict[tuple[str, Category], JudgeError]:
    """(check, category) -> the error for which the judge is suspended there."""
    return {(error.check, error.category): error for error in judge_errors(verdicts, labels) if error.suspended}


def withdrawn(verdict: Verdict, suspended: Mapping[tuple[str, Category], JudgeError]) -> Verdict:
    """The verdict as it counts: what a suspended judge let through is undecided."""
    error = suspended.get((verdict.check, verdict.category))
    if error is None or verdict.outcome not in RELEASING or not verdict.provenance.calls:
        return verdict
    return verdict.model_copy(update={"outcome": "abstain", "reason": f"the judge is suspended: {error}"})


def returned(verdicts: Iterable[Verdict], labels: Sequence[Label], queue: Iterable[ReviewItem]) -> list[ReviewItem]:
    """Review items for the records that nothing but a suspended judge lets through and that are not in the queue."""
    verdicts = list(verdicts)
    suspended = suspensions(verdicts, labels)
    if not suspended:
        return []
    queued = {item.record for item in queue}
    found: list[ReviewItem] = []
    for record, seen in sorted(_records(verdicts).items()):
        outcomes = {withdrawn(verdict, suspended).outcome for verdict in seen.verdicts}
        if record not in queued and not seen.stopped and "abstain" in outcomes:
            found.append(
                ReviewItem(
                    record=record,
                    dataset=seen.verdicts[0].dataset,
                    category=seen.category,
                    stratum="suspended",
                    inclusion_probability=1.0,
                    verdicts=tuple(verdict.id for verdict in seen.verdicts),
                    provenance=Provenance(parents=(record,)),
                )
            )
    return found


def accepted_quality(verdicts: Iterable[Verdict], labels: Iterable[Label]) -> CorrectedShare | None:
    """The share of the records that every judge and check let through which people would approve; None before they decided one."""
    decided = decisions(labels)
    cells: dict[tuple[str, bool, Category], Counter[str]] = {}
    for record, seen in _records(verdicts).items():
        if not any(stops(verdict, None) for verdict in seen.verdicts):
            cell = cells.setdefault((seen.stratum, seen.known, seen.category), Counter())
            cell["size"] += 1
            cell["labelled"] += record in decided
            cell["good"] += decided.get(record) == "approve"
    strata = [Stratum(cell["size"], cell["labelled"], cell["good"]) for cell in cells.values()]
    return corrected_share(strata) if any(stratum.labelled for stratum in strata) else None


def agreement(verdicts: Iterable[Verdict], labels: Iterable[Label]) -> list[Agreement]:
    """By check, for those with enough labels. A rejection agrees with a `fail`, an approval with a `pass` or `flag`."""
    decided = decisions(labels)
    by_judge: dict[str, dict[_Cell, Counter[str]]] = {}
    for record, seen in _records(verdicts).items():
        for verdict in _judged(seen.verdicts):
            cell = by_judge.setdefault(verdict.check, {}).setdefault(_cell(seen, verdict), Counter())
            cell["size"] += 1
            cell["labelled"] += record in decided
            cell["good"] += decided.get(record) == "approve"
    found: list[Agreement] = []
    for check, cells in sorted(by_judge.items()):
        counted = [
            JudgedStratum(said == "approve", cell["size"], cell["labelled"], cell["good"]) for (*_, said), cell in sorted(cells.items())
        ]
        labelled = sum(stratum.labelled for stratum in counted)
        if labelled >= ENOUGH_LABELS:
            alike = [Stratum(one.size, one.labelled, one.good if one.passed else one.labelled - one.good) for one in counted]
            found.append(Agreement(check, labelled, corrected_share(alike).mean, corrected_kappa(counted)))
    return found


def reviewers(labels: Sequence[Label], queue: Iterable[ReviewItem] = ()) -> Reviewers:
    """How far people agree among themselves, and how often they see what is known: proved by execution, or planted."""
    queue = list(queue)
    planted = {item.record for item in queue if item.stratum == gold.STRATUM}
    decided = read_decided(labels)
    people = sorted({reviewer for said in decided.values() for reviewer in said})
    twice = [said for record, said in decided.items() if len(said) > 1 and record not in planted]
    ratings = [[float(said[person] == "approve") if person in said else _NO_RATING for said in twice] for person in people]
    alpha = krippendorff_interval(np.array(ratings)) if len({value for said in twice for value in said.values()}) > 1 else None
    right: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for item in queue:
        for person, said in decided.get(item.record, {}).items() if item.proved else ():
            shown[person] += 1
            right[person] += (said == "approve") == (item.proved == "right")
    return Reviewers(len(twice), alpha, {person: (shown[person], right[person]) for person in sorted(shown)})


def by_record(verdicts: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """The verdicts on each record."""
    grouped: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        grouped.setdefault(verdict.record, []).append(verdict)
    return grouped


def _records(verdicts: Iterable[Verdict]) -> dict[str, _Seen]:
    return {
        record: _Seen(
            said[0].category,
            stratum(said),
            any(verdict.outcome not in (*RELEASING, "abstain") for verdict in said),
            tuple(sorted(verdict.check for verdict in said if verdict.outcome == "fail")),
            proved(said) is not None,
            said,
        )
        for record, said in by_record(verdicts).items()
    }


def _judged(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that a model gave."""
    return [verdict for verdict in verdicts if verdict.outcome in (*RELEASING, "fail") and verdict.provenance.calls]


def _cell(seen: _Seen, verdict: Verdict) -> _Cell:
    return seen.stratum, seen.known, seen.failed, seen.category, _said(verdict)


def _said(verdict: Verdict) -> Literal["approve", "reject"]:
    return "approve" if verdict.outcome in RELEASING else "reject"


def _percent(share: CorrectedShare) -> str:
    return f"{100 * share.mean:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
