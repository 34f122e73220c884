"""Tests of a check are examined, and hidden tests drawn, in a tiny language: a program is text with `{name}` for a value of the input."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from castalia.records import Check, Execution, ExecutionTest
from castalia.sandbox import Failure, Grade, Value
from castalia.sandbox.grading import grade_answers, inputs_of
from castalia.sandbox.near import inputs_near
from castalia.scoring import score
from castalia.scoring.examination import Examination, examine
from castalia.scoring.hidden import hidden_tests
from castalia.scoring.wrong_programs import text_mutants


class Filling:
    """Fills in templates; counts what it runs."""

    def __init__(self):
        self.ran: list[str] = []

    def evaluate(self, runner: str, candidate: str, inputs: Sequence[object], *, limits: object = None) -> list[Value | Failure]:
        self.ran.append(candidate)
        return [_filled(candidate, given) for given in inputs]

    def evaluate_together(self, runner: str, programs: Sequence[str], inputs: Sequence[Any], *, limits: Any = None):
        return [self.evaluate(runner, program, inputs) for program in programs]

    def grade(self, execution: Execution, candidate: str) -> Grade:
        return grade_answers(execution, self.evaluate(execution.runner, candidate, inputs_of(execution)))


def _filled(candidate: str, given) -> Value | Failure:
    try:
        return Value(candidate.format(**given))
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        return Failure("crash", repr(error))


def asking(program: str, *inputs: dict) -> Execution:
    return Execution(runner="fill", tests=tuple(ExecutionTest(input=i, expected=json.dumps(program.format(**i))) for i in inputs))  # type: ignore[arg-type]


def examined(program: str, *inputs: dict) -> Examination:
    return examine(Filling(), asking(program, *inputs), program)  # type: ignore[arg-type]


GREETING = "Dear {name}, you are {age}."


def test_tests_that_fail_every_wrong_program_stay_as_they_are():
    found = examined(GREETING, {"name": "Ann", "age": 5}, {"name": "Bo", "age": 40})
    assert (found.passed, found.flaw, found.stubs, found.added) == (True, "", (), 0)
    assert found.mutants > 0
    assert found.survivors == ()


def test_a_single_test_that_a_constant_passes_gets_tests_that_it_fails():
    one = asking(GREETING, {"name": "Ann", "age": 5})
    found = examine(Filling(), one, GREETING)  # type: ignore[arg-type]
    assert found.stubs == ("a program that prints a constant",)
    assert found.flaw == ""
    assert found.execution.tests[:1] == one.tests
    assert found.added == len(found.execution.tests) - 1 > 0
    constant = "Dear Ann, you are 5."
    assert Filling().grade(one, constant).passed
    assert not Filling().grade(found.execution, constant).passed
    assert Filling().grade(found.execution, GREETING).passed


def test_a_wrong_program_that_the_tests_miss_adds_the_test_that_finds_it():
    found = examined("{a}{b}", {"a": "x", "b": "x"}, {"a": "y", "b": "y"})  # both inputs have the same twice
    assert any("'a' for 'b'" in name or "'b' for 'a'" in name for name in found.survivors)
    assert found.added > 0
    assert found.flaw == ""


def test_a_task_without_any_input_proves_nothing():
    found = examined("Hello.", {}, {})
    assert found.flaw.startswith("a program that prints a constant passes")


def test_a_constant_that_no_near_input_changes_proves_nothing():
    found = examined("It is {{name}}.", {"name": "Ann"}, {"name": "Bo"})
    assert found.flaw.startswith("a program that prints a constant passes: all 2 tests expect")


def test_a_reference_that_fails_is_no_reference():
    wrong = examine(Filling(), asking(GREETING, {"name": "Ann", "age": 5}), "Dear {name}.")  # type: ignore[arg-type]
    assert not wrong.passed
    assert wrong.flaw.startswith("the reference does not pass: test 1")


def test_the_same_check_is_examined_the_same_way_each_time():
    assert examined(GREETING, {"name": "Ann", "age": 5}) == examined(GREETING, {"name": "Ann", "age": 5})


def test_hidden_tests_are_new_differ_by_seed_and_hold_for_the_reference():
    execution = asking(GREETING, {"name": "Ann", "age": 5}, {"name": "Bo", "age": 40})
    by_seed = [hidden_tests(Filling(), execution, GREETING, seed=str(n)) for n in range(5)]  # type: ignore[arg-type]
    known = {test.input for test in execution.tests}
    for tests in by_seed:
        assert len(tests) == 4
        assert not known & {test.input for test in tests}
        assert all(json.loads(test.expected) == GREETING.format(**json.loads(test.input)) for test in tests)
    assert len(set(by_seed)) == 5
    assert by_seed[0] == hidden_tests(Filling(), execution, GREETING, seed="0")  # type: ignore[arg-type]


def test_what_the_reference_leaves_undefined_or_gives_differently_each_time_is_not_asked():
    class Unsteady(Filling):
        def evaluate(self, runner, candidate, inputs, *, limits=None):
            answers = super().evaluate(runner, candidate, inputs)
            times = len(self.ran)
            return [
                Failure("crash", "undefined") if given["age"] > 40 else Value(f"{times}") if given["name"] != "Ann" else answer
                for given, answer in zip(inputs, answers, strict=True)
            ]

    execution = asking(GREETING, {"name": "Ann", "age": 5}, {"name": "Ann", "age": 40})
    tests = hidden_tests(Unsteady(), execution, GREETING, seed="1")  # type: ignore[arg-type]
    assert tests
    assert all(json.loads(test.input)["age"] <= 40 and json.loads(test.input)["name"] == "Ann" for test in tests)


def test_values_that_are_all_equal_are_drawn_again():
    class Steps(Filling):
        def evaluate(self, runner, candidate, inputs, *, limits=None):
            self.ran.append(candidate)
            return [Value(given["n"] >= 90) for given in inputs]

    execution = Execution(runner="fill", tests=({"input": {"n": 5}, "expected": False}, {"input": {"n": 90}, "expected": True}))  # type: ignore[arg-type]
    for seed in range(10):
        tests = hidden_tests(Steps(), execution, "", seed=str(seed))  # type: ignore[arg-type]
        assert {test.expected for test in tests} == {"true", "false"}


def test_without_a_reference_that_passes_there_are_no_hidden_tests():
    execution = asking(GREETING, {"name": "Ann", "age": 5})
    assert hidden_tests(Filling(), execution, "Dear {name}.", seed="1") == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("program", ["Dear Ann, you are 5.", "Dear Bo, you are 40.", "", "{name"])
def test_a_constant_a_part_or_nothing_earns_nothing(program):
    execution = asking(GREETING, {"name": "Ann", "age": 5}, {"name": "Bo", "age": 40})
    box = Filling()
    hidden = hidden_tests(box, execution, GREETING, seed="1")  # type: ignore[arg-type]
    for tests in ((), hidden):
        result = score(Check(kind="execution", execution=execution), program, sandbox=box, hidden=tests)  # type: ignore[arg-type]
        assert (result.passed, result.value) == (False, 0.0)


def test_partial_credit_counts_only_beyond_a_constant_and_only_where_hidden_tests_agree():
    half = "Dear {name}, you are 5."
    execution = asking(GREETING, *({"name": name, "age": age} for name, age in (("Ann", 5), ("Bo", 5), ("Cy", 40), ("Di", 41))))
    check = Check(kind="execution", execution=execution)
    assert score(check, half, sandbox=Filling()).value == pytest.approx((2 / 4 - 1 / 4) / (1 - 1 / 4))  # type: ignore[arg-type]
    other = asking(GREETING, {"name": "Ed", "age": 6}, {"name": "Flo", "age": 7}).tests
    assert score(check, half, sandbox=Filling(), hidden=other).value == 0.0  # type: ignore[arg-type]


def test_wrong_texts_differ_from_the_program_and_from_each_other():
    made = text_mutants("% if stock > 0:\nin stock\n% else:\nsold out\n% endif", most=8)
    assert len({one.source for one in made}) == len(made) == 8
    changes = [one.change for one in made]
    assert "'1' for '0', line 1" in changes
    assert "'<=' for '>', line 1" in changes
    assert any(change.endswith("left out") for change in changes)


def test_what_all_known_inputs_share_is_never_changed():
    known = [{"files": {"base": "text"}, "context": {"n": n}} for n in (3, 8)]
    near = inputs_near(known, 6, seed="x")
    assert len(near) == 6
    assert all(made["files"] == {"base": "text"} and list(made["context"]) == ["n"] for made in near)  # type: ignore[index,call-overload]


def test_functions_are_called_by_their_own_names_only():
    known = [
        {"call": "half", "args": [6]},
        {"call": "half", "args": [10]},
        {"call": "shout", "args": ["a"]},
        {"call": "shout", "args": ["b"]},
    ]
    for made in inputs_near(known, 20, seed="x"):
        assert isinstance(made["args"][0], {"half": int, "shout": str}[made["call"]])  # type: ignore[index,call-overload]


def test_order_and_distinctness_that_all_known_lists_have_are_kept():
    known = [{"call": "find", "args": [[1, 4, 9], 4]}, {"call": "find", "args": [[2, 3, 5, 8], 9]}]
    near = [made["args"][0] for made in inputs_near(known, 12, seed="x")]  # type: ignore[index,call-overload]
    assert len(near) == 12
    assert all(items == sorted(set(items)) for items in near)


def test_texts_that_are_equally_long_in_all_known_inputs_stay_so():
    known = [{"call": "xor", "args": [left, right]} for left, right in (("010", "110"), ("1", "0"), ("0000", "1010"))]
    near = [made["args"] for made in inputs_near(known, 12, seed="x")]  # type: ignore[index,call-overload]
    assert len(near) == 12
    assert all(len(left) == len(right) for left, right in near)


def test_of_one_known_input_all_may_change_but_the_number_of_arguments():
    near = [made["args"] for made in inputs_near([{"call": "sum", "args": [[3, 1, 3], 5]}], 20, seed="x")]  # type: ignore[index,call-overload]
    assert {len(args) for args in near} == {2}
    assert len({len(args[0]) for args in near}) > 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.floats(-9, 9, allow_nan=False) | st.text("ab c", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@example([[[0, 1, 3], [1, 2, 1], [9, 8, 2]], [[0, 1, 1], [1, 1, 2]]], 40, "", 32)
@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(1, 6), st.text(max_size=5), st.sampled_from((1, 3, 8, 32)))
def test_drawn_inputs_are_new_json_different_from_each_other_and_the_same_for_a_seed(known, count, seed, most):
    before = json.dumps(known)
    drawn = inputs_near(known, count, seed=seed, changes=(1, most))
    written = [json.dumps(value, sort_keys=True) for value in drawn]
    assert len(drawn) <= count
    assert len(set(written)) == len(written)
    assert not set(written) & {json.dumps(value, sort_keys=True) for value in known}
    assert drawn == inputs_near(known, count, seed=seed, changes=(1, most))
    assert json.dumps(known) == before
