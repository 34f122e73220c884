"""Commands of the data half: run, status, show, trace, review."""

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from castalia.cli.common import plain, print_batch_notes, print_facts, print_table, to_json, warn_of_the_judge, workspace_of
from castalia.cli.progress import show_progress
from castalia.errors import ConfigError, InputError
from castalia.oracle import OracleClient
from castalia.records import Label, Record, Reject
from castalia.workspace import Workspace, open_services


def run(options: argparse.Namespace) -> int:
    """Runs what is not fresh."""
    if options.dry_run:
        from castalia.cli.plan import dry_run

        return dry_run(options)
    from castalia.datasets import make_datasets

    workspace = workspace_of(options)
    warn_of_the_judge(workspace)
    asked: list[OracleClient] = []

    async def work() -> Any:
        async with open_services(workspace, offline=options.offline) as services:
            asked.append(services.oracle)
            with show_progress(as_json=options.json) as listener:
                return await make_datasets(
                    workspace, services, rebuild=options.rebuild, keep=options.keep, until=options.until, on_event=listener
                )

    try:
        report = asyncio.run(work())
    finally:
        for oracle in asked:
            print_batch_notes(oracle)
    if options.json:
        print_facts([{"ran": list(report.ran), "seconds": round(report.seconds, 3)}])
    elif report.ran:
        following = "castalia show DATASET, castalia run" if options.until else "castalia status, castalia release"
        print(f"ran {', '.join(report.ran)} in {report.seconds:.1f} s; next: {following}")
    else:
        print("nothing to do: every stage is fresh")
    return 0


def status(options: argparse.Namespace) -> int:
    """Prints the quality funnel first, then datasets, money and what waits."""
    from castalia.rounds.measure import failures_in_words
    from castalia.summary.data import funnel as quality_funnel
    from castalia.summary.data import passed_records
    from castalia.summary.data import usage as oracle_usage
    from castalia.summary.people import people

    workspace = workspace_of(options)
    store = workspace.store
    failures = failures_in_words(workspace)
    datasets = [{"dataset": name, "records": store.manifest(name).rows} for name in store.names()]
    funnel = quality_funnel(workspace, passed_records(workspace))
    usage = oracle_usage(workspace).rows
    audited = people(workspace)
    if options.json:
        print_facts(
            [
                {"funnel": {**row._asdict(), "accepted": row.accepted, "stopped": dict(row.stopped), "waiting": dict(row.waiting)}}
                for row in funnel
            ]
            + datasets
            + [{"usage": row._asdict()} for row in usage]
            + [{"agreement": {**one._asdict(), "kappa": one.kappa and one.kappa._asdict()}} for one in audited.agreement]
            + [{"judge_error": {**one._asdict(), "error": one.error._asdict()}} for one in audited.errors]
            + [{"canaries": {**one._asdict(), "failed": one.failed}} for one in audited.trials]
            + [{"quality": audited.quality._asdict()} for _ in [0] if audited.quality is not None]
            + [{"judge_is_writer": audited.judge_is_writer}]
            + [{"failures": failures, "waiting_for_people": audited.waiting, "waiting_for_a_second": audited.second}]
        )
        return 0
    print("quality: records in, and where they stopped")
    print_table(
        ("dataset", "in", "accepted", "stopped at"),
        ((row.dataset, row.records, row.accepted, ", ".join(f"{stop}: {count}" for stop, count in row.stopped) or "-") for row in funnel),
    )
    for row in funnel:
        for reason, count in row.waiting:
            print(plain(f"{count} {row.dataset} records wait for layer {reason}"))
    print("\ndatasets")
    print_table(("dataset", "records"), ((row["dataset"], row["records"]) for row in datasets))
    print("\noracle")
    head = ("stage", "role", "model", "calls", "tokens_in", "tokens_out", "usd", "usd_equivalent")
    print_table(head, ([getattr(row, name) for name in head] for row in usage))
    print(f"\nfailures for the replay set: {failures}")
    for line in audited.lines():
        print(plain(line))
    print(f"{audited.waiting} records wait for a person: castalia review")
    return 0


def show(options: argparse.Namespace) -> int:
    """Prints records of one dataset as readable JSON, or what is searched for as a page."""
    workspace = workspace_of(options)
    if options.dataset == _PAGE:
        return _show_page(workspace, options)
    if options.html is not None:
        raise ConfigError(f"--html shows a page beside its extraction, not {options.dataset!r}: castalia show page ID --html")
    wanted = options.page
    if options.dataset == _BALANCE:
        return _show_balance(workspace, as_json=options.json)
    if options.dataset == _ACQUISITION:
        return _show_acquisition(workspace, as_json=options.json)
    record_type = dataset_types(workspace).get(options.dataset)
    if record_type is None or not workspace.store.has(options.dataset):
        names = ", ".join(workspace.store.names()) or "none yet: castalia run"
        raise InputError(
            f"there is no dataset {options.dataset!r} in the store; datasets: {names}; or {_ACQUISITION!r}, what is searched for, "
            f"{_BALANCE!r}, how what passed is spread, {_PAGE!r}, one page"
        )
    shown = hidden = 0
    for record in workspace.store.read_dataset(options.dataset, record_type):
        if wanted and record.id != wanted:
            continue
        if _is_protected(record):  # who has seen a GATE item writes data for it, knowing or not
            hidden += 1
            continue
        if shown >= options.limit:
            break
        shown += 1
        print(to_json(record.to_row(), indent=None if options.json else 2))
    if wanted and hidden:
        raise InputError(f"record {wanted!r} belongs to GATE or VAULT; those items are never shown")
    if not wanted and not shown and not hidden:
        print(f"dataset {options.dataset!r} is empty", file=sys.stderr)
    if wanted and not shown:
        raise InputError(f"dataset {options.dataset!r} has no record {wanted!r}")
    if hidden:
        print(f"not shown: {hidden} GATE and VAULT items", file=sys.stderr)
    return 0


_ACQUISITION = "acquisition"
_BALANCE = "balance"
_PAGE = "page"


def _show_page(workspace: Workspace, options: argparse.Namespace) -> int:
    """Writes a page beside what was extracted from it, and says where."""
    from castalia.summary.page import view_page
    from castalia.ui.page import write_page

    if not options.page or options.html is None:
        raise ConfigError("`castalia show page` writes a file: castalia show page ID --html [FILE]; ID is of a page or document, or a URL")
    view = view_page(workspace, options.page)
    path = write_page(view, options.html if options.html != Path() else Path(f"{view.page}.html"))
    print_facts([{"page": view.page, "file": str(path)}]) if options.json else print(plain(f"{view.url} beside its extraction: {path}"))
    return 0


def _show_acquisition(workspace: Workspace, *, as_json: bool) -> int:
    """The web acquisition specification: a Markdown page for people, the whole of it as JSON for machines."""
    from castalia.records import Page, Query, TaxonomyNode
    from castalia.stages.plan_queries import acquisition_specification, specification_page

    store = workspace.store
    if not store.has("queries"):
        raise InputError("nothing is planned to be searched for yet; `castalia run --until plan_queries` plans it")
    topics = (page.topic for page in store.read_dataset("pages", Page)) if store.has("pages") else None
    made = acquisition_specification(
        list(store.read_dataset("taxonomy", TaxonomyNode)),
        list(store.read_dataset("queries", Query)),
        licences=workspace.config.sources.licences,
        collected=None if topics is None else Counter(topics),
    )
    print_facts([made]) if as_json else print(plain(specification_page(made)))
    return 0


def _show_balance(workspace: Workspace, *, as_json: bool) -> int:
    """How what passed is spread over the taxonomy, and what its length and style give away."""
    from castalia.release.balance import balance_lines
    from castalia.summary.balance import balance
    from castalia.summary.data import passed_records

    measured = balance(workspace, passed_records(workspace))
    if measured is None:
        raise InputError("nothing passed quality control yet; `castalia run` makes the datasets and checks them")
    print_facts([dict(measured)]) if as_json else print(plain("\n".join(balance_lines(measured))))
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

    types: dict[str, type[Record]] = {"decisions": Decision, "labels": Label}
    types.update((name, ItemResult) for name in workspace.store.names() if name.startswith("results."))
    for stage in workspace.stages:
        types.update(stage.reads)
        types.update(stage.outputs)
    return types


def trace(options: argparse.Namespace) -> int:
    """Prints the chain behind a record, what was made from it, or a call of the oracle."""
    from castalia.trace import trace as trace_record

    workspace = workspace_of(options)
    for step in trace_record(workspace, options.id, down=options.down):
        if options.json:
            print_facts([{"depth": step.depth, "kind": step.kind, "id": step.identity, "facts": dict(step.facts)}])
            continue
        indent = "  " * step.depth
        print(f"{indent}{step.kind}: {plain(step.identity)}")
        for name, value in step.facts.items():
            text = plain(value) if isinstance(value, str) else to_json(value)
            short = text if options.answers or len(text) <= 160 else text[:157] + "..."
            print(f"{indent}    {name}: " + short.replace("\n", f"\n{indent}      "))
    return 0


def review(options: argparse.Namespace) -> int:
    """Shows waiting records one by one, here or on a page, and keeps the labels; or lists them."""
    from castalia.cli.review import list_waiting, review_interactively
    from castalia.summary.reviewing import open_review, reviewer_name

    reviewer = reviewer_name(options.reviewer) if options.reviewer is not None else None
    found = open_review(workspace_of(options))
    if options.list:
        return list_waiting(found, as_json=options.json)
    if options.page:
        from castalia.ui.review import serve_review

        return serve_review(found, reviewer=reviewer, port=options.port, as_json=options.json)
    return review_interactively(found, reviewer=reviewer or "reviewer")
