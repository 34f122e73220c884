"""Commands of the data half: run, status, show, trace, release, export, review."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from typing import Any

from castalia.cli.common import print_facts, print_table, workspace_of
from castalia.cli.progress import show_progress
from castalia.errors import InputError
from castalia.records import Record, Reject, ReviewItem, Verdict
from castalia.workspace import Workspace, open_services


def run(options: argparse.Namespace) -> int:
    """Runs what is not fresh."""
    if options.dry_run:
        from castalia.cli.plan import dry_run

        return dry_run(options)
    from castalia.datasets import make_datasets

    workspace = workspace_of(options)

    async def work() -> Any:
        async with open_services(workspace, offline=options.offline) as services:
            with show_progress(as_json=options.json) as listener:
                return await make_datasets(
                    workspace, services, rebuild=options.rebuild, keep=options.keep, until=options.until, on_event=listener
                )

    report = asyncio.run(work())
    if options.json:
        print_facts([{"ran": list(report.ran), "seconds": round(report.seconds, 3)}])
    elif report.ran:
        print(f"ran {', '.join(report.ran)} in {report.seconds:.1f} s; next: castalia status, castalia release")
    else:
        print("nothing to do: every stage is fresh")
    return 0


def status(options: argparse.Namespace) -> int:
    """Prints the quality funnel first, then datasets, money and what waits."""
    from castalia.measure import failures_in_words

    workspace = workspace_of(options)
    store = workspace.store
    failures = failures_in_words(workspace)
    datasets = [{"dataset": name, "records": store.manifest(name).rows} for name in store.names()]
    funnel = quality_funnel(workspace)
    usage = usage_rows(workspace)
    waiting = store.manifest("review_queue").rows if store.has("review_queue") else 0
    if options.json:
        print_facts(
            [{"funnel": row} for row in funnel]
            + datasets
            + [{"usage": row} for row in usage]
            + [{"failures": failures, "waiting_for_people": waiting}]
        )
        return 0
    print("quality: records in, and where they stopped")
    print_table(("dataset", "in", "accepted", "stopped at"), ((r["dataset"], r["in"], r["accepted"], r["stopped"]) for r in funnel))
    print("\ndatasets")
    print_table(("dataset", "records"), ((row["dataset"], row["records"]) for row in datasets))
    print("\noracle")
    head = ("stage", "role", "model", "calls", "tokens_in", "tokens_out", "usd", "usd_equivalent")
    print_table(head, ([row[name] for name in head] for row in usage))
    print(f"\nfailures for the replay set: {failures}")
    print(f"{waiting} records wait for a person: castalia review")
    return 0


def quality_funnel(workspace: Workspace) -> list[dict[str, Any]]:
    """Records in and accepted per dataset, and the layer that stopped the others."""
    from castalia.records import DATASETS

    store = workspace.store
    if not store.has("verdicts"):
        return []
    stopped: dict[str, dict[str, tuple[int, str]]] = {}
    for verdict in store.read_dataset("verdicts", Verdict):
        if verdict.outcome not in ("pass", "flag"):
            first = stopped.setdefault(verdict.dataset, {})
            first[verdict.record] = min(
                first.get(verdict.record, (99, "")), (verdict.layer, f"{verdict.layer} {verdict.check} {verdict.outcome}")
            )
    rows: list[dict[str, Any]] = []
    for dataset in DATASETS:
        total = store.manifest(dataset).rows
        reasons = Counter(reason for _, reason in stopped.get(dataset, {}).values())
        where = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items())) or "-"
        rows.append({"dataset": dataset, "in": total, "accepted": total - len(stopped.get(dataset, {})), "stopped": where})
    return rows


def usage_rows(workspace: Workspace) -> list[dict[str, Any]]:
    """Oracle usage by stage, role and model; empty before the first call."""
    from castalia.oracle import open_ledger

    if not workspace.ledger.is_file():
        return []
    with open_ledger(workspace.ledger, readonly=True) as ledger:
        return [row._asdict() for row in ledger.usage()]


def show(options: argparse.Namespace) -> int:
    """Prints records of one dataset as readable JSON."""
    workspace = workspace_of(options)
    record_type = dataset_types(workspace).get(options.dataset)
    if record_type is None or not workspace.store.has(options.dataset):
        names = ", ".join(workspace.store.names()) or "none yet: castalia run"
        raise InputError(f"there is no dataset {options.dataset!r} in the store; datasets: {names}")
    shown = hidden = 0
    for record in workspace.store.read_dataset(options.dataset, record_type):
        if options.id and record.id != options.id:
            continue
        if _is_protected(record):  # who has seen a GATE item writes data for it, knowing or not
            hidden += 1
            continue
        if shown >= options.limit:
            break
        shown += 1
        print(json.dumps(record.to_row(), ensure_ascii=False, indent=None if options.json else 2, default=str))
    if options.id and hidden:
        raise InputError(f"record {options.id!r} belongs to GATE or VAULT; those items are never shown")
    if options.id and not shown:
        raise InputError(f"dataset {options.dataset!r} has no record {options.id!r}")
    if hidden:
        print(f"not shown: {hidden} GATE and VAULT items", file=sys.stderr)
    return 0


def _is_protected(record: Record) -> bool:
    """Whether it is, or repeats, a GATE or VAULT item."""
    if isinstance(record, Reject):
        return "/gate/" in record.subject or "/vault/" in record.subject
    return getattr(record, "bank", "dev") != "dev"


def dataset_types(workspace: Workspace) -> dict[str, type[Record]]:
    """Record type of every dataset that stages read or write, rejects included, and of what was measured."""
    from castalia.evaluation.gate import Decision
    from castalia.evaluation.results import ItemResult

    types: dict[str, type[Record]] = {"decisions": Decision}
    types.update((name, ItemResult) for name in workspace.store.names() if name.startswith("results."))
    for stage in workspace.stages:
        types.update(stage.reads)
        types.update(stage.outputs)
    return types


def trace(options: argparse.Namespace) -> int:
    """Prints the chain behind a record."""
    from castalia.trace import trace as trace_record

    workspace = workspace_of(options)
    for step in trace_record(workspace, options.id):
        if options.json:
            print_facts([{"depth": step.depth, "kind": step.kind, "id": step.identity, "facts": dict(step.facts)}])
            continue
        indent = "  " * step.depth
        print(f"{indent}{step.kind}: {step.identity}")
        for name, value in step.facts.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            short = text if options.answers or len(text) <= 160 else text[:157] + "..."
            print(f"{indent}    {name}: " + short.replace("\n", f"\n{indent}      "))
    return 0


def release(options: argparse.Namespace) -> int:
    """Freezes what passed."""
    from castalia.workspace import make_release

    workspace = workspace_of(options)
    made = make_release(workspace, options.name)
    if options.json:
        print_facts(
            [{"release": made.name, "folder": str(made.folder), "records": dict(made.records), "kept_out": made.kept_out, "new": made.new}]
        )
        return 0
    counts = ", ".join(f"{count} {dataset}" for dataset, count in made.records.items())
    print(
        f"{made.name}: {counts}; {made.kept_out} kept out by quality control"
        if made.new
        else f"{made.name} already holds exactly this: {counts}"
    )
    print(f"in {made.folder}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Copies a release in another layout."""
    from castalia.release.export import export_release

    workspace = workspace_of(options)
    written = export_release(workspace.releases, options.release, options.to, options.out)
    print_facts([{"files": written}]) if options.json else print(f"{len(written)} files in {options.out}")
    return 0


def review(options: argparse.Namespace) -> int:
    """Shows waiting records one by one and keeps the labels, or lists them."""
    from castalia.cli.review import review_interactively

    workspace = workspace_of(options)
    if not workspace.store.has("review_queue"):
        raise InputError("there is no review queue yet; `castalia run` fills it")
    queue = list(workspace.store.read_dataset("review_queue", ReviewItem))
    if options.list:
        rows = [(item.record, item.dataset, item.category, item.stratum, item.inclusion_probability) for item in queue]
        if options.json:
            print_facts(item.to_row() for item in queue)
        else:
            print_table(("record", "dataset", "category", "stratum", "probability"), rows)
        return 0
    return review_interactively(workspace, queue, reviewer=options.reviewer)
