"""What was trained: each stage's result, its score on DEV, and its curves step by step."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from castalia.training.recipe import STAGES
from castalia.training.stage import StageResult, read_metrics
from castalia.workspace import Workspace

_METRICS = ("loss", "reward", "margin", "accuracy", "kl")


class TrainingRow(NamedTuple):
    """One training stage. `result` is None while it runs, or where it was interrupted."""

    stage: str
    steps: int
    result: StageResult | None
    kept: bool | None
    """Whether the next stage builds on it; None before that was decided."""
    why: str


class Curve(NamedTuple):
    """One metric of one training stage, step by step."""

    stage: str
    metric: str
    points: tuple[tuple[float, float], ...]


def latest_round(workspace: Workspace) -> tuple[int, Path]:
    """Number and folder of the last round that was begun; 0 and the folder they would be in before the first."""
    begun = [(int(folder.name.rpartition("-")[2]), folder) for folder in workspace.training.glob("round-*")]
    return max(begun, default=(0, workspace.training))


def training_rows(folder: Path) -> tuple[TrainingRow, ...]:
    """The stages that were begun, in the order of training."""
    path = folder / "best.json"
    history: list[dict[str, Any]] = json.loads(path.read_bytes())["history"] if path.is_file() else []
    checks = {entry["stage"]: entry for entry in history}
    rows: list[TrainingRow] = []
    for stage in STAGES:
        done = folder / stage / "stage.json"
        if done.is_file():
            result = StageResult.model_validate_json(done.read_bytes())
            check = checks.get(stage, {})
            rows.append(TrainingRow(stage, result.steps, result, check.get("promoted"), check.get("reason", "")))
        elif (folder / stage).is_dir():
            steps = read_metrics(folder / stage)
            rows.append(TrainingRow(stage, max((int(step["step"]) for step in steps), default=0), None, None, ""))
    return tuple(rows)


def curves(folder: Path) -> tuple[Curve, ...]:
    """Metrics with at least two points, in the order of training."""
    found: list[Curve] = []
    for stage in STAGES:
        steps = read_metrics(folder / stage)
        for metric in _METRICS:
            points = tuple((float(step["step"]), float(step[metric])) for step in steps if step.get(metric) is not None)
            if len(points) > 1:
                found.append(Curve(stage, metric, points))
    return tuple(found)
