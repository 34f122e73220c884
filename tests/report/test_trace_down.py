"""Tracing the other way: what was made from a record or an answer, what was said of it, and calls by their keys."""

import asyncio
import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from castalia.errors import InputError
from castalia.oracle import Prices, RoleConfig, Task, open_oracle
from castalia.oracle.scripted import Act, scripted_server
from castalia.quality.labels import add_label
from castalia.records import Atom, Evidence, KnowledgeBody, Provenance
from castalia.rounds.record import open_round
from castalia.trace import Step, trace
from castalia.trace.links import open_links
from castalia.training.recipe import Recipe, SftSettings
from castalia.workspace import Workspace
from cpu_time import cpu_seconds
from small_world import SECTION, document, item, page, passed, put, sft, trace_example, world

ATOM = Atom(
    subject=f"{SECTION}/1", section=SECTION, category="knowledge", node="knowledge/tea", domain="tea", difficulty="easy", style="reference",
    evidence=Evidence(document=document().id, url=page().url, blocks=(1,)), knowledge=KnowledgeBody(form="claim", statement="Two minutes."),
    provenance=Provenance(parents=(document().id,)),
)  # fmt: skip
EXAMPLE = sft(provenance=Provenance(parents=(ATOM.id,)))


def down(workspace: Workspace, identity: str) -> list[tuple[int, str, str]]:
    return [(step.depth, step.kind, step.identity) for step in trace(workspace, identity, down=True)]


def test_a_page_leads_down_to_every_record_made_from_it(tmp_path):
    workspace = world(tmp_path, changes={"atoms": [ATOM], "sft": [EXAMPLE], "preferences": [], "rewards": [], "replay": []})
    assert down(workspace, page().id) == [
        (0, "pages", page().id), (1, "documents", document().id), (2, "atoms", ATOM.id), (3, "sft", EXAMPLE.id),
    ]  # fmt: skip
    assert down(workspace, ATOM.id) == [(0, "atoms", ATOM.id), (1, "sft", EXAMPLE.id)]
    assert down(workspace, EXAMPLE.id) == [(0, "sft", EXAMPLE.id)]


def test_a_record_says_which_checks_it_passed_and_what_people_said(tmp_path):
    verdicts = [
        passed(sft(), "sft"), passed(sft(), "sft", layer=5, check="policy", outcome="flag"), passed(trace_example(), "sft"),
    ]  # fmt: skip
    workspace = world(tmp_path, changes={"verdicts": verdicts})
    add_label(workspace.labels, sft().id, "ana", "approve")
    shown = next(trace(workspace, sft().id))
    assert (shown.facts["checks"], shown.facts["people"]) == ("1 passed, 5 policy flag", "ana: approve")
    [below] = [step for step in trace(workspace, document().id, down=True) if step.identity == sft().id]
    assert below.facts["checks"] == shown.facts["checks"]


def test_a_record_names_the_models_it_trained(tmp_path):
    workspace = world(tmp_path)
    begun = open_round(workspace, Recipe(name="t", sft=SftSettings()), {"sft": [sft()]}, earlier=[], base="b")
    stage = workspace.training / f"round-{begun.number}" / "sft"
    (stage / "model").mkdir(parents=True)
    (stage / "stage.json").write_text(json.dumps({"too_long": []}))
    assert next(trace(workspace, sft().id)).facts["trained"] == [f"round 1, sft: {stage / 'model'}"]
    assert "trained" not in next(trace(workspace, trace_example().id)).facts


def test_protected_items_have_no_name_below_what_they_were_made_from(tmp_path):
    node = "node_" + "0" * 20
    items = [item(bank).model_copy(update={"provenance": Provenance(parents=(node,))}) for bank in ("dev", "gate", "vault")]
    workspace = world(tmp_path, changes={"suite": items})
    with open_links(workspace.store, tmp_path / "links.sqlite") as links:
        assert sorted(child.name for child in links.below(node)) == ["", "", item().subject]


# The index


def test_the_index_follows_what_is_rebuilt_and_survives_damage(tmp_path):
    workspace = world(tmp_path)
    assert sft().id in {identity for _, _, identity in down(workspace, document().id)}
    put(workspace.store, "sft", type(EXAMPLE), [EXAMPLE])
    put(workspace.store, "atoms", Atom, [ATOM])
    assert (2, "sft", EXAMPLE.id) in down(workspace, document().id)
    index = workspace.folder / "trace.sqlite"
    index.write_bytes(b"not a database" * 1000)
    assert (2, "sft", EXAMPLE.id) in down(workspace, document().id)
    index.unlink()
    index.mkdir()  # can't be opened, as in a folder that can't be written
    assert (2, "sft", EXAMPLE.id) in down(workspace, document().id)


def test_looking_down_takes_milliseconds_among_thousands_of_records(tmp_path):
    parents = Provenance(parents=(document().id,))
    many = [sft(number, question=f"Question {number}?", provenance=Provenance(parents=(ATOM.id,))) for number in range(3000)]
    workspace = world(tmp_path, changes={"sft": [*many, EXAMPLE.model_copy(update={"provenance": parents})], "verdicts": []})
    list(trace(workspace, EXAMPLE.id, down=True))  # the first makes the index
    assert cpu_seconds(lambda: list(trace(workspace, many[7].id, down=True))) < 0.5  # 20 ms on a quiet machine


# Calls


def test_a_call_is_found_by_the_beginning_of_its_key_with_what_was_made_from_it(tmp_path):
    workspace = world(tmp_path)
    [key] = next(record for record in workspace.store.read_dataset("sft", type(EXAMPLE)) if record.id == sft().id).provenance.calls
    steps = list(trace(workspace, key[:8]))
    assert (steps[0].kind, steps[0].identity) == ("oracle", key)
    assert "writer in stage build_sft" in steps[0].facts["asked"]
    assert "the raw answer" in steps[0].facts["answer"]
    assert {step.identity for step in steps[1:] if step.depth == 1} >= {sft().id}
    assert [step.facts for step in trace(workspace, key)] == [step.facts for step in steps]


@pytest.mark.parametrize("key", ["0", "abcdef0"])
def test_a_key_of_less_than_eight_digits_is_refused(tmp_path, key: str):
    with pytest.raises(InputError, match="at least 8 digits"):
        list(trace(world(tmp_path), key))


def test_a_key_that_no_call_has_is_an_error(tmp_path):
    workspace = world(tmp_path)
    with pytest.raises(InputError, match="no call"):
        list(trace(workspace, "0" * 16))
    workspace.ledger.unlink()
    with pytest.raises(InputError, match="no ledger"):
        list(trace(workspace, "0" * 16))


class Point(BaseModel):
    x: int


def test_the_repairs_of_a_call_are_shown_from_either_end(tmp_path: Path):
    workspace = world(tmp_path)
    prices = Prices(input=1.0, output=2.0)

    async def ask() -> str:
        async with scripted_server(lambda number, _: Act(text="sorry" if number < 2 else '{"x": 3}', usage=(1000, 200))) as server:
            role = RoleConfig(provider="openai", base_url=server.openai, model="scripted", max_tokens=100, prices=prices)
            async with open_oracle({"writer": role}, workspace.ledger, budget_usd=None) as oracle:
                task = Task(stage="extract", prompt="extract", subject="s", prompt_sha256="a" * 64)
                return (await oracle.ask("writer", "You extract.", "Extract.", Point, task=task)).key

    key = asyncio.run(ask())
    steps = list(trace(workspace, key))
    assert [step.kind for step in steps] == ["oracle", "repair of", "repair of"]
    assert steps[0].facts["tokens"] == "1000 in, 200 out"
    assert steps[0].facts["usd"] == pytest.approx(0.0014)
    assert "not one valid JSON" in steps[0].facts["asked again because"]
    first: Step = steps[-1]
    assert [step.kind for step in trace(workspace, first.identity)] == ["oracle", "repaired by", "repaired by"]
