"""The stages in order, with a check between them: what a stage made worse is not built upon."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from castalia.errors import TrainingRefused
from castalia.records import Record
from castalia.sandbox import Sandbox
from castalia.store import folder_hash
from castalia.training.child import run_in_child
from castalia.training.job import Job, write_records
from castalia.training.recipe import Recipe, StageName
from castalia.training.stage import OnEvent, StageResult, TrainingEvent, ignore_event, write_atomically

DATASET_OF: Mapping[StageName, str] = {"sft": "sft", "preference": "preference", "grpo": "reward", "consolidate": "replay"}


class StageCheck(NamedTuple):
    """What a check between stages found."""

    promoted: bool
    reason: str


Check = Callable[[Path, StageName], StageCheck]
Leaks = Callable[[Sequence[Record]], Sequence[str]]
RunStage = Callable[[StageName, Path, OnEvent], StageResult]


def train(
    recipe: Recipe,
    datasets: Mapping[str, Sequence[Record]],
    base: Path,
    out: Path,
    *,
    protected: Leaks | None = None,
    sandbox: Sandbox | None = None,
    on_event: OnEvent = ignore_event,
    check: Check | None = None,
    run_stage: RunStage = run_in_child,
) -> list[StageResult]:
    """Runs the recipe's stages from `base`, each in `out / STAGE`, and names the best model in `out / "best.json"`.

    `datasets` has `sft`, `preference`, `reward` and `replay`, as far as the recipe's stages need them. `protected` names
    what of the training data leaks evaluation items; any name refuses the training. `check(folder, stage)` looks at each
    result: where it doesn't promote, the next stage starts from the best model so far. Finished stages are not run again,
    an interrupted one is resumed. `run_stage(stage, job file, on_event)` runs one stage, by default in a child process, which gives all its
    memory back. Raises TrainingRefused before anything is trained, TrainingFailed when a child dies.
    """
    _refuse_leaks(datasets, protected)
    for stage, _ in recipe.stages():
        if not datasets.get(DATASET_OF[stage]):
            raise TrainingRefused(
                f"recipe {recipe.name!r} has stage {stage!r} but dataset {DATASET_OF[stage]!r} is empty; add data or remove the stage"
            )
    best, best_id = base, folder_hash(base)
    best_stage = "base"
    results: list[StageResult] = []
    history: list[dict[str, Any]] = []
    for stage, _ in recipe.stages():
        place = out / stage
        records = datasets[DATASET_OF[stage]]
        earlier = datasets.get("sft", ()) if stage == "consolidate" else ()
        job = Job(
            recipe=recipe, start=str(best), out=str(place), start_id=best_id,
            data=str(write_records(out / "jobs" / f"{stage}.jsonl", records)),
            earlier=str(write_records(out / "jobs" / f"{stage}.earlier.jsonl", earlier)) if earlier else "",
            tier=sandbox.tier if sandbox else None, runners=sandbox.runners if sandbox else {},
        )  # fmt: skip
        path = out / "jobs" / f"{stage}.json"
        write_atomically(path, job.model_dump_json(indent=1))
        on_event(TrainingEvent(stage=stage, step=0, steps=0, seconds=0.0, note="started"))
        result = run_stage(stage, path, on_event)
        results.append(result)
        on_event(
            TrainingEvent(
                stage=stage, step=result.steps, steps=result.planned_steps, seconds=result.seconds, loss=result.final_loss, note="finished"
            )
        )
        verdict = check(Path(result.folder), stage) if check is not None else StageCheck(True, "no check was asked for")
        history.append({"stage": stage, "promoted": verdict.promoted, "reason": verdict.reason, "folder": result.folder})
        if verdict.promoted:
            best, best_id, best_stage = Path(result.folder), result.fingerprint, stage
        write_atomically(out / "best.json", json.dumps({"stage": best_stage, "folder": str(best), "history": history}, indent=1))
    return results


def best_model(out: Path) -> Path:
    """The folder of the best model of a training in `out`."""
    path = out / "best.json"
    if not path.exists():
        raise TrainingRefused(f"no trained model in {str(out)!r}: best.json is missing; run the training first")
    return Path(json.loads(path.read_text(encoding="utf-8"))["folder"])


def _refuse_leaks(datasets: Mapping[str, Sequence[Record]], protected: Leaks | None) -> None:
    if protected is None:
        return
    for name, records in datasets.items():
        leaks = protected(records)
        if leaks:
            raise TrainingRefused(
                f"dataset {name!r} holds {len(leaks)} record(s) that leak evaluation items: {', '.join(leaks[:5])}; "
                f"remove them (the contamination report names the items) before training"
            )
