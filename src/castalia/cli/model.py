"""Commands of the model half: train, eval, loop, report, ui. Torch is imported only when a model is really loaded."""

import argparse
import asyncio
import http.server
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from castalia.cli.common import plain, print_batch_notes, print_facts, print_table, warn_of_the_judge, workspace_of
from castalia.cli.progress import show_progress
from castalia.errors import ConfigError, InputError, Interrupted
from castalia.evaluation.results import ItemResult
from castalia.oracle import OracleClient
from castalia.records import Bank
from castalia.training.installed import require_training
from castalia.workspace import Workspace, open_services


def train(options: argparse.Namespace) -> int:
    """Trains on what passed quality control and lets the gate decide; or prints the plan, or exports a trained model."""
    if options.model is not None and options.export is None:
        raise ConfigError(f"--model {str(options.model)!r} names what --export writes; training starts from the configuration's target")
    workspace = workspace_of(options)
    if options.plan:
        return _print_plan(workspace, options)
    require_training()
    if options.export is not None:
        return _export(workspace, options)
    from castalia.rounds.promotion import train_and_decide
    from castalia.sandbox import Sandbox

    sandbox_config = workspace.config.sandbox
    with Sandbox(sandbox_config.runners, tier=sandbox_config.tier) as sandbox, show_progress(as_json=options.json) as listener:
        outcome = train_and_decide(workspace, sandbox, on_event=listener)
    if options.json:
        print_facts([{**outcome.decision.model_dump(mode="json"), "model": str(outcome.candidate), "new": outcome.new}])
    else:
        print(plain(outcome.text if outcome.new else f"nothing to do; {outcome.text}"))
        print(f"model: {outcome.candidate}")
    return 0


def _print_plan(workspace: Workspace, options: argparse.Namespace) -> int:
    from castalia.rounds.inputs import recipe_of, training_counts
    from castalia.training.plan import find_hardware, plan_training

    plan = plan_training(recipe_of(workspace), training_counts(workspace), find_hardware(options.gpus))
    print_facts([plan.model_dump(mode="json")]) if options.json else print(plan)
    return 0


def _export(workspace: Workspace, options: argparse.Namespace) -> int:
    from castalia.rounds.record import latest_model, promoted_model

    folder = options.model or promoted_model(workspace)
    if folder is None:
        newest = latest_model(workspace)
        way = f"name the newest candidate with --model {newest}" if newest else "train one with `castalia train`"
        raise InputError(f"there is nothing to export: the gate has promoted no model; {way}")
    from castalia.training.lora import export_merged

    difference = export_merged(folder, options.export)
    if options.json:
        print_facts([{"model": str(folder), "export": str(options.export), "largest_difference": difference}])
    else:
        print(f"{options.export}: {folder}, any adapter merged; log-probabilities moved by at most {difference:.2g}")
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Measures one model on one bank; DEV failures become the input of the next replay set, where nothing comes before them."""
    from castalia.evaluation.results import summarize
    from castalia.rounds.measure import store_failures, why_eval_is_not_mined

    workspace = workspace_of(options)
    which: Bank = options.bank
    name, found = _measured_on_server(workspace, options) if options.server else _measured_here(workspace, options)
    rows = summarize(found)
    instead = why_eval_is_not_mined(workspace)
    failures = len(store_failures(workspace, found, name, source="eval")) if which == "dev" and instead is None else None
    if options.json:
        print_facts([*({"group": name, **row._asdict()} for name, row in rows.items()), {"failures_stored": failures}])
        return 0
    print_table(("group", "items", "score", "right", "format valid"), ((name, *row) for name, row in rows.items()))
    if failures is not None:
        print(f"{failures} failures stored for the replay set: castalia run --rebuild build_replay")
    elif which == "dev":
        print(f"failures not stored: {instead}")
    return 0


def _measured_here(workspace: Workspace, options: argparse.Namespace) -> tuple[str, Sequence[ItemResult]]:
    """A model folder: the one named, else the latest trained, else the base."""
    if options.served_model or options.api_key_env:
        raise ConfigError("--model and --api-key-env say what a server serves; name it with --server URL, or give a model folder alone")
    require_training()
    from castalia.rounds.inputs import recipe_of
    from castalia.rounds.measure import measure
    from castalia.rounds.record import latest_model
    from castalia.sandbox import Sandbox
    from castalia.training.models import prepare_base

    folder: Path | None = options.model or latest_model(workspace)
    folder = folder or prepare_base(recipe_of(workspace).base, workspace.training / "base")
    config = workspace.config.sandbox
    with Sandbox(config.runners, tier=config.tier) as sandbox:
        return folder.name, measure(workspace, sandbox, "named", folder, options.bank, opened_for=options.opened_for)[0]


def _measured_on_server(workspace: Workspace, options: argparse.Namespace) -> tuple[str, Sequence[ItemResult]]:
    if options.model is not None:
        raise ConfigError(f"give either the model folder {str(options.model)!r} or --server, not both")
    if not options.served_model:
        raise ConfigError(f"--server {options.server!r} needs --model NAME: the model as that server calls it")
    key = os.environ.get(options.api_key_env, "") if options.api_key_env else ""
    if options.api_key_env and not key:
        raise ConfigError(f"environment variable {options.api_key_env!r} is empty or not set; put the server's key in it")
    from castalia.rounds.served import measure_served
    from castalia.sandbox import Sandbox

    config = workspace.config.sandbox
    with Sandbox(config.runners, tier=config.tier) as sandbox:
        found = measure_served(
            workspace, sandbox, options.server, options.served_model, options.bank, api_key=key, opened_for=options.opened_for
        )
    return options.served_model, found


def loop(options: argparse.Namespace) -> int:
    """Rounds until the stop rule ends them."""
    require_training()
    from castalia.loop import LoopEnd, run_loop

    workspace = workspace_of(options)
    warn_of_the_judge(workspace)
    asked: list[OracleClient] = []

    async def work() -> LoopEnd:
        async with open_services(workspace, offline=options.offline) as services:
            asked.append(services.oracle)
            with show_progress(as_json=options.json) as listener:
                return await run_loop(workspace, services, rounds=options.rounds, on_event=listener)

    try:
        end = asyncio.run(work())
    finally:
        for oracle in asked:
            print_batch_notes(oracle)
    if options.json:
        print_facts([*(outcome.decision.model_dump(mode="json") for outcome in end.outcomes), {"stopped": end.stopped}])
    else:
        print(plain("\n".join([*(outcome.text for outcome in end.outcomes), f"stopped: {end.stopped}"])))
    return 0


def report(options: argparse.Namespace) -> int:
    """Writes the static report."""
    path = _write_report(workspace_of(options), options.out)
    print(json.dumps({"report": str(path)}) if options.json else f"report: {path}")
    return 0


def serve(options: argparse.Namespace) -> int:
    """Serves the report on loopback until interrupted."""
    path = _write_report(workspace_of(options), None)
    handler = partial(_OnePage, page=path.read_bytes())
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {options.port} of this machine can't be used: {error}; name another with --port, or none") from error
    with server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        try:
            print(json.dumps({"address": address}) if options.json else f"{address} (Ctrl-C ends it)", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            raise Interrupted("stopped; the page is no longer served") from None
    return 0


class _OnePage(http.server.BaseHTTPRequestHandler):
    """Answers every GET of `/` with the report and nothing else."""

    def __init__(self, *arguments: Any, page: bytes) -> None:
        self._page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """The report, or 404."""
        if self.path != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self._page)))
        self.end_headers()
        self.wfile.write(self._page)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _write_report(workspace: Workspace, out: Path | None) -> Path:
    from castalia.summary import summarize
    from castalia.ui.report import write_report

    return write_report(summarize(workspace), out or workspace.folder / "report.html")
