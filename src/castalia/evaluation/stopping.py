"""When the loop stops: a pure rule over the decisions so far. The reason is part of the result.

After at least two rounds without promotion the upper estimate of the gain per round, (mean + 1.28 * error) / rounds, is held against
`delta`: 1.28 is the one-sided 90 % normal quantile, so a loop that still gains `delta` a round is stopped early at most one time in ten.
"""

from collections.abc import Sequence

from castalia.evaluation.gate import Decision

UPPER = 1.28


def stop_reason(
    decisions: Sequence[Decision], *, delta: float = 0.01, usd_left: float | None = None, usd_per_round: float = 0.0
) -> str | None:
    """Why the loop should stop after these decisions (by round), or None to go on.

    `delta` is the smallest gain per round worth having, as a fraction of the GATE score; money in US dollars.
    """
    if not decisions:
        return None
    last = decisions[-1]
    if usd_left is not None and usd_left < usd_per_round:
        return f"budget: ${usd_left:.2f} is left and a round costs about ${usd_per_round:.2f}"
    headroom = 1.0 - (last.after if last.promote else last.before)  # above the model that the next candidate has to beat
    if last.minimal_detectable_effect > headroom:
        return (
            f"cannot measure: the suite detects {100 * last.minimal_detectable_effect:.1f} points, the headroom is "
            f"{100 * headroom:.1f}; enlarge the suite"
        )
    twice = _failed_guards(decisions[-1]) & _failed_guards(decisions[-2]) if len(decisions) > 1 else frozenset[str]()
    if twice:
        return f"guard {sorted(twice)[0]!r} failed twice in a row: more of this data makes it worse"
    barren = _rounds_without_promotion(decisions)
    if barren >= 2:
        upper = (last.difference + UPPER * last.error) / barren
        if upper < delta:
            return f"diminishing returns: {barren} rounds without promotion, at most {100 * upper:.2f} points a round against {100 * delta:.2f} wanted"
    return None


def _failed_guards(decision: Decision) -> frozenset[str]:
    return frozenset(guard.name for guard in decision.guards if guard.status == "regressed")


def _rounds_without_promotion(decisions: Sequence[Decision]) -> int:
    count = 0
    for decision in reversed(decisions):
        if decision.promote:
            break
        count += 1
    return count
