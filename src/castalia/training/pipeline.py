# pyright: basic
"""The stages in order, with a check between them: what a stage made worse is not built upon."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from castalia.errors import TrainingRefused
from castalia.records import Record
from castalia.store import folder_hash
from castalia.training import consolidate, grpo, preference, sft
from castalia.training.job import Job, write_records
from castalia.training.machine import release_memory
from castalia.training.recipe import Recipe, StageName
from castalia.training.rewards import checks
from castalia.training.stage import OnEvent, StageResult, TrainingEvent, ignore_event, write_atomically

DATASET_OF: Mapping[StageName, str] = {"sft": "sft", "preference": "preference", "grpo": "reward", "consolidate": "replay"}


class StageCheck(NamedTuple):
    """What a check between stages found."""

    promoted: bool
    reason: str


Check = Callable[[Path, StageName], StageCheck]
Leaks = Callable[[Sequence[Record]], Sequence[str]]


def train(
    recipe: Recipe,
    datasets: Mapping[str, Sequence[Record]],
    base: Path,
    out: Path,
    *,
    protected: Leaks | None = None,
    sandbox: Any = None,
    on_event: OnEvent = ignore_event,
    check: Check | None = None,
) -> list[StageResult]:
    """Runs the recipe's stages from `base`, each in `out / STAGE`, and names the best model in `out / "best.json"`.

    `datasets` has `sft`, `preference`, `reward` and `replay`, as far as the recipe's stages need them. `protected` names
    what of the training data leaks evaluation items; any name refuses the training. `check(folder, stage)` looks at each
    result: where it doesn't promote, the next stage starts from the best model so far. Finished stages are not run again,
    an interrupted one is resumed. Raises TrainingRefused before anything is trained.
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
        _write_job(recipe, stage, records, earlier, best, place, best_id)
        on_event(TrainingEvent(stage=stage, step=0, steps=0, seconds=0.0, note="started"))
        result = _run(recipe, stage, records, earlier, best, place, best_id, sandbox, on_event)
        results.append(result)
        on_event(
            TrainingEvent(
                stage=stage, step=result.steps, steps=result.planned_steps, seconds=result.seconds, loss=result.final_loss, note="finished"
            )
        )
        release_memory()
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


def _write_job(
    recipe: Recipe, stage: StageName, records: Sequence[Record], earlier: Sequence[Record], start: Path, place: Path, start_id: str
) -> None:
    """The stage as a file that `python -m castalia.training.STAGE` runs again, alone or on many ranks."""
    folder = place.parent / "jobs"
    data = write_records(folder / f"{stage}.jsonl", records)
    before = write_records(folder / f"{stage}.earlier.jsonl", earlier) if earlier else None
    job = Job(recipe=recipe, start=str(start), out=str(place), data=str(data), earlier=str(before or ""), start_id=start_id)
    write_atomically(folder / f"{stage}.json", job.model_dump_json(indent=1))


def _run(
    recipe: Recipe,
    stage: StageName,
    records: Sequence[Record],
    earlier: Sequence[Record],
    start: Path,
    place: Path,
    start_id: str,
    sandbox: Any,
    on_event: OnEvent,
) -> StageResult:
    if stage == "sft":
        return sft.run(recipe, records, start, place, start_id=start_id, on_event=on_event)
    if stage == "preference":
        return preference.run(recipe, records, start, place, start_id=start_id, on_event=on_event)
    if stage == "grpo":
        return grpo.run(recipe, records, start, place, scorer=checks(sandbox), start_id=start_id, on_event=on_event)
    return consolidate.run(recipe, records, earlier, start, place, start_id=start_id, on_event=on_event)
