"""A release made again from what docs/datasets.md says it takes: elsewhere, without the data of any stage, without a network, after edits."""

import asyncio
import json
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import yaml
from pegboard import HOST, lines
from pegboard_world import Finished, World

import castalia.release.folder
from castalia import rebuild
from castalia.cli import main
from castalia.config import load_config
from castalia.oracle.scripted import FAULTS, Act, scripted_server
from castalia.records import Reject
from castalia.rounds.measure import store_failures
from castalia.store import open_store
from castalia.workspace import Workspace, open_workspace


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Refuses every connection and look-up of a name; what was tried is in the list."""
    tried: list[object] = []

    def refuse(*arguments: Any, **more: Any) -> Any:
        tried.append(arguments[1:] or arguments)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture
def moved(finished: Finished, tmp_path: Path) -> Path:
    """A folder on another path with the configuration, the files it names, and of the store's folder release, archive and ledger."""
    here, there = finished.world.folder, tmp_path / "another" / "place"
    there.mkdir(parents=True)
    for name in ("castalia.yaml", "target_dev.jsonl"):
        shutil.copy(here / name, there)
    shutil.copytree(here / "recordings", there / "recordings")
    for name in ("releases", "archive"):
        shutil.copytree(here / "work" / name, there / "work" / name)
    for file in (here / "work").glob("ledger.sqlite*"):
        if file.is_file():
            shutil.copy(file, there / "work")
    return there


def rebuilt(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    assert main(["rebuild", "pegboard@v1", "--json"]) == 0
    return next(fact for line in capsys.readouterr().out.splitlines() if "same" in (fact := json.loads(line)))


def test_what_the_documentation_names_makes_the_same_release_elsewhere_without_a_network(
    moved: Path, unreachable: list[object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    found = rebuilt(moved, capsys, monkeypatch)
    assert (found["same"], found["different"]) == (True, [])
    assert found["files"] > 10
    assert unreachable == []


def test_recordings_are_files_that_the_configuration_names_so_they_are_missed(
    moved: Path, unreachable: list[object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for file in (moved / "recordings").iterdir():
        file.write_text("")
    monkeypatch.chdir(moved)
    assert main(["rebuild", "pegboard@v1"]) != 0
    assert "'pegboard@v1' can't be made again: stage 'taxonomy': no recorded answer" in capsys.readouterr().err
    assert unreachable == []


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("archive", "no ledger or no archive of pages"),
        ("ledger.sqlite", "no ledger or no archive of pages"),
        ("releases", "no release 'pegboard@v1'"),
    ],
)
def test_what_is_missing_is_named(moved: Path, lost: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for path in (moved / "work").glob(f"{lost}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.chdir(moved)
    assert main(["rebuild", "pegboard@v1"]) != 0
    assert words in capsys.readouterr().err


def edited(folder: Path, section: Sequence[str], value: object) -> None:
    settings = yaml.safe_load((folder / "castalia.yaml").read_text())
    inner = settings
    for name in section[:-1]:
        inner = inner.setdefault(name, {})
    inner[section[-1]] = value
    (folder / "castalia.yaml").write_text(yaml.safe_dump(settings))


@pytest.mark.parametrize(
    ("section", "value"),
    [(("stages", "extract", "max_atoms"), 3), (("mix",), {"quotas": [{"at_most": 9}]})],
    ids=["params", "mix"],
)
def test_settings_that_were_edited_after_the_release_are_named(
    finished: Finished,
    copy_of: Callable[[World], World],
    section: Sequence[str],
    value: object,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    world = copy_of(finished.world)
    before = world.lock()
    edited(world.folder, section, value)
    monkeypatch.chdir(world.folder)
    assert main(["rebuild", "pegboard@v1"]) != 0
    said = capsys.readouterr().err
    assert ".".join(section) in said, said
    assert world.lock() == before
    assert not list(world.work.glob(".rebuild*"))


def test_settings_that_decide_no_data_may_be_edited(moved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    edited(moved, ("execution", "concurrency"), 2)
    edited(moved, ("execution", "connect_to"), {})
    edited(moved, ("execution", "pages_per_second"), 9)
    assert rebuilt(moved, capsys, monkeypatch)["same"]


def test_what_a_provider_could_not_take_is_left_out_again_without_the_provider(finished: Finished, copy_of: Callable[[World], World]):
    world = copy_of(finished.world)
    answers = {line["subject"]: json.dumps(line["answer"]) for line in lines() if line["prompt"] == "extract"}
    too_long = f"{HOST}/guide/#0-2"

    def script(_: int, user: str) -> Act:
        subject = next(subject for subject in answers if subject in user)
        return FAULTS["context"] if subject == too_long else Act(text=answers[subject])

    async def made() -> None:
        async with scripted_server(script) as server:
            edited(world.folder, ("oracles", "extractor"), {"provider": "openai", "model": "scripted", "base_url": server.openai})
            for command in (("run", "--rebuild", "extract"), ("release",)):
                await asyncio.to_thread(world.run, *command)
            assert server.count == len(answers)

    asyncio.run(made())
    [reject] = open_store(world.work / "store").read_dataset("extract.rejects", Reject)
    assert (reject.subject, reject.reason) == (too_long, "answer-unusable")
    assert world.run("rebuild", "pegboard@v2", "--json").facts[-1]["same"]
    world.run("run", "--offline", "--rebuild", "extract")


def forget_failures(workspace: Workspace, after: str) -> None:
    """What a round of `castalia loop` does to the failures of the round before: here everything is mended."""
    store_failures(workspace, [], after, source="loop")


def test_a_release_is_made_from_the_failures_of_its_time_and_not_from_later_ones(
    finished: Finished,
    copy_of: Callable[[World], World],
    unreachable: list[object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    world = copy_of(finished.world)
    monkeypatch.chdir(world.folder)
    workspace = open_workspace(load_config([world.folder / "castalia.yaml"]))
    forget_failures(workspace, "round 1")
    assert rebuilt(world.folder, capsys, monkeypatch)["same"]
    assert main(["run", "--rebuild", "build_replay"]) == 0
    assert main(["release"]) == 0
    noted = workspace.store.manifest("failures")
    forget_failures(workspace, "round 2")
    capsys.readouterr()
    assert main(["rebuild", "pegboard@v2", "--json"]) == 0
    lost = Path(workspace.store.root) / "objects" / noted.hash[:2] / noted.hash
    lost.unlink()
    capsys.readouterr()
    assert main(["rebuild", "pegboard@v2"]) != 0
    assert "the version of 'failures' that it was made with is not in store" in capsys.readouterr().err
    assert unreachable == []


def test_the_same_rows_from_another_writer_are_told_apart_from_other_rows(
    finished: Finished, copy_of: Callable[[World], World], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    world = copy_of(finished.world)
    monkeypatch.setattr(castalia.release.folder, "_ROWS_PER_GROUP", 1)
    monkeypatch.chdir(world.folder)
    assert main(["rebuild", "pegboard@v1"]) == 8  # by the same versions, the bytes must be the same
    capsys.readouterr()
    monkeypatch.setattr(pyarrow, "__version__", "0.0.1")
    found = rebuilt(world.folder, capsys, monkeypatch)
    assert (found["same"], found["different"]) == (False, [])
    assert {"config.json", "croissant.json", "data/sft.parquet", "tokens/sft.parquet"} <= set(found["rewritten"])
    assert "data/sft.jsonl" not in found["rewritten"]
    [version] = found["versions"]
    assert version.startswith("pyarrow: ") and version.endswith('-> "0.0.1"')
    monkeypatch.setattr(castalia.release.folder, "_ROWS_PER_GROUP", 1024)
    edited(world.folder, ("mix",), {"quotas": [{"at_most": 9}]})
    assert main(["rebuild", "pegboard@v1"]) == 8
    said = capsys.readouterr().err
    assert "mix" in said and "versions changed, too: pyarrow" in said


def test_a_release_is_made_again_by_one_process_at_a_time(moved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(moved)
    with rebuild._alone(moved / "work/releases/pegboard@v1"):
        assert main(["rebuild", "pegboard@v1"]) != 0
    assert "is being made again by another process" in capsys.readouterr().err
    assert rebuilt(moved, capsys, monkeypatch)["same"]
