"""From candidates and verdicts to one pair. Opinion never overrides execution, and one order is no verdict."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple, get_args

from castalia.records import Candidate, FailureMode
from castalia.records.sections import Flaw
from castalia.stages.build_preferences.answers import CandidateVerdicts, JudgedCandidate

LABELS = "ABCDEFGHIJ"
MODES: tuple[FailureMode, ...] = get_args(FailureMode)
EXECUTION_MARGIN = 10.0


class Pair(NamedTuple):
    """The decision for one prompt."""

    chosen: Candidate
    rejected: Candidate
    ranking: tuple[Candidate, ...]
    decided_by: Literal["execution", "judge-both-orders"]
    margin: float


def first_order(subject: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The order in which `SUBJECT/order/1` shows the candidates; `/order/2` is its reverse. By hash, so that no planned level
    has a place of its own."""
    return sorted(candidates, key=lambda candidate: hashlib.sha256(f"{subject}\n{candidate.text}".encode()).hexdigest())


def by_label(shown: Sequence[Candidate], verdicts: CandidateVerdicts) -> list[JudgedCandidate] | Flaw:
    """The verdicts in the order shown. A Flaw unless there is exactly one per label and every quote is in its candidate."""
    labels = LABELS[: len(shown)]
    given = {verdict.label.strip().upper(): verdict for verdict in verdicts.verdicts}
    if len(given) != len(verdicts.verdicts) or set(given) != set(labels):
        return Flaw("labels-do-not-match", f"{[v.label for v in verdicts.verdicts]} for {', '.join(labels)}")
    for label, candidate in zip(labels, shown, strict=True):
        if given[label].quote and given[label].quote not in candidate.text:
            return Flaw("quote-not-in-candidate", f"{label}: {given[label].quote}")
    return [given[label] for label in labels]


def pair_by_execution(executed: Sequence[Candidate]) -> Pair | None:
    """A pair where some candidates passed and some failed; None where execution doesn't tell them apart."""
    passed = [candidate for candidate in executed if candidate.executed]
    failed = [candidate for candidate in executed if candidate.executed is False]
    if not passed or not failed:
        return None
    chosen = next((candidate for candidate in passed if candidate.level == "strong"), passed[0])
    rejected = min(failed, key=lambda candidate: _length_gap(chosen, candidate))
    return Pair(chosen, rejected, (chosen, *(c for c in passed if c is not chosen), *failed), "execution", EXECUTION_MARGIN)


def pair_by_judge(orders: Sequence[Mapping[str, JudgedCandidate]], candidates: Sequence[Candidate], min_margin: float) -> Pair | Flaw:
    """The candidate with the best mean, against the one nearest in length among those it beats by `min_margin` in every order.

    `orders` maps the text of each candidate to its verdict, once per order.
    """
    judged = [_judged(candidate, [order[candidate.text] for order in orders]) for candidate in candidates]
    ranking = tuple(sorted(judged, key=lambda candidate: -_score(candidate)))
    chosen = ranking[0]
    margins = {c.text: min(order[chosen.text].score - order[c.text].score for order in orders) for c in ranking[1:]}
    beaten = [candidate for candidate in ranking[1:] if margins[candidate.text] >= min_margin]
    if not beaten:
        return Flaw("no-consistent-margin", f"best {chosen.level!r} {_score(chosen):.1f}; smallest margins {sorted(margins.values())}")
    rejected = min(beaten, key=lambda candidate: (_length_gap(chosen, candidate), _score(candidate)))
    return Pair(chosen, rejected, ranking, "judge-both-orders", _score(chosen) - _score(rejected))


def _judged(candidate: Candidate, verdicts: Sequence[JudgedCandidate]) -> Candidate:
    """The planned failure modes, and those the judge saw in every order."""
    agreed = [mode for mode in MODES if all(mode in verdict.failure_modes for verdict in verdicts)]
    modes = tuple(dict.fromkeys(chain(candidate.failure_modes, agreed)))
    mean = sum(verdict.score for verdict in verdicts) / len(verdicts)
    return candidate.model_copy(update={"score": mean, "failure_modes": modes})


def _score(candidate: Candidate) -> float:
    return candidate.score if candidate.score is not None else 0.0


def _length_gap(a: Candidate, b: Candidate) -> int:
    return abs(len(a.text) - len(b.text))
