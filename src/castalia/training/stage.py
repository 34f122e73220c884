"""A stage's run on disk: what it was asked, what it did, and a file written last that says it is complete.

OUT/job.json        settings and the hash of everything that decides the result
OUT/metrics.jsonl   one line per optimizer step
OUT/checkpoints/    the newest checkpoint, while the stage runs
OUT/model/          the trained model, an ordinary Hugging Face folder
OUT/stage.json      the result; its existence means that the stage is complete
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from castalia.records import Frozen, Record, canonical_json, content_hash
from castalia.training.recipe import Recipe, StageName


class StageResult(Frozen):
    """What a stage did."""

    stage: StageName = Field(description="Which one.")
    folder: str = Field(description="The trained model's folder.")
    fingerprint: str = Field(description="Hash of everything that decided the result.")
    steps: int = Field(description="Optimizer steps.")
    planned_steps: int = Field(description="Steps it would have taken without the guard on time.")
    samples: int = Field(description="Samples it trained on.")
    too_long: tuple[str, ...] = Field(default=(), description="Ids of records left out for their length.")
    tokens: int = Field(description="Tokens seen, padding not counted.")
    seconds: float = Field(description="Wall-clock time of the run that finished it.")
    final_loss: float | None = Field(default=None, description="Mean loss of the last tenth of the steps.")
    kl_to_start: float | None = Field(default=None, description="Mean KL per answer token from the result to the stage's start, in nats.")
    reward_first: float | None = Field(default=None, description="Mean reward over the first quarter of the steps, for GRPO.")
    reward_last: float | None = Field(default=None, description="Mean reward over the last quarter.")
    margin: float | None = Field(default=None, description="Mean reward margin over the last quarter of the steps, for preference.")
    stopped: str = Field(default="", description="Why it stopped before its plan, empty when it didn't.")


class TrainingEvent(Frozen):
    """What a run tells while it goes on."""

    stage: StageName
    step: int
    steps: int
    seconds: float = Field(description="Since the stage began.")
    loss: float | None = None
    note: str = Field(default="", description="`started`, `skipped`, `finished`, or empty for a step.")


OnEvent = Callable[[TrainingEvent], None]


def ignore_event(_: TrainingEvent) -> None:
    """The default listener."""


def stage_fingerprint(stage: StageName, recipe: Recipe, records: Sequence[Record], earlier: Sequence[Record], start: str) -> str:
    """Hash of what decides the result of a stage: its settings, what the recipe shares, the data's ids, where it starts.

    When checkpoints are written decides nothing and stays outside. A guard on time may cut the run short, so another guard is another run.
    """
    settings = getattr(recipe, stage).model_dump(mode="json", exclude={"checkpoint_seconds"})
    shared = recipe.model_dump(mode="json", include={"base", "style", "seed", "precision", "weights", "attention", "lora"})
    return content_hash([stage, settings, shared, [r.id for r in records], [r.id for r in earlier], start])


def finished(out: Path, fingerprint: str) -> StageResult | None:
    """The result of a complete run of exactly this, or None."""
    path = out / "stage.json"
    if not path.exists():
        return None
    result = StageResult.model_validate_json(path.read_text(encoding="utf-8"))
    return result if result.fingerprint == fingerprint and Path(result.folder).is_dir() else None


def prepare(out: Path, fingerprint: str, settings: Mapping[str, Any]) -> Path | None:
    """Makes `out` ready for a run and returns the checkpoint to resume from, if there is one of exactly this run.

    Remains of another run are removed: a checkpoint of other settings would be resumed silently.
    """
    job = out / "job.json"
    asked = canonical_json({"fingerprint": fingerprint, "settings": settings})
    if not job.exists() or json.loads(job.read_text(encoding="utf-8"))["fingerprint"] != fingerprint:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(job, asked)
    (out / "stage.json").unlink(missing_ok=True)
    checkpoint = newest_checkpoint(out / "checkpoints")
    for name in ("metrics.jsonl", "rewards.jsonl"):
        if checkpoint is None:
            (out / name).unlink(missing_ok=True)
        else:
            _drop_torn_line(out / name)
    if checkpoint is not None:
        _drop_steps(out / "rewards.jsonl", _step(checkpoint))
    return checkpoint


def _drop_torn_line(path: Path) -> None:
    """Cuts off what a killed run left half written, so that the next line starts on its own."""
    if path.exists():
        text = path.read_bytes()
        os.truncate(path, text.rfind(b"\n") + 1)


def _drop_steps(path: Path, first: int) -> None:
    """Cuts off the lines of optimizer step `first` and later ones, which a resumed run makes again. Lines stand in the order of steps.

    Every rank does so before any of them trains, so it changes nothing the second time.
    """
    if path.exists():
        kept = 0
        with path.open("rb") as file:
            for line in file:
                if json.loads(line)["step"] >= first:
                    break
                kept += len(line)
        os.truncate(path, kept)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint. `trainer_state.json` is the last file the trainer writes into one."""
    complete = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return max(complete, key=_step, default=None)


def _step(checkpoint: Path) -> int:
    """Optimizer steps that were done when it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def finish(out: Path, result: StageResult) -> StageResult:
    """Marks the stage complete and drops its checkpoints."""
    write_atomically(out / "stage.json", result.model_dump_json(indent=1))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return result


def write_atomically(path: Path, text: str) -> None:
    """Temporary name, fsync, rename."""
    half = path.with_name(path.name + ".half")
    with half.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def read_metrics(out: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`: one per step, the last one of a step where a resumed run repeated it."""
    path = out / "metrics.jsonl"
    if not path.exists():
        return []
    by_step: dict[int, dict[str, Any]] = {}
    # What follows the last newline is half a line that a killed run left behind, or the line being written right now.
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        entry: dict[str, Any] = json.loads(line)
        by_step[entry["step"]] = entry
    return [by_step[step] for step in sorted(by_step)]
