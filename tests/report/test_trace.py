"""Tracing a record: the chain to the page, its licence evidence and the oracle's raw answer, in milliseconds."""

import asyncio

import pytest

from castalia.errors import InputError, RequestRejected
from castalia.oracle import RoleConfig, Task, open_oracle
from castalia.oracle.scripted import FAULTS, scripted_server
from castalia.records import Atom, Evidence, KnowledgeBody, LicenceDecision, Provenance, Reject, SFTExample
from castalia.trace import trace
from castalia.web.archive import Archive
from cpu_time import cpu_seconds
from small_world import SECTION, document, item, page, put, replay, sft, world


def chain(workspace, identity: str) -> list[tuple[int, str]]:
    return [(step.depth, step.kind) for step in trace(workspace, identity)]


def test_the_chain_of_a_record_ends_at_page_licence_and_answer(tmp_path):
    workspace = world(tmp_path)
    steps = list(trace(workspace, sft().id))
    assert [(step.depth, step.kind) for step in steps] == [
        (0, "sft"), (1, "oracle"), (1, "documents"), (2, "pages"), (3, "archive"), (3, "licence evidence"),
    ]  # fmt: skip
    facts = {step.kind: step.facts for step in steps}
    assert "the raw answer" in facts["oracle"]["answer"]
    assert "build_sft" in facts["oracle"]["asked"]
    assert facts["archive"]["fetched"] == "2024-05-01T10:00:00+00:00"
    assert facts["archive"]["sha256"] == page().body_sha256
    assert facts["licence evidence"]["sentence"] == "Permission is hereby granted"
    assert facts["sft"]["cites"] == [f"{page().url} blocks [1]"]


def test_what_is_met_twice_is_shown_once(tmp_path):
    spot = Evidence(document=document().id, url=page().url, blocks=(1,))
    atoms = [
        Atom(subject=f"{SECTION}/{n}", section=SECTION, category="knowledge", node="knowledge/tea", domain="tea", difficulty="easy",
        style="reference", evidence=spot,
             knowledge=KnowledgeBody(form="claim", statement=f"Fact {n}."), provenance=Provenance(parents=(document().id,)))
        for n in (1, 2)
    ]  # fmt: skip
    example = sft(provenance=Provenance(parents=tuple(atom.id for atom in atoms)))
    steps = list(trace(world(tmp_path, changes={"atoms": atoms, "sft": [example]}), example.id))
    assert [step.kind for step in steps].count("atoms") == 2
    assert len({step.identity for step in steps}) == len(steps)
    assert next(step for step in steps if step.kind == "atoms").facts["cites"] == [f"{page().url} blocks [1]"]


def test_a_replay_record_leads_to_the_item_it_corrects(tmp_path):
    workspace = world(tmp_path)
    assert (1, "suite") in chain(workspace, replay().id)
    assert item().id in {step.identity for step in trace(workspace, replay().id)}


def test_a_gate_item_is_never_shown_by_its_trace(tmp_path):
    shown = list(trace(world(tmp_path), item("gate").id))
    assert "gate question" not in str(shown)
    assert shown[0].facts == {"why": "not shown: it holds GATE and VAULT items"}


def test_links_that_are_gone_are_shown_as_such(tmp_path):
    lost = sft(provenance=Provenance(parents=("doc_00000000000000000000",), calls=("f" * 64,)))
    steps = list(trace(world(tmp_path, changes={"sft": [lost]}), lost.id))
    assert [(step.kind, step.facts.get("why")) for step in steps[1:]] == [
        ("oracle", "not in this ledger"),
        ("missing", "no dataset of the store has it any more"),
    ]


def test_behind_a_reject_the_request_is_shown_that_the_provider_would_not_take(tmp_path):
    workspace = world(tmp_path)

    async def refused() -> tuple[str, ...]:
        async with scripted_server(lambda *_: FAULTS["context"]) as server:
            role = RoleConfig(provider="openai", model="m", base_url=server.openai)
            async with open_oracle({"writer": role}, workspace.ledger, budget_usd=None) as oracle:
                task = Task(stage="build_sft", prompt="build_sft", subject=SECTION, prompt_sha256="a" * 64)
                with pytest.raises(RequestRejected) as raised:
                    await oracle.ask("writer", "You know tea.", "Write at length.", LicenceDecision, task=task)
                return raised.value.calls

    origin = Provenance(parents=(document().id,), calls=asyncio.run(refused()))
    reject = Reject(stage="build_sft", subject=SECTION, reason="answer-unusable", provenance=origin)
    put(workspace.store, "build_sft.rejects", Reject, [reject])
    [call] = [step for step in trace(workspace, reject.id) if step.kind == "oracle"]
    assert call.facts["state"] == "failed"
    assert "build_sft" in call.facts["asked"]


def test_an_unknown_record_is_answered_with_how_to_find_one(tmp_path):
    with pytest.raises(InputError, match="castalia show DATASET"):
        list(trace(world(tmp_path), "sft_00000000000000000000"))


def test_it_answers_while_another_process_collects(tmp_path):
    workspace = world(tmp_path)
    writer = Archive(workspace.archive)
    try:
        assert (3, "archive") in chain(workspace, sft().id)
    finally:
        writer.close()


def test_it_takes_milliseconds_among_thousands_of_records(tmp_path):
    first = sft()
    parents = Provenance(parents=(document().id,))
    many = [first.model_copy(update={"subject": f"{SECTION}/sft/{number}", "provenance": parents}) for number in range(3000)]
    workspace = world(tmp_path, changes={"sft": many, "verdicts": []})
    assert len(workspace.store.read_dataset("sft", SFTExample)) == 3000
    list(trace(workspace, many[0].id))  # the first opens files
    assert cpu_seconds(lambda: list(trace(workspace, many[-1].id))) < 0.5  # 50 ms on a quiet machine
    assert list(trace(workspace, many[-1].id))[-1].kind == "licence evidence"
