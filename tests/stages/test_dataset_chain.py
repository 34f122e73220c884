"""From a taxonomy to replay data through the engine, with a recorded oracle, a real store and a real sandbox."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from asked import document

from castalia.engine import Params, Stage
from castalia.engine.runner import run_pipeline
from castalia.evaluation import design_suite
from castalia.oracle import RoleConfig, open_oracle, role_config
from castalia.records import Atom, Document, PreferencePair, Query, Record, RewardRecord, SFTExample, SuiteItem, TaxonomyNode
from castalia.sandbox import Sandbox
from castalia.stages import build_preferences, build_replay, build_rewards, build_sft, extract, plan_queries, taxonomy
from castalia.store import open_store

PAGE = document(("h1", "Doubling"), ("paragraph", "To double a number, multiply it by two."), ("code", "def double(x):\n    return 2 * x"))
SECTION = "docs.example.org/guide.html#0-2"
CATEGORIES = ("behavioral", "skills", "knowledge", "procedural")
CHECK = {
    "kind": "execution",
    "execution": {"runner": "python", "tests": [{"input": {"call": "double", "args": [n]}, "expected": 2 * n} for n in (0, 3)]},
}
RIGHT, WRONG = ("```python\ndef double(x):\n    return %s\n```" % body for body in ("2 * x", "x ** 2"))  # noqa: UP031


def answers() -> Iterator[dict]:
    nodes = [
        {"category": c, "slug": "doubling", "title": "Doubling", "description": "Doubles.", "abilities": ["doubles"]} for c in CATEGORIES
    ]
    yield {"prompt": "taxonomy", "subject": "taxonomy", "answer": {"nodes": nodes}}
    for category in CATEGORIES:
        key = f"{category}/doubling"
        check = {"kind": "exact", "expected": ["2"]}
        item = {"bank": "gate", "cluster": "c", "question": f"Twice {category}?", "check": check, "reference": "2"}
        yield {"prompt": "design_suite", "subject": key, "answer": {"items": [item]}}
        query = {"node": key, "text": f"doubling {category}", "wanted": "tutorial"}
        yield {"prompt": f"plan_queries_{category}", "subject": category, "answer": {"queries": [query]}}
    yield {"prompt": "review_coverage", "subject": "review/1", "answer": {}}
    skill = {"task": "Double.", "steps": ["multiply"], "example": "def double(x):\n    return 2 * x", "check": CHECK}
    atom = {
        "category": "skills",
        "node": "skills/doubling",
        "difficulty": "easy",
        "style": "worked-example",
        "blocks": [2],
        "quote": "return 2 * x",
        "skill": skill,
    }
    yield {"prompt": "extract", "subject": SECTION, "answer": {"atoms": [atom]}}
    solution = {
        "kind": "worked-solution", "atoms": [1], "blocks": [2], "difficulty": "easy", "user": "Write `double(x)`.", "answer": RIGHT,
        "use_check": True,
    }  # fmt: skip
    task = {
        "number": 1,
        "task": "Print twice 21.",
        "atoms": [1],
        "blocks": [2],
        "difficulty": "easy",
        "check": {"kind": "contains", "expected": ["42"]},
    }
    yield {"prompt": "build_sft", "subject": SECTION, "answer": {"examples": [solution], "trace_tasks": [task]}}
    turns = [{"tool": "run_python", "arguments": {"code": f"print({code})"}} for code in ("dobule(21)", "2 * 21")] + [
        {"final": "It is 42."}
    ]
    for number, turn in enumerate(turns, 1):
        yield {"prompt": "trace_turn", "subject": f"{SECTION}/trace/1/turn/{number}", "answer": turn}
    candidates = [{"level": "strong", "text": RIGHT}, {"level": "subtly_wrong", "text": WRONG, "failure_modes": ["logic_error"]}]
    yield {"prompt": "write_candidates", "subject": f"{SECTION}/sft/1", "answer": {"candidates": candidates}}
    for sample, text in enumerate((f"That is easy, I think, so here it is at once:\n\n{WRONG}", RIGHT)):
        yield {"prompt": "target_answer", "subject": f"{SECTION}/sft/1", "sample": sample, "text": text}
    rubric = {"safety": 10, "helpfulness": 10, "calibration": 10, "quote": "return"}
    verdicts = [{"label": label, "accuracy": accuracy} | rubric for label, accuracy in (("A", 0), ("B", 10))]
    yield {"prompt": "judge_rewards", "subject": f"{SECTION}/sft/1", "answer": {"answers": verdicts}}


async def _give_documents(inputs: Mapping[str, Sequence[Record]], params: Params, ctx: object):
    yield PAGE


DOCUMENTS = Stage(name="give", version=1, run=_give_documents, params=Params, reads={}, writes={"documents": Document}, shape="whole")
STAGES = (
    taxonomy.STAGE, design_suite.STAGE, plan_queries.STAGE, DOCUMENTS, extract.STAGE, build_sft.STAGE, build_preferences.STAGE,
    build_rewards.STAGE, build_replay.STAGE,
)  # fmt: skip
GIVEN = {
    "domain": "doubling", "runners": ("python: defines the function that the input names",), "dev": 0, "gate": 1, "vault": 0, "answers": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    (folder / "recordings").mkdir()
    (folder / "recordings" / "all.jsonl").write_text("\n".join(json.dumps(line) for line in answers()))
    return folder


def run(folder: Path):
    params = {s.name: s.params.model_validate({k: v for k, v in GIVEN.items() if k in s.params.model_fields}) for s in STAGES}
    roles = {"writer": RoleConfig(provider="recorded", model="hand-made", recordings=str(folder / "recordings"))}
    store = open_store(folder / "store")

    async def work():
        with Sandbox({}) as sandbox:
            async with open_oracle(roles, folder / "ledger.sqlite", budget_usd=None) as oracle:
                return await run_pipeline(
                    STAGES, store=store, params=params, oracle=oracle, services={"sandbox": sandbox},
                    role_identity=lambda role, prompts: role_config(roles, role).identity(prompts),
                )  # fmt: skip

    return store, asyncio.run(work())


def test_every_dataset_is_built_and_a_second_run_does_nothing(workspace):
    store, report = run(workspace)
    written = {
        "taxonomy": (TaxonomyNode, 4), "suite": (SuiteItem, 4), "queries": (Query, 4), "atoms": (Atom, 1), "sft": (SFTExample, 2),
        "preferences": (PreferencePair, 1), "rewards": (RewardRecord, 1),
    }  # fmt: skip
    records = {name: list(store.read_dataset(name, kind)) for name, (kind, _) in written.items()}
    assert {name: len(found) for name, found in records.items()} == {name: count for name, (_, count) in written.items()}
    assert all(stage.rejected == 0 for stage in report.stages)
    assert all(record.provenance.calls for found in records.values() for record in found)

    [trace] = [example for example in records["sft"] if example.kind == "agent-trace"]
    outputs = [message.content for message in trace.conversation.messages if message.role == "tool"]
    assert "NameError" in outputs[0]
    assert outputs[1] == "42"
    [pair] = records["preferences"]
    assert (pair.chosen.level, pair.rejected.level, pair.decided_by) == ("strong", "subtly_wrong", "execution")
    [reward] = records["rewards"]
    assert [(answer.checked, answer.reward) for answer in reward.answers] == [(False, 0.0), (True, 1.0)]
    [shared] = set(pair.provenance.calls) & set(reward.provenance.calls)  # the target was asked once for both
    assert shared == reward.provenance.calls[0]

    _, again = run(workspace)
    assert {stage.action for stage in again.stages} == {"fresh"}
