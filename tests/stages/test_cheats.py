"""What earns nothing in any stage that decides about answers: a constant, a table of known inputs, a program that knows the tests by heart."""

import json

import pytest
from asked import DictOracle, code, document, example, run, skill_atom

from castalia.records import Check, Conversation, Execution, Message, RewardRecord
from castalia.sandbox import Sandbox, Value
from castalia.stages import build_preferences, build_rewards, build_sft
from castalia.training.rewards import checks

SECTION = "docs.example.org/a.html#0-3"
SUBJECT = f"{SECTION}/sft/1"
RIGHT = code("2 * x")
CHEATS = {
    "constant": code("4"),
    "table": code("{2: 4, 7: 14}[x]"),
    "by heart": code("4 if x == 2 else 14"),
    "half": code("4 if x == 2 else 0"),
    "echo": code("x"),
    "nothing": "",
}
PAGE = document(("h1", "Doubling"), ("paragraph", "Multiply by two."))
PLACE = "docs.example.org/guide.html#0-1"


def check_of(*tests: tuple[object, object]) -> Check:
    return Check(
        kind="execution",
        execution=Execution(runner="python", tests=tuple({"input": {"call": "answer", "args": [x]}, "expected": y} for x, y in tests)),  # type: ignore[arg-type]
    )


DOUBLES = check_of((2, 4), (7, 14))


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as opened:
        yield opened


def solved():
    messages = (Message(role="user", content="Double x."), Message(role="assistant", channel="final", content=RIGHT))
    return example(SECTION, category="skills", check=DOUBLES, conversation=Conversation(messages=messages))


def test_no_cheat_of_the_target_is_rewarded_and_a_right_answer_is(sandbox):
    answers = [*CHEATS.values(), RIGHT]
    verdict = {"accuracy": 9, "safety": 10, "helpfulness": 9, "calibration": 9}
    verdicts = [{"label": "ABCDEFG"[place], "quote": answer} | verdict for place, answer in enumerate(answers)]
    oracle = DictOracle({("target_answer", SUBJECT): answers, ("judge_rewards", SUBJECT): {"answers": verdicts}})
    [record], rejects = run(build_rewards.STAGE, {"sft": [solved()]}, oracle, params={"answers": len(answers)}, sandbox=sandbox)
    assert rejects == []
    assert [answer.reward for answer in record.answers[:-1]] == [0.0] * len(CHEATS)
    assert record.answers[-1].reward > 0.9
    assert record.hidden_tests >= 2


def test_no_cheat_earns_anything_in_reinforcement_learning(sandbox):
    record = reward_for(DOUBLES)
    scorer = checks(sandbox, seed=3)
    for step in range(2):
        assert {name: scorer(record, answer, step).value for name, answer in CHEATS.items()} == dict.fromkeys(CHEATS, 0.0)
        assert scorer(record, RIGHT, step).value == 1.0


class Listening:
    """A sandbox that remembers with which inputs candidates were run, and never sees an expected value."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.given: dict[str, list[str]] = {}

    def evaluate(self, runner, candidate, inputs, *, limits=None):
        self.given.setdefault(candidate, []).append(json.dumps(inputs))
        return self.sandbox.evaluate(runner, candidate, inputs)


def test_hidden_inputs_are_new_in_each_step_and_the_same_in_a_repeated_run(sandbox):
    def asked(seed: int) -> list[str]:
        box = Listening(sandbox)
        scorer = checks(box, seed=seed)  # type: ignore[arg-type]
        for step in range(3):
            scorer(reward_for(DOUBLES), code("2*x"), step)
        [given] = [inputs for candidate, inputs in box.given.items() if "2*x" in candidate]
        return given

    first = asked(seed=1)
    assert len(set(first)) == 3
    assert first == asked(seed=1)
    assert not set(first) & set(asked(seed=2))


def test_tests_learned_by_heart_win_no_preference(sandbox):
    levels = {"strong": RIGHT, "hasty": CHEATS["by heart"], "subtly_wrong": CHEATS["table"], "verbose": CHEATS["constant"]}
    written = [{"level": level, "text": text} for level, text in levels.items()]
    oracle = DictOracle({("write_candidates", SUBJECT): {"candidates": written}, ("target_answer", SUBJECT): [CHEATS["echo"]]})
    [pair], _ = run(build_preferences.STAGE, {"sft": [solved()]}, oracle, sandbox=sandbox)
    assert (pair.chosen.level, pair.decided_by) == ("strong", "execution")
    assert [candidate.level for candidate in pair.ranking if candidate.executed] == ["strong"]


def written_from(check: Check, sandbox: Sandbox):
    solution = {
        "kind": "worked-solution", "atoms": [1], "blocks": [1], "difficulty": "easy", "user": "Double x.", "answer": RIGHT, "use_check": True,
    }  # fmt: skip
    oracle = DictOracle({("build_sft", PLACE): {"examples": [solution]}})
    return run(build_sft.STAGE, PAGE, oracle, {"atoms": [skill_atom(PAGE, 1, 1, check)]}, sandbox=sandbox)


def test_a_check_of_one_test_is_believed_with_the_tests_it_lacks(sandbox):
    weak = check_of((2, 4))
    [made], rejects = written_from(weak, sandbox)
    assert rejects == []
    added = made.check.execution.tests[1:]
    assert made.check.execution.tests[:1] == weak.execution.tests  # type: ignore[union-attr]
    assert added
    for cheat in (code("4"), code("x + 2"), code("x ** 2")):
        assert checks(sandbox)(reward_for(made.check), cheat, 0).value == 0.0


def reward_for(check: Check) -> RewardRecord:
    return RewardRecord(
        subject=SUBJECT, section=SECTION, category="skills", node="skills/n", prompt=solved().conversation, check=check, reference=RIGHT,
        answers=(), formula="",
    )  # fmt: skip


def test_a_check_that_a_constant_passes_is_a_reject_that_says_so(sandbox):
    made, [reject] = written_from(check_of((0, 0)), NeverOther(sandbox))
    assert made == []
    assert (reject.subject, reject.reason) == (f"{PLACE}/sft/1", "tests-prove-nothing")
    assert "a program that prints a constant passes" in reject.detail


class NeverOther:
    """A sandbox where every program that runs gives 0."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox

    def evaluate(self, runner, candidate, inputs, *, limits=None):
        return [Value(0) if isinstance(answer, Value) else answer for answer in self.sandbox.evaluate(runner, candidate, inputs)]

    def evaluate_together(self, runner, programs, inputs, *, limits=None):
        return [self.evaluate(runner, program, inputs) for program in programs]
