"""What executed code meets is part of the identity of every stage that executes, and of no other."""

import shutil
from pathlib import Path

import pytest

from castalia.config import load_config
from castalia.engine import ExecutingParams
from castalia.pipeline import STAGES, stage_params
from castalia.sandbox import RunnerConfig, runtime, runtime_identity

EXECUTING = {"design_suite", "build_sft", "build_preferences", "build_rewards", "build_replay", "verify"}


@pytest.fixture
def harness(tmp_path: Path) -> Path:
    path = tmp_path / "run.py"
    path.write_text("def run(candidate, value):\n    return value\n")
    return path


def identities(folder: Path, **sandbox: str) -> dict[str, str]:
    settings = "".join(f", {name}: {value}" for name, value in sandbox.items())
    path = folder / "castalia.yaml"
    path.write_text(f"domain: tea\nsandbox: {{runners: {{tea: {{harness: run.py, packages: [pydantic]}}}}{settings}}}\n")
    return {name: params.model_dump_json() for name, params in stage_params(load_config([path]), STAGES).items()}


def test_an_edited_harness_makes_every_executing_stage_another_one(tmp_path, harness):
    before = identities(tmp_path)
    harness.write_text("def run(candidate, value):\n    return None\n")
    after = identities(tmp_path)
    assert {name for name in before if before[name] != after[name]} == EXECUTING


def test_another_version_of_a_distribution_does_so_too(tmp_path, harness, monkeypatch):
    before = identities(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.9")
    after = identities(tmp_path)
    assert {name for name in before if before[name] != after[name]} == EXECUTING
    assert "pydantic==99.9" in after["verify"]


def test_stages_that_say_they_execute_are_those_that_do():
    assert {stage.name for stage in STAGES if issubclass(stage.params, ExecutingParams)} == EXECUTING


def test_where_a_harness_lies_is_no_part_of_it(tmp_path, harness):
    before = runtime_identity({"tea": RunnerConfig(harness=str(harness))}, ())
    moved = harness.rename(tmp_path / "elsewhere.py")
    assert runtime_identity({"tea": RunnerConfig(harness=str(moved))}, ()) == before


def test_what_is_missing_is_called_absent(tmp_path):
    lines = runtime_identity({"tea": RunnerConfig(harness=str(tmp_path / "none.py"))}, ("no-such-distribution",))
    assert "runner tea sha256 absent" in lines
    assert "no-such-distribution==absent" in lines


@pytest.mark.parametrize(
    ("changed", "runners"), [("rust/plain.rs", {"rust"}), ("rust.py", {"rust"}), ("inside/evaluate.py", {"python", "rust", "shell", "tea"})]
)
def test_what_makes_values_beside_a_harness_is_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, runners: set[str]
) -> None:
    harness = tmp_path / "harness.py"
    harness.write_text("def run(candidate, value): ...\n")
    room = tmp_path / "room"
    shutil.copytree(runtime._ROOM, room)
    before = runtime_identity({"tea": RunnerConfig(harness=str(harness))}, ())
    monkeypatch.setattr(runtime, "_ROOM", room)
    assert runtime_identity({"tea": RunnerConfig(harness=str(harness))}, ()) == before
    (room / changed).write_text((room / changed).read_text() + "\n")
    after = runtime_identity({"tea": RunnerConfig(harness=str(harness))}, ())
    assert {line.split()[1] for line in set(after) - set(before)} == runners
