"""Whether an execution check deserves trust: its tests fail what is wrong, and where they don't, tests are added that do.

A right program, the reference, stands for the task. Three things must fail: every program that prints a constant or nothing, a
Python function that returns its first argument unless that is the task, and most wrong versions of the reference.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from castalia.records import Execution, ExecutionTest
from castalia.records.base import content_hash
from castalia.sandbox import Failure, Limits, Sandbox, Value
from castalia.sandbox.compare import parse_value, same_value
from castalia.sandbox.grading import grade_answers, inputs_of
from castalia.sandbox.stubs import echo_of
from castalia.sandbox.trust import too_weak
from castalia.scoring.execution import constant_share
from castalia.scoring.hidden import hidden_tests
from castalia.scoring.wrong_programs import wrong_programs

MUTANTS = 8
PROBES = 6
"""Inputs drawn to see what the tests of the check miss."""

_QUICK = Limits(seconds=2.0)  # wrong versions of loops often never end
_CONSTANT = "a program that prints a constant"


class Examination(NamedTuple):
    """What the tests of a check can tell from right. `stubs` and `survivors` name what passed the tests as they were given."""

    passed: bool
    """Whether the reference is right; nothing else was looked at where it isn't."""
    execution: Execution
    """The check with the tests that were added to it."""
    stubs: tuple[str, ...]
    mutants: int
    """Wrong versions that counted: they run, and do something else than the reference on some input at hand."""
    survivors: tuple[str, ...]
    added: int
    flaw: str
    """Why even the added tests prove nothing, empty where they do."""


class _Wrong(NamedTuple):
    name: str
    stub: bool
    source: str


def examine(sandbox: Sandbox, execution: Execution, reference: str) -> Examination:
    """Examines the tests with a reference, a program. The same check and reference always give the same.

    Whether a constant passes needs no run: it does where all expected values are equal, whatever the language. The empty program and
    the wrong versions are run together in one jail. Where one passes, inputs are drawn near the known ones, and tests are added that
    it fails. A wrong version that gives what the reference gives for all drawn inputs too is no change that can be seen, and a stub
    that does is the task: they are left out. A wrong version that gives no value for any input does not run: it is rejected, but
    counts only where no other counts.

    Raises as `Sandbox.evaluate`.
    """
    known = inputs_of(execution)
    wrong = list(_wrong(reference, execution.runner))
    answers = sandbox.evaluate_together(execution.runner, [reference, *(one.source for one in wrong)], known, limits=_QUICK)
    if any(isinstance(answer, Failure) and answer.kind == "timeout" for answer in answers[0]):
        answers[0] = sandbox.evaluate(execution.runner, reference, known)
    grade = grade_answers(execution, answers[0])
    if not grade.passed:
        return Examination(False, execution, (), 0, (), 0, f"the reference does not pass: {grade.details[0]}")
    ran = list(zip(wrong, answers[1:], strict=True))
    running = [one for one, given in ran if not one.stub and any(isinstance(answer, Value) for answer in given)]
    passing = [one for one, given in ran if _missed(given, execution.tests) == []]
    constant = constant_share(execution.tests) == 1
    if not passing and not constant:
        return Examination(True, execution, (), len(running) or sum(not one.stub for one in wrong), (), 0, "")
    probes = hidden_tests(sandbox, execution, reference, seed=content_hash([execution.model_dump(mode="json"), reference]), count=PROBES)
    misses = _misses(sandbox, execution, passing, probes)
    unseen = [one for one, missed in misses.items() if probes and not missed]
    survivors = [one for one in passing if one not in unseen]
    mutants = sum(one not in unseen for one in running) or sum(not one.stub and one not in running for one in wrong)
    chosen = _chosen(execution.tests, probes, [misses[one] for one in survivors], constant=constant)
    tests = (*execution.tests, *(probes[place] for place in chosen))
    return Examination(
        passed=True,
        execution=execution.model_copy(update={"tests": tests}),
        stubs=tuple([_CONSTANT] * constant + [one.name for one in survivors if one.stub]),
        mutants=mutants,
        survivors=tuple(one.name for one in survivors if not one.stub),
        added=len(chosen),
        flaw=_flaw(tests, [one for one in survivors if not misses[one] & {*chosen}], mutants),
    )


def _wrong(reference: str, runner: str) -> Iterator[_Wrong]:
    yield _Wrong("the empty program", True, "")
    if runner == "python":
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # then there is no such program
            yield _Wrong("a program that returns its first argument", True, echo_of(reference))
    for made in wrong_programs(reference, runner, most=MUTANTS):
        yield _Wrong(made.change, False, made.source)


def _misses(
    sandbox: Sandbox, execution: Execution, programs: Sequence[_Wrong], probes: Sequence[ExecutionTest]
) -> dict[_Wrong, frozenset[int]]:
    """By program, the places of the drawn tests that it fails."""
    if not probes or not programs:
        return dict.fromkeys(programs, frozenset[int]())
    inputs = inputs_of(execution.model_copy(update={"tests": tuple(probes)}))
    answers = sandbox.evaluate_together(execution.runner, [one.source for one in programs], inputs, limits=_QUICK)
    return {one: frozenset(_missed(given, probes)) for one, given in zip(programs, answers, strict=True)}


def _missed(answers: Sequence[Value | Failure], tests: Sequence[ExecutionTest]) -> list[int]:
    return [
        place
        for place, (answer, test) in enumerate(zip(answers, tests, strict=True))
        if not (isinstance(answer, Value) and same_value(answer.value, parse_value(test.expected)))
    ]


def _chosen(
    known: Sequence[ExecutionTest], probes: Sequence[ExecutionTest], misses: Sequence[frozenset[int]], *, constant: bool
) -> list[int]:
    """Places of drawn tests, few: each is failed by something that no test before it failed."""
    chosen: list[int] = []
    left = list(misses)
    for place, probe in enumerate(probes):
        other = constant and constant_share([*known, probe]) < 1
        if other or any(place in missed for missed in left):
            chosen.append(place)
            left = [missed for missed in left if place not in missed]
            constant = constant and not other
    return chosen


def _flaw(tests: Sequence[ExecutionTest], left: Sequence[_Wrong], mutants: int) -> str:
    if constant_share(tests) == 1:
        return f"{_CONSTANT} passes: all {len(tests)} tests expect {tests[0].expected[:80]}, and no input near theirs gives another value"
    for one in left:
        if one.stub:
            return f"{one.name} passes all {len(tests)} tests"
    return too_weak([one.name for one in left], mutants)
