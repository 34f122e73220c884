"""Measuring: the suite is frozen once, and a measurement is made again only when something that decides it changed."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import castalia.rounds.measure
from castalia.config import load_config
from castalia.errors import CastaliaError, InputError
from castalia.evaluation.results import ItemResult
from castalia.records import Failure, SuiteItem
from castalia.rounds.measure import (
    failures_in_words,
    measure,
    mine_recorded_failures,
    store_failures,
    suite_items,
    why_eval_is_not_mined,
)
from castalia.workspace import Workspace, open_workspace
from small_world import ask_user, configuration, item, put, world


def results(items: list[SuiteItem], passed: bool = False) -> list[ItemResult]:
    return [
        ItemResult(
            item=of.id, subject=of.subject, bank=of.bank, category=of.category, node=of.node, cluster=of.cluster, target="t", style="s",
            seed=0, passed=passed, value=float(passed), status="ok", answer="One.", reason="r", tokens=3,
        )
        for of in items
    ]  # fmt: skip


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Evaluation that loads no model: every answer is wrong. What it was asked is kept."""
    asked: list[dict[str, Any]] = []

    def evaluate(target: Any, items: list[SuiteItem], **settings: Any) -> list[ItemResult]:
        asked.append({"items": items, **settings})
        return results(items)

    local = SimpleNamespace(LocalTarget=lambda folder, name: SimpleNamespace(identity=name), release_memory=lambda: None)
    monkeypatch.setitem(sys.modules, "castalia.evaluation.targets.local", local)
    monkeypatch.setattr(castalia.rounds.measure, "evaluate", evaluate)
    return asked


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    return folder


def again(folder: Path, **settings: Any) -> Workspace:
    return open_workspace(load_config([configuration(folder, **settings)]))


def test_the_suite_is_frozen_on_first_use_and_a_changed_item_is_refused(tmp_path):
    workspace = world(tmp_path)
    assert len(suite_items(workspace)) == 3
    assert workspace.frozen_suite.is_file()
    easier = item("gate").model_copy(update={"prompt": ask_user("An easier question?")})
    put(workspace.store, "suite", SuiteItem, [item("dev"), easier, item("vault")])
    with pytest.raises(CastaliaError, match="suite"):
        suite_items(again(tmp_path))


def test_without_a_suite_the_message_says_what_makes_one(tmp_path):
    with pytest.raises(InputError, match="--until design_suite"):
        suite_items(again(tmp_path))


def test_a_measurement_is_made_once(tmp_path, evaluated, model):
    workspace = world(tmp_path)
    first, new = measure(workspace, None, "candidate", model, "gate")  # type: ignore[arg-type]
    second, again_new = measure(workspace, None, "candidate", model, "gate")  # type: ignore[arg-type]
    assert (new, again_new, len(evaluated)) == (True, False, 1)
    assert [result.id for result in first] == [result.id for result in second]
    assert [of.bank for of in evaluated[0]["items"]] == ["gate"]


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda model: (model / "model.safetensors").write_bytes(b"other weights"), {}),
        (lambda model: (model / "config.json").write_text('{"a": 1}'), {}),
        (lambda model: None, {"evaluation": {"seed": 7}}),
        (lambda model: None, {"target": {"model": "tiny", "harmony_preamble": "none"}}),
        (lambda model: (model / "chat_template.jinja").write_text("{{ messages }}"), {}),
        (lambda model: None, {"sandbox": {"packages": ["pydantic"]}}),
    ],
    ids=["weights", "settings of the model", "seed", "style", "chat template", "packages of the sandbox"],
)
def test_it_is_made_again_when_something_changed_that_decides_it(tmp_path, evaluated, model, change, settings):
    measure(world(tmp_path), None, "candidate", model, "dev")  # type: ignore[arg-type]
    change(model)
    _, new = measure(again(tmp_path, **settings), None, "candidate", model, "dev")  # type: ignore[arg-type]
    assert new
    assert len(evaluated) == 2


def test_it_is_made_again_by_other_scorers(tmp_path, evaluated, model, monkeypatch):
    measure(world(tmp_path), None, "candidate", model, "dev")  # type: ignore[arg-type]
    monkeypatch.setattr("castalia.__version__", "99.0")
    _, new = measure(again(tmp_path), None, "candidate", model, "dev")  # type: ignore[arg-type]
    assert new


def test_vault_is_opened_only_for_a_release(tmp_path, evaluated, model):
    workspace = world(tmp_path)
    with pytest.raises(CastaliaError, match=r"(?i)vault"):
        measure(workspace, None, "candidate", model, "vault")  # type: ignore[arg-type]
    found, _ = measure(workspace, None, "candidate", model, "vault", opened_for="tea@v1")  # type: ignore[arg-type]
    assert [result.bank for result in found] == ["vault"]


def test_a_folder_without_weights_is_no_model(tmp_path, evaluated):
    with pytest.raises(InputError, match="no model folder"):
        measure(world(tmp_path), None, "candidate", tmp_path, "dev")  # type: ignore[arg-type]


def test_wrong_answers_on_dev_become_failures_to_practise(tmp_path):
    workspace = world(tmp_path)
    store_failures(workspace, results([item("dev")]), "round 1", source="loop")
    [failure] = workspace.store.read_dataset("failures", Failure)
    assert (failure.item, failure.answer, failure.target) == (item("dev"), "One.", "round 1")
    store_failures(workspace, results([item("dev")], passed=True), "round 2", source="loop")
    assert len(workspace.store.read_dataset("failures", Failure)) == 0


# Whose failures the replay set corrects

ANSWER = "<|channel|>final<|message|>Four minutes.<|return|>"


def recording(folder: Path, answer: str = ANSWER) -> Workspace:
    """The small world with a recorded DEV answer."""
    (folder / "dev.jsonl").write_text(json.dumps({"subject": item("dev").subject, "text": answer}) + "\n")
    return world(folder, evaluation={"recorded_answers": "dev.jsonl"})


def stored(workspace: Workspace) -> list[str]:
    return [failure.answer for failure in workspace.store.read_dataset("failures", Failure)]


def test_recorded_answers_are_mined_once_and_again_when_the_file_changed(tmp_path, monkeypatch):
    mine_recorded_failures(recording(tmp_path), None)  # type: ignore[arg-type]
    assert stored(again(tmp_path)) == ["Four minutes."]
    workspace = recording(tmp_path, ANSWER.replace("Four", "Five"))
    mine_recorded_failures(workspace, None)  # type: ignore[arg-type]
    assert stored(workspace) == ["Five minutes."]
    monkeypatch.setattr(castalia.rounds.measure, "RecordedTarget", None)
    mine_recorded_failures(workspace, None)  # type: ignore[arg-type]


def test_recorded_answers_come_before_a_measurement(tmp_path):
    workspace = recording(tmp_path)
    assert "recorded_answers" in str(why_eval_is_not_mined(workspace))
    assert "a run takes them from the recorded answers" in failures_in_words(workspace)
    mine_recorded_failures(workspace, None)  # type: ignore[arg-type]
    assert failures_in_words(workspace).startswith("1 of openai/gpt-oss-20b, from the recorded answers")
    assert why_eval_is_not_mined(again(tmp_path)) is None


def test_a_round_of_the_loop_comes_before_recorded_answers_and_measurements(tmp_path):
    workspace = recording(tmp_path)
    store_failures(workspace, results([item("dev")]), "round 1", source="loop")
    mine_recorded_failures(workspace, None)  # type: ignore[arg-type]
    assert stored(workspace) == ["One."]
    assert "castalia loop" in str(why_eval_is_not_mined(workspace))
    assert failures_in_words(workspace) == "1 of round 1, from the last round of `castalia loop`"


def test_without_either_the_last_measurement_counts(tmp_path):
    workspace = world(tmp_path)
    assert why_eval_is_not_mined(workspace) is None
    assert "castalia eval" in failures_in_words(workspace)
    store_failures(workspace, results([item("dev")]), "model", source="eval")
    assert failures_in_words(workspace) == "1 of model, from the last `castalia eval` on DEV"
    assert why_eval_is_not_mined(workspace) is None


def test_failures_that_somebody_else_stored_are_of_unknown_origin(tmp_path):
    workspace = world(tmp_path)
    put(workspace.store, "failures", Failure, [])
    assert failures_in_words(workspace) == "0 of unknown origin"
