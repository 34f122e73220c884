"""Bad input through the command line: the right error and exit code, a message with the next step, and nothing lost afterwards."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pegboard import HOST, RULES, SITE
from pegboard_world import Done, Finished, Site, World, finish, make_world, pages, serve, wait_until

GPL = "Metadata-Version: 2.4\nName: pegs\nVersion: 1\nLicense-Expression: GPL-3.0-only\n"


def error(done: Done) -> tuple[str, str]:
    """Class and message of the error that `--json` ends with; the same message stands on stderr."""
    fact = done.facts[-1]
    assert f"castalia: {fact['message']}" in done.err
    assert "Traceback" not in done.err
    return fact["error"], fact["message"]


def ends_like(finished: Finished, world: World) -> None:
    """A correct run now goes to the end, and the release is the one of a world where nothing went wrong."""
    world.run("run")
    world.run("release")
    assert world.lock() == finished.world.lock()


def shard_of(world: World, dataset: str) -> Path:
    objects = world.work / "store" / "objects"
    return place_of(objects, json.loads(manifest_of(world, dataset).read_bytes())["shards"][0]["sha256"])


def manifest_of(world: World, dataset: str) -> Path:
    ref = json.loads((world.work / "store" / "refs" / f"{dataset}.json").read_bytes())
    return place_of(world.work / "store" / "objects", ref["manifest"])


def place_of(objects: Path, sha256: str) -> Path:
    return objects / sha256[:2] / sha256


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


# Configuration


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("source.sites=[]", "unknown key 'source': did you mean 'sources'?"),
        ("stages.extrakt.max_atoms=3", "did you mean 'extract'?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path, site: Site, assignment: str, told: str):
    world = make_world(tmp_path, site)
    kind, message = error(world.run("run", "--json", "--set", assignment, expect=2))
    assert kind == "ConfigError"
    assert told in message
    assert not (world.work / "store").exists()


# Oracle


def test_missing_recordings_are_named_exported_answered_imported_and_the_run_ends_like_any_other(
    finished: Finished, tmp_path: Path, site: Site
):
    world = make_world(tmp_path, site)
    taken: list[dict[str, Any]] = []

    def without(line: dict[str, Any]) -> dict[str, Any] | None:
        if line["prompt"] == "extract" and line["subject"] != f"{HOST}/guide/#0-2":
            taken.append(line)
            return None
        return line

    world.rewrite(without)
    kind, message = error(world.run("run", "--json", expect=6))
    assert kind == "MissingRecording"
    assert message.startswith("stage 'extract': 2 recorded answers are missing:")
    assert f"subject '{RULES}'" in message
    assert all(way in message for way in ("API key", "base_url", "pending.jsonl", "castalia oracle --export", "castalia oracle --import"))
    world.run("oracle", "--export", "tasks.jsonl")
    tasks = [json.loads(line) for line in (world.folder / "tasks.jsonl").read_text().splitlines()]
    assert {task["subject"] for task in tasks} == {line["subject"] for line in taken}
    answers = {line["subject"]: line["answer"] for line in taken}
    answered = [task | {"answer": answers[task["subject"]]} for task in tasks]
    (world.folder / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in answered))
    assert "added 2 answers" in world.run("oracle", "--import", "tasks.jsonl").out
    ends_like(finished, world)
    assert "no task waits" in error(world.run("oracle", "--json", "--export", "more.jsonl", expect=3))[1]


# Sites


def test_an_unreachable_site_is_named_and_can_be_collected_once_it_is_back(tmp_path: Path, site: Site):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
        world = make_world(tmp_path, site)
        place = f"execution.connect_to={{{HOST}: '{nobody}'}}"
        kind, message = error(world.run("run", "--json", "--until", "collect", "--set", place, expect=3))
    assert kind == "UnreachableSite"
    assert SITE in message
    assert "Check the address and the network" in message
    world.run("run", "--until", "collect")
    assert len(pages_in(world)) == 3


def test_a_site_without_an_allowed_licence_gives_no_page_and_says_what_was_read_and_what_to_change(tmp_path: Path):
    files = pages() | {"/PKG-INFO": ("text/plain", GPL)}
    del files["/LICENSE"]
    with serve(files) as site:
        world = make_world(tmp_path, site, sources={"licence_files": ["/PKG-INFO"]})
        kind, message = error(world.run("run", "--json", "--until", "collect", expect=3))
        assert kind == "NoLicensedPages"
        assert "GPL-3.0-only" in message
        assert f"http://{HOST}/PKG-INFO" in message
        assert "licence_files" in message
        asked = dict(site.asked)
        allow = ("--set", "sources.licences=[GPL-3.0-only]")
        kind, message = error(world.run("run", "--json", "--until", "collect", *allow, expect=5))
        assert (kind, "plan_queries" in message) == ("StaleStage", True)  # what hosts were named to the oracle depends on it
        world.run("run", "--until", "collect", *allow, "--keep", "plan_queries")
        assert len(pages_in(world)) == 3
        assert dict(site.asked) == asked, "a page was fetched again"


def test_a_site_of_empty_pages_stops_before_anything_is_asked_about_them(tmp_path: Path):
    empty = "<html><head><title>Pegs</title></head><body><nav><a href='/guide/rules.html'>rules</a></nav><main></main></body></html>"
    files = {path: (kind, empty if path.startswith("/guide/") else text) for path, (kind, text) in pages().items()}
    with serve(files) as site:
        world = make_world(tmp_path, site)
        kind, message = error(world.run("run", "--json", expect=3))
        assert kind == "InputError"
        assert "no collected page gave any text" in message
        assert "castalia show normalize.rejects" in message
        site.files = pages()
        world.run("run", "--set", "execution.store=elsewhere", "--until", "deduplicate")


def pages_in(world: World) -> list[Any]:
    return world.run("show", "pages", "--limit", "9", "--json").facts


# The store


@pytest.mark.parametrize(("damaged", "dataset", "stage"), [(shard_of, "documents", "deduplicate"), (manifest_of, "atoms", "extract")])
def test_a_damaged_object_is_named_and_rebuilding_its_stage_brings_the_same_release(
    finished: Finished, copy_of: Callable[[World], World], damaged: Callable[[World, str], Path], dataset: str, stage: str
):
    world = copy_of(finished.world)
    place = damaged(world, dataset)
    flip(place)
    kind, message = error(world.run("verify", "--json", expect=4))
    assert kind == "StoreError"
    assert place.name in message
    assert repr(dataset) in message
    cure = message.rpartition("castalia run ")[2].split()
    assert stage in cure
    world.run("run", *cure)
    world.run("verify")
    assert "already holds exactly this" in world.run("release").out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of its own with a size in bytes, which can be changed."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(size: int) -> Path:
        options = f"{'remount,' if place.is_mount() else ''}size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here, so no disk can be filled: {done.stderr.strip()}")
        return place

    yield sized
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount command")
def test_a_full_disk_is_said_and_the_run_goes_on_where_it_was_when_there_is_room(
    finished: Finished, small_disk: Callable[[int], Path], site: Site
):
    world = make_world(small_disk(260_000) / "world", site)
    kind, message = error(world.run("run", "--json", expect=4))
    assert kind == "StorageFull"
    assert str(world.work) in message
    small_disk(64 << 20)
    ends_like(finished, world)
    assert world.run("verify", "--json").facts[0]["problems"] == []


# Stale stages


def changed_recording(line: dict[str, Any]) -> dict[str, Any]:
    if line["prompt"] == "extract" and line["subject"] == RULES:
        return line | {"answer": {"atoms": line["answer"]["atoms"][:1]}}
    return line


def test_a_changed_recording_makes_its_stage_stale_with_reason_and_price_and_a_decision_brings_it_on(
    finished: Finished, copy_of: Callable[[World], World]
):
    world = copy_of(finished.world)
    world.rewrite(changed_recording)
    kind, message = error(world.run("run", "--json", expect=5))
    assert kind == "StaleStage"
    assert "stage 'extract' is stale: oracle role" in message
    assert "asks nothing new, where its questions are those that the ledger has answers to" in message
    assert "--rebuild extract" in message
    assert "--keep extract" in message
    steps = {step["stage"]: step["state"] for step in world.run("plan", "--json").facts if "stage" in step}
    assert (steps["deduplicate"], steps["extract"], steps["build_sft"]) == ("fresh", "stale", "blocked")
    world.run("run", "--rebuild", "extract", "--until", "extract")
    assert len(world.run("show", "atoms", "--limit", "9", "--json").facts) == 3
    assert world.run("verify", "--json").facts[0]["problems"] == []


def test_keeping_a_stale_stage_records_a_waiver_and_changes_no_data(finished: Finished, copy_of: Callable[[World], World]):
    world = copy_of(finished.world)
    world.rewrite(changed_recording)
    kept = world.run("run", "--keep", "extract")
    assert kept.out == "nothing to do: every stage is fresh\n"
    assert "kept although oracle role" in kept.err
    [waiver] = json.loads(manifest_of(world, "atoms").read_bytes())["waivers"]
    assert "oracle role" in waiver["reason"]
    world.run("release")
    first, second = sorted((world.work / "releases").iterdir())
    assert (first / "data" / "sft.jsonl").read_bytes() == (second / "data" / "sft.jsonl").read_bytes()
    assert "* `extract`: oracle role" in (second / "README.md").read_text(), "the release shows the waiver"
    assert world.run("run").out == "nothing to do: every stage is fresh\n", "the waiver holds for the next run"


def test_a_changed_param_is_named_with_both_values(finished: Finished, copy_of: Callable[[World], World]):
    world = copy_of(finished.world)
    _, message = error(world.run("run", "--json", "--set", "stages.extract.max_atoms=5", expect=5))
    assert "param 'max_atoms' changed from 8 to 5" in message


def test_a_changed_suite_is_another_suite_until_the_frozen_one_is_moved_aside(finished: Finished, copy_of: Callable[[World], World]):
    world = copy_of(finished.world)

    def reworded(line: dict[str, Any]) -> dict[str, Any]:
        return json.loads(json.dumps(line).replace("Give the worth of `#` as a number", "State the worth of `#` as a number"))

    world.rewrite(reworded)
    kind, message = error(world.run("run", "--json", "--rebuild", "design_suite", expect=5))
    assert kind == "StaleStage"
    assert "1 changed ('knowledge/signs/gate/1')" in message
    frozen = world.work / "suite.json"
    assert str(frozen) in message
    frozen.rename(world.work / "suite-before.json")
    world.run("run", "--rebuild", "design_suite")
    assert "pegboard@v2" in world.run("release").out


# Two at once


def test_a_second_run_on_the_same_store_names_the_first_and_does_no_harm(finished: Finished, tmp_path: Path):
    with serve(pages()) as own:
        world = make_world(tmp_path, own)
        own.stall_after = 5
        first = world.start("run", "--json")
        wait_until(lambda: own.asked.total() > 5)
        kind, message = error(world.run("run", "--json", expect=4))
        assert kind == "StoreError"
        assert f"process {first.pid}" in message
        own.stall_after = None
        finish(first)
        world.run("release")
        assert world.lock() == finished.world.lock()
