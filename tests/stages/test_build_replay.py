import pytest
from asked import DOUBLES, DictOracle, GradingSandbox, code, node, reasons, run

from castalia.engine.trace import tool_specs
from castalia.records import Check, Failure, SuiteItem, ask_user
from castalia.stages.build_replay import STAGE

SUBJECT = "knowledge/filters/dev/1"
LETTER = Check(kind="exact", expected=("B",))
FIX = {"analysis": "str is applied last.", "answer": "B", "practise": "naming default filters", "weight": 2.0}


def failure(bank: str = "dev", check: Check = LETTER, *, tools: bool = False) -> Failure:
    item = SuiteItem.model_validate({
        "subject": SUBJECT, "bank": bank, "category": "knowledge", "node": "knowledge/filters", "cluster": "knowledge/filters/default",
        "prompt": ask_user("Which one? Answer with the letter only.", tools=tool_specs() if tools else ()), "check": check,
        "reference": "B",
    })  # fmt: skip
    return Failure(item=item, answer="C", failure_type="reasoning", target="base, greedy")


def build(given: Failure, correction=FIX, turns=()):
    answers = {("correct_failure", SUBJECT): correction}
    answers |= {("trace_turn", f"{SUBJECT}/replay/turn/{k}"): turn for k, turn in enumerate(turns, 1)}
    oracle = DictOracle(answers)
    return oracle, *run(STAGE, given, oracle, {"taxonomy": [node(given.item.node, domain="cups")]}, sandbox=GradingSandbox())


def test_a_correction_that_passes_the_check_becomes_a_replay_item():
    source = failure()
    oracle, [item], rejects = build(source)
    assert rejects == []
    assert (item.subject, item.domain, item.wrong, item.failure_type, item.weight) == (SUBJECT, "cups", "C", "reasoning", 2.0)
    assert [(m.role, m.channel, m.content) for m in item.conversation.messages] == [
        ("user", None, "Which one? Answer with the letter only."), ("assistant", "analysis", "str is applied last."),
        ("assistant", "final", "B"),
    ]  # fmt: skip
    assert item.provenance.parents == (source.id, source.item.id)
    assert item.provenance.calls == (f"call:correct_failure:{SUBJECT}",)
    assert oracle.asked == [("writer", "correct_failure", SUBJECT)]


@pytest.mark.parametrize("bank", ["gate", "vault"])
def test_gate_and_vault_items_are_refused_before_anything_is_asked(bank):
    oracle, items, rejects = build(failure(bank))
    assert (items, reasons(rejects), oracle.asked) == ([], [(SUBJECT, "not-dev")], [])


@pytest.mark.parametrize(
    ("correction", "reason"),
    [
        (FIX | {"answer": "C"}, "check-failed"),
        (FIX | {"answer": ""}, "empty-answer"),
        (FIX | {"weight": 0}, "answer-unusable"),
        (FIX | {"weight": 9}, "answer-unusable"),
    ],
)
def test_corrections_that_fail_are_rejects(correction, reason):
    _, items, rejects = build(failure(), correction)
    assert (items, reasons(rejects)) == ([], [(SUBJECT, reason)])
    assert rejects[0].provenance.calls == (f"call:correct_failure:{SUBJECT}",)


def test_an_executable_correction_is_executed_and_its_hidden_inputs_are_not_told():
    oracle, [item], _ = build(failure(check=DOUBLES), FIX | {"answer": code("2 * x")})
    assert item.check == DOUBLES
    assert '"args"' not in oracle.texts["correct_failure", SUBJECT]
    _, items, rejects = build(failure(check=DOUBLES), FIX | {"answer": code("x")})
    assert (items, reasons(rejects)) == ([], [(SUBJECT, "execution-failed")])


def test_an_item_with_tools_is_solved_with_the_real_tools():
    state = Check(kind="state", expected=("out.txt=hello",))
    write = {"analysis": "", "tool": "write_file", "arguments": {"path": "out.txt", "content": "hello"}, "final": None}
    end = {"analysis": "", "tool": None, "arguments": None, "final": "Written."}
    _, [item], _ = build(failure(check=state, tools=True), FIX | {"answer": ""}, [write, end])
    assert [m.channel for m in item.conversation.messages] == [None, "commentary", "commentary", "final"]
    assert item.conversation.messages[2].content == "wrote 5 bytes to out.txt"
    assert len(item.provenance.calls) == 3
    _, items, rejects = build(failure(check=state, tools=True), FIX | {"answer": ""}, [write | {"arguments": "{}"}, end])
    assert (items, reasons(rejects)) == ([], [(SUBJECT, "check-failed")])


def test_an_item_with_tools_is_not_corrected_by_an_answer_without_one():
    end = {"analysis": "", "tool": None, "arguments": None, "final": "B"}
    _, items, [reject] = build(failure(tools=True), FIX | {"answer": ""}, [end])
    assert (items, reject.reason) == ([], "trace-without-tools")
    assert reject.provenance.calls == (f"call:correct_failure:{SUBJECT}", f"call:trace_turn:{SUBJECT}/replay/turn/1")


def test_a_check_that_passes_for_anything_is_refused_before_anything_is_asked():
    oracle, items, rejects = build(failure(check=Check(kind="regex", expected=(".",))))
    assert (items, reasons(rejects), oracle.asked) == ([], [(SUBJECT, "check-proves-nothing")], [])
