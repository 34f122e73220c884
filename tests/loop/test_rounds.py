"""Rounds on disk: the same training is the same round, another one a new folder, and each record knows its models."""

import json
from pathlib import Path
from typing import Any

import pytest

from castalia.config import load_config
from castalia.errors import StoreError
from castalia.evaluation.gate import Decision
from castalia.rounds.record import (
    Round,
    all_rounds,
    decided_rounds,
    latest_model,
    models_trained_on,
    note_decision,
    open_round,
    promoted_model,
    round_folder,
)
from castalia.training.recipe import PreferenceSettings, Recipe, SftSettings
from castalia.workspace import Workspace, open_workspace
from small_world import configuration, pair, sft

RECIPE = Recipe(name="t", sft=SftSettings(), preference=PreferenceSettings())
STAGES = ("sft", "preference")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_config([configuration(tmp_path)]))


def begin(workspace: Workspace, examples: Any = (), recipe: Recipe = RECIPE, base: str = "b") -> Round:
    return open_round(workspace, recipe, {"sft": [sft(1), *examples], "preference": [pair()]}, earlier=[], base=base)


def finish(workspace: Workspace, of: Round, *, too_long: tuple[str, ...] = (), refused: tuple[str, ...] = ()) -> Path:
    """Writes what the stages of a round leave behind; returns the candidate's folder."""
    folder = round_folder(workspace, of.number)
    kept = [stage for stage in STAGES if stage not in refused]
    for stage in STAGES:
        (folder / stage / "model").mkdir(parents=True)
        (folder / stage / "stage.json").write_text(json.dumps({"too_long": too_long}))
    history = [{"stage": stage, "promoted": stage in kept} for stage in STAGES]
    candidate = folder / kept[-1] / "model"
    (folder / "best.json").write_text(json.dumps({"stage": kept[-1], "folder": str(candidate), "history": history}))
    return candidate


def decision(number: int, promote: bool) -> Decision:
    return Decision(
        round=number, look=number, promote=promote, reasons=(), items=8, clusters=8, before=0, after=1, difference=1, error=0.1,
        interval_low=0.8, interval_high=1, alpha=0.03, lower_bound=0.7, mcnemar_p=0.01, minimal_detectable_effect=0.3, guards=(),
    )  # fmt: skip


def decide(workspace: Workspace, of: Round, promote: bool) -> Path:
    candidate = finish(workspace, of)
    note_decision(workspace, of, decision(of.number, promote), candidate)
    return candidate


def test_the_same_training_is_the_same_round(workspace):
    first = begin(workspace)
    finish(workspace, first)
    assert begin(workspace) == first
    assert (first.number, first.records) == (1, {"sft": 1, "preference": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"examples": [sft(2)]},
        {"base": "another base"},
        {"recipe": RECIPE.model_copy(update={"seed": 5})},
        {"recipe": RECIPE.model_copy(update={"preference": None})},
    ],
    ids=["data", "base", "recipe", "stages"],
)
def test_another_training_gets_a_folder_of_its_own_and_leaves_the_trained_one_alone(workspace, change):
    candidate = decide(workspace, begin(workspace), promote=True)
    second = begin(workspace, **change)
    assert second.number == 2
    assert candidate.is_dir()
    assert [one.number for one in all_rounds(workspace)] == [1, 2]
    assert [one.number for one in decided_rounds(workspace)] == [1]


def test_an_interrupted_round_whose_data_changed_stays_behind(workspace):
    interrupted = round_folder(workspace, begin(workspace).number) / "sft" / "checkpoints"
    interrupted.mkdir(parents=True)
    assert begin(workspace, [sft(2)]).number == 2
    assert interrupted.is_dir()
    assert begin(workspace).number == 1


def test_a_round_in_which_nothing_was_trained_gives_its_place_up(workspace):
    begin(workspace)
    assert begin(workspace, [sft(2)]).number == 1


def test_the_promoted_model_is_that_of_the_last_round_the_gate_let_through(workspace):
    assert promoted_model(workspace) is None
    first = decide(workspace, begin(workspace), promote=True)
    second = decide(workspace, begin(workspace, [sft(2)]), promote=False)
    assert promoted_model(workspace) == first
    assert latest_model(workspace) == second
    third = decide(workspace, begin(workspace, [sft(3)]), promote=True)
    assert (promoted_model(workspace), promoted_model(workspace, before=3)) == (third, first)


def test_a_record_names_the_models_that_trained_on_it_and_whether_they_shipped(workspace):
    decide(workspace, begin(workspace), promote=True)
    finish(workspace, begin(workspace, [sft(2)]), refused=("preference",))
    models = models_trained_on(workspace, sft(1).id)
    assert [(model.round, model.stage, model.built_upon, model.shipped) for model in models] == [
        (1, "sft", True, True),
        (2, "sft", True, False),
    ]
    assert [model.built_upon for model in models_trained_on(workspace, pair().id)] == [True, False]
    assert [model.round for model in models_trained_on(workspace, sft(2).id)] == [2]
    assert models[0].folder == round_folder(workspace, 1) / "sft" / "model"
    assert models_trained_on(workspace, sft(9).id) == []


def test_a_record_that_was_too_long_or_whose_stage_is_not_finished_trained_nothing(workspace):
    begun = begin(workspace)
    assert models_trained_on(workspace, sft(1).id) == []
    finish(workspace, begun, too_long=(sft(1).id,))
    assert models_trained_on(workspace, sft(1).id) == []
    assert len(models_trained_on(workspace, pair().id)) == 1


def test_a_damaged_round_is_named_with_what_to_do(workspace):
    finish(workspace, begin(workspace))
    (round_folder(workspace, 1) / "round.json").write_text("{")
    with pytest.raises(StoreError, match="move the folder 'round-1' aside"):
        all_rounds(workspace)
