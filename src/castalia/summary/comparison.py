"""Before and after: the very results that the last decision rests on, and DEV answers side by side."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from castalia.evaluation.gate import Decision
from castalia.evaluation.results import ItemResult
from castalia.records import CATEGORIES, SuiteItem
from castalia.rounds.measure import decision_fingerprint
from castalia.statistics import paired_difference, with_sparse_floor
from castalia.summary.stored import results, stored
from castalia.workspace import Workspace

Change = Literal["won", "lost", "still wrong", "still right"]
CHANGES: tuple[Change, ...] = ("won", "lost", "still wrong", "still right")
_SHOWN = 12


class Round(NamedTuple):
    """One decision of the gate, and the round whose candidate it had to beat: 0 for the base."""

    decision: Decision
    against: int


class ScoreRow(NamedTuple):
    """One category, before and after. `low` and `high` are None where too few clusters give no interval."""

    category: str
    items: int
    before: float
    after: float
    low: float | None
    high: float | None


class Example(NamedTuple):
    """One DEV item with both answers side by side. GATE and VAULT items are never shown."""

    category: str
    change: Change
    question: str
    before: str
    after: str


class Comparison(NamedTuple):
    """Two models on GATE, as the decision paired them, and on DEV."""

    before: Literal["base", "promoted"]
    scores: tuple[ScoreRow, ...]
    native: tuple[ScoreRow, ...]
    """The base asked through its own chat template, against the candidate; empty where that was not measured."""
    format_before: float
    format_after: float
    changes: Mapping[Change, int]
    """DEV items of base and candidate by what became of them; empty where DEV was measured for another candidate."""
    examples: tuple[Example, ...]


def rounds(workspace: Workspace) -> tuple[Round, ...]:
    """All decisions in the order they were made."""
    promoted: dict[int, bool] = {}
    found: list[Round] = []
    for made in sorted(stored(workspace, "decisions", Decision), key=lambda decision: decision.look):
        found.append(Round(made, max((number for number, yes in promoted.items() if yes and number < made.round), default=0)))
        promoted[made.round] = made.promote
    return tuple(found)


def stopped(workspace: Workspace) -> str:
    """Why the loop ended, as it wrote it down."""
    path = workspace.training / "loop.json"
    return str(json.loads(path.read_bytes()).get("stopped", "")) if path.is_file() else ""


def compare(workspace: Workspace, decision: Decision) -> Comparison | None:
    """The results behind `decision`, found by the fingerprint it was stored with.

    None when no stored results have it: a later round has measured already and not decided yet, and its figures would contradict
    the decision shown beside them.
    """
    after = results(workspace, "candidate", "gate")
    decided = workspace.store.manifest("decisions").fingerprint
    names: tuple[Literal["base", "promoted"], ...] = ("base", "promoted")
    for name in names:
        before = results(workspace, name, "gate")
        if before and after and decision_fingerprint(decision.round, before, after) == decided:
            examples = _examples(workspace, after[0].target)
            return Comparison(
                before=name,
                scores=score_rows(before, after),
                native=score_rows(results(workspace, "native", "gate"), after),
                format_before=_valid(before),
                format_after=_valid(after),
                changes={change: sum(example.change == change for example in examples) for change in CHANGES if examples},
                examples=choose_examples(examples, _SHOWN),
            )
    return None


def score_rows(before: Sequence[ItemResult], after: Sequence[ItemResult]) -> tuple[ScoreRow, ...]:
    """Means by category with the 95 % interval of the paired difference, and all together."""
    later = {result.item: result for result in after}
    pairs = [(result, later[result.item]) for result in before if result.item in later]
    rows: list[ScoreRow] = []
    for category in (*CATEGORIES, "all"):
        chosen = [(b, a) for b, a in pairs if category in (b.category, "all")]
        if not chosen:
            continue
        old, new = [b.value for b, _ in chosen], [a.value for _, a in chosen]
        clusters = [f"{b.node}/{b.cluster}" for b, _ in chosen]
        measurable = len(set(clusters)) > 1
        low, high = with_sparse_floor(paired_difference(old, new, clusters)).interval(0.95) if measurable else (None, None)
        rows.append(ScoreRow(category, len(chosen), sum(old) / len(old), sum(new) / len(new), low, high))
    return tuple(rows)


def choose_examples(examples: Sequence[Example], count: int) -> tuple[Example, ...]:
    """At most `count`, by rule and not by taste: turn by turn the next of each category that was won, lost, still wrong, still right.

    Within a category and a change the order is that of `examples`. Chosen ones are grouped by change, categories in turn.
    """
    waiting = {
        (change, category): [e for e in examples if (e.change, e.category) == (change, category)]
        for change in CHANGES
        for category in CATEGORIES
    }
    turns = max((len(group) for group in waiting.values()), default=0)
    drawn = [(turn, group[turn]) for turn in range(turns) for group in waiting.values() if turn < len(group)][:count]
    ordered = sorted(drawn, key=lambda entry: (CHANGES.index(entry[1].change), entry[0], CATEGORIES.index(entry[1].category)))
    return tuple(example for _, example in ordered)


def _examples(workspace: Workspace, candidate: str) -> list[Example]:
    """All DEV items that base and candidate answered, by name; none where the DEV results are of another model than the GATE results."""
    items = {item.id: item for item in stored(workspace, "suite", SuiteItem) if item.bank == "dev"}
    after = {result.item: result for result in results(workspace, "candidate", "dev") if result.target == candidate}
    return [
        Example(
            before.category, _change(before, after[before.item]), _question(items[before.item]), before.answer, after[before.item].answer
        )
        for before in results(workspace, "base", "dev")
        if before.item in after and before.item in items
    ]


def _question(item: SuiteItem) -> str:
    return item.prompt.messages[-1].content


def _change(before: ItemResult, after: ItemResult) -> Change:
    if before.passed:
        return "still right" if after.passed else "lost"
    return "won" if after.passed else "still wrong"


def _valid(items: Sequence[ItemResult]) -> float:
    return sum(result.format_valid for result in items) / len(items)
