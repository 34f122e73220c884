"""Programs, proved by running them in the sandbox."""

from collections.abc import Sequence

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.records import Check, Execution, ExecutionTest
from castalia.records.base import canonical_json
from castalia.records.flaw import Flaw
from castalia.sandbox import Grade, Sandbox
from castalia.sandbox.compare import parse_value
from castalia.sandbox.grading import grade_answers, inputs_of
from castalia.scoring.fences import program_of
from castalia.scoring.values import Score, right, wrong

MOST_TESTS = 200
"""Tests of a check: each is a process of its own for the answer, for every wrong version and for every answer of a model."""


def score_execution(check: Check, answer: str, sandbox: Sandbox | None, hidden: Sequence[ExecutionTest] = ()) -> Score:
    """Passes when the answer's program (its last fenced block, else the whole text) gives every expected value, on the check's own tests
    and on the `hidden` ones (castalia.scoring.hidden), in one jail.

    Partial credit is the share of the tests passed beyond what a program gets that prints a constant, the lesser of both kinds of
    tests: nothing is paid for a constant or for known values learned by heart.

    Raises SandboxUnavailable without a sandbox, ConfigError for an execution that can't be run as declared.
    """
    execution = check.execution
    if execution is None:
        raise ConfigError("a check of kind 'execution' has no `execution`; give it a runner and tests")
    if sandbox is None:
        raise SandboxUnavailable(
            f"a check needs runner {execution.runner!r} and no sandbox is open; `castalia sandbox doctor` says what this machine offers"
        )
    program = program_of(answer)
    if not hidden:
        return _said([(execution.tests, sandbox.grade(execution, program))])
    extra = execution.model_copy(update={"tests": tuple(hidden)})
    known = len(execution.tests)
    answers = sandbox.evaluate(execution.runner, program, [*inputs_of(execution), *inputs_of(extra)])
    return _said([(execution.tests, grade_answers(execution, answers[:known])), (extra.tests, grade_answers(extra, answers[known:]))])


def tests_flaw(execution: Execution | None) -> str:
    """What is wrong with the tests of a check that no program and no sandbox could make good, empty where nothing is."""
    if execution is None or not execution.tests:
        return "it has no program to run" if execution is None else "it has no tests"
    if len(execution.tests) > MOST_TESTS:
        return f"it has {len(execution.tests)} tests; at most {MOST_TESTS} are run, so keep those that tell most"
    expected: dict[str, str] = {}
    for test in execution.tests:
        try:
            given, wanted = (canonical_json(parse_value(text)) for text in (test.input, test.expected))
        except ValueError as error:
            return f"{test.input[:80]!r} gives {test.expected[:80]!r}, which is not all JSON: {error}"
        if expected.setdefault(given, wanted) != wanted:
            return f"the input {test.input[:80]!r} is to give {expected[given][:80]!r} and {wanted[:80]!r}"
    return ""


def execution_flaw(check: Check, runners: Sequence[str]) -> Flaw | None:
    """Why nothing can be run by a check of kind `execution`, None where something can. `runners` as the params of stages name them:
    `NAME: what candidate, input and value are`."""
    if check.execution is None or not check.execution.tests:
        return Flaw("empty-check", "an execution check needs a runner and at least one test")
    names = [runner.partition(":")[0].strip() for runner in runners]
    if check.execution.runner not in names:
        return Flaw("unknown-runner", f"{check.execution.runner!r} is not one of {names}")
    flaw = tests_flaw(check.execution)
    return Flaw("tests-unusable", flaw) if flaw else None


def constant_share(tests: Sequence[ExecutionTest]) -> float:
    """The greatest share of the tests that a program passes which always gives the same value, in [0, 1]."""
    values = [canonical_json(parse_value(test.expected)) for test in tests]
    return max(map(values.count, values)) / len(values) if values else 0.0


def _said(graded: Sequence[tuple[Sequence[ExecutionTest], Grade]]) -> Score:
    total, passed = sum(grade.tests for _, grade in graded), sum(grade.tests_passed for _, grade in graded)
    if all(grade.passed for _, grade in graded):
        return right(f"{total} of {total} tests passed")
    # a hidden test is named as the known ones are: its input is drawn anew for every grading
    first = next(grade.details[0] for _, grade in graded if not grade.passed)
    return wrong(f"{passed} of {total} tests passed; {first}", min(_credit(*pair) for pair in graded))


def _credit(tests: Sequence[ExecutionTest], grade: Grade) -> float:
    free = constant_share(tests)
    return max(0.0, (grade.fraction - free) / (1 - free)) if free < 1 else 0.0
