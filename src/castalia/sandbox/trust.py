"""Whether test code deserves trust: the reference passes it, a stub does not, and mutants of the reference do not.

This is for test code. The tests of an execution, which an oracle writes, are examined by the same rule and added to
(castalia.scoring.examination).
"""

from collections.abc import Sequence
from typing import NamedTuple

from castalia.sandbox.box import Sandbox
from castalia.sandbox.mutants import Mutant, mutants_of
from castalia.sandbox.stubs import stubs_of
from castalia.sandbox.values import Case, Grade, Limits


class TestsReport(NamedTuple):
    """What tests can tell apart. `survivors` are mutants that passed: too weak tests, or changes that change nothing."""

    __test__ = False  # pytest would collect it

    reference: Grade
    stubs_passed: int
    mutants: int
    survivors: tuple[Mutant, ...]

    @property
    def rejected(self) -> float:
        """Share of the mutants that did not pass, in [0, 1]; 0 without mutants."""
        return 1 - len(self.survivors) / self.mutants if self.mutants else 0.0

    @property
    def flaw(self) -> str:
        """Why the tests prove nothing, empty where they do."""
        if not self.reference.passed:
            return f"the reference does not pass: {self.reference.details[0] if self.reference.details else self.reference.kind}"
        if self.stubs_passed:
            return "a stub passes, so the tests check nothing"
        return too_weak([mutant.change for mutant in self.survivors], self.mutants)


def too_weak(survivors: Sequence[str], wrong: int) -> str:
    """Why tests that so many of `wrong` programs pass prove nothing: it is half of them, or more. Empty where it is fewer."""
    if wrong and 2 * len(survivors) >= wrong:
        return f"{len(survivors)} of {wrong} wrong versions of the reference pass, e.g. {survivors[0]}"
    return ""


def examine_tests(
    sandbox: Sandbox, reference: str, tests: str | Sequence[Case], *, entry_point: str = "", setup: str = "", mutants: int = 8, seed: int = 0,
    limits: Limits | None = None,
) -> TestsReport:  # fmt: skip
    """Grades the reference, its stubs and at most `mutants` of its mutants by the tests. A reference that does not compile fails them."""

    def grade(program: str) -> Grade:
        return sandbox.grade_python(program, tests, entry_point=entry_point, setup=setup, limits=limits)

    first = grade(reference)
    if not first.passed:
        return TestsReport(first, 0, 0, ())
    made = mutants_of(reference, most=mutants, seed=seed)
    programs = [*stubs_of(reference), *(mutant.source for mutant in made)]
    grades = sandbox.each([lambda program=program: grade(program) for program in programs])
    stubs = len(programs) - len(made)
    survivors = tuple(mutant for mutant, one in zip(made, grades[stubs:], strict=True) if one.passed)
    return TestsReport(first, sum(one.passed for one in grades[:stubs]), len(made), survivors)
