"""What the kept pages leave uncovered, and the accepted examples, handed back to the planning round by round.

A gap names the queries that were collected for, so one of another plan is not taken for one of this. Rounds end by themselves: when
nothing is missing, when a round filled no cell, when a review had nothing new to search for, or at the cap.
"""

from collections.abc import Iterable, Mapping, Sequence

from castalia.records import CoverageGap, ExampleGap, Query, content_hash
from castalia.stages.plan_queries.coverage import Cell, cell


def asked_before(queries: Iterable[Query], round: int) -> str:
    """Identity of everything that was searched for before a round."""
    return content_hash(sorted(query.id for query in queries if query.round < round))


def missing_cells(queries: Sequence[Query], led: Iterable[Sequence[str]]) -> list[Cell]:
    """Cells that some query should fill and no kept page does, sorted. `led` holds for each kept page the ids of the queries that led to it."""
    reached = {identity for ids in led for identity in ids}
    return sorted({cell(query) for query in queries} - {cell(query) for query in queries if query.id in reached})


def next_gaps(
    queries: Sequence[Query], known: Sequence[CoverageGap], led: Iterable[Sequence[str]], *, max_rounds: int
) -> list[CoverageGap] | None:
    """All gaps to hand to the planning now, those of earlier rounds included; None when no further round is worth it."""
    done = max((query.round for query in queries), default=0)
    past = [gap for gap in known if gap.round <= done + 1 and gap.after == asked_before(queries, gap.round)]
    missing = missing_cells(queries, led)
    last = {Cell(gap.node, gap.difficulty, gap.style) for gap in past if gap.round == done}
    if done >= max_rounds or not missing or (last and last <= set(missing)) or any(gap.round > done for gap in past):
        return None
    after = asked_before(queries, done + 1)
    new = [CoverageGap(round=done + 1, after=after, node=one.node, difficulty=one.difficulty, style=one.style) for one in missing]
    return [*past, *new]


def next_example_gaps(
    queries: Sequence[Query], known: Sequence[ExampleGap], thin: Mapping[Cell, tuple[int, int]], *, max_rounds: int
) -> list[ExampleGap] | None:
    """All gaps of examples to hand to the planning now, those of earlier rounds included; None when no further round is worth it.

    `thin` holds for each cell without enough accepted examples how many there are and how many are wanted.
    """
    done = max((query.round for query in queries), default=0)
    past = [gap for gap in known if gap.after == asked_before(queries, gap.round)]
    rounds = {gap.round for gap in past}
    before = {Cell(gap.node, gap.difficulty, gap.style): gap.examples for gap in past if gap.round == max(rounds)}
    gained = any(count > before[one] for one, (count, _) in thin.items() if one in before) or not before.keys() <= thin.keys()
    if not thin or len(rounds) >= max_rounds or max(rounds, default=0) > done or (before and not gained):
        return None
    after = asked_before(queries, done + 1)
    new = [
        ExampleGap(round=done + 1, after=after, node=one.node, difficulty=one.difficulty, style=one.style, examples=count, wanted=wanted)
        for one, (count, wanted) in sorted(thin.items())
    ]
    return [*past, *new]
