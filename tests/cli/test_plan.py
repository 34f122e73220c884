"""What `castalia plan` says of a stale stage: one thing, in the table, in the decision, and in the total."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from castalia.cli import main
from castalia.engine import plan
from castalia.oracle import Task, open_oracle
from castalia.preview.estimate import StageEstimate, estimate
from castalia.workspace import Workspace, role_identity
from small_world import SECTION, Said, configuration, world


def said_of(folder: Path, capsys: pytest.CaptureFixture[str], **settings: object) -> str:
    configuration(folder, **settings)
    assert main(["plan", "-c", str(folder / "castalia.yaml")]) == 0
    return capsys.readouterr().out


def test_a_stale_stage_costs_the_same_in_table_decision_and_total(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world(tmp_path)
    said = said_of(tmp_path, capsys, stages={"verify": {"review_size": 60}})
    [row] = [line for line in said.splitlines() if line.startswith("verify ")]
    calls = row.split("stale", 1)[1].split("$", 1)[0].strip()
    assert calls[0] in "123456789"
    assert f"rebuilding asks about {calls} calls for $0.00, beside answers in the ledger; --rebuild verify" in said
    assert f"\nabout {calls} calls for $0" in said


def test_a_run_stops_at_a_stale_stage_with_the_words_of_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world(tmp_path)
    said = said_of(tmp_path, capsys, stages={"verify": {"review_size": 60}})
    [decision] = [line for line in said.splitlines() if line.startswith("stage 'verify' is stale")]
    assert main(["run", "-c", str(tmp_path / "castalia.yaml")]) == 5
    assert decision in capsys.readouterr().err


def test_a_stale_stage_with_an_answer_to_each_question_is_not_said_to_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    workspace = world(tmp_path)
    line = {"prompt": "extract", "subject": SECTION, "answer": {"text": "an atom"}, "recorded_for": "a test"}
    (tmp_path / "recordings" / "atoms.jsonl").write_text(json.dumps(line) + "\n")
    asyncio.run(ask_for_atoms(workspace))
    said = said_of(tmp_path, capsys, stages={"extract": {"max_atoms": 3}})
    [decision] = [line for line in said.splitlines() if line.startswith("stage 'extract' is stale")]
    assert "rebuilding asks nothing new, where its questions are those that the ledger has answers to; --rebuild extract" in decision


async def ask_for_atoms(workspace: Workspace) -> None:
    async with open_oracle(workspace.config.oracles, workspace.ledger, budget_usd=None) as oracle:
        task = Task(stage="extract", prompt="extract", subject=SECTION, prompt_sha256="b" * 64)
        await oracle.ask("writer", "You know tea.", "Write.", Said, task=task)


def estimated(workspace: Workspace) -> StageEstimate:
    steps = plan(workspace.stages, workspace.params, workspace.store, role_identity=role_identity(workspace))
    return next(found for found in estimate(workspace, steps) if found.stage == "build_sft")


def test_answers_to_a_prompt_that_was_edited_since_count_for_nothing(tmp_path: Path):
    workspace = world(tmp_path)
    renewed, edited = (
        tuple(replace(stage, **changes) if stage.name == "build_sft" else stage for stage in workspace.stages)
        for stage in workspace.stages
        if stage.name == "build_sft"
        for changes in ({"version": stage.version + 1}, {"prompts": tuple(rewritten(path, tmp_path) for path in stage.prompts)})
    )
    assert estimated(replace(workspace, stages=renewed)).by_prompt["build_sft"] == 0
    assert estimated(replace(workspace, stages=edited)).by_prompt["build_sft"] >= 1


def rewritten(prompt: Path, folder: Path) -> Path:
    copy = folder / prompt.name
    copy.write_text(prompt.read_text(encoding="utf-8") + "\nBe brief.\n", encoding="utf-8")
    return copy
