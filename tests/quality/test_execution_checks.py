"""Layer 4: a record with a check passes it, fails it or waits."""

from typing import Any

import pytest
from checking import context, look

from castalia.errors import ConfigError
from castalia.quality.checks.execution import EXECUTION
from castalia.quality.view import view_record
from castalia.records import Check, Conversation, Execution
from castalia.sandbox import Grade
from small_world import pair, replay, reward, said, sft

PROGRAM = Check(
    kind="execution",
    execution=Execution(runner="tea", tests=({"input": 1, "expected": 2}, {"input": 2, "expected": 4})),  # type: ignore[arg-type]
)


class Runs:
    """A sandbox in which only the word `right` runs right."""

    def grade(self, execution, candidate, *, limits=None):
        ok = candidate == "right"
        return Grade(ok, "ok" if ok else "wrong", () if ok else ("test 1: gave 3, expected 2",), 2, 2 * int(ok))


@pytest.mark.parametrize(
    ("check", "answer", "outcome"),
    [
        (PROGRAM, "right", "pass"),
        (PROGRAM, "wrong", "fail"),
        (Check(kind="contains", expected=("two|2",)), "Two minutes.", "pass"),
        (Check(kind="contains", expected=("two|2",)), "Three minutes.", "fail"),
        (Check(kind="contains", expected=("two",), forbidden=("hour",)), "Two hours.", "fail"),
        (Check(kind="contains"), "anything", "fail"),
        (Check(kind="execution"), "right", "fail"),
        (Check(kind="regex", expected=("(",)), "(", "fail"),
        (Check(kind="regex", expected=(".",)), "Two minutes.", "fail"),
        (Check(kind="contains", expected=("tea",)), "Green tea takes two minutes.", "fail"),
    ],
)
def test_a_record_with_a_check_passes_it_or_fails(check: Check, answer: str, outcome: str):
    found = look(EXECUTION, reward(reference=answer, check=check, hidden_tests=4), "rewards", services={"sandbox": Runs()})
    assert found.outcome == outcome


def test_a_check_by_text_must_ask_for_more_than_the_last_question_holds():
    words = Check(kind="contains", expected=("two",))
    talk = (
        *said("How long does green tea take?", "Two minutes.").messages,
        *said("And is that the shortest?", "No, white tea is done in one or two.").messages,
    )
    dialogue = sft(kind="dialogue", conversation=Conversation(messages=talk), check=words)
    assert look(EXECUTION, dialogue).outcome == "pass"  # what was said before is no echo
    for record, dataset in (
        (sft(question="One or two?", check=words), "sft"),
        (replay(check=Check(kind="regex", expected=(".*",))), "replay"),
    ):
        found = look(EXECUTION, record, dataset)
        assert found.outcome == "fail"
        assert "proves nothing" in found.reason


def test_a_check_that_a_constant_passes_proves_nothing():
    tests = ({"input": 1, "expected": 2}, {"input": 7, "expected": 2})
    check = Check(kind="execution", execution=Execution(runner="tea", tests=tests))  # type: ignore[arg-type]
    found = look(EXECUTION, reward(reference="right", check=check, hidden_tests=4), "rewards", services={"sandbox": Runs()})
    assert found.outcome == "fail"
    assert "a program that prints a constant passes all 2 tests" in found.reason
    corrected = replay(conversation=said("Print two.", "right"), check=check)
    assert look(EXECUTION, corrected, "replay", services={"sandbox": Runs()}).outcome == "pass"


def test_answers_graded_by_known_tests_alone_are_flagged():
    found = look(EXECUTION, reward(reference="right", check=PROGRAM), "rewards", services={"sandbox": Runs()})
    assert found.outcome == "flag"
    assert "learned by heart" in found.reason


class Broken:
    """A sandbox whose runner `rust` can't run here."""

    def grade(self, execution, candidate, *, limits=None):
        if execution.runner == "rust":
            raise ConfigError("the harness of runner 'rust' does not load in the sandbox: no cargo")
        return Runs().grade(execution, candidate, limits=limits)


def test_a_broken_runner_makes_its_records_wait_with_the_reason_and_others_go_on():
    rust = Check(kind="execution", execution=Execution(runner="rust", tests=PROGRAM.execution.tests))  # type: ignore[union-attr]
    waiting = look(EXECUTION, reward(reference="right", check=rust), "rewards", services={"sandbox": Broken()})
    assert waiting.outcome == "waiting"
    assert "no cargo" in waiting.reason
    sound = reward(reference="right", check=PROGRAM, hidden_tests=4)
    assert look(EXECUTION, sound, "rewards", services={"sandbox": Broken()}).outcome == "pass"


@pytest.mark.parametrize("tests", [(), ({"input": 1, "expected": "NaN"},)])
def test_an_execution_that_proves_nothing_fails_even_where_its_runner_is_broken(tests: tuple[Any, ...]):
    check = Check(kind="execution", execution=Execution(runner="rust", tests=tests))
    assert look(EXECUTION, reward(reference="right", check=check), "rewards", services={"sandbox": Broken()}).outcome == "fail"


def test_without_a_sandbox_what_must_run_waits():
    found = look(EXECUTION, reward(check=PROGRAM), "rewards")
    assert found.outcome == "waiting"
    assert "castalia sandbox doctor" in found.reason


@pytest.mark.parametrize(
    ("chosen", "rejected", "outcome"), [(True, False, "pass"), (True, True, "flag"), (False, False, "fail"), (False, True, "fail")]
)
def test_a_pair_that_can_run_is_ranked_by_execution(chosen: bool, rejected: bool, outcome: str):
    made = pair()
    ran = made.model_copy(
        update={
            "chosen": made.chosen.model_copy(update={"executed": chosen}),
            "rejected": made.rejected.model_copy(update={"executed": rejected}),
        }
    )
    assert look(EXECUTION, ran, "preferences").outcome == outcome


def test_a_record_that_cannot_be_checked_without_opinion_has_no_verdict_there():
    assert EXECUTION.run(view_record(sft(conversation=said("?", "!")), "sft"), context()) is None
    assert EXECUTION.run(view_record(pair(), "preferences"), context()) is None
