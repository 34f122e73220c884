"""From candidates and verdicts to the pairs that they allow. Opinion never overrides execution, and one order is no verdict."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from typing import Literal, NamedTuple, get_args

from castalia.engine.labels import LABELS, by_label
from castalia.records import Candidate, FailureMode, FailureSpan
from castalia.records.flaw import Flaw
from castalia.records.preference import Level
from castalia.stages.build_preferences.answers import CandidateVerdicts, JudgedCandidate

MODES: tuple[FailureMode, ...] = get_args(FailureMode)
EXECUTION_MARGIN = 10.0
WRONG_BY_PLAN: frozenset[Level] = frozenset({"subtly_wrong", "unsafe"})
"""Levels that are never chosen: tests that pass and a judge that is pleased missed what they were written for."""

Verdicts = Mapping[str, JudgedCandidate]
"""The verdicts of one order by the candidate's text."""


class Option(NamedTuple):
    """A pair that the ranking of a prompt allows."""

    chosen: Candidate
    rejected: Candidate
    margin: float
    is_best: bool
    """Whether nothing is ranked above the chosen one."""


class Ranked(NamedTuple):
    """What was decided about the candidates of one prompt."""

    ranking: tuple[Candidate, ...]
    """Best first."""
    options: tuple[Option, ...]
    decided_by: Literal["execution", "judge-both-orders"]
    orders_agree: float | None = None
    judge_agrees: float | None = None


def first_order(subject: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The order in which `SUBJECT/order/1` shows the candidates; `/order/2` is its reverse. By hash, so that no planned level
    has a place of its own."""
    return sorted(candidates, key=lambda candidate: hashlib.sha256(f"{subject}\n{candidate.text}".encode()).hexdigest())


def in_order(shown: Sequence[Candidate], verdicts: CandidateVerdicts) -> list[JudgedCandidate] | Flaw:
    """The verdicts in the order shown. A Flaw unless there is exactly one per label and every quote is in its candidate."""
    given = by_label(verdicts.verdicts, len(shown))
    if isinstance(given, Flaw):
        return given
    for label, verdict, candidate in zip(LABELS, given, shown, strict=False):
        if verdict.quote not in candidate.text:
            return Flaw("quote-not-in-candidate", f"{label}: {verdict.quote}")
    return given


def is_told_apart(executed: Sequence[Candidate]) -> bool:
    """Whether some candidates passed and some failed."""
    return {candidate.executed for candidate in executed} >= {True, False}


def is_wrong_by_plan(candidate: Candidate) -> bool:
    """Whether it was written at a level that is wrong, or to do harm."""
    return candidate.level in WRONG_BY_PLAN or "safety_violation" in candidate.planned_modes


def rank_by_execution(executed: Sequence[Candidate], orders: Sequence[Verdicts] = (), least_score: float = 0.0) -> Ranked | Flaw:
    """Every candidate that passed against every one that failed, the strong one first, those that are wrong by plan last and never
    chosen. Verdicts of a judge that was asked too change nothing in that; only, where there are some, another than the first is chosen
    with a mean of at least `least_score`. A Flaw where nothing that passed may be chosen."""
    known = [with_verdicts(candidate, orders) for candidate in executed]
    passed = sorted(
        (candidate for candidate in known if candidate.executed),
        key=lambda candidate: (is_wrong_by_plan(candidate), candidate.level != "strong"),
    )
    failed = [candidate for candidate in known if candidate.executed is False]
    worthy = [good for good in passed if not is_wrong_by_plan(good) and (good is passed[0] or not orders or _score(good) >= least_score)]
    if not worthy:
        return Flaw("only-wrong-passed", f"what passed was written to be wrong: {', '.join(candidate.level for candidate in passed)}")
    options = tuple(Option(good, bad, EXECUTION_MARGIN, good is passed[0]) for good in worthy for bad in failed)
    agrees = [_won(_score(good), _score(bad)) for good in passed for bad in failed] if orders else []
    return Ranked((*passed, *failed), options, "execution", _orders_agree(orders), sum(agrees) / len(agrees) if agrees else None)


def rank_by_judge(orders: Sequence[Verdicts], candidates: Sequence[Candidate], min_margin: float, least_score: float) -> Ranked | Flaw:
    """The best candidate, and others with a mean of at least `least_score`, against those they beat by `min_margin` in every order. What
    is wrong by plan is never chosen."""
    ranking = tuple(sorted((with_verdicts(candidate, orders) for candidate in candidates), key=lambda candidate: -_score(candidate)))
    options = tuple(
        Option(good, bad, _score(good) - _score(bad), good is ranking[0])
        for good in ranking
        if not is_wrong_by_plan(good) and (good is ranking[0] or _score(good) >= least_score)
        for bad in ranking
        if _least_margin(good, bad, orders) >= min_margin
    )
    if not options:
        best = ranking[0]
        margins = sorted(_least_margin(best, other, orders) for other in ranking[1:])
        return Flaw("no-consistent-margin", f"best {best.level!r} {_score(best):.1f}; smallest margins {margins}")
    return Ranked(ranking, options, "judge-both-orders", _orders_agree(orders))


def with_verdicts(candidate: Candidate, orders: Sequence[Verdicts]) -> Candidate:
    """The candidate with its mean score and the failures that the judge saw in every order, beside those it was written with.

    A quote shows the failure that its verdict names first; where the writer showed none, it becomes the span of that failure.
    """
    if not orders:
        return candidate
    verdicts = [order[candidate.text] for order in orders]
    seen = tuple(mode for mode in MODES if all(mode in verdict.failure_modes for verdict in verdicts))
    shown = {span.mode for span in candidate.spans}
    gravest = [
        FailureSpan(mode=verdict.failure_modes[0], text=verdict.quote) for verdict in verdicts if verdict.quote and verdict.failure_modes
    ]
    quoted = dict.fromkeys(span for span in gravest if span.mode in seen and span.mode not in shown)
    return candidate.model_copy(
        update={
            "score": sum(verdict.score for verdict in verdicts) / len(verdicts),
            "failure_modes": tuple(dict.fromkeys(chain(candidate.planned_modes, seen))),
            "seen_modes": seen,
            "spans": (*candidate.spans, *quoted),
        }
    )


def _least_margin(good: Candidate, bad: Candidate, orders: Sequence[Verdicts]) -> float:
    return min(order[good.text].score - order[bad.text].score for order in orders)


def _orders_agree(orders: Sequence[Verdicts]) -> float | None:
    """The share of two candidates that all orders rank alike; a tie in some of them counts half."""
    if not orders:
        return None
    alike: list[float] = []
    for one, other in combinations(orders[0], 2):
        signs = {_won(order[one].score, order[other].score) for order in orders}
        alike.append(1.0 if len(signs) == 1 else 0.0 if signs >= {0.0, 1.0} else 0.5)
    return sum(alike) / len(alike) if alike else None


def _won(score: float, other: float) -> float:
    return 1.0 if score > other else 0.5 if score == other else 0.0


def _score(candidate: Candidate) -> float:
    return candidate.score if candidate.score is not None else 0.0
