import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from castalia.engine.context import Context
from castalia.errors import AnswerUnusable
from castalia.evaluation.design_suite import STAGE
from castalia.oracle import Reply
from castalia.records import Reject, TaxonomyNode
from castalia.sandbox import Sandbox

KEY = "skills/filters"
NODE = TaxonomyNode(key=KEY, category="skills", title="Filters", description="Uses filters.", abilities=("names the default filter",))
ITEM = {
    "bank": "dev", "cluster": "default", "question": "Which filter is the default? Answer with the name only.",
    "check": {"kind": "exact", "expected": ["str"]}, "reference": "str", "max_tokens": 8,
}  # fmt: skip


class OneAnswer:
    def __init__(self, answer: Any):
        self.raw = json.dumps(answer)
        self.asked: list[tuple[str, str]] = []
        self.text = ""

    async def ask(self, role, system, user, answer, *, task, sample=0):
        self.asked.append((task.prompt, task.subject))
        self.text = user
        try:
            return Reply(answer.model_validate_json(self.raw, strict=True), "call", self.raw.encode())
        except ValidationError as error:
            raise AnswerUnusable(str(error)) from error


def design(*items: Any, sandbox: Any = None, **params: Any):
    oracle = OneAnswer({"items": list(items)})
    services = {"sandbox": sandbox} if sandbox else {}
    prompts = {path.stem: path for path in STAGE.prompts}
    ctx = Context(stage=STAGE.name, roles=STAGE.oracle, prompts=prompts, oracle=oracle, services=services)  # type: ignore[arg-type]
    checked = STAGE.params.model_validate({"domain": "templates", "dev": 1, "gate": 1, "vault": 0} | params)

    async def collect():
        return [outcome async for outcome in STAGE.run(NODE, checked, ctx)]

    outcomes = asyncio.run(collect())
    kept = [outcome for outcome in outcomes if not isinstance(outcome, Reject)]
    return oracle, kept, [(o.subject, o.reason) for o in outcomes if isinstance(o, Reject)]


def gate(**changes: Any) -> dict[str, Any]:
    return ITEM | {"bank": "gate", "cluster": "other", "question": "Another question?"} | changes


def test_items_are_named_by_node_bank_and_number_and_know_their_node_and_call():
    oracle, [dev, other], rejects = design(ITEM, gate())
    assert rejects == []
    assert (dev.subject, dev.bank, dev.category, dev.cluster) == (f"{KEY}/dev/1", "dev", "skills", f"{KEY}/default")
    assert other.subject == f"{KEY}/gate/1"
    assert dev.prompt.messages[0].content == ITEM["question"]
    assert (dev.provenance.parents, dev.provenance.calls) == ((NODE.id,), ("call",))
    assert oracle.asked == [("design_suite", KEY)]
    assert "names the default filter" in oracle.text


def test_an_item_whose_reference_fails_its_own_check_is_a_reject():
    _, kept, rejects = design(ITEM | {"reference": "unicode"}, gate())
    assert [item.bank for item in kept] == ["gate"]
    assert rejects == [(f"{KEY}/dev/1", "check-failed")]


def test_surplus_and_missing_items_are_reported():
    _, kept, rejects = design(ITEM, ITEM | {"question": "One more?"})
    assert len(kept) == 1
    assert rejects == [(f"{KEY}/dev/2", "too-many-items"), (f"{KEY}/gate", "too-few-items")]


def test_repeated_questions_and_clusters_in_two_banks_are_rejects():
    _, _, rejects = design(ITEM, gate(question="which filter is the default?  Answer with the name only."))
    assert rejects == [(f"{KEY}/gate/1", "duplicate-question")]
    _, _, rejects = design(ITEM, gate(cluster="default"))
    assert rejects == [(f"{KEY}/gate/1", "cluster-in-two-banks")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": " "}, "empty-item"),
        ({"check": {"kind": "exact", "expected": []}}, "empty-check"),
        ({"check": {"kind": "state", "expected": ["a=b"]}}, "check-needs-tools"),
        ({"check": {"kind": "constraints", "expected": ["rhyme=yes"]}}, "check-unusable"),
        ({"check": {"kind": "contains", "expected": ["str|default"]}}, "check-proves-nothing"),
        ({"tools": True}, "solution-does-not-fit"),
        ({"check": {"kind": "execution"}}, "empty-check"),
        ({"check": {"kind": "execution", "execution": {"runner": "perl", "tests": [{"input": 1, "expected": 1}]}}}, "unknown-runner"),
    ],
)
def test_items_that_can_not_be_scored_are_rejects(changes, reason):
    _, _, rejects = design(ITEM | changes, gate())
    assert rejects == [(f"{KEY}/dev/1", reason)]


def test_tests_that_no_program_could_pass_are_a_reject_before_anything_runs():
    check = {"kind": "execution", "execution": {"runner": "python", "tests": [{"input": 1, "expected": "NaN"}]}}
    _, _, rejects = design(ITEM | {"check": check}, gate(), runners=("python: defines the function that the input names",))
    assert rejects == [(f"{KEY}/dev/1", "tests-unusable")]


def test_an_unusable_answer_is_a_reject():
    _, kept, rejects = design({"bank": "train"})
    assert (kept, rejects) == ([], [(KEY, "answer-unusable")])


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox({}) as opened:
        yield opened


def test_executable_items_are_executed_before_they_are_kept(sandbox):
    tests = [{"input": {"call": "double", "args": [3]}, "expected": 6}, {"input": {"call": "double", "args": ["a"]}, "expected": '"aa"'}]
    check = {"kind": "execution", "execution": {"runner": "python", "tests": tests}}
    right = ITEM | {"check": check, "reference": "```python\ndef double(x):\n    return x * 2\n```"}
    wrong = gate(check=check, reference="```python\ndef double(x):\n    return x + x + 1\n```")
    _, [kept], rejects = design(right, wrong, sandbox=sandbox, runners=("python: defines the function that the input names",))
    assert kept.bank == "dev"
    assert rejects == [(f"{KEY}/gate/1", "execution-failed")]


def test_items_with_tools_are_solved_for_real_by_their_own_calls(sandbox):
    solution = [
        {"tool": "write_file", "arguments": {"path": "in.txt", "content": "ab"}},
        {"tool": "run_python", "arguments": {"code": "open('out.txt', 'w').write(open('in.txt').read().upper())"}},
    ]
    tool_item = ITEM | {"tools": True, "check": {"kind": "state", "expected": ["out.txt=AB"]}, "reference": "Done.", "solution": solution}
    _, [kept], rejects = design(
        tool_item, gate(question="Again?") | {k: tool_item[k] for k in ("tools", "check")} | {"solution": solution[:1]}, sandbox=sandbox
    )
    assert {tool.name for tool in kept.prompt.tools} == {"run_python", "write_file", "read_file"}
    assert rejects == [(f"{KEY}/gate/1", "check-failed")]
