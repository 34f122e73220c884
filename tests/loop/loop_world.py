"""A small world whose target is a tiny model that can learn one answer, so that rounds are trained and decided in seconds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from castalia.evaluation.gate import Decision
from castalia.records import Record, SFTExample, SuiteItem
from castalia.rounds.record import note_decision, open_round, round_folder
from castalia.training.recipe import Recipe, SftSettings
from castalia.workspace import Workspace
from small_world import item, replay, sft, world

ANSWER = "3"
EIGHT = range(1, 9)


def suite() -> list[SuiteItem]:
    """Questions with one answer; each GATE item in a cluster of its own."""
    dev = [item("dev", number) for number in (1, 2)]
    gate = [item("gate", number).model_copy(update={"cluster": f"gate-{number}"}) for number in EIGHT]
    return [short(one) for one in (*dev, *gate, item("vault"))]


def short(one: SuiteItem) -> SuiteItem:
    return one.model_copy(update={"max_tokens": 12})


def examples(count: int = 8, first: int = 1) -> list[SFTExample]:
    """The answer after questions of many lengths, so that it is not learned for one position."""
    return [sft(number, f"How long does tea {number} steep?{' Say it.' * (number % 5)}", ANSWER) for number in range(first, first + count)]


def recipe(**changes: Any) -> dict[str, Any]:
    stage = {"epochs": 60, "batch_size": 8, "learning_rate": 0.03, "checkpoint_seconds": None, "embeddings": "all", **changes}
    return {"name": "tiny", "precision": "fp32", "sft": stage}


def tiny_world(
    folder: Path, source: Path, *, recipe: Mapping[str, Any], changes: Mapping[str, Sequence[Record]] | None = None, **more: Any
) -> Workspace:
    """A workspace whose datasets are there and whose target is the model in `source`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_recipe(folder, recipe)
    datasets: dict[str, Sequence[Record]] = {"suite": suite(), "sft": examples(), "preferences": [], "rewards": [], "replay": []}
    target = {"model": str(source), "harmony_preamble": "none"}
    return world(folder, changes={**datasets, **(changes or {})}, target=target, training="recipe.yaml", **more)


def write_recipe(folder: Path, content: Mapping[str, Any]) -> None:
    (folder / "recipe.yaml").write_text(json.dumps(content))


def fake_round(workspace: Workspace, number: int, **figures: Any) -> Path:
    """A decided round without a training: not promoted, far from any stop rule, but for `figures`. Returns its candidate's folder."""
    numbers: dict[str, Any] = {
        "promote": False, "before": 0.2, "after": 0.3, "difference": 0.1, "error": 0.1, "interval_low": -0.1, "interval_high": 0.3,
        "alpha": 0.03, "lower_bound": -0.1, "mcnemar_p": 0.5, "minimal_detectable_effect": 0.3,
    }  # fmt: skip
    decision = Decision(round=number, look=number, reasons=(), items=8, clusters=8, guards=(), **numbers | figures)
    tiny = Recipe(name="fake", seed=number, sft=SftSettings())
    begun = open_round(workspace, tiny, {"sft": examples()}, earlier=(), base="b")
    candidate = round_folder(workspace, begun.number) / "sft" / "model"
    candidate.mkdir(parents=True)
    note_decision(workspace, begun, decision, candidate)
    return candidate


__all__ = ["ANSWER", "examples", "fake_round", "recipe", "replay", "suite", "tiny_world", "write_recipe"]
