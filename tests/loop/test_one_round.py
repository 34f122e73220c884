"""One round with a tiny model that learns one answer: trained, measured and decided for a reason; again, interrupted, with other data."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from loop_world import examples, recipe, tiny_world, write_recipe

import castalia.rounds.promotion
from castalia.config import load_config
from castalia.errors import StoreError, TrainingRefused
from castalia.evaluation.gate import Decision
from castalia.rounds.promotion import Outcome, train_and_decide
from castalia.rounds.record import all_rounds, latest_model, models_trained_on, promoted_model, round_folder
from castalia.statistics import alpha_for_round
from castalia.store.lock import hold_lock
from castalia.summary import summarize
from castalia.workspace import Workspace, open_workspace
from small_world import item, sft
from train_here import run_here

USELESS = recipe(epochs=1, learning_rate=1e-9)


class KilledError(RuntimeError):
    """Stands for a process that dies."""


@pytest.fixture(autouse=True, scope="module")
def here() -> Any:
    """Stages run in this process: a child would import torch once more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(castalia.rounds.promotion, "train", functools.partial(castalia.rounds.promotion.train, run_stage=run_here))
        yield


def run(workspace: Workspace, tell: Callable[[Any], None] = lambda event: None) -> Outcome:
    return train_and_decide(workspace, None, on_event=tell)  # type: ignore[arg-type]


def looks(workspace: Workspace) -> list[tuple[int, int, bool]]:
    made = sorted(workspace.store.read_dataset("decisions", Decision), key=lambda decision: decision.look)
    return [(decision.look, decision.round, decision.promote) for decision in made]


def again(workspace: Workspace, *assignments: str) -> Workspace:
    return open_workspace(load_config([workspace.folder.parent / "castalia.yaml"], assignments))


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, tiny_source: Path) -> tuple[Workspace, Outcome]:
    workspace = tiny_world(tmp_path_factory.mktemp("promoted"), tiny_source, recipe=recipe())
    return workspace, run(workspace)


@pytest.fixture
def copy(promoted: tuple[Workspace, Outcome], tmp_path: Path) -> Workspace:
    """The promoted round in a folder of its own."""
    return again_at(shutil.copytree(promoted[0].folder.parent, tmp_path / "copy"))


def again_at(folder: Path) -> Workspace:
    return open_workspace(load_config([folder / "castalia.yaml"]))


def test_a_model_that_learned_is_promoted_and_the_decision_says_why(promoted):
    workspace, outcome = promoted
    assert outcome.decision.promote
    assert (outcome.decision.before, outcome.decision.after) == (0, 1)
    assert "look 1" in outcome.decision.reasons[0]
    assert outcome.text.startswith("round 1: promoted; GATE 0.0 % -> 100.0 %")
    assert promoted_model(workspace) == latest_model(workspace) == outcome.candidate
    assert looks(workspace) == [(1, 1, True)]


def test_the_round_says_what_it_was_trained_from_and_the_report_shows_it(promoted):
    workspace, outcome = promoted
    [made] = all_rounds(workspace)
    assert (made.number, made.records, made.recipe.name) == (1, {"sft": 8}, "tiny")
    assert made.decision == outcome.decision
    [model] = models_trained_on(workspace, examples()[0].id)
    assert (model.folder, model.shipped) == (outcome.candidate, True)
    report = summarize(workspace)
    assert report.trained_round == 1
    assert [row.stage for row in report.training] == ["sft"]
    assert report.rounds[-1].decision == outcome.decision


def test_a_second_run_does_nothing(copy):
    def nothing(event: Any) -> None:
        raise AssertionError(f"something was trained: {event}")

    outcome = run(copy, nothing)
    assert not outcome.new
    assert outcome.decision.promote
    assert looks(copy) == [(1, 1, True)]


def test_a_useless_model_is_refused_and_the_promoted_one_stays(copy):
    weights = (round_folder(copy, 1) / "sft" / "model" / "model.safetensors").read_bytes()
    write_recipe(copy.folder.parent, USELESS)
    outcome = run(copy)
    assert outcome.text.startswith("round 2: not promoted; GATE 100.0 % -> 0.0 %")
    assert "does not exceed 0" in outcome.decision.reasons[0]
    assert outcome.decision.alpha == alpha_for_round(2)
    assert (round_folder(copy, 1) / "sft" / "model" / "model.safetensors").read_bytes() == weights
    assert promoted_model(copy) == round_folder(copy, 1) / "sft" / "model"
    assert latest_model(copy) == outcome.candidate == round_folder(copy, 2) / "sft" / "model"
    write_recipe(copy.folder.parent, recipe())
    back = run(copy)
    assert (back.new, back.decision.round, back.decision.promote) == (False, 1, True)
    assert looks(copy) == [(1, 1, True), (2, 2, False)]


def test_deciding_again_under_other_conditions_is_a_look_and_the_same_comparison_is_none(copy):
    other = run(again(copy, "evaluation.seed=5"))
    assert (other.new, other.decision.round, other.decision.look) == (True, 1, 2)
    assert other.decision.alpha < alpha_for_round(1)
    first = run(copy)
    assert (first.decision.look, len(looks(copy))) == (1, 2)


def test_killed_anywhere_it_goes_on_with_its_round_trains_once_and_counts_one_look(tmp_path, tiny_source, monkeypatch):
    workspace = tiny_world(tmp_path, tiny_source, recipe=USELESS)
    measure = castalia.rounds.promotion.measure

    def killed_in_a_step(event: Any) -> None:
        if event.step:
            raise KilledError

    def killed_at_gate(*args: Any, **options: Any) -> Any:
        if args[4] == "gate":
            raise KilledError
        return measure(*args, **options)

    def killed(*args: Any) -> Any:
        raise KilledError

    with pytest.raises(KilledError):  # while it trains
        run(workspace, killed_in_a_step)
    with monkeypatch.context() as patch, pytest.raises(KilledError):  # between training and decision
        patch.setattr(castalia.rounds.promotion, "measure", killed_at_gate)
        run(workspace)
    finished = (round_folder(workspace, 1) / "sft" / "stage.json").stat().st_mtime_ns
    assert [one.decision for one in all_rounds(workspace)] == [None]
    with monkeypatch.context() as patch, pytest.raises(KilledError):  # when the decision was stored, but not in the round
        patch.setattr(castalia.rounds.promotion, "note_decision", killed)
        run(workspace)
    assert looks(workspace) == [(1, 1, False)]
    steps: list[Any] = []
    outcome = run(workspace, lambda event: steps.append(event) if not event.note else None)
    assert (outcome.new, outcome.decision.round, outcome.decision.look) == (True, 1, 1)
    assert (round_folder(workspace, 1) / "sft" / "stage.json").stat().st_mtime_ns == finished
    assert (steps, len(all_rounds(workspace)), looks(workspace)) == ([], 1, [(1, 1, False)])
    assert not run(workspace).new


def test_two_trainings_of_one_workspace_do_not_meet(copy):
    with hold_lock(copy.training, "training"), pytest.raises(StoreError, match=r"in use by process \d+"):
        run(copy)
    assert not run(copy).new


def test_data_that_leak_a_gate_item_are_refused_and_take_no_round(tmp_path, tiny_source):
    leaking = sft(1, item("gate", 1).prompt.messages[0].content, "Three minutes.")
    workspace = tiny_world(tmp_path, tiny_source, recipe=USELESS, changes={"sft": [leaking]})
    with pytest.raises(TrainingRefused, match="leak evaluation items"):
        run(workspace)
    assert not workspace.store.has("decisions")
    assert [path.name for path in round_folder(workspace, 1).iterdir() if path.is_dir()] == []
