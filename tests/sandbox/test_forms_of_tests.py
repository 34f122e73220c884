"""Every form of Python test code: what stands in it runs, or it is refused; nothing passes without having run."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from castalia.sandbox import Case, Limits, Sandbox, cases_of
from castalia.sandbox.calls import Open, Talk, relay_tests
from castalia.sandbox.python_grading import grade_verdict

RIGHT = "def double(x):\n    return x * 2\n"
WRONG = "def double(x):\n    return None\n"
FAST = Limits(seconds=3, memory_mb=256, output_bytes=100_000)
IMPORT = "from solution import double\n"
LOOP = "def test_loop():\n    for n in (1, 2):\n        assert double(n) == n + n\n"
UNIT = "import unittest\nfrom solution import double\n"

FORMS = {
    "async functions": IMPORT + "async def test_a():\n    assert double(2) == 4\n" + LOOP,
    "inherited methods": (
        UNIT + "class Base:\n    def test_a(self):\n        self.assertEqual(double(1), 2)\n"
        "class T(Base, unittest.TestCase):\n    def test_b(self):\n        self.assertEqual(double('a'), 'aa')\n"
    ),
    "hooks of unittest, async methods, subtests": (
        UNIT + "class T(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls):\n        cls.x = 3\n"
        "    async def test_a(self):\n        self.assertEqual(double(self.x), 6)\n"
        "    def test_b(self):\n        for n in range(3):\n            with self.subTest(n):\n                self.assertEqual(double(n), n + n)\n"
    ),
    "hooks of pytest without pytest": (
        IMPORT + "SEEN = []\ndef setup_module(module):\n    SEEN.append('module')\n"
        "class TestIt:\n    @classmethod\n    def setup_class(cls):\n        cls.x = 3\n"
        "    def setup_method(self, method):\n        self.name = method.__name__\n"
        "    def test_a(self):\n        assert (double(self.x), self.name, SEEN) == (6, 'test_a', ['module'])\n"
    ),
    "under a condition that holds": "import sys\nif sys.version_info > (3,):\n    def test_a():\n        assert double([1]) == [1] + [1]\n",
    "another name for the candidate": "from solution import double as g\nassert g(2) == 4\n",
    "other modules within a test": "def test_a():\n    from math import sqrt\n    assert sqrt(16) == 4.0\n    assert double(2) == 4\n",
    "a fixture": IMPORT
    + "def test_a(tmp_path):\n    (tmp_path / 'a').write_text('b')\n    assert double((tmp_path / 'a').read_text()) == 'bb'\n",
    "pytest with `check`": "import pytest\ndef check(c):\n    with pytest.raises(TypeError):\n        c(None)\n    assert c(1) == 2\n",
    "pytest with assertions of the module": "import pytest\nassert double(2) == 4\nwith pytest.raises(TypeError):\n    double(None)\n",
    "pytest, parametrized and async": (
        "import pytest\nfrom solution import double\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n):\n    assert double(n) == n + n\n"
        "async def test_b():\n    assert double(2) == 4\n"
    ),
    "a value asked for while loading": IMPORT + "SIX = double(3)\ndef test_a():\n    assert SIX + 0 == 6\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_right_program_passes_and_a_wrong_one_does_not(any_tier: Sandbox, form: str) -> None:
    right, wrong = (any_tier.grade_python(program, FORMS[form], entry_point="double", limits=FAST) for program in (RIGHT, WRONG))
    assert (right.passed, right.kind, right.tests_passed) == (True, "ok", right.tests), right.details
    assert (wrong.passed, wrong.kind) == (False, "wrong"), wrong.details


@pytest.mark.parametrize(
    "tests",
    [
        "async def test_a():\n    assert double(2) == 5\n" + LOOP,
        "import unittest\nclass T(unittest.TestCase):\n    async def test_a(self):\n        self.assertEqual(double(2), 5)\n",
        "import pytest\nasync def test_a():\n    assert double(2) == 5\n",
        "class Base:\n    def test_a(self):\n        assert double(2) == 5\nclass TestIt(Base):\n    def test_b(self):\n        assert double(2) == 4\n",
    ],
    ids=["a function", "a method", "pytest", "inherited"],
)
def test_a_test_that_fails_is_heard_wherever_it_stands(any_tier: Sandbox, tests: str) -> None:
    grade = any_tier.grade_python(RIGHT, tests, limits=FAST)
    assert (grade.passed, grade.kind) == (False, "wrong"), grade.details


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("import sys\nif sys.version_info < (3,):\n    def test_a():\n        assert double(1) == 2\n" + LOOP, "1 of 2 tests ran"),
        ("def test_a():\n    assert double(1) == 3\ndef test_a():\n    assert double(1) == 2\n", "defined twice"),
        ("if __name__ == '__main__':\n    assert double(1) == 3\n" + LOOP, "__main__"),
        ("def test_a():\n    yield\n    assert double(1) == 3\n" + LOOP, "yields"),
        ("import os\ndef test_a():\n    double(1)\n    os._exit(0)\n", "without a verdict"),
        ("def check(c):\n    assert c(1) == 2\n", "entry_point"),
    ],
)
def test_tests_that_would_not_all_run_are_refused(any_tier: Sandbox, tests: str, why: str) -> None:
    grade = any_tier.grade_python(RIGHT, tests, limits=FAST)
    assert (grade.passed, grade.kind) == (False, "refused")
    assert why in grade.details[0]


@pytest.mark.parametrize("kind", ["StopIteration", "StopAsyncIteration", "GeneratorExit"])
def test_an_error_that_ends_an_iteration_does_not_end_the_tests(any_tier: Sandbox, kind: str) -> None:
    tests = "def test_a():\n    for got, want in zip(map(double, [1, 2]), [2, 4]):\n        assert got == want\n"
    assert any_tier.grade_python(RIGHT, tests, limits=FAST).passed
    assert any_tier.grade_python(f"def double(x):\n    raise {kind}\n", tests, limits=FAST).kind == "wrong"


def test_true_itself_is_not_one() -> None:
    assert cases_of("assert f(3) is True\nassert None is f(4)\nassert f(5) == True\n") == (
        Case("f", (3,), expected=True, relation="is"),
        Case("f", (4,), relation="is"),
        Case("f", (5,), expected=True),
    )


def test_a_program_that_gives_one_for_true_does_not_pass(any_tier: Sandbox) -> None:
    tests = "assert double(1) is True\n"
    assert any_tier.grade_python("def double(x):\n    return True\n", tests, limits=FAST).passed
    assert not any_tier.grade_python("def double(x):\n    return 1\n", tests, limits=FAST).passed


def test_a_candidate_that_raises_while_the_tests_load_is_wrong(any_tier: Sandbox) -> None:
    raising = "def double(x):\n    raise ValueError('no')\n"
    for tests in (FORMS["a value asked for while loading"], FORMS["pytest with assertions of the module"]):
        grade = any_tier.grade_python(raising, tests, limits=FAST)
        assert (grade.kind, grade.tests_passed) == ("wrong", 0), grade.details


def test_a_candidate_that_hangs_while_it_loads_has_no_more_than_its_seconds(any_tier: Sandbox) -> None:
    grade = any_tier.grade_python("while True: pass\n", [Case("f")], limits=Limits(seconds=0.5))
    assert grade.kind == "timeout"
    assert grade.cpu_seconds is None or grade.cpu_seconds < 5


class _Jail:
    """A jail that says what it is given to say."""

    limit = None
    peak_memory_mb = 0.0

    def __init__(self, frames: list[dict[str, Any]]) -> None:
        self.frames = frames

    def send(self, body: bytes) -> None:
        assert json.loads(body)

    def finish(self) -> None:
        pass

    def receive(self, seconds: float) -> dict[str, Any] | None:
        if seconds <= 0:
            return None
        return self.frames.pop(0) if self.frames else None


def _said_by(tests: list[dict[str, Any]], candidate: list[dict[str, Any]]) -> Any:
    jails: Mapping[str, Any] = {"tests": _Jail(tests), "candidate": _Jail([{"loaded": True}, *candidate])}

    @contextmanager
    def open_jail(talk: Talk) -> Generator[Any]:
        yield jails[talk.harness]

    opened: Open = open_jail
    verdict = relay_tests(opened, Talk("tests", {}, 1.0), Talk("candidate", {}, 1.0), 1.0, 1.0)
    return grade_verdict(verdict, 1, counted_by_tests=False)


@pytest.mark.parametrize(
    "verdict",
    [
        {"ran": 1},
        "x",
        None,
        7,
        [],
        {"ran": 1, "passed": "1", "skipped": 0, "failures": []},
        {"ran": 1, "passed": 1, "skipped": 0, "failures": 3},
    ],
)
def test_a_verdict_that_is_none_is_refused(verdict: object) -> None:
    call: dict[str, Any] = {"call": "f", "args": [], "kwargs": {}}
    assert _said_by([call, {"verdict": verdict}], [{"value": 1}]).kind == "refused"
    assert _said_by([call, {"verdict": {"ran": 1, "passed": 1, "skipped": 0, "failures": []}}], [{"value": 1}]).kind == "ok"


def test_the_time_of_the_candidate_is_not_that_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("castalia.sandbox.calls.time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(_Jail):
        def receive(self, seconds: float) -> dict[str, Any] | None:
            now[0] += 0.9
            return super().receive(seconds)

    def graded(calls: int) -> Any:
        call: dict[str, Any] = {"call": "f", "args": [], "kwargs": {}}
        verdict: dict[str, Any] = {"verdict": {"ran": 1, "passed": 1, "skipped": 0, "failures": []}}
        jails: Mapping[str, Any] = {
            "tests": _Jail([*[call] * calls, verdict]),
            "candidate": Slow([{"loaded": True}, *[{"value": 1}] * calls]),
        }

        @contextmanager
        def open_jail(talk: Talk) -> Generator[Any]:
            yield jails[talk.harness]

        return grade_verdict(
            relay_tests(open_jail, Talk("tests", {}, 1.0), Talk("candidate", {}, 1.0), 1.0, 1.0), 1, counted_by_tests=False
        )

    assert graded(15).kind == "ok"
    assert graded(60).kind == "timeout"
