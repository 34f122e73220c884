"""The ways in which a program is graded, for the same inputs and values: cases, test code of several forms, an execution of JSON values.

A cheat that one of them accepts is accepted.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from castalia.records import Execution, ExecutionTest
from castalia.sandbox import Case, Grade, Limits, Sandbox

Route = Callable[[Sandbox, str], Grade]
ANEW = {"right at first": "execution"}
"""Cheats that are none by a route: an execution starts the program anew for each input, and what is right then passes rightly."""
_EXECUTED = 12

_EACH = """
def test_each():
    for numbers, total in GIVEN:
        assert even_sum(list(numbers)) == total


def test_all_at_once():
    got = map(even_sum, [list(numbers) for numbers, _ in GIVEN])
    for one, (_, total) in zip(got, GIVEN):
        assert one == total


class TestOneByOne:
    def test_it(self):
        assert not [numbers for numbers, total in GIVEN if even_sum(list(numbers)) != total]
"""
_CHECK = """
def check(candidate):
    for numbers, total in GIVEN:
        assert candidate(list(numbers)) == total
    assert all(one == total for one, (_, total) in zip(map(candidate, [list(numbers) for numbers, _ in GIVEN]), GIVEN))
"""
_UNITTEST = """
import unittest


class EvenSum(unittest.TestCase):
    def test_each(self):
        for numbers, total in GIVEN:
            with self.subTest(numbers):
                self.assertEqual(even_sum(list(numbers)), total)
"""
_PYTEST = """
import pytest


@pytest.mark.parametrize(("numbers", "total"), GIVEN)
def test_one(numbers, total):
    assert even_sum(list(numbers)) == total


def test_words():
    with pytest.raises(TypeError):
        even_sum(["a", "b"])
"""


def python_routes(cases: Sequence[Case], limits: Limits) -> Mapping[str, Route]:
    """By name, the ways to grade a Python program; `pytest` is by far the slowest."""
    given = f"from solution import even_sum\nGIVEN = {[(case.args[0], case.expected) for case in cases]!r}\n"
    forms = {"functions": given + _EACH, "check": given + _CHECK, "unittest": given + _UNITTEST, "pytest": given + _PYTEST}

    def by_tests(tests: str) -> Route:
        return lambda sandbox, program: sandbox.grade_python(program, tests, entry_point="even_sum", limits=limits)

    return {
        "cases": lambda sandbox, program: sandbox.grade_python(program, cases, limits=limits),
        "execution": _by_execution("python", cases),
        **{name: by_tests(tests) for name, tests in forms.items()},
    }


def rust_routes(cases: Sequence[Case], signature: str, limits: Limits) -> Mapping[str, Route]:
    """By name, the ways to grade a Rust program."""
    checks = "".join(f"    assert_eq!(even_sum(vec!{case.args[0]}), {case.expected});\n" for case in cases)
    tests = f"#[test]\nfn sums_even_numbers() {{\n{checks}}}\n"
    return {
        "cases": lambda sandbox, program: sandbox.grade_rust(program, cases, limits=limits),
        "execution": _by_execution("rust", cases),
        "tests": lambda sandbox, program: sandbox.grade_rust(program, tests, signature=signature, limits=limits),
    }


def _by_execution(runner: str, cases: Sequence[Case]) -> Route:
    """With the longest inputs only: each has a process and a second of its own, all of which a cheat that hangs takes."""
    tests = tuple(
        ExecutionTest(input=json.dumps({"call": case.function, "args": list(case.args)}), expected=json.dumps(case.expected))
        for case in sorted(cases, key=lambda case: len(repr(case.args)))[-_EXECUTED:]
    )
    return lambda sandbox, program: sandbox.grade(Execution(runner=runner, tests=tests), program, limits=Limits(seconds=1))
