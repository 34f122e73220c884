"""Commands of the model half: train, eval, loop, report, ui. Torch is imported only when a model is really loaded."""

import argparse
import asyncio
import http.server
import json
from functools import partial
from pathlib import Path
from typing import Any

from castalia.cli.common import print_facts, print_table, workspace_of
from castalia.cli.progress import show_progress
from castalia.errors import InputError
from castalia.records import Bank
from castalia.training.installed import require_training
from castalia.workspace import Workspace, open_services


def train(options: argparse.Namespace) -> int:
    """Trains on what passed quality control and lets the gate decide; or prints the plan."""
    workspace = workspace_of(options)
    if options.plan:
        return _print_plan(workspace, options)
    require_training()
    from castalia.loop import loop_state, train_and_decide
    from castalia.sandbox import open_sandbox

    if loop_state(workspace):
        raise InputError("rounds of `castalia loop` lie here, and training again would replace its first; go on with `castalia loop`")

    sandbox_config = workspace.config.sandbox
    with open_sandbox(sandbox_config.runners, tier=sandbox_config.tier) as sandbox, show_progress(as_json=options.json) as listener:
        outcome = train_and_decide(workspace, sandbox, on_event=listener)
    if options.json:
        print_facts([outcome.decision.model_dump(mode="json")])
    else:
        print(outcome.text if outcome.new else f"nothing to do; {outcome.text}")
        print(f"model: {outcome.candidate}")
    return 0


def _print_plan(workspace: Workspace, options: argparse.Namespace) -> int:
    from castalia.loop import recipe_of, training_counts
    from castalia.training.plan import find_hardware, plan_training

    plan = plan_training(recipe_of(workspace), training_counts(workspace), find_hardware(options.gpus))
    print_facts([plan.model_dump(mode="json")]) if options.json else print(plan)
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Measures one model on one bank; DEV failures become the input of the next replay set, where nothing comes before them."""
    require_training()
    from castalia.evaluation.results import summarize
    from castalia.loop import recipe_of
    from castalia.measure import measure, store_failures, why_eval_is_not_mined
    from castalia.sandbox import open_sandbox
    from castalia.training.models import prepare_base

    workspace = workspace_of(options)
    folder: Path = options.model or _latest_model(workspace) or prepare_base(recipe_of(workspace).base, workspace.training / "base")
    which: Bank = options.bank
    sandbox_config = workspace.config.sandbox
    with open_sandbox(sandbox_config.runners, tier=sandbox_config.tier) as sandbox:
        found, _ = measure(workspace, sandbox, "named", folder, which, opened_for=options.opened_for)
    rows = summarize(found)
    instead = why_eval_is_not_mined(workspace)
    failures = len(store_failures(workspace, found, folder.name, source="eval")) if which == "dev" and instead is None else None
    if options.json:
        print_facts([*({"group": name, **row._asdict()} for name, row in rows.items()), {"failures_stored": failures}])
        return 0
    print_table(("group", "items", "score", "right", "format valid"), ((name, *row) for name, row in rows.items()))
    if failures is not None:
        print(f"{failures} failures stored for the replay set: castalia run --rebuild build_replay")
    elif which == "dev":
        print(f"failures not stored: {instead}")
    return 0


def loop(options: argparse.Namespace) -> int:
    """Rounds until the stop rule ends them."""
    require_training()
    from castalia.loop import loop_state, run_loop

    workspace = workspace_of(options)

    async def work() -> list[Any]:
        async with open_services(workspace) as services:
            with show_progress(as_json=options.json, money=services.money) as listener:
                return await run_loop(workspace, services, rounds=options.rounds, on_event=listener)

    outcomes = asyncio.run(work())
    stopped = loop_state(workspace).get("stopped") or f"the limit of {options.rounds} rounds"
    if options.json:
        print_facts([*(outcome.decision.model_dump(mode="json") for outcome in outcomes), {"stopped": stopped}])
    else:
        print("\n".join(outcome.text for outcome in outcomes))
        print(f"stopped: {stopped}")
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
    with http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C ends it)", flush=True)
        server.serve_forever()
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


def _latest_model(workspace: Workspace) -> Path | None:
    rounds = sorted(workspace.training.glob("round-*/best.json"), key=lambda path: int(path.parent.name.rpartition("-")[2]))
    return Path(json.loads(rounds[-1].read_text(encoding="utf-8"))["folder"]) if rounds else None
