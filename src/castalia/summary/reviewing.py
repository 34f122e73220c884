"""A review under way, in the terminal or on the page: whose turn it is, what the last label was, and what is told after a label."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from castalia.errors import ConfigError, InputError
from castalia.quality import gold
from castalia.quality.funnel import first_stops
from castalia.quality.labels import all_labels, holding, read_labels, shown_to
from castalia.records import Label, LabelValue, ReviewItem, Verdict
from castalia.summary.people import review_items
from castalia.workspace import Workspace

_NAME = re.compile(r"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,62}[^\s\x00-\x1f\x7f-\x9f])?")


class Review(NamedTuple):
    """What is reviewed."""

    workspace: Workspace
    queue: Sequence[ReviewItem]
    verdicts: Mapping[str, Sequence[Verdict]]
    """By record, in the order of the layers."""

    def waiting(self, reviewer: str) -> list[ReviewItem]:
        """What this person is asked, in order, by the labels on the disk now."""
        return shown_to(reviewer, self.queue, read_labels(self.workspace.labels))

    def next(self, reviewer: str, skipped: Collection[str] = (), first: str = "") -> tuple[ReviewItem | None, int]:
        """The record to show, `first` where it waits, and how many wait; None where all that wait are `skipped`."""
        waiting = self.waiting(reviewer)
        for item in waiting:
            if item.record == first:
                return item, len(waiting)
        return next((item for item in waiting if item.record not in skipped), None), len(waiting)

    def last(self, reviewer: str) -> Label | None:
        """The label that this person gave last, of those that hold."""
        return last_label(all_labels(self.workspace.labels), reviewer)

    def taken_back(self, reviewer: str, record: str) -> Label | None:
        """The label that this person gave a record and took back, whose note may hold again."""
        said = [label for label in all_labels(self.workspace.labels) if (label.record, label.reviewer) == (record, reviewer)]
        return next((label for label in reversed(said) if label.label != "undone"), None)

    def told(self, record: str, label: LabelValue) -> str:
        """What checks had said of a record, now that it can't sway the reviewer; nothing of a planted one, of which the next may be another."""
        if any(item.record == record and item.stratum == gold.STRATUM for item in self.queue):
            return "kept"
        return what_follows(self.verdicts.get(record, ()), label)


def open_review(workspace: Workspace) -> Review:
    """The queue of a workspace. Raises InputError before there is one, and for a damaged file of labels."""
    if not workspace.store.has("review_queue"):
        raise InputError("there is no review queue yet; `castalia run` fills it")
    verdicts = list(workspace.store.read_dataset("verdicts", Verdict))
    queue = review_items(workspace, verdicts, read_labels(workspace.labels))
    wanted = {item.record for item in queue}
    said: dict[str, list[Verdict]] = {}
    for verdict in sorted(verdicts, key=lambda verdict: (verdict.layer, verdict.check)):
        if verdict.record in wanted:
            said.setdefault(verdict.record, []).append(verdict)
    return Review(workspace, queue, said)


def reviewer_name(text: str) -> str:
    """The name labels are kept under. Raises ConfigError for one that nobody could read."""
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise ConfigError(f"reviewer {name!r:.80} is no name; give 1 to 64 readable characters in one line")
    return name


def last_label(said: Sequence[Label], reviewer: str) -> Label | None:
    """Of labels in the order they were given, the reviewer's last one that was not taken back."""
    standing = {label.record: label for label in holding(said) if label.reviewer == reviewer}
    return next((label for label in reversed(said) if standing.get(label.record) is label), None)


def what_follows(verdicts: Sequence[Verdict], label: LabelValue) -> str:
    """What checks had said of a record, and what the label does to that."""
    objections = [f"{verdict.check} {verdict.outcome}: {verdict.reason}" for verdict in verdicts if verdict.outcome != "pass"]
    said = "; ".join(objections) or "every check passed"
    overridden = [verdict for verdict in verdicts if verdict.outcome != "abstain" or label != "approve"]
    stop = first_stops(overridden, ()).get(verdicts[0].record if verdicts else "")
    if label == "reject":
        return f"{said}; the record stays out of releases"
    if label == "approve" and stop is not None:
        return f"{said}; it stays out all the same: {stop}, which no approval overrides"
    return said
