"""Judges face records whose truth is known: about 2 % of what they see, some right, some wrong, some wrong and speaking to the judge.

A judge can't tell them apart: a canary is asked about by the same prompt, under a label of the run, among other records of its passage. What
follows is decided per check:

* it lets more than a tenth of the wrong ones or of those with an injection through, or gives no verdict on them: nothing that it let
  through passes. Those records wait for people; what it stopped stays stopped.
* it stops more than a tenth of the right ones: that is reported, and what it stopped is shown to people.

With few canaries one missed is more than a tenth; with many a judge that seldom errs stays. Where records and pages give no canary the judge
is believed, and it is said that nothing measured it. Canaries enter no dataset that is trained on.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from castalia.quality.check import CheckContext, Finding, GroupCheck
from castalia.quality.planting import CANARY, Planted, planted
from castalia.quality.view import View
from castalia.records import RELEASING, Canary, CanaryKind, Provenance, SFTExample, Verdict, content_hash, in_brief

SHARE = 0.02
"""Canaries among what a judge sees, at least one of each kind that can be made."""
FEWEST = 20
"""Records of one check from which on its judge faces canaries."""
MOST_MISSED = 0.1
"""Of one kind; a judge that misses more is not believed."""
COMPANIONS = 2
"""Records of the same passage that are shown beside a canary, so that it doesn't stand alone. What is said of them counts for nothing."""
KINDS: tuple[CanaryKind, ...] = ("good", "bad", "injected")


class Shown(NamedTuple):
    """A canary and the question about it."""

    canary: Planted
    group: tuple[View, ...]
    """The canary and its companions, as the judge sees them."""


class Trial(NamedTuple):
    """How one check's judge stood the canaries of one kind."""

    check: str
    kind: CanaryKind
    shown: int
    recognized: int
    waiting: int = 0
    """Of those shown the ones about which the judge could not be asked."""
    wanted: int = 0
    """How many should have been shown; fewer are where records and pages give no more. 0 where nobody counted."""

    @property
    def judged(self) -> int:
        """Those that the judge spoke of."""
        return self.shown - self.waiting

    @property
    def failed(self) -> bool:
        """Whether it missed too many: of the wrong ones also those it could not be asked about, of the right ones those that it stopped."""
        of = self.judged if self.kind == "good" else self.shown
        return of - self.recognized > MOST_MISSED * of

    def __str__(self) -> str:
        unasked = f" ({self.waiting} not asked about)" if self.waiting else ""
        return f"{self.recognized} of {self.shown} {_IN_WORDS[self.kind]}{unasked}"


_IN_WORDS: Mapping[CanaryKind, str] = {"good": "right", "bad": "wrong", "injected": "wrong ones with an injection"}


def canaries_of_each_kind(records: int) -> int:
    """How many canaries of each kind the judge of a check with so many records faces."""
    return 0 if records < FEWEST else max(1, round(SHARE * records / len(KINDS)))


def hide_canaries(check: GroupCheck, groups: Mapping[str, Sequence[View]], ctx: CheckContext) -> list[Shown]:
    """The questions that are asked beside those about `groups`. Their subjects are `canary/CHECK/KIND/RECORD`."""
    views = [view for group in groups.values() for view in group]
    count = canaries_of_each_kind(len(views))
    if check.canaries is None or not count:
        return []
    company = 0 if check.asks_singly(ctx) else COMPANIONS
    made = planted(check.canaries(views, ctx), views, count, check.name)
    return [_hidden(one, check.name, groups[one.view.group], company) for one in made]


def _hidden(canary: Planted, check: str, group: Sequence[View], company: int) -> Shown:
    subject = f"{CANARY}{check}/{canary.kind}/{canary.view.record.subject}"
    others = [view for view in group if view.label != canary.view.label]
    beside = sorted(others, key=lambda view: content_hash([subject, view.record.subject]))[:company]
    shown = [replace(view, group=subject) for view in sorted([canary.view, *beside], key=lambda view: view.label)]
    return Shown(canary, tuple(shown))


def judged_canary(check: str, shown: Shown, finding: Finding) -> Canary:
    """What a judge made of a canary, as a record."""
    view, planted_as = shown.canary.view, shown.canary
    assert isinstance(view.record, SFTExample)
    return Canary(
        judge=check,
        kind=planted_as.kind,
        how=planted_as.how,
        category=view.category,
        conversation=view.record.conversation,
        evidence=view.record.evidence,
        outcome=finding.outcome,
        reason=in_brief(finding.reason),
        recognized=finding.outcome in planted_as.recognized_by,
        provenance=Provenance(parents=(planted_as.origin,), calls=finding.calls),
    )


def trials(canaries: Iterable[Canary], verdicts: Iterable[Verdict] = ()) -> list[Trial]:
    """How judges stood them, by check and kind; without those that people are shown. `verdicts` on the records among which they were
    planted tell how many of each kind were wanted: kinds that could not be planted are named, too."""
    seen = [canary for canary in canaries if canary.recognized is not None]
    records: Counter[str] = Counter()
    judges = {canary.judge for canary in seen}
    for verdict in verdicts:
        records[verdict.check] += 1
        if verdict.provenance.calls:
            judges.add(verdict.check)
    found: list[Trial] = []
    for check in sorted(judges):
        wanted = canaries_of_each_kind(records[check])
        for kind in KINDS:
            mine = [canary for canary in seen if (canary.judge, canary.kind) == (check, kind)]
            if mine or wanted:
                waiting = sum(canary.outcome == "waiting" for canary in mine)
                found.append(Trial(check, kind, len(mine), sum(bool(canary.recognized) for canary in mine), waiting, wanted))
    return found


def misled(of: Sequence[Trial]) -> list[Trial]:
    """The trials of one check for which its judge's consent counts for nothing."""
    return [trial for trial in of if trial.failed and trial.kind != "good"]


def too_strict(of: Iterable[Trial]) -> Collection[str]:
    """Checks whose judges stop what is right."""
    return sorted({trial.check for trial in of if trial.failed and trial.kind == "good"})


def withheld(finding: Finding, failed: Sequence[Trial]) -> Finding:
    """The finding as it counts when its judge failed these trials: what it let through is undecided, and the reason says what can be done."""
    if not failed or finding.outcome not in RELEASING:
        return finding
    why = (
        f"the judge said {finding.outcome!r}, but recognized only {' and '.join(map(str, failed))} planted among the records: "
        f"approve in `castalia review`, or name another model under oracles.judge and `castalia run --rebuild verify`"
    )
    return replace(finding, outcome="abstain", reason=why)


def trial_lines(of: Sequence[Trial]) -> list[str]:
    """In words, by check."""
    return [
        line for check in dict.fromkeys(trial.check for trial in of) if (line := _line(check, [one for one in of if one.check == check]))
    ]


def _line(check: str, of: Sequence[Trial]) -> str:
    """What one judge made of its canaries; empty where it could not be asked about any."""
    judged = [trial._replace(shown=trial.judged, waiting=0) for trial in of if trial.judged]
    unmet = [_IN_WORDS[trial.kind] for trial in of if not trial.shown]
    if not judged and not unmet:
        return ""
    if not judged and len(unmet) == len(of):
        return (
            f"judge of {check} met no planted record, as none could be made of these records and pages: nothing tells how far to believe it"
        )
    line = f"judge of {check} on planted records: recognized {', '.join(map(str, judged)) or 'none'}"
    if unmet:
        line += f"; it met no {' and no '.join(unmet)}, as none could be made of these records and pages"
    if misled(judged):
        line += "; what it let through waits for people: castalia review, or another oracles.judge and castalia run --rebuild verify"
    elif misled(of):
        line += "; it could not be asked about others, so what it let through waits: castalia run --rebuild verify"
    if too_strict(judged):
        line += "; it stops what is right: people are shown all that it stopped, in castalia review"
    return line
