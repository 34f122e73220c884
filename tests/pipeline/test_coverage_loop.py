"""Collecting in rounds: what no kept page or too few examples cover goes back to the planning, until that no longer pays."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from pegboard import HOST, SITE, WANTED
from pegboard_world import Site, World, kill_when, make_world, started

from castalia.cli import main
from castalia.records import CoverageGap, ExampleGap, Page, Query, SFTExample
from castalia.store import Store, open_store

FOUND_AT_FIRST = {"behavioral": "visitors customer name board", "skills": "program sign table"}
"""Words of the first searches by category; others find nothing."""
FOUND_LATER = {"knowledge/signs": "dot colon hash worth"}


def steered(
    folder: Path, site: Site, *, at_first: dict[str, str] = FOUND_AT_FIRST, later: dict[str, str] = FOUND_LATER, **changes: Any
) -> World:
    """The pegboard world, searched in an index that leads from some words to some pages, and not explored."""
    index = folder / "index.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    entries = {
        f"{SITE}rules.html": FOUND_AT_FIRST["behavioral"], f"{SITE}counting.html": FOUND_AT_FIRST["skills"], SITE: FOUND_LATER["knowledge/signs"],
    }  # fmt: skip
    index.write_text("".join(json.dumps({"url": url, "text": text}) + "\n" for url, text in entries.items()), encoding="utf-8")
    search = {"local": {"kind": "local", "path": str(index)}}
    world = make_world(folder, site, sources={"search": ["local"]}, search=search, **changes)

    def change(line: dict[str, Any]) -> dict[str, Any]:
        category = line["subject"]
        if not line["prompt"].startswith("plan_queries_"):
            return line
        node = line["answer"]["queries"][0]["node"]
        words = at_first.get(category, f"zither {category}")
        return line | {"answer": {"queries": [{"node": node, "text": words, "wanted": WANTED[category]}]}}

    world.rewrite(change)
    wanted = {f"{category}/": kind for category, kind in WANTED.items()}
    review = [
        {"node": node, "text": words, "wanted": next(kind for start, kind in wanted.items() if node.startswith(start))}
        for node, words in later.items()
    ]
    rounds = {"collected/1": {"gaps": ["nothing on signs"], "queries": review}, "collected/2": {"gaps": [], "queries": []}}
    with (world.recordings / "rounds.jsonl").open("w", encoding="utf-8") as file:
        for subject, answer in rounds.items():
            file.write(json.dumps({"prompt": "review_collected", "subject": subject, "answer": answer}) + "\n")
    return world


def run(world: World, *more: str) -> None:
    """`castalia run --until collect` in this process."""
    with chdir(world.folder):
        assert main(["run", "--until", "collect", *more]) == 0


def stored(world: World) -> Store:
    return open_store(world.work / "store")


def kept(world: World) -> dict[str, set[str]]:
    """Path to the words of the queries that led there, for each kept page."""
    words = {query.id: query.text for query in stored(world).read_dataset("queries", Query)}
    pages = stored(world).read_dataset("pages", Page)
    return {page.url.split(HOST)[1]: {words[identity] for identity in page.queries} for page in pages}


def test_what_no_kept_page_covers_is_searched_for_otherwise_until_a_review_has_nothing_new(
    tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]
):
    world = steered(tmp_path / "world", site)
    run(world)
    found = kept(world)
    assert set(found) == {"/guide/", "/guide/rules.html", "/guide/counting.html"}
    assert FOUND_LATER["knowledge/signs"] in found["/guide/"]
    assert sorted((gap.round, gap.node) for gap in stored(world).read_dataset("gaps", CoverageGap)) == [
        (1, "knowledge/signs"), (1, "procedural/closing"), (2, "procedural/closing"),
    ]  # fmt: skip
    capsys.readouterr()
    run(world, "--json")
    assert "StageFinished" not in capsys.readouterr().out


def test_a_loop_that_was_killed_in_its_second_round_goes_on_by_the_same_command_and_ends_the_same(tmp_path: Path, site: Site):
    whole, killed = steered(tmp_path / "whole", site), steered(tmp_path / "killed", site)
    run(whole)
    times = iter((False, True))
    kill_when(killed.start("run", "--until", "collect", "--json"), lambda fact: started("collect")(fact) and next(times))
    run(killed)
    assert kept(killed) == kept(whole)


def test_a_loop_that_was_killed_between_two_rounds_hands_over_what_was_missing(tmp_path: Path, site: Site):
    killed = steered(tmp_path / "killed", site)
    times = iter((False, True))
    kill_when(killed.start("run", "--until", "collect", "--json"), lambda fact: started("plan_queries")(fact) and next(times))
    run(killed)
    assert set(kept(killed)) == {"/guide/", "/guide/rules.html", "/guide/counting.html"}


@pytest.mark.parametrize("setting", ["stages.plan_queries.max_collected_reviews=0", "sources.search=[site]"])
def test_where_no_review_is_wanted_or_searches_steer_nothing_there_are_no_gaps(tmp_path: Path, site: Site, setting: str):
    world = steered(tmp_path / "world", site)
    run(world, "--set", setting)
    assert not stored(world).has("gaps")


@pytest.mark.parametrize(("dataset", "stage"), [("queries", "plan_queries"), ("pages", "collect")])
def test_a_damaged_name_of_what_searches_steer_is_told_and_cured_by_a_rebuild(
    tmp_path: Path, site: Site, dataset: str, stage: str, capsys: pytest.CaptureFixture[str]
):
    world = steered(tmp_path / "world", site)
    run(world)
    before = kept(world)
    (world.work / "store" / "refs" / f"{dataset}.json").write_text("half a na")
    with chdir(world.folder):
        assert main(["run", "--until", "collect"]) == 5
        assert f"stage '{stage}' is stale: the ref of dataset '{dataset}'" in capsys.readouterr().err
        assert main(["plan", "--json"]) == 0
        planned = {fact["stage"]: fact for line in capsys.readouterr().out.splitlines() if "stage" in (fact := json.loads(line))}
        assert (planned[stage]["state"], planned["normalize"]["state"]) == ("stale", "blocked")
    run(world, "--rebuild", stage)
    assert kept(world) == before


LACKING = {"quotas": [{"node": "skills/count-rows", "at_least": 1}]}


def lacking(folder: Path, site: Site, reviews: int = 1) -> World:
    """At first no page on counting is found, so no example shows how to count; a search for what lacks would find one."""
    world = steered(
        folder, site, at_first={"behavioral": FOUND_AT_FIRST["behavioral"]}, mix=LACKING,
        stages={"plan_queries": {"max_collected_reviews": 0, "max_example_reviews": reviews}},
    )  # fmt: skip
    query = {"node": "skills/count-rows", "text": FOUND_AT_FIRST["skills"], "wanted": WANTED["skills"]}
    review = {"prompt": "review_examples", "subject": "examples/1", "answer": {"gaps": ["nothing to count with"], "queries": [query]}}
    (world.recordings / "examples.jsonl").write_text(json.dumps(review) + "\n", encoding="utf-8")
    return world


def taught(world: World) -> set[str]:
    return {example.node for example in stored(world).read_dataset("sft", SFTExample)}


def test_what_too_few_examples_were_accepted_of_is_searched_for_and_made_in_the_same_run(tmp_path: Path, site: Site):
    world = lacking(tmp_path / "world", site)
    world.run("run")
    assert set(kept(world)) == {"/guide/rules.html", "/guide/counting.html"}
    [gap] = stored(world).read_dataset("example_gaps", ExampleGap)
    assert (gap.round, gap.node, gap.difficulty, gap.style, gap.examples, gap.wanted) == (1, "skills/count-rows", "medium", "lesson", 0, 1)
    assert "skills/count-rows" in taught(world)
    again = world.run("run", "--json")
    assert "StageFinished" not in again.out
    world.run("release")


def test_a_round_for_missing_examples_that_was_killed_goes_on_by_the_same_command(tmp_path: Path, site: Site):
    world = lacking(tmp_path / "world", site)
    times = iter((False, True))
    kill_when(world.start("run", "--json"), lambda fact: started("extract")(fact) and next(times))
    assert "skills/count-rows" not in taught(world)
    world.run("run")
    assert "skills/count-rows" in taught(world)


def test_when_a_round_is_over_what_becomes_stale_is_for_a_person_to_decide(tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]):
    world = lacking(tmp_path / "world", site)
    edited = ("--set", "stages.extract.max_atoms=3")
    with chdir(world.folder):
        assert main(["run"]) == 0
        assert main(["run", "--rebuild", "extract", "--until", "extract", *edited]) == 0
        assert main(["run", *edited]) == 5
    assert "stage 'build_sft' is stale: input 'atoms' changed" in capsys.readouterr().err


def test_missing_examples_are_not_searched_for_unless_that_is_wanted(tmp_path: Path, site: Site):
    world = lacking(tmp_path / "world", site, reviews=0)
    world.run("run")
    assert not stored(world).has("example_gaps")
    assert set(kept(world)) == {"/guide/rules.html"}
