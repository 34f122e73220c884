# pyright: basic
"""Plan, collect, look at what is still missing, plan again: the coverage loop around the stages `plan_queries` and `collect`.

What no kept page covers goes back to the planning as the dataset `gaps`, as failures go back to the replay set, so the loop is no back
edge. What too few examples were accepted from goes back as `example_gaps` where the quotas of the mix ask for more, once data were made.
The loop ends by itself (see `castalia.stages.plan_queries.gaps`). Everything is recomputed by content: plans come from the ledger,
pages from the archive, and a loop that was killed goes on where it was. Where `sources.search` names `site` alone, the pages don't depend
on the queries, so there is nothing to steer.

A file beside the store marks a round from handing gaps over until what follows from them is made: only what a killed round left half-way
is made again without asking.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from castalia.engine import Event, RunReport, StageReport, stage_state
from castalia.engine.state import changed_inputs
from castalia.errors import CorruptObject
from castalia.preview.estimate import price
from castalia.quality.labels import read_labels
from castalia.quality.quotas import shortages
from castalia.records import (
    DATASETS,
    Category,
    CoverageGap,
    Difficulty,
    ExampleGap,
    Mix,
    Query,
    Record,
    TaxonomyNode,
    Verdict,
    content_hash,
)
from castalia.release import accept
from castalia.stages.plan_queries import Cell, PlanParams, next_example_gaps, next_gaps
from castalia.store import write_file
from castalia.workspace import Services, Workspace, role_identity, run_stages

PLAN, COLLECT = "plan_queries", "collect"
_BOTH = (PLAN, COLLECT)
_PAGES, _EXAMPLES = "gaps", "example_gaps"
_STYLE_OF_KIND: Mapping[str, str] = {"worked-solution": "lesson", "dialogue": "discussion", "agent-trace": "trace"}
_STYLE_OF_TEACHING: Mapping[str, str] = {
    "definition": "reference",
    "reference": "reference",
    "worked-example": "lesson",
    "how-to": "procedure",
    "troubleshooting": "procedure",
    "warning": "rules",
    "dialogue": "discussion",
}
_STYLE_OF_CATEGORY: Mapping[Category, str] = {
    "knowledge": "reference",
    "skills": "lesson",
    "behavioral": "rules",
    "procedural": "procedure",
}


def is_steered(workspace: Workspace) -> bool:
    """Whether what is collected depends on the queries, and reviews of it are wanted."""
    params = workspace.params.get(PLAN)
    searched = set(workspace.config.sources.search) - {"site"}
    return bool(searched) and isinstance(params, PlanParams) and params.max_collected_reviews + params.max_example_reviews > 0


async def acquire(
    workspace: Workspace,
    services: Services,
    *,
    rebuild: Collection[str] = (),
    keep: Collection[str] = (),
    on_event: Callable[[Event], None] = lambda _: None,
) -> RunReport:
    """Brings `queries` and `pages` up to date, with as many reviews of the collected pages as are worth it.

    Arguments and errors as in `castalia.workspace.run_stages`. A stage named in `keep` ends the reviews.
    """
    report = await run_stages(
        workspace,
        services,
        rebuild={*rebuild, *_left_half_way(workspace)},
        keep=keep,
        only=_BOTH,
        price=price(workspace),
        on_event=on_event,
    )
    reports, seconds = list(report.stages), report.seconds
    while not {*_BOTH, "all"} & {*keep} and (gaps := _gaps(workspace)) is not None:
        _hand_over(workspace, _PAGES, CoverageGap, gaps)
        report = await run_stages(workspace, services, rebuild=(PLAN,), only=_BOTH, on_event=on_event)
        reports, seconds = [*reports, *report.stages], seconds + report.seconds
    _mark(workspace, _PAGES).unlink(missing_ok=True)
    return RunReport(_last_of_each(reports), seconds)


def hand_back_examples(workspace: Workspace) -> bool:
    """Whether there was something to hand back: stores `example_gaps` for the next planning, after data were made and checked.

    While records wait for a layer that could not run, nobody knows what lacks.
    """
    store, params = workspace.store, workspace.params[PLAN]
    if not is_steered(workspace) or not isinstance(params, PlanParams) or not params.max_example_reviews:
        return False
    verdicts = list(store.read_dataset("verdicts", Verdict))
    if any(verdict.outcome == "waiting" for verdict in verdicts):
        return False
    datasets = {name: list(store.read_dataset(name, kind)) for name, kind in DATASETS.items()}
    mix = workspace.config.mix
    accepted = accept(datasets, verdicts, read_labels(workspace.labels), mix)
    nodes = list(store.read_dataset("taxonomy", TaxonomyNode))
    thin = thin_cells(accepted.records, mix, nodes)
    known = list(store.read_dataset(_EXAMPLES, ExampleGap)) if store.has(_EXAMPLES) else []
    gaps = next_example_gaps(list(store.read_dataset("queries", Query)), known, thin, max_rounds=params.max_example_reviews)
    if gaps is None:
        return False
    _hand_over(workspace, _EXAMPLES, ExampleGap, gaps)
    return True


def end_round(workspace: Workspace) -> None:
    """Data were made of what a round for missing examples found, or a person decided against it."""
    _mark(workspace, _EXAMPLES).unlink(missing_ok=True)


def thin_cells(records: Mapping[str, Sequence[Record]], settings: Mix, nodes: Sequence[TaxonomyNode]) -> dict[Cell, tuple[int, int]]:
    """Cells in which pages are to be searched because a quota lacks examples: how many there are, and how many are wanted.

    A quota that does not tell nodes apart is filled where there is least: from the nodes it is about that have the fewest examples.
    """
    counts = Counter(str(getattr(record, "node", "")) for record in records["sft"])
    cells: dict[Cell, tuple[int, int]] = {}
    for short in shortages(records, settings, nodes):
        part = short.place
        owners = [
            one
            for one in nodes
            if part.category in (None, one.category) and part.domain in (None, one.part) and part.node in (None, one.key)
        ]
        least = min((counts[one.key] for one in owners), default=0)
        for owner in (one for one in owners if counts[one.key] == least):
            level = cast("Difficulty", part.difficulty or "medium")
            style = _STYLE_OF_KIND.get(part.kind or "") or _STYLE_OF_TEACHING.get(part.style or "", _STYLE_OF_CATEGORY[owner.category])
            cells.setdefault(Cell(owner.key, level, style), (short.records, short.wanted))
    return cells


def _gaps(workspace: Workspace) -> list[CoverageGap] | None:
    """What to hand back now; None when the loop is at its end."""
    store, params = workspace.store, workspace.params[PLAN]
    assert isinstance(params, PlanParams)
    known = list(store.read_dataset(_PAGES, CoverageGap)) if store.has(_PAGES) else []
    queries = list(store.read_dataset("queries", Query))
    return next_gaps(queries, known, _led(workspace), max_rounds=params.max_collected_reviews)


def _led(workspace: Workspace) -> Iterator[Sequence[str]]:
    """For each kept page, the ids of the queries that led to it."""
    for table in workspace.store.read_columns("pages", ("queries",)):
        yield from table.column("queries").to_pylist()


def _hand_over(workspace: Workspace, dataset: str, kind: type[Record], gaps: Sequence[Record]) -> None:
    """Stores gaps for the next planning. Their round is open from now on."""
    fingerprint = content_hash(sorted(gap.id for gap in gaps))
    write_file(_mark(workspace, dataset), fingerprint.encode())  # first: a mark without its gaps means nothing
    workspace.store.write_dataset(dataset, kind, gaps, fingerprint=fingerprint)


def _mark(workspace: Workspace, dataset: str) -> Path:
    return workspace.folder / f"{dataset}.open"


def _is_open(workspace: Workspace, dataset: str) -> bool:
    """Whether the round of these gaps was begun and not ended."""
    mark, store = _mark(workspace, dataset), workspace.store
    return mark.is_file() and store.has(dataset) and store.manifest(dataset).fingerprint == mark.read_text()


def _left_half_way(workspace: Workspace) -> set[str]:
    """Stages that are stale only because a round was killed between handing gaps over and collecting for them: no decision of a person."""
    store, identity = workspace.store, role_identity(workspace)
    stages = {stage.name: stage for stage in workspace.stages}
    try:
        handed = {dataset for dataset in (_PAGES, _EXAMPLES) if _is_open(workspace, dataset)}
        changed = {
            name: changed_inputs(stages[name], stage_state(stages[name], workspace.params[name], store, identity), store) for name in _BOTH
        }
    except CorruptObject:
        return set()  # which stage to rebuild is for the run to say
    left = {PLAN} if any(changed[PLAN] == {dataset} for dataset in handed) else set[str]()
    return {*left, COLLECT} if handed and changed[COLLECT] == {"queries"} else left


def left_half_way_later(workspace: Workspace, later: Sequence[str]) -> set[str]:
    """The stage to go on with where a round for missing examples was killed after its pages and before its data."""
    return first_changed(workspace, later) if _is_open(workspace, _EXAMPLES) else set()


def first_changed(workspace: Workspace, later: Sequence[str]) -> set[str]:
    """The first stale one of the stages, if nothing but what other stages wrote made it stale."""
    identity = role_identity(workspace)
    written = {dataset for stage in workspace.stages for dataset in stage.writes}
    for stage in (stage for stage in workspace.stages if stage.name in later):
        state = stage_state(stage, workspace.params[stage.name], workspace.store, identity)
        if state.state == "stale":
            changed = changed_inputs(stage, state, workspace.store)
            return {stage.name} if changed and changed <= written else set()
    return set()


def _last_of_each(reports: Sequence[StageReport]) -> tuple[StageReport, ...]:
    """One report for each stage: the last that did work, else the last."""
    return tuple(
        next((report for report in reversed(reports) if report.name == name and report.action == "ran"), None)
        or next(report for report in reversed(reports) if report.name == name)
        for name in dict.fromkeys(report.name for report in reports)
    )
