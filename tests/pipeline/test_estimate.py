"""What `castalia plan` says beforehand, held against what a run then asks and pays of a model server."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from castalia.config import load_config
from castalia.engine import plan
from castalia.oracle import open_ledger
from castalia.oracle.scripted import Server, scripted_server
from castalia.preview.estimate import StageEstimate, estimate
from castalia.records import Document
from castalia.workspace import Workspace, open_services, open_workspace, role_identity, run_stages
from scripted_expert import documents, expert

ASKING = (
    "taxonomy",
    "design_suite",
    "extract",
    "build_sft",
    "build_preferences",
    "build_rewards",
    "build_replay",
    "decontaminate",
    "verify",
)


class Compared(NamedTuple):
    calls: float
    """Estimated over made."""
    usd: float
    """Estimated over paid."""
    inside: bool
    """Whether what was paid lies in the range that was given."""


def workspace_of(folder: Path, server: Server, pages: Sequence[Document]) -> Workspace:
    """A workspace whose documents are there already."""
    settings = {
        "name": "invented", "domain": "invented words",
        "oracles": {"writer": {
            "provider": "openai", "model": "scripted", "base_url": server.openai, "prices": {"input": 3, "output": 15}, "max_tokens": 4000,
        }},
        "execution": {"store": "work", "concurrency": 32},
    }  # fmt: skip
    (folder / "castalia.yaml").write_text(yaml.safe_dump(settings))
    workspace = open_workspace(load_config([folder / "castalia.yaml"]))
    made = workspace.store.put_dataset("documents", Document, pages, fingerprint="invented", parents={})
    workspace.store.publish([made])
    return workspace


def estimated(workspace: Workspace) -> list[StageEstimate]:
    stages = [stage for stage in workspace.stages if stage.name in ASKING]
    return estimate(workspace, plan(stages, workspace.params, workspace.store, role_identity=role_identity(workspace)))


def paid(workspace: Workspace) -> tuple[int, float]:
    if not workspace.ledger.is_file():
        return 0, 0.0
    with open_ledger(workspace.ledger, readonly=True) as ledger:
        return ledger.counts().get("done", 0), ledger.money().spent


async def compare(workspace: Workspace, *rebuild: str) -> Compared:
    """Estimates, runs, and compares."""
    found = estimated(workspace)
    calls_before, usd_before = paid(workspace)
    async with open_services(workspace) as services:
        await run_stages(workspace, services, only=ASKING, rebuild=rebuild)
    calls_after, usd_after = paid(workspace)
    usd = sum(one.usd or 0 for one in found)
    error = sum(one.usd_error for one in found)
    made, cost = calls_after - calls_before, usd_after - usd_before
    return Compared(sum(one.calls for one in found) / made, usd / cost, abs(usd - cost) <= error)


async def pilot_and_run(folder: Path, pilot: int, pages: int) -> tuple[Compared, Compared]:
    """A run of few pages from nothing, then one of many on the same ledger."""
    async with scripted_server(expert, keep=False) as server:
        made = documents(pages)
        before = await compare(workspace_of(folder, server, made[-pilot:]))
        return before, await compare(workspace_of(folder, server, made), "extract")


def test_what_is_paid_lies_in_the_range_of_the_estimate_and_pages_make_it_sharper(tmp_path: Path):
    before, after = asyncio.run(pilot_and_run(tmp_path, 4, 12))
    assert before.inside
    assert after.inside
    assert before.calls == pytest.approx(1, abs=0.2)
    assert abs(after.usd - 1) < abs(before.usd - 1)


@pytest.mark.skipif("CASTALIA_LONG_TESTS" not in os.environ, reason="takes half an hour; set CASTALIA_LONG_TESTS=1 to run it")
def test_for_a_thousand_pages_the_estimate_is_within_a_tenth(tmp_path: Path):
    _, after = asyncio.run(pilot_and_run(tmp_path, 20, 1000))
    assert after.calls == pytest.approx(1, abs=0.1)
    assert after.usd == pytest.approx(1, abs=0.1)
