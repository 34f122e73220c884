"""Python programs against cases or test code."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from castalia.sandbox.calls import Answer, Open, Talk, Verdict, ask_all, encode_call, grade_cases, relay_tests
from castalia.sandbox.jails import START, Jails
from castalia.sandbox.python_tests import MODULES, TestCode, read_tests
from castalia.sandbox.supervise import Conversation
from castalia.sandbox.values import Case, Grade, Limits

_HARNESSES = Path(__file__).parent / "harnesses"
_CALLS = (_HARNESSES / "python_calls.py").read_text(encoding="utf-8")
_TESTS = (_HARNESSES / "python_tests.py").read_text(encoding="utf-8")
_PYTEST = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


def refused(reason: str, tests: int = 0) -> Grade:
    """The grade of what was not run."""
    return Grade(False, "refused", (reason,), tests, 0)


def grade_python(
    jails: Jails,
    candidate: str,
    tests: str | Sequence[Case],
    *,
    entry_point: str,
    setup: str,
    limits: Limits,
    packages: Sequence[str],
) -> Grade:
    """See `Sandbox.grade_python`."""
    if isinstance(tests, str):
        try:
            code = read_tests(tests, entry_point=entry_point, setup=setup)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return refused(f"the tests do not compile: {error}")
        if code.flaw:
            return refused(f"some of the tests would never run: {code.flaw}", code.total)
        if "check" in code.names and not entry_point:
            return refused("test code with `check(candidate)` needs `entry_point`, the name of the function to check", code.total)
        if code.cases is None:
            return _by_tests(jails, candidate, tests, code, entry_point, setup, limits, packages)
        cases = code.cases
    else:
        cases = tuple(tests)
    if not cases:
        return refused("there are no cases, so nothing would be proved")
    try:
        for case in cases:
            encode_call(case)
    except (TypeError, ValueError) as error:
        return refused(f"an argument can't be handed over: {error}", len(cases))
    answers, used = ask_all(opener(jails, limits, packages), candidate_talk(candidate, limits), cases, limits.seconds)
    return grade_cases(cases, answers, used)


def answers_of(jails: Jails, program: str, cases: Sequence[Case], limits: Limits) -> list[Answer]:
    """What a program gives for the calls of cases; what is expected of it is not looked at."""
    return ask_all(opener(jails, limits, ()), candidate_talk(program, limits), cases, limits.seconds)[0]


def candidate_talk(candidate: str, limits: Limits) -> Talk:
    """What the candidate's jail is told."""
    return Talk(_CALLS, {"candidate": candidate, "module": "candidate"}, limits.seconds)


def opener(jails: Jails, limits: Limits, packages: Sequence[str]) -> Open:
    """Opens a jail for a talk: the candidate's with its packages, the tests' with pytest where they use it."""

    @contextlib.contextmanager
    def open_jail(talk: Talk) -> Generator[Conversation]:
        wanted = packages if talk.harness == _CALLS else _PYTEST if talk.task["pytest"] else ()
        with jails.talk(talk.harness, lambda _: talk.task, limits, packages=wanted) as jail:
            yield jail

    return open_jail


def _by_tests(
    jails: Jails, candidate: str, tests: str, code: TestCode, entry_point: str, setup: str, limits: Limits, packages: Sequence[str]
) -> Grade:
    if not code.total:
        return refused("the test code has no test: no `check`, no function or method named test..., no bare assertion")
    task: Mapping[str, Any] = {
        "tests": tests, "setup": setup, "names": list(code.names), "module_asserts": code.module_asserts, "pytest": code.needs_pytest,
        "entry_point": entry_point, "modules": list(MODULES),
        "functions": [*dict.fromkeys([*([entry_point] if entry_point else []), *code.functions])],
    }  # fmt: skip
    talk = Talk(_TESTS, task, START + 4 * limits.seconds)
    open_jail = opener(jails, limits, packages)
    verdict = relay_tests(open_jail, talk, candidate_talk(candidate, limits), limits.seconds, limits.seconds * code.total)
    return grade_verdict(verdict, code.total, counted_by_tests=code.needs_pytest)


def grade_verdict(found: Verdict, expected: int, *, counted_by_tests: bool) -> Grade:
    """From what the tests' jail says to a grade: all tests ran, none was skipped, all passed, and the candidate was asked. With
    `counted_by_tests` there may be more tests than can be read from their source: parametrized ones, those that macros make."""
    said, lost, used = found.said, found.lost, found.used
    if lost is not None and not said.broken:
        return Grade(False, lost.kind, (f"{lost.kind}: {lost.detail}",), expected, 0, **used)
    if said.broken:
        return refused(f"the tests do not run: {said.broken}", expected)
    if not found.calls and said.passed:
        return refused("the tests never called the candidate, so they prove nothing", expected)
    details = [*said.failures]
    if said.skipped:
        details.append(f"{said.skipped} tests were skipped")
    if not details and (said.ran < max(1, expected) or (said.ran > expected and not counted_by_tests)):
        return refused(f"{said.ran} of {expected} tests ran", expected)
    right = said.passed == said.ran and not details
    total = max(said.ran, expected)
    return Grade(right, "ok" if right else "wrong", tuple(details), total, min(said.passed, total), **used)
