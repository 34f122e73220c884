"""The loop on real stages: a later round that finds no recorded correction leaves its tasks to be answered, and then goes on."""

import asyncio
import functools
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from pegboard_world import Site, World, make_world

import castalia.rounds.promotion
from castalia.config import load_config
from castalia.errors import MissingRecording
from castalia.loop import LoopEnd, run_loop
from castalia.rounds.record import all_rounds
from castalia.workspace import Workspace, open_services, open_workspace
from train_here import run_here

STAGE = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-9, "checkpoint_seconds": None}
RECIPE = {"name": "tiny", "precision": "fp32", "sft": STAGE}


@pytest.fixture
def world(tmp_path: Path, site: Site, tiny_source: Path) -> World:
    made = make_world(tmp_path, site, target={"model": str(tiny_source), "harmony_preamble": "none"})
    (made.folder / "recipe.yaml").write_text(json.dumps(RECIPE))
    return made


def loop(world: World, rounds: int) -> tuple[Workspace, LoopEnd]:
    workspace = open_workspace(load_config([world.folder / "castalia.yaml"], [f"training={world.folder / 'recipe.yaml'}"]))

    async def work() -> LoopEnd:
        async with open_services(workspace) as services:
            return await run_loop(workspace, services, rounds=rounds, on_event=lambda event: None)

    return workspace, asyncio.run(work())


def test_a_later_round_without_recorded_corrections_leaves_its_tasks_and_goes_on_once_they_are_answered(world: World, monkeypatch):
    monkeypatch.setattr(castalia.rounds.promotion, "train", functools.partial(castalia.rounds.promotion.train, run_stage=run_here))
    workspace, end = loop(world, 1)
    assert [outcome.decision.promote for outcome in end.outcomes] == [False]
    with pytest.raises(MissingRecording, match="castalia oracle --export"):
        loop(world, 2)
    tasks = [json.loads(line) for line in workspace.pending.read_text(encoding="utf-8").splitlines()]
    assert {task["prompt"] for task in tasks} == {"correct_failure"}
    assert "behavioral/shared-boards/dev/1" in {task["subject"] for task in tasks}
    answer: dict[str, Any] = {"analysis": "", "answer": "no idea", "practise": "Everything.", "weight": 1.0}  # fails its check: rejected
    answered = "".join(json.dumps({**task, "answer": answer}) + "\n" for task in tasks)
    (world.recordings / "later.jsonl").write_text(answered, encoding="utf-8")
    _, end = loop(world, 2)
    assert not workspace.pending.exists()
    assert end.stopped.startswith("nothing new")  # the recipe trains on no corrections
    assert len(all_rounds(workspace)) == 1
