# pyright: basic
"""Plan, collect, look at what is still missing, plan again: the coverage loop around the stages `plan_queries` and `collect`.

What no kept page covers goes back to the planning as the dataset `gaps`, as failures go back to the replay set, so the loop is no back
edge. It ends by itself (see `castalia.stages.plan_queries.gaps`). Everything is recomputed by content: plans come from the ledger,
pages from the archive, and a loop that was killed goes on where it was. Where `sources.search` names `site` alone, the pages don't depend
on the queries, so there is nothing to steer.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from castalia.engine import Event, RunReport, StageReport, stage_state
from castalia.engine.state import changed_inputs
from castalia.records import CoverageGap, Query, content_hash
from castalia.stages.plan_queries import PlanParams, next_gaps
from castalia.workspace import Services, Workspace, role_identity, run_stages

PLAN, COLLECT = "plan_queries", "collect"
_BOTH = (PLAN, COLLECT)


def is_steered(workspace: Workspace) -> bool:
    """Whether what is collected depends on the queries, and reviews of it are wanted."""
    params = workspace.params.get(PLAN)
    searched = set(workspace.config.sources.search) - {"site"}
    return bool(searched) and isinstance(params, PlanParams) and params.max_collected_reviews > 0


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
    report = await run_stages(workspace, services, rebuild={*rebuild, *_left_half_way(workspace)}, keep=keep, only=_BOTH, on_event=on_event)
    reports, seconds = list(report.stages), report.seconds
    while not {*_BOTH, "all"} & {*keep} and (gaps := _gaps(workspace)) is not None:
        workspace.store.write_dataset("gaps", CoverageGap, gaps, fingerprint=content_hash(sorted(gap.id for gap in gaps)))
        report = await run_stages(workspace, services, rebuild=(PLAN,), only=_BOTH, on_event=on_event)
        reports, seconds = [*reports, *report.stages], seconds + report.seconds
    return RunReport(_last_of_each(reports), seconds)


def _gaps(workspace: Workspace) -> list[CoverageGap] | None:
    """What to hand back now; None when the loop is at its end."""
    store, params = workspace.store, workspace.params[PLAN]
    assert isinstance(params, PlanParams)
    known = list(store.read_dataset("gaps", CoverageGap)) if store.has("gaps") else []
    queries = list(store.read_dataset("queries", Query))
    return next_gaps(queries, known, _led(workspace), max_rounds=params.max_collected_reviews)


def _led(workspace: Workspace) -> Iterator[Sequence[str]]:
    """For each kept page, the ids of the queries that led to it."""
    for table in workspace.store.read_columns("pages", ("queries",)):
        yield from table.column("queries").to_pylist()


def _left_half_way(workspace: Workspace) -> set[str]:
    """Stages that are stale only because a round was killed between handing gaps over and collecting for them: no decision of a person."""
    store, identity = workspace.store, role_identity(workspace)
    stages = {stage.name: stage for stage in workspace.stages}
    changed = {
        name: changed_inputs(stages[name], stage_state(stages[name], workspace.params[name], store, identity), store) for name in _BOTH
    }
    left = {PLAN} if changed[PLAN] == frozenset({"gaps"}) else set[str]()
    if changed[COLLECT] == frozenset({"queries"}) and any(query.round for query in store.read_dataset("queries", Query)):
        left.add(COLLECT)
    return left


def _last_of_each(reports: Sequence[StageReport]) -> tuple[StageReport, ...]:
    """One report for each stage: the last that did work, else the last."""
    return tuple(
        next((report for report in reversed(reports) if report.name == name and report.action == "ran"), None)
        or next(report for report in reversed(reports) if report.name == name)
        for name in dict.fromkeys(report.name for report in reports)
    )
