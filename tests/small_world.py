"""A small world that several rooms test with: two licensed pages, a few records made from them, and a workspace that holds them."""

import asyncio
import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydantic import BaseModel

from castalia.config import load_config
from castalia.engine import stage_state
from castalia.oracle import RoleConfig, Task, open_oracle
from castalia.records import (
    Atom,
    Block,
    Candidate,
    Check,
    Conversation,
    Document,
    Evidence,
    Leak,
    LicenceDecision,
    LicenceEvidence,
    Message,
    Page,
    PreferencePair,
    Provenance,
    Record,
    ReplayItem,
    ReviewItem,
    RewardRecord,
    Rubric,
    ScoredAnswer,
    SFTExample,
    SuiteItem,
    Tool,
    Verdict,
    ask_user,
)
from castalia.store import Store
from castalia.web.archive import Archive, Fetched
from castalia.workspace import Workspace, open_workspace, role_identity

SITE = "https://tea.example/docs/"
SECTION = "tea.example/docs/brew.html#0-2"
BLOCKS = ("Brewing", "Steep green tea for two minutes at eighty degrees.", "Black tea takes four minutes in boiling water.")


def page(name: str = "brew.html", verdict: str = "allowed", spdx: str | None = "MIT") -> Page:
    html = f"<h1>Brewing</h1><p>{BLOCKS[1]}</p><p>{BLOCKS[2]}</p><!-- {name} -->"
    seen = LicenceEvidence(
        spdx=spdx, url=f"{SITE}LICENSE", place="licence-file", scope="site", sentence="Permission is hereby granted", sha256="0" * 64
    )
    licence = LicenceDecision(spdx=spdx, verdict=verdict, reason="the site's LICENSE", evidence=(seen,), attribution="(c) Tea people")  # type: ignore[arg-type]
    digest = hashlib.sha256(html.encode()).hexdigest()
    return Page(url=f"{SITE}{name}", media_type="text/html", html=html, body_sha256=digest, licence=licence)


def document(of: Page | None = None, texts: Sequence[str] = BLOCKS) -> Document:
    of = of or page()
    blocks = tuple(Block(number=i, kind="heading" if i == 0 else "paragraph", text=text) for i, text in enumerate(texts))
    return Document(url=of.url, title="Brewing", blocks=blocks, licence=of.licence, provenance=Provenance(parents=(of.id,)))


def evidence(of: Document | None = None, *blocks: int, quote: str = "") -> Evidence:
    of = of or document()
    return Evidence(document=of.id, url=of.url, blocks=blocks or (1,), quote=quote)


def said(question: str, answer: str, **changes: Any) -> Conversation:
    messages = (Message(role="user", content=question), Message(role="assistant", channel="final", content=answer))
    return Conversation.model_validate({"messages": messages} | changes)


def sft(number: int = 1, question: str = "How long does green tea steep?", answer: str = "Two minutes.", **changes: Any) -> SFTExample:
    values = {
        "subject": f"{SECTION}/sft/{number}", "section": SECTION, "kind": "grounded-answer", "category": "knowledge",
        "node": "knowledge/tea", "difficulty": "easy", "conversation": said(question, answer), "evidence": (evidence(),),
        "atoms": (), "provenance": Provenance(parents=(document().id,)),
    }  # fmt: skip
    return SFTExample.model_validate(values | changes)


def trace_example() -> SFTExample:
    """A dialogue with a thought, a tool call, its result and an answer."""
    call = '{"code":"print(2)"}'
    messages = (
        Message(role="user", content="Count the minutes."),
        Message(role="assistant", channel="analysis", content="I run it."),
        Message(role="assistant", channel="commentary", recipient="functions.run_python", content=call, content_type="json"),
        Message(role="tool", channel="commentary", name="functions.run_python", content="2\n"),
        Message(role="assistant", channel="final", content="Two."),
    )
    tools = (Tool(name="run_python", description="Runs Python."),)
    return sft(2, kind="agent-trace", category="procedural", conversation=Conversation(messages=messages, tools=tools))


def pair(number: int = 1, chosen: str = "Two minutes.", rejected: str = "An hour.", **changes: Any) -> PreferencePair:
    better = Candidate(level="strong", text=chosen, score=9.0)
    worse = Candidate(level="subtly_wrong", text=rejected, score=2.0, failure_modes=("logic_error",))
    values = {
        "subject": f"{SECTION}/pref/{number}", "section": SECTION, "category": "knowledge", "node": "knowledge/tea",
        "prompt": ask_user(f"Green tea, pot {number}: how long?"), "chosen": better, "rejected": worse, "ranking": (better, worse),
        "decided_by": "judge-both-orders", "margin": 7.0, "evidence": (evidence(),), "provenance": Provenance(parents=(document().id,)),
    }  # fmt: skip
    return PreferencePair.model_validate(values | changes)


def reward(number: int = 1, reference: str = "Two minutes.", check: Check | None = None, **changes: Any) -> RewardRecord:
    answer = ScoredAnswer(text="2 minutes", parsed=True, rubric=Rubric(accuracy=9.0), checked=True, reward=0.9)
    values = {
        "subject": f"{SECTION}/reward/{number}", "section": SECTION, "category": "knowledge", "node": "knowledge/tea",
        "prompt": ask_user(f"Minutes for green tea in pot {number}?"), "check": check or Check(kind="contains", expected=("two|2",)),
        "reference": reference, "answers": (answer,), "formula": "check", "evidence": (evidence(),),
        "provenance": Provenance(parents=(document().id,)),
    }  # fmt: skip
    return RewardRecord.model_validate(values | changes)


def item(bank: str = "dev", number: int = 1) -> SuiteItem:
    return SuiteItem(
        subject=f"knowledge/tea/{bank}/{number}", bank=bank, category="knowledge", node="knowledge/tea", cluster=f"tea-{bank}",  # type: ignore[arg-type]
        prompt=ask_user(f"{bank} question {number}: how long does white tea steep?"), check=Check(kind="contains", expected=("three|3",)),
        reference="Three minutes.",
    )  # fmt: skip


def replay(number: int = 1, **changes: Any) -> ReplayItem:
    of = item("dev", number)
    values = {
        "subject": of.subject, "category": of.category, "node": of.node, "wrong": "One.", "failure_type": "retrieval",
        "conversation": said(of.prompt.messages[0].content, "Three minutes."), "check": of.check, "practise": "steeping times",
        "weight": 1.0, "provenance": Provenance(parents=(of.id,), calls=()),
    }  # fmt: skip
    return ReplayItem.model_validate(values | changes)


def passed(record: Record, dataset: str, /, **changes: Any) -> Verdict:
    values = {
        "record": record.id, "dataset": dataset, "category": record.category, "layer": 1, "check": "harmony", "outcome": "pass", "reason": "fine",
        "provenance": Provenance(parents=(record.id,)),
    }  # fmt: skip
    return Verdict.model_validate(values | changes)


class Said(BaseModel):
    """What the recorded oracle answers."""

    text: str


def configuration(folder: Path, **more: Any) -> Path:
    """A configuration file with a recorded oracle of one answer."""
    recordings = folder / "recordings"
    recordings.mkdir(parents=True, exist_ok=True)
    line = {"prompt": "build_sft", "subject": SECTION, "answer": {"text": "the raw answer"}, "recorded_for": "a test"}
    (recordings / "said.jsonl").write_text(json.dumps(line) + "\n")
    path = folder / "castalia.yaml"
    role = {"provider": "recorded", "recordings": "recordings"}
    path.write_text(json.dumps({"name": "tea", "domain": "tea", "oracles": {"writer": role}, "execution": {"store": "work"}, **more}))
    return path


def ask_once(workspace: Workspace) -> str:
    """One call to the recorded oracle through the real client; returns its ledger key."""

    async def ask() -> str:
        role = RoleConfig(provider="recorded", recordings=workspace.config.oracles["writer"].recordings)
        async with open_oracle({"writer": role}, workspace.ledger, budget_usd=None) as oracle:
            task = Task(stage="build_sft", prompt="build_sft", subject=SECTION, prompt_sha256="a" * 64)
            return (await oracle.ask("writer", "You know tea.", "Write.", Said, task=task)).key

    return asyncio.run(ask())


def put(store: Store, name: str, record_type: type[Record], records: Sequence[Record]) -> None:
    store.write_dataset(name, record_type, records, fingerprint="0" * 64)


CHECKED: Mapping[str, type[Record]] = {"sft": SFTExample, "preferences": PreferencePair, "rewards": RewardRecord, "replay": ReplayItem}
TYPES: Mapping[str, type[Record]] = {
    **CHECKED, "suite": SuiteItem, "pages": Page, "documents": Document, "atoms": Atom, "leaks": Leak, "verdicts": Verdict,
    "review_queue": ReviewItem,
}  # fmt: skip


def world(folder: Path, *, changes: Mapping[str, Sequence[Record]] | None = None, **settings: Any) -> Workspace:
    """A workspace with page, archive, ledger and a record or two of each dataset, all passed and waiting for a person.

    `changes` replaces datasets, `settings` adds to the configuration. It is made once and copied, because flushing to disk takes time.
    """
    shutil.copytree(_template(), folder, dirs_exist_ok=True)
    workspace = open_workspace(load_config([configuration(folder, **settings)]))
    datasets = {name: list(workspace.store.read_dataset(name, kind)) for name, kind in TYPES.items()}
    replaced = dict(changes or {})
    if replaced.keys() & CHECKED.keys():
        checked = [(record, name) for name in CHECKED for record in replaced.get(name, datasets[name])]
        replaced = {"verdicts": [passed(record, name) for record, name in checked], "review_queue": _waiting(checked), **replaced}
    for name, records in replaced.items():
        put(workspace.store, name, TYPES[name], records)
    settle(workspace)
    return workspace


def settle(workspace: Workspace) -> None:
    """Files every dataset under the fingerprint its stage has now, as if the stages had just made exactly this. What is missing is empty."""
    store = workspace.store
    with patch.object(os, "fsync"):  # a few hundred flushes take longer than the test
        for stage in workspace.stages:
            found = stage_state(stage, workspace.params[stage.name], store, role_identity(workspace))
            if found.state == "fresh":
                continue
            store.put_json(found.parts)
            outputs = {name: store.read_dataset(name, kind) if store.has(name) else () for name, kind in stage.outputs.items()}
            for name, kind in stage.outputs.items():
                store.write_dataset(name, kind, outputs[name], fingerprint=found.fingerprint)


@cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="castalia-small-world-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    workspace = open_workspace(load_config([configuration(folder)]))
    key = ask_once(workspace)
    source = page()
    archive = Archive(workspace.archive)
    body = source.html.encode()
    archive.put(Fetched(source.url, source.url, 200, {}, "text/html", body, source.body_sha256, "2024-05-01T10:00:00+00:00"))
    archive.close()
    datasets: dict[str, list[Record]] = {
        "suite": [item(bank) for bank in ("dev", "gate", "vault")],
        "pages": [source],
        "documents": [document()],
        "atoms": [],
        "sft": [sft(provenance=Provenance(parents=(document().id,), calls=(key,))), trace_example()],
        "preferences": [pair()],
        "rewards": [reward()],
        "replay": [replay(provenance=Provenance(parents=(item().id,), calls=(key,)))],
        "leaks": [],
    }
    checked = [(record, name) for name in CHECKED for record in datasets[name]]
    datasets |= {"verdicts": [passed(record, name) for record, name in checked], "review_queue": _waiting(checked)}
    for name, records in datasets.items():
        put(workspace.store, name, TYPES[name], records)
    settle(workspace)
    return folder


def _waiting(checked: Sequence[tuple[Record, str]]) -> list[Record]:
    return [
        ReviewItem(record=record.id, dataset=name, category="knowledge", stratum="agree-pass", inclusion_probability=1.0)
        for record, name in checked
    ]
