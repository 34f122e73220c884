"""Layer 6 of a workspace: which records still wait for a person, what labels say of judges, of the set and of people."""

from collections import Counter
from typing import NamedTuple

from castalia.oracle import JUDGE_IS_WRITER, judge_is_writer
from castalia.quality import audit
from castalia.quality.audit import Agreement, JudgeError, Reviewers
from castalia.quality.canaries import Trial, trial_lines, trials
from castalia.quality.labels import read_labels, second_looks, undecided
from castalia.quality.review import EXPECTED_ERROR, stratum
from castalia.records import Canary, Label, ReviewItem, Verdict
from castalia.statistics import CorrectedShare, labels_needed
from castalia.workspace import Workspace

HALF_WIDTH = 0.035
"""Of the estimate that labels are counted for, as a fraction."""


class People(NamedTuple):
    """What people's labels amount to, and what there is to say of the judges without them."""

    waiting: int
    """Records that no label decides."""
    second: int
    """Records that wait for a second person."""
    agreement: tuple[Agreement, ...]
    errors: tuple[JudgeError, ...]
    quality: CorrectedShare | None
    """Share of the records let through that people would approve."""
    labels_needed: int
    """Labels that would give that share to +- HALF_WIDTH, from what is expected of each stratum."""
    reviewers: Reviewers
    trials: tuple[Trial, ...]
    """How judges stood the records that were planted among the others."""
    judge_is_writer: bool
    """Whether the model that judges is the one that writes."""
    wrong: tuple[tuple[str, int], ...]
    """What people said is wrong with records that they did not approve, and how often, most often first."""

    def lines(self) -> list[str]:
        """In words, those that there is something to say of."""
        said = [JUDGE_IS_WRITER] if self.judge_is_writer else []
        said += trial_lines(self.trials)
        if self.agreement:
            said.append("judges and people agree: " + "; ".join(map(str, self.agreement)))
        said += [f"{error}: what it let through waits for people" for error in self.errors if error.suspended]
        if self.quality is not None:
            share = f"{100 * self.quality.mean:.1f} % ({100 * self.quality.low:.1f} to {100 * self.quality.high:.1f} %)"
            enough = f"; about {self.labels_needed} give it to +-{100 * HALF_WIDTH:.1f} points" if self.wide else ""
            said.append(f"people would approve {share} of what was let through, by {self.quality.labelled} labels{enough}")
        if self.reviewers.alpha is not None:
            low, high = self.reviewers.alpha.interval
            alpha = f"alpha {self.reviewers.alpha.mean:.2f} ({low:.2f} to {high:.2f})"
            said.append(f"people agree among themselves: {alpha} over {self.reviewers.twice} records")
        for person, (shown, right) in self.reviewers.proved.items():
            said.append(f"{person} labelled {right} of {shown} records right whose truth is known")
        if self.wrong:
            said.append("what people found wrong: " + ", ".join(f"{mode.replace('_', ' ')} {count}" for mode, count in self.wrong))
        if self.second:
            said.append(f"{self.second} records wait for a second person: castalia review --reviewer NAME")
        return said

    @property
    def wide(self) -> bool:
        """Whether the estimate of the set is wider than HALF_WIDTH."""
        return self.quality is not None and self.quality.half_width > HALF_WIDTH


def people(workspace: Workspace) -> People:
    """What labels say of the workspace as it stands; nothing before quality control ran."""
    labels = read_labels(workspace.labels)
    verdicts = list(workspace.store.read_dataset("verdicts", Verdict)) if workspace.store.has("verdicts") else []
    queue = review_items(workspace, verdicts, labels)
    return People(
        waiting=len(undecided(queue, labels)),
        second=len(second_looks(queue, labels)),
        agreement=tuple(audit.agreement(verdicts, labels)),
        errors=tuple(audit.judge_errors(verdicts, labels)),
        quality=audit.accepted_quality(verdicts, labels),
        labels_needed=_labels_needed(verdicts),
        reviewers=audit.reviewers(labels, queue),
        trials=tuple(trials(workspace.store.read_dataset("canaries", Canary), verdicts)) if workspace.store.has("canaries") else (),
        judge_is_writer=judge_is_writer(workspace.config.oracles),
        wrong=tuple(Counter(mode for label in labels if label.label != "approve" for mode in label.modes).most_common()),
    )


def review_items(workspace: Workspace, verdicts: list[Verdict], labels: list[Label]) -> list[ReviewItem]:
    """The queue as drawn, and the records that came back because their judge is suspended; empty before there is a queue."""
    if not workspace.store.has("review_queue"):
        return []
    queue = list(workspace.store.read_dataset("review_queue", ReviewItem))
    return [*queue, *audit.returned(verdicts, labels, queue)]


def _labels_needed(verdicts: list[Verdict]) -> int:
    """Labels for +- HALF_WIDTH over the records that were let through."""
    sizes: dict[str, int] = {}
    for said in audit.by_record(verdicts).values():
        name = stratum(said)
        if name in ("agree-pass", "flagged", "policy-flag"):
            sizes[name] = sizes.get(name, 0) + 1
    deviations = [(EXPECTED_ERROR[name] * (1 - EXPECTED_ERROR[name])) ** 0.5 for name in sizes]
    return labels_needed(HALF_WIDTH, list(sizes.values()), deviations) if sizes else 0
