"""Python graded by cases and by test code: the candidate in one jail, the tests in another or on the host."""

import pytest

from castalia.sandbox import Case, Limits, Sandbox, cases_of, examine_tests

FAST = Limits(seconds=3, memory_mb=256, output_bytes=100_000)
RIGHT = "def double(x):\n    return x * 2\n"
CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate('a') == 'aa'\n"
LOOP = "from solution import double\n\ndef test_double():\n    for n in range(3):\n        assert double(n) == n + n\n"


def graded(sandbox: Sandbox, candidate: str, tests: str | list[Case], **more: str) -> tuple[bool, str]:
    grade = sandbox.grade_python(candidate, tests, limits=FAST, **more)  # type: ignore[arg-type]
    return grade.passed, grade.kind


def test_assertions_on_values_become_cases_that_the_host_compares() -> None:
    found = cases_of(
        "def check(candidate):\n    assert candidate(1, [2]) == (3, None)\n    assert candidate(x={1}) is True\n"
        "    assert not candidate()\n    assert abs(candidate(2) - 0.5) < 1e-6\n",
        entry_point="f",
    )
    assert found == (
        Case("f", (1, [2]), expected=(3, None)),
        Case("f", kwargs={"x": {1}}, expected=True, relation="is"),
        Case("f", relation="falsy"),
        Case("f", (2,), expected=0.5, relation="close", tolerance=1e-6),
    )


@pytest.mark.parametrize(
    "tests", [LOOP, "def check(c):\n    assert c(1) != 3\n", "x = 1\nassert double(x) == 2\n", "def test_a(n):\n    pass\n"]
)
def test_tests_that_do_more_are_no_cases(tests: str) -> None:
    assert cases_of(tests, entry_point="double") is None


def test_right_and_wrong_programs_are_told_apart_in_every_form_of_tests(sandbox: Sandbox) -> None:
    unit = "import unittest\nfrom candidate import double\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(double([1]), [1, 1])\n"
    raises = "def test_r():\n    try:\n        double(None)\n    except TypeError:\n        return\n    raise AssertionError\n"
    for tests in (CHECK, LOOP, unit, raises, "assert double(3) == 6\n"):
        assert graded(sandbox, RIGHT, tests, entry_point="double" if "candidate)" in tests else "") == (True, "ok"), tests
        assert graded(sandbox, "def double(x):\n    return None\n", tests, entry_point="double") == (False, "wrong"), tests


def test_values_without_json_travel_and_come_back(sandbox: Sandbox) -> None:
    same = "def same(x):\n    return x\n"
    values = [(1, 2), {1: "a", (2, 3): None}, {1, 2}, frozenset("ab"), b"\x00\xff", 2j, range(3), [float("inf")], 10**30, "\ud800"]
    assert graded(sandbox, same, [Case("same", (value,), expected=value) for value in values]) == (True, "ok")
    assert graded(sandbox, same, [Case("same", ((1, 2),), expected=[1, 2])]) == (False, "wrong")


def test_what_a_candidate_does_to_its_arguments_is_seen_by_the_tests(sandbox: Sandbox) -> None:
    tests = "from solution import grow\ndef test_grow():\n    items = [1]\n    grow(items)\n    assert items == [1, 2]\n"
    assert graded(sandbox, "def grow(items):\n    items.append(2)\n", tests) == (True, "ok")


def test_tests_that_prove_nothing_are_refused(sandbox: Sandbox) -> None:
    grades = {
        tests: sandbox.grade_python(RIGHT, tests, entry_point="double", limits=FAST)
        for tests in (
            "def check(candidate:",
            "x = 1\n",
            "def test_a():\n    pass\n",
            "from nowhere import x\ndef test_a():\n    assert double(1)\n",
        )
    }
    assert {grade.kind for grade in grades.values()} == {"refused"}
    reasons = [grade.details[0] for grade in grades.values()]
    for reason, part in zip(reasons, ("do not compile", "has no test", "never called the candidate", "nowhere"), strict=True):
        assert part in reason
    assert sandbox.grade_python(RIGHT, [], limits=FAST).kind == "refused"


def test_a_skipped_test_is_not_a_passed_one(sandbox: Sandbox) -> None:
    skipped = "import unittest\nfrom candidate import double\ndef test_a():\n    double(1)\n    raise unittest.SkipTest('later')\n"
    grade = sandbox.grade_python(RIGHT, skipped + "def test_b():\n    assert double(1) == 2\n", limits=FAST)
    assert (grade.passed, grade.tests, grade.tests_passed) == (False, 2, 1)


def test_the_expected_values_are_in_no_place_a_candidate_can_look_at(sandbox: Sandbox) -> None:
    spy = (
        "import gc, glob\ndef double(x):\n    seen = repr(gc.get_objects())\n    for p in glob.glob('/proc/*/cmdline') + glob.glob('/proc/self/cwd/*'):\n"
        "        try: seen += open(p, errors='replace').read(1 << 20)\n        except OSError: pass\n    return 'secret-canary' in seen.replace(repr(x), '')\n"
    )
    tests = "from candidate import double\nwanted = ''.join(['secret', '-', 'canary'])\ndef test_a():\n    assert double(1) == wanted\n"
    assert "gave True" not in str(sandbox.grade_python(spy, [Case("double", (1,), expected="secret-canary")], limits=FAST).details)
    assert graded(sandbox, spy, tests) == (False, "wrong")


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [
        ("def double(x):\n    while True: pass\n", "timeout"),
        ("def double(x):\n    return bytearray(1 << 40)\n", "memory"),
        ("def double(x):\n    return 'x' * 10_000_000\n", "output"),
        ("def double(x):\n    return b'\\xff\\x00' * 3\n", "wrong"),
        ("import os\nos._exit(0)\n", "crash"),
        ("fn double(x: i32) -> i32 { x * 2 }\n", "crash"),
        ("", "crash"),
        ("import json, os\nb = json.dumps({'ended': 0, 'value': 4}).encode()\nos.write(3, len(b).to_bytes(4, 'big') + b)\n", "crash"),
    ],
    ids=["hangs", "memory", "output", "bytes", "exits", "another language", "nothing", "forged end"],
)
def test_every_bad_end_has_its_name(sandbox: Sandbox, candidate: str, kind: str) -> None:
    limits = Limits(seconds=1, memory_mb=256, output_bytes=100_000)
    assert sandbox.grade_python(candidate, [Case("double", (2,), expected=4)], limits=limits).kind == kind


def test_floods_and_binary_output_do_not_disturb_the_values(sandbox: Sandbox) -> None:
    noisy = "import os, sys\nfor _ in range(160): os.write(1, bytes(range(256)) * 256)\n" + RIGHT
    assert graded(sandbox, noisy, CHECK, entry_point="double") == (True, "ok")


def test_fresh_inputs_find_what_was_learned_by_heart(sandbox: Sandbox) -> None:
    known = [Case("double", (n,), expected=2 * n) for n in (1, 5, 90)]
    learned = "def double(x):\n    return {1: 2, 5: 10, 90: 180}.get(x, 0)\n"
    fresh = sandbox.fresh_cases(RIGHT, known, count=10, seed=4)
    assert graded(sandbox, learned, known) == (True, "ok")
    assert len(fresh) == 10
    assert not {case.args for case in fresh} & {case.args for case in known}
    assert graded(sandbox, learned, [*known, *fresh]) == (False, "wrong")
    assert graded(sandbox, "def double(x):\n    return x + x\n", fresh) == (True, "ok")


def test_answers_made_from_chance_are_no_fresh_cases(sandbox: Sandbox) -> None:
    assert sandbox.fresh_cases("import os\ndef double(x):\n    return os.urandom(8).hex()\n", [Case("double", (1,))], count=5, seed=1) == []


def test_tests_deserve_trust_only_when_stubs_and_mutants_fail_them(sandbox: Sandbox) -> None:
    reference = "def sign(n):\n    if n < 0:\n        return -1\n    return 1 if n > 0 else 0\n"
    good = "def check(candidate):\n    assert candidate(-2) == -1\n    assert candidate(0) == 0\n    assert candidate(1) == 1\n"
    weak = "def check(candidate):\n    assert candidate(0) == 0\n"
    report = examine_tests(sandbox, reference, good, entry_point="sign", mutants=6, limits=FAST)
    assert (report.flaw, report.stubs_passed, report.mutants) == ("", 0, 6)
    assert report.rejected > 0.6
    assert "stub" in examine_tests(sandbox, reference, weak, entry_point="sign", mutants=2, limits=FAST).flaw
    assert "reference does not pass" in examine_tests(sandbox, "def sign(n): return 5\n", good, entry_point="sign", limits=FAST).flaw


def test_fresh_inputs_keep_the_types_of_the_known_ones(sandbox: Sandbox) -> None:
    known = [Case("f", ({1, n}, (n, "ab"), {n: [n]}), {"key": frozenset({n})}, expected=n) for n in range(2, 8)]
    fresh = sandbox.fresh_cases("def f(numbers, pair, table, key):\n    return sorted(numbers)[-1]\n", known, count=12, seed=2)
    assert len(fresh) == 12
    for case in fresh:
        numbers, pair, table = case.args
        assert [type(numbers), type(pair), type(table), type(case.kwargs["key"])] == [set, tuple, dict, frozenset]
        assert len(pair) == 2
        assert all(type(key) is int for key in table)
