"""Layer 6 of a workspace: which records still wait for a person, and how far people and judges agree."""

from collections.abc import Sequence
from typing import NamedTuple

from castalia.quality.labels import decisions, read_labels, undecided
from castalia.records import RELEASING, Label, ReviewItem, Verdict
from castalia.workspace import Workspace

ENOUGH_LABELS = 20
"""Records that people decided and a judge, too, before their agreement says anything."""


class Agreement(NamedTuple):
    """One judging check against people, over the records that both decided."""

    check: str
    records: int
    same: float
    """Share on which they agree. It flatters: two who let everything through agree by chance."""
    kappa: float | None
    """Cohen's kappa, agreement beyond chance; None where both gave one and the same answer throughout."""

    def __str__(self) -> str:
        beyond = "no kappa: there was only one answer" if self.kappa is None else f"kappa {self.kappa:.2f}"
        return f"{self.check} {100 * self.same:.0f} % of {self.records} records ({beyond})"


def waiting_for_people(workspace: Workspace) -> list[ReviewItem]:
    """The records of the review queue that no label decides; empty before there is a queue."""
    if not workspace.store.has("review_queue"):
        return []
    return undecided(workspace.store.read_dataset("review_queue", ReviewItem), read_labels(workspace.labels))


def agreement(workspace: Workspace) -> list[Agreement]:
    """By check, for those with enough labels. A rejection agrees with a `fail`, an approval with a `pass` or `flag`."""
    labels = read_labels(workspace.labels)
    if len(labels) < ENOUGH_LABELS or not workspace.store.has("verdicts"):
        return []
    return compare(list(workspace.store.read_dataset("verdicts", Verdict)), labels)


def compare(verdicts: Sequence[Verdict], labels: Sequence[Label]) -> list[Agreement]:
    """The agreement of `labels` with those `verdicts` that a model gave, by check."""
    from castalia.statistics import cohen_kappa

    decided = decisions(labels)
    pairs: dict[str, list[tuple[str, str]]] = {}
    for verdict in verdicts:
        judged = verdict.outcome in (*RELEASING, "fail") and verdict.provenance.calls
        if judged and verdict.record in decided:
            said = "approve" if verdict.outcome in RELEASING else "reject"
            pairs.setdefault(verdict.check, []).append((said, decided[verdict.record]))
    found: list[Agreement] = []
    for check, given in sorted(pairs.items()):
        if len(given) >= ENOUGH_LABELS:
            judges, people = zip(*given, strict=True)
            kappa = cohen_kappa(judges, people) if len({*judges, *people}) > 1 else None
            found.append(Agreement(check, len(given), sum(judge == person for judge, person in given) / len(given), kappa))
    return found
