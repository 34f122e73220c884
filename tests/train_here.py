"""A training stage in this process, without the seconds a child takes to start. What a stage needs is imported when it runs."""

from collections.abc import Callable
from pathlib import Path

from castalia.training.job import Job, read_job
from castalia.training.recipe import StageName
from castalia.training.stage import OnEvent, StageResult


def run_here(stage: StageName, path: Path, on_event: OnEvent) -> StageResult:
    """Runs the stage of a job file."""
    return _runner(stage)(read_job(path), on_event)


def _runner(stage: StageName) -> Callable[[Job, OnEvent], StageResult]:
    if stage == "sft":
        from castalia.training.sft import run_job
    elif stage == "preference":
        from castalia.training.preference import run_job
    elif stage == "grpo":
        from castalia.training.grpo import run_job
    else:
        from castalia.training.consolidate import run_job
    return run_job
