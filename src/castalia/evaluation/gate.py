"""The gate: a candidate replaces the promoted model only when it is better on GATE and worse in nothing that is guarded.

Promote at look k if and only if
1. the one-sided lower bound of the paired GATE difference at alpha_k = 0.05 * 6 / (pi k)^2 exceeds 0, and
2. every guard is *non-inferior*: its one-sided lower bound, at the level Holm's procedure gives it, exceeds -margin (2 points).

A look is any decision on GATE, whatever led to it: a further round, other data, another recipe, another seed of the evaluation. The shares
of all looks sum to 5 %, so trying until something passes costs what it should. The same comparison made again is no new look.

A guard ends in one of five states, because "did not prove it" is not "got worse":

non-inferior     proved: the lower bound exceeds -margin
nothing to lose  the promoted model scores 0 on every item of the guard. Each paired difference is then at least 0, so no item that
                 was right became wrong; what the model might have known beyond these items is bounded in the reason
regressed        proved in the other direction: worse, at 5 % with Holm over the guards
cannot measure   neither is proved; the reason names how many items would do. It blocks: the remedy is a larger suite, not a guess
not measured     the suite has no item for it; it does not block, and it is not called safe

Errors are cluster-robust with t on clusters - 1 degrees of freedom and never below the Agresti-Min error, so that a handful of
unchanged items proves nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from castalia.errors import ConfigError, InputError
from castalia.evaluation.results import ItemResult
from castalia.records import CATEGORIES, Frozen, Record, content_hash
from castalia.statistics import (
    Difference,
    alpha_for_round,
    holm,
    holm_levels,
    items_needed,
    mcnemar_exact,
    minimal_detectable_effect,
    paired_difference,
    with_sparse_floor,
)

GUARD_ALPHA = 0.05
GuardStatus = Literal["non-inferior", "nothing to lose", "regressed", "cannot measure", "not measured"]


@dataclass(frozen=True)
class Guard:
    """Something that must not get worse: which items, and what is measured on them in [0, 1]."""

    name: str
    concerns: Callable[[ItemResult], bool]
    measure: Callable[[ItemResult], float] = lambda result: result.value


class GuardVerdict(Frozen):
    """What the gate found out about one guard."""

    name: str = Field(description="The guard.")
    status: GuardStatus = Field(description="One of the five states.")
    items: int = Field(description="Items it rests on.")
    before: float | None = Field(default=None, description="Mean of the promoted model.")
    after: float | None = Field(default=None, description="Mean of the candidate.")
    difference: float | None = Field(default=None, description="Mean paired difference.")
    lower_bound: float | None = Field(default=None, description="One-sided, at the level Holm's procedure gives this guard.")
    p_value: float | None = Field(default=None, description="Holm-adjusted, of 'worse by the margin or more'.")
    reason: str = Field(description="The state in words.")


class Decision(Record):
    """The gate's answer for one round."""

    PREFIX: ClassVar[str] = "decision"

    round: int = Field(description="Round, from 1.")
    look: int = Field(default=1, description="Which of all decisions on GATE this is, from 1: it sets `alpha`.")
    compared: str = Field(default="", description="Hash of the results that were compared and of the guards: the same is no new look.")
    promote: bool = Field(description="Whether the candidate replaces the promoted model.")
    reasons: tuple[str, ...] = Field(description="Why, one sentence each.")
    items: int = Field(description="GATE items.")
    clusters: int = Field(description="Their clusters.")
    before: float = Field(description="Mean GATE score of the promoted model.")
    after: float = Field(description="Mean GATE score of the candidate.")
    difference: float = Field(description="Mean paired difference.")
    error: float = Field(description="Its standard error.")
    interval_low: float = Field(description="Two-sided 95 % interval, lower end.")
    interval_high: float = Field(description="Two-sided 95 % interval, upper end.")
    alpha: float = Field(description="The look's share of the error budget.")
    lower_bound: float = Field(description="One-sided lower bound at `alpha`: the number that decides.")
    mcnemar_p: float = Field(description="Exact two-sided McNemar p-value, as if items were independent.")
    minimal_detectable_effect: float = Field(description="Smallest true difference found with power 0.8 at `alpha` on this suite.")
    guards: tuple[GuardVerdict, ...] = Field(description="All guards.")


def standard_guards(nodes: Mapping[str, Sequence[str]] | None = None) -> tuple[Guard, ...]:
    """Format validity, each category, and one guard per entry of `nodes`: its name to the taxonomy nodes it watches.

    Safety and over-refusal are such entries: `{"safety": ["behavioral/harm"], "over-refusal": ["behavioral/harmless"]}`.
    """
    watched = {"safety": (), "over-refusal": ()} | {name: tuple(keys) for name, keys in (nodes or {}).items()}
    return (
        Guard("format validity", lambda _: True, lambda result: float(result.format_valid)),
        *(Guard(category, lambda result, c=category: result.category == c) for category in CATEGORIES),
        *(Guard(name, lambda result, keys=frozenset(keys): result.node in keys) for name, keys in watched.items()),
    )


def decide(
    before: Sequence[ItemResult],
    after: Sequence[ItemResult],
    round: int = 1,
    guards: Sequence[Guard] | None = None,
    margin: float = 0.02,
    *,
    look: int = 1,
) -> Decision:
    """Compares the promoted model (`before`) with the candidate (`after`) on the same GATE items, seeds and style.

    `look` counts all decisions on GATE so far, this one included. Raises ConfigError for items that are not GATE, InputError when the two can't be paired.
    """
    pairs = _pair(before, after)
    alpha = alpha_for_round(look)
    old, new = [b.value for b, _ in pairs], [a.value for _, a in pairs]
    gain = with_sparse_floor(paired_difference(old, new, [f"{b.node}/{b.cluster}" for b, _ in pairs]))
    bound = gain.lower_bound(alpha)
    watched = standard_guards() if guards is None else guards
    verdicts = judge_guards(pairs, watched, margin)
    low, high = gain.interval(0.95)
    blocking = [verdict for verdict in verdicts if verdict.status in ("regressed", "cannot measure")]
    better = bound > 0
    relation = "exceeds 0" if better else "does not exceed 0"
    return Decision(
        round=round,
        look=look,
        compared=comparison(before, after, watched, margin),
        promote=better and not blocking,
        reasons=(
            f"the lower bound of the GATE difference at alpha {alpha:.4f} (look {look}) is {_points(bound)}: it {relation}",
            *(f"{v.name}: {v.status}, {v.reason}" for v in blocking),
            *(() if blocking else ("no guard blocks",)),
        ),
        items=gain.items,
        clusters=gain.clusters,
        before=sum(old) / len(old),
        after=sum(new) / len(new),
        difference=gain.mean,
        error=gain.error,
        interval_low=low,
        interval_high=high,
        alpha=alpha,
        lower_bound=bound,
        mcnemar_p=mcnemar_exact(old, new),
        minimal_detectable_effect=_detectable(gain, alpha),
        guards=verdicts,
    )


def comparison(before: Sequence[ItemResult], after: Sequence[ItemResult], guards: Sequence[Guard], margin: float = 0.02) -> str:
    """Hash of what `decide` looks at, the number of the look aside. A guard counts by its name and the results it concerns."""
    watched = [(guard.name, sorted(result.item for result in before if guard.concerns(result))) for guard in guards]
    return content_hash([sorted(result.id for result in before), sorted(result.id for result in after), watched, margin])


def judge_guards(pairs: Sequence[tuple[ItemResult, ItemResult]], guards: Sequence[Guard], margin: float) -> tuple[GuardVerdict, ...]:
    """The verdict on each guard, in the order given. Holm's family are the guards that need a proof."""
    measured = {
        guard.name: [(guard.measure(b), guard.measure(a), f"{b.node}/{b.cluster}") for b, a in pairs if guard.concerns(b)]
        for guard in guards
    }
    tested = {name: rows for name, rows in measured.items() if any(old for old, _, _ in rows) and len({c for *_, c in rows}) > 1}
    differences = {
        name: with_sparse_floor(paired_difference([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]))
        for name, rows in tested.items()
    }
    inferior = [difference.p_at_most(-margin) for difference in differences.values()]
    worse = dict(zip(differences, holm([difference.p_at_least(0) for difference in differences.values()]), strict=True))
    adjusted = dict(zip(differences, holm(inferior), strict=True))
    levels = dict(zip(differences, holm_levels(inferior, GUARD_ALPHA), strict=True))
    return tuple(
        _tested_verdict(
            guard.name, measured[guard.name], differences[guard.name], adjusted[guard.name], worse[guard.name], levels[guard.name], margin
        )
        if guard.name in differences
        else _untested_verdict(guard.name, measured[guard.name])
        for guard in guards
    )


def _untested_verdict(name: str, rows: Sequence[tuple[float, float, str]]) -> GuardVerdict:
    if not rows:
        return GuardVerdict(name=name, status="not measured", items=0, reason="the suite has no item for it")
    old, new = sum(r[0] for r in rows) / len(rows), sum(r[1] for r in rows) / len(rows)
    if old:
        reason = "all its items are of one cluster, which gives no error estimate; add items of other clusters"
        return GuardVerdict(name=name, status="cannot measure", items=len(rows), before=old, after=new, difference=new - old, reason=reason)
    ceiling = 1 - GUARD_ALPHA ** (1 / len(rows))
    reason = (
        f"the promoted model scores 0 on all {len(rows)} items, so none can be lost; beyond them it might have scored up to {ceiling:.0%}"
    )
    return GuardVerdict(
        name=name, status="nothing to lose", items=len(rows), before=0.0, after=new, difference=new, lower_bound=0.0, reason=reason
    )


def _tested_verdict(
    name: str, rows: Sequence[tuple[float, float, str]], difference: Difference, adjusted: float, worse: float, level: float, margin: float
) -> GuardVerdict:
    bound = difference.lower_bound(level)
    status: GuardStatus
    if adjusted <= GUARD_ALPHA:
        status, reason = "non-inferior", f"at most {_points(max(0.0, -bound))} were lost"
    elif worse <= GUARD_ALPHA:
        status, reason = "regressed", f"{_points(difference.mean)} (p = {worse:.3g} that it is not worse)"
    else:
        needed = items_needed(margin, max(_expected_discordance(difference), margin))
        status, reason = (
            "cannot measure",
            (
                f"the difference is {_points(difference.mean)}, but {difference.items} items only show that it is above {_points(bound)}; "
                f"about {needed:,} items would show a loss of {_points(margin)}"
            ),
        )
    return GuardVerdict(
        name=name,
        status=status,
        items=difference.items,
        before=sum(r[0] for r in rows) / len(rows),
        after=sum(r[1] for r in rows) / len(rows),
        difference=difference.mean,
        lower_bound=bound,
        p_value=adjusted,
        reason=reason,
    )


def _pair(before: Sequence[ItemResult], after: Sequence[ItemResult]) -> list[tuple[ItemResult, ItemResult]]:
    wrong = next((result for result in (*before, *after) if result.bank != "gate"), None)
    if wrong is not None:
        raise ConfigError(f"item {wrong.subject!r} is of bank {wrong.bank!r}; only 'gate' decides a promotion")
    first, second = {r.item: r for r in before}, {r.item: r for r in after}
    if first.keys() != second.keys() or len(first) != len(before) or len(second) != len(after) or not first:
        shared = len(first.keys() & second.keys())
        raise InputError(
            f"{len(before)} results of the promoted model and {len(after)} of the candidate share {shared} items; "
            f"both must answer the same items, each once. Evaluate both on the frozen suite"
        )
    odd = next((item for item in first if (first[item].seed, first[item].style) != (second[item].seed, second[item].style)), None)
    if odd is not None:
        raise InputError(f"item {first[odd].subject!r} was asked with different seeds or styles; evaluate both models with the same ones")
    return [(first[item], second[item]) for item in sorted(first)]


def _expected_discordance(difference: Difference) -> float:
    return (difference.discordance * difference.items + 1) / (difference.items + 2)


def _detectable(difference: Difference, alpha: float) -> float:
    discordance = _expected_discordance(difference)
    independent = (discordance - difference.mean**2) / difference.items
    design_effect = max(1.0, difference.error**2 / independent) if independent > 0 else 1.0
    return minimal_detectable_effect(difference.items, discordance, alpha=alpha, design_effect=design_effect)


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f} points" if fraction else "0 points"
