"""`castalia plan` and `castalia run --dry-run`: what a run would do, ask and cost. Nothing is sent."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from castalia.cli.common import print_facts, print_table, warn_of_the_judge, workspace_of
from castalia.cli.oracle import usd
from castalia.engine import PlannedStage
from castalia.engine import plan as plan_stages
from castalia.oracle import REFERENCE_PRICE
from castalia.oracle.providers import provider_class
from castalia.preview.estimate import StageEstimate, around, estimate, in_words, some_calls
from castalia.rounds.measure import failures_in_words
from castalia.workspace import Workspace, role_identity


def plan(options: argparse.Namespace) -> int:
    """Prints state and reason of every stage, and what it would ask at which price."""
    workspace = workspace_of(options)
    for role in workspace.config.oracles.values():
        provider_class(role.provider)  # raises ConfigError for one that does not exist
    steps = plan_stages(workspace.stages, workspace.params, workspace.store, role_identity=role_identity(workspace))
    estimates = {found.stage: found for found in estimate(workspace, steps)}
    warn_of_the_judge(workspace)
    if options.json:
        asking = {stage.name for stage in workspace.stages if stage.roles(workspace.params[stage.name])}
        print_facts(_facts(step, estimates.get(step.name), asks=step.name in asking) for step in steps)
        print_facts([{"total": _total(list(estimates.values()))}])
        return 0
    rows = [(step.name, step.state, *_cells(estimates.get(step.name)), step.reason) for step in steps]
    print_table(("stage", "state", "calls", "usd", "from", "why"), rows)
    for step in steps:
        if step.state == "stale":
            found = estimates.get(step.name)
            print(f"\n{step.decide(in_words(found) if found else 'asks no oracle')}")
    _print_total(workspace, steps, list(estimates.values()))
    return 0


def _facts(step: PlannedStage, found: StageEstimate | None, *, asks: bool) -> dict[str, Any]:
    none = None if asks and step.state == "blocked" else 0
    facts: dict[str, Any] = {"stage": step.name, "state": step.state, "reason": step.reason, "calls": none, "usd": none}
    if found is not None:
        facts |= {
            "calls": round(found.calls), "calls_error": round(found.calls_error), "usd": found.usd, "usd_error": found.usd_error,
            "usd_equivalent": found.usd_equivalent, "from": found.basis, "by_prompt": {name: round(n) for name, n in found.by_prompt.items()},
            "searches": round(found.searches),
        }  # fmt: skip
    return facts


def _cells(found: StageEstimate | None) -> tuple[str, str, str]:
    if found is None or round(found.calls) == 0:
        return ("0", "$0", "")
    calls = around(found.calls, found.calls_error)
    money = "price unknown" if found.usd is None else usd(found.usd)
    return (calls, money, found.basis)


def _total(found: Sequence[StageEstimate]) -> dict[str, Any]:
    known = [one.usd for one in found if one.usd is not None]
    return {
        "calls": round(sum(one.calls for one in found)), "calls_error": round(sum(one.calls_error for one in found)),
        "usd": sum(known) if len(known) == len(found) else None, "usd_error": sum(one.usd_error for one in found),
        "usd_equivalent": sum(one.usd_equivalent for one in found), "upper_bound": any(one.basis.startswith("at most") for one in found),
    }  # fmt: skip


def _print_total(workspace: Workspace, steps: Sequence[PlannedStage], found: Sequence[StageEstimate]) -> None:
    total = _total(found)
    budget = workspace.config.execution.budget_usd
    if all(step.state == "fresh" for step in steps):
        print("\nnothing to do: every stage is fresh")
    elif not total["calls"]:
        print("\nno call is expected: the ledger has as many answers as these stages ask for")
    else:
        calls = some_calls(total["calls"], total["calls_error"])
        if total["usd"] is None:
            money = "of unknown price: give the roles `prices: {input: ..., output: ...}`"
        elif total["usd"] == 0:
            money = f"for $0; asked of a paid model, about {usd(total['usd_equivalent'])} at the price of {REFERENCE_PRICE}"
        else:
            money = f"for {usd(total['usd'])} ± {usd(total['usd_error'])}"
        print(f"\n{'at most about' if total['upper_bound'] else 'about'} {calls} {money}")
        if total["upper_bound"]:
            pages = workspace.config.sources.max_pages
            print(
                f"an upper bound: nothing is collected yet, so {pages:,} pages are assumed, as sources.max_pages allows; "
                f"`castalia run --until normalize` collects, and the next plan counts passages"
            )
        if budget is not None and total["usd"] is not None and total["usd"] + total["usd_error"] > budget:
            print(f"warning: that may exceed the budget; the run would then stop in good order at ${budget:.2f}")
    if searched := round(sum(one.searches for one in found)):
        print(f"and {searched:,} searches for sources at most, which the search providers charge for (stages.verify.search)")
    print(f"failures for the replay set: {failures_in_words(workspace)}")
    print(f"budget: {'none set (execution.budget_usd)' if budget is None else f'${budget:.2f}, a hard cap'}")


def dry_run(options: argparse.Namespace) -> int:
    """Renders every prompt that can be asked now into a file, with its worst-case price. Sends nothing, publishes nothing."""
    from castalia.preview.dry_run import render_questions

    workspace = workspace_of(options)
    steps = plan_stages(workspace.stages, workspace.params, workspace.store, role_identity=role_identity(workspace))
    file = workspace.folder / "dry-run.jsonl"
    asked = asyncio.run(render_questions(workspace, steps, file))
    if options.json:
        print_facts([*(row._asdict() for row in asked), {"wrote": str(file), "calls": sum(row.calls for row in asked)}])
        return 0
    if not asked:
        blocked = next((step for step in steps if step.state != "fresh"), None)
        print("nothing would be asked now" + ("" if blocked is None else f": {blocked.name} comes first, {blocked.reason}"))
        return 0
    print_table(("stage", "role", "model", "calls", "answered already", "at most"), (_dry_cells(row._asdict()) for row in asked))
    worst = [row.worst_usd for row in asked]
    total = "of unknown price" if None in worst else f"{usd(sum(cost for cost in worst if cost is not None))} at most"
    print(f"\n{sum(row.calls for row in asked):,} calls would be sent, {total}, repairs and follow-up questions not counted")
    print(f"every prompt as it would be sent: {file}\nstages below wait for these answers; what they may cost: castalia plan")
    return 0


def _dry_cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    worst = "price unknown" if row["worst_usd"] is None else usd(row["worst_usd"])
    return (row["stage"], row["role"], row["model"], f"{row['calls']:,}", f"{row['answered']:,}", worst)
