"""The demo: the main job on embedded defaults, from a real documentation site to a trained and measured target.

Every step looks at what is already there: a second run does nothing, and a killed one goes on where it was.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from castalia.config import load_config
from castalia.datasets import make_datasets
from castalia.demo_site import HOST, prepare_site, serve_site
from castalia.sandbox import open_sandbox
from castalia.training.installed import require_training
from castalia.workspace import Workspace, make_release, open_services, open_workspace

Say = Callable[[str], None]


def run_data_half(
    example: Path, folder: Path, assignments: Sequence[str], rebuild: Sequence[str], listener: Callable[[Any], None], say: Say
) -> tuple[Workspace, bool]:
    """Steps 1 to 5: the site, the pipeline, the failures of the base target, the release. Says whether anything was new.

    Raises whatever a stage raises; see `castalia.errors`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open_sandbox() as sandbox:
        site = prepare_site(folder, sandbox)
    with serve_site(site) as address:
        places = [f"execution.connect_to={{{HOST}: '{address}'}}", f"execution.store={folder.absolute() / 'work'}"]
        workspace = open_workspace(load_config([example / "castalia.yaml"], [*assignments, *places]))
        ran = asyncio.run(_run_pipeline(workspace, rebuild, listener))
    released = make_release(workspace)
    counts = ", ".join(f"{count} {dataset}" for dataset, count in released.records.items())
    say(f"{released.name}: {counts}; {released.kept_out} kept out by quality control")
    return workspace, bool(ran) or released.new


async def _run_pipeline(workspace: Workspace, rebuild: Sequence[str], listener: Callable[[Any], None]) -> tuple[str, ...]:
    async with open_services(workspace) as services:
        return (await make_datasets(workspace, services, rebuild=rebuild, on_event=listener)).ran


def run_demo(
    example: Path,
    folder: Path,
    *,
    data_only: bool,
    assignments: Sequence[str],
    rebuild: Sequence[str],
    listener: Callable[[Any], None],
    say: Say,
    write_report: Callable[[Workspace], Path],
) -> int:
    """All seven steps, or the first five with `data_only`. Returns the exit code."""
    started = time.monotonic()
    if not data_only:
        require_training()
    workspace, new = run_data_half(example, folder, assignments, rebuild, listener, say)
    if not data_only:
        from castalia.promotion import train_and_decide

        with open_sandbox(workspace.config.sandbox.runners) as sandbox:
            outcome = train_and_decide(workspace, sandbox, on_event=listener)
        new = new or outcome.new
        say(outcome.text)
    report = write_report(workspace)
    if not new:
        say("nothing to do: everything is there and fresh")
    say(f"report: {report}")
    say(f"done in {time.monotonic() - started:.0f} s")
    return 0
