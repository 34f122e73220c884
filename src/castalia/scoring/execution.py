"""Programs, proved by running them in the sandbox."""

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.records import Check
from castalia.sandbox import Sandbox
from castalia.scoring.fences import program_of
from castalia.scoring.values import Score, right, wrong


def score_execution(check: Check, answer: str, sandbox: Sandbox | None) -> Score:
    """Passes when the answer's program (its last fenced block, else the whole text) gives every expected value. Partial credit: the
    share of the tests.

    Raises SandboxUnavailable without a sandbox, ConfigError for an execution that can't be run as declared.
    """
    if check.execution is None:
        raise ConfigError("a check of kind 'execution' has no `execution`; give it a runner and tests")
    if sandbox is None:
        raise SandboxUnavailable(
            f"a check needs runner {check.execution.runner!r} and no sandbox is open; "
            "`castalia sandbox doctor` says what this machine offers"
        )
    grade = sandbox.grade(check.execution, program_of(answer))
    if grade.passed:
        return right(f"{grade.tests} of {grade.tests} tests passed")
    return wrong(f"{grade.tests_passed} of {grade.tests} tests passed; {grade.details[0]}", grade.fraction)
