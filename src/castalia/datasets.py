"""From a configuration to checked datasets, in two parts: first the suite, which is frozen before anything is collected; then the rest,
where pages are collected in rounds if searches steer what is collected, and data made once more where a quota lacks examples.

In between, where the configuration names recorded answers of the target, they are graded: failures are input of the replay set.
"""

from collections.abc import Callable, Collection

from castalia.acquisition import COLLECT, PLAN, acquire, end_round, first_changed, hand_back_examples, is_steered, left_half_way_later
from castalia.engine import Event, RunReport, told
from castalia.errors import MissingRecording
from castalia.oracle import role_config
from castalia.preview.estimate import price
from castalia.rounds.measure import mine_recorded_failures, suite_items
from castalia.workspace import Services, Workspace, run_stages

_SUITE = "design_suite"


async def make_datasets(
    workspace: Workspace,
    services: Services,
    *,
    rebuild: Collection[str] = (),
    keep: Collection[str] = (),
    until: str | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> RunReport:
    """Brings all datasets up to date, `failures` included where the configuration names recorded answers.

    Tasks without a recorded answer are left in `workspace.pending`, and MissingRecording says so; a run that finds every answer
    removes that file. Raises whatever `run_stages` and `mine_recorded_failures` raise.
    """
    try:
        async with told(services.oracle, on_event) as listener:
            report = await _run(workspace, services, rebuild, keep, until, listener)
    except MissingRecording as error:
        roles = workspace.config.oracles
        if all(role_config(roles, call.role).batch for call in services.oracle.missing):
            raise  # nobody has to answer them: a batch does
        count = services.oracle.write_pending(workspace.pending)
        error.args = (
            f"{error}\nThe {count} unanswered tasks are in {str(workspace.pending)!r}: `castalia oracle --export FILE`, put the answers in, "
            f"`castalia oracle --import FILE`, run again",
        )
        raise
    workspace.pending.unlink(missing_ok=True)
    return report


async def _run(
    workspace: Workspace,
    services: Services,
    rebuild: Collection[str],
    keep: Collection[str],
    until: str | None,
    on_event: Callable[[Event], None],
) -> RunReport:
    names = [stage.name for stage in workspace.stages]
    early = names[: names.index(_SUITE) + 1]
    first = await run_stages(
        workspace, services, rebuild=rebuild, keep=keep, only=early, until=until, price=price(workspace), on_event=on_event
    )
    if until in early[:-1]:
        return first
    suite_items(workspace)  # frozen before anything is collected; a suite that changed since is refused here
    if until == _SUITE:
        return first
    if workspace.config.evaluation.recorded_answers is not None:
        mine_recorded_failures(workspace, services.sandbox)
    late, done = names[len(early) :], [first]
    if until != PLAN and is_steered(workspace):
        done.append(await acquire(workspace, services, rebuild=rebuild, keep=keep, on_event=on_event))
        late = late[late.index(COLLECT) + 1 :]
        rebuild = {*rebuild, *(left_half_way_later(workspace, late) if not keep else ())}
    done.append(
        await run_stages(workspace, services, rebuild=rebuild, keep=keep, only=late, until=until, price=price(workspace), on_event=on_event)
    )
    if until is None:
        end_round(workspace)
    while until is None and not keep and hand_back_examples(workspace):
        done.append(await acquire(workspace, services, rebuild={PLAN}, on_event=on_event))
        again = first_changed(workspace, late)
        done.append(await run_stages(workspace, services, rebuild=again, only=late, price=price(workspace), on_event=on_event))
        end_round(workspace)
    return RunReport(tuple(stage for report in done for stage in report.stages), sum(report.seconds for report in done))
