"""Whether a reward can be had without the work: cheats, references and mutants, beside the usual harnesses.

Cheats face the tests and inputs made for the grading, by every route: cases, test code of each form, an execution; accepted by one is
accepted. A mutant counts as equivalent only where a further search of many inputs finds no
difference either; both shares are told, with and without those. The usual harnesses run in the same jails: plain pytest (its exit code
is the verdict) and a script of candidate and tests (its exit code is the verdict), as many reward functions do; for Rust, candidate and
tests in one file, compiled with `--test`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmarks import rewards_cheats_python as python_cheats
from benchmarks import rewards_cheats_rust as rust_cheats
from benchmarks.rewards_gold import PythonTask, python_tasks, rust_tasks
from benchmarks.rewards_routes import ANEW, Route, python_routes, rust_routes
from castalia.sandbox import Case, Limits, Sandbox, cases_of, doctor
from castalia.sandbox.calls import holds
from castalia.sandbox.mutants import Mutant, mutants_of
from castalia.sandbox.python_grading import answers_of

_One = TypeVar("_One")
_FRESH, _MUTANTS, _SEARCHED = 60, 3, 400  # inputs per task, mutants per reference, inputs of the further search
_QUICK = Limits(seconds=2)
_COMPILER = Limits(seconds=30, memory_mb=4096, files_mb=128, processes=64)
_PATIENT = Limits(seconds=30)  # a right program on a busy machine
_PYTEST = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


class _Mutated(NamedTuple):
    task: str
    mutant: Mutant
    given_passed: bool
    fresh_passed: bool
    equivalent: bool


def run(gold: Path | None, quick: bool) -> Mapping[str, Any]:
    """The figures. References and mutants need `gold`."""
    report = doctor(runners=True)
    if report.tier is None:
        return {"figures": {}, "nulls": {"cheats": report.why}}
    rust = report.runners["rust"].startswith("works")
    nulls: dict[str, str] = {} if rust else {"rust": report.runners["rust"]}
    with Sandbox() as sandbox:
        figures = _cheats(sandbox, rust, quick)
        ours = {name: figures[name] for name in ("python_cheats_accepted", "python_cheats", "rust_cheats_accepted", "rust_cheats")}
        peers = {"castalia": ours, **_peers(sandbox, rust, 12 if quick else 1)}
        if gold is None or not (gold / "code").is_dir():
            nulls |= dict.fromkeys(("references_accepted", "mutants_rejected"), "needs --gold with the folder `code`")
        else:
            figures |= _references(sandbox, gold, rust, quick)
            figures |= _mutants(sandbox, gold, quick)
    return {"figures": figures, "peers": peers, "nulls": nulls}


def _cheats(sandbox: Sandbox, rust: bool, quick: bool) -> dict[str, Any]:
    """Each cheat by every route; of a quick run, by cases, and one in so many by each other one."""
    shown = cases_of(python_cheats.TESTS, entry_point="even_sum") or ()
    fresh = sandbox.fresh_cases(python_cheats.REFERENCE, shown, count=_FRESH)
    assert len(fresh) >= _FRESH // 2
    cases = [*shown, *fresh]
    routes = python_routes(cases, _QUICK)
    every = {"functions": 4, "check": 4, "execution": 4, "unittest": 8, "pytest": 12} if quick else {}
    python = _tried(sandbox, routes, python_cheats.REFERENCE, python_cheats.CHEATS, every)
    compiled: dict[str, list[str]] | None = None
    if rust:
        routes = rust_routes(cases, rust_cheats.SIGNATURE, _QUICK)
        every = {"cases": 2, "execution": 4, "tests": 4} if quick else {}
        compiled = _tried(sandbox, routes, rust_cheats.REFERENCE, rust_cheats.CHEATS, every)
    accepted = {name: by for name, by in [*python.items(), *(compiled or {}).items()] if by}
    print("".join(f"accepted cheat: {name}, by {', '.join(by)}\n" for name, by in accepted.items()) or "accepted cheats: none")
    return {
        "cheats": len(python) + len(compiled or {}), "cheats_accepted": len(accepted),
        "python_cheats": len(python), "rust_cheats": None if compiled is None else len(compiled),
        "python_cheats_accepted": _count(python), "rust_cheats_accepted": None if compiled is None else _count(compiled),
    }  # fmt: skip


def _count(tried: Mapping[str, Sequence[str]]) -> int:
    return sum(bool(by) for by in tried.values())


def _tried(
    sandbox: Sandbox, routes: Mapping[str, Route], reference: str, cheats: Mapping[str, str], every: Mapping[str, int]
) -> dict[str, list[str]]:
    """The cheats that were graded, with the routes by which they passed. Every route must accept the reference."""
    for name, route in routes.items():
        grade = route(sandbox, reference)
        assert grade.passed, (name, grade)
    tried = [
        (cheat, name)
        for turn, name in enumerate(routes)
        for place, cheat in enumerate(cheats)
        if (place - turn) % every.get(name, 1) == 0 and ANEW.get(cheat) != name
    ]
    grades = sandbox.each([lambda cheat=cheat, name=name: routes[name](sandbox, cheats[cheat]) for cheat, name in tried])
    found: dict[str, list[str]] = {}
    for (cheat, name), grade in zip(tried, grades, strict=True):
        found.setdefault(cheat, []).extend([name] if grade.passed else [])
    return found


def _peers(sandbox: Sandbox, rust: bool, every: int) -> dict[str, Any]:
    """How many cheats the usual harnesses accept, of how many; each must accept the reference. With `every` > 1, each so-manieth cheat."""

    def accepted(accepts: Callable[[Sandbox, str], bool], reference: str, cheats: Mapping[str, str]) -> tuple[int, int]:
        assert accepts(sandbox, reference), accepts
        tried = list(cheats.values())[::every]
        return sum(sandbox.each([lambda c=c: accepts(sandbox, c) for c in tried])), len(tried)

    found: dict[str, Any] = {}
    for name, accepts in (("pytest", _by_pytest), ("exit code", _by_exit_code)):
        count, of = accepted(accepts, python_cheats.REFERENCE, python_cheats.CHEATS)
        found[name] = {"python_cheats_accepted": count, "python_cheats": of}
    if rust and sandbox.tier == "A":  # tier B forbids what makes the linker's file a program
        count, of = accepted(_by_rust_tests, rust_cheats.REFERENCE, rust_cheats.CHEATS)
        found["rustc --test"] = {"rust_cheats_accepted": count, "rust_cheats": of}
    return found


def _by_pytest(sandbox: Sandbox, candidate: str) -> bool:
    files = {"solution.py": candidate.encode(), "test_solution.py": python_cheats.PYTEST.encode()}
    program = "import sys; sys.path.insert(0, ''); import pytest; sys.exit(pytest.main(['-q', 'test_solution.py']))"
    outcome = sandbox.run(["python", "-c", program], files=files, limits=Limits(seconds=10), packages=_PYTEST)
    return outcome.kind == "ok"


def _by_exit_code(sandbox: Sandbox, candidate: str) -> bool:
    program = f"{candidate}\n{python_cheats.TESTS}\ncheck(even_sum)\n"
    return sandbox.run(["python", "program.py"], files={"program.py": program.encode()}, limits=Limits(seconds=5)).kind == "ok"


def _by_rust_tests(sandbox: Sandbox, candidate: str) -> bool:
    """Candidate and tests in one file, as in a crate of their own; the exit code of the test program is the verdict."""
    program = (
        "import subprocess, sys\n"
        "built = subprocess.run(['rustc', '--edition', '2021', '--test', '-A', 'warnings', '-o', 'tests', 'lib.rs'])\n"
        "sys.exit(built.returncode or subprocess.run(['./tests'], timeout=5).returncode)\n"
    )
    files = {"lib.rs": f"{candidate}\n{rust_cheats.TESTS}".encode()}
    return sandbox.run(["python", "-c", program], files=files, limits=_COMPILER, toolchain="rust").kind == "ok"


def _references(sandbox: Sandbox, gold: Path, rust: bool, quick: bool) -> dict[str, Any]:
    tasks = _some(python_tasks(gold), 20 if quick else None)
    grades = sandbox.each(
        [lambda t=t: sandbox.grade_python(t.reference, t.tests, entry_point=t.entry_point, setup=t.setup, limits=_PATIENT) for t in tasks]
    )
    refused = [f"{task.name}: {grade.details[0]}" for task, grade in zip(tasks, grades, strict=True) if not grade.passed]
    figures: dict[str, Any] = {"python_references": len(tasks), "python_references_accepted": sum(grade.passed for grade in grades)}
    total, accepted = len(tasks), figures["python_references_accepted"]
    if rust:
        wanted = _some(rust_tasks(gold), 2 if quick else None)
        found = sandbox.each([lambda t=t: sandbox.grade_rust(t.reference, t.tests, signature=t.signature, limits=_PATIENT) for t in wanted])
        refused += [f"{task.name}: {grade.details[0]}" for task, grade in zip(wanted, found, strict=True) if not grade.passed]
        figures |= {"rust_references": len(wanted), "rust_references_accepted": sum(grade.passed for grade in found)}
        total, accepted = total + len(wanted), accepted + figures["rust_references_accepted"]
    print("\n".join(f"not accepted: {line[:200]}" for line in refused))
    return figures | {"references_accepted": round(accepted / total, 4)}


def _mutants(sandbox: Sandbox, gold: Path, quick: bool) -> dict[str, Any]:
    tasks = _some([task for task in python_tasks(gold) if _given(task)], 12 if quick else None)
    found = [one for many in sandbox.each([lambda t=t: _mutated(sandbox, t, 100 if quick else _SEARCHED) for t in tasks]) for one in many]
    if not found:
        return {"mutants_rejected": None}
    alive = [one for one in found if one.fresh_passed]
    told_apart = [one for one in alive if not one.equivalent]
    print("\n".join(f"accepted mutant that differs: {one.task}: {one.mutant.change}" for one in told_apart))
    wrong = len(found) - (len(alive) - len(told_apart))
    return {
        "mutants": len(found),
        "mutants_rejected": round(1 - len(told_apart) / wrong, 4) if wrong else None,
        "mutants_rejected_of_all": round(1 - len(alive) / len(found), 4),
        "mutants_rejected_by_given_tests": round(1 - sum(one.given_passed for one in found) / len(found), 4),
        "mutants_equivalent": len(alive) - len(told_apart),
    }


def _given(task: PythonTask) -> tuple[Case, ...] | None:
    try:
        return cases_of(task.tests, entry_point=task.entry_point)
    except SyntaxError:
        return None


def _mutated(sandbox: Sandbox, task: PythonTask, searched: int) -> list[_Mutated]:
    """The mutants of one reference: graded by the given cases, then by fresh ones; those that pass both are searched further."""
    given = _given(task) or ()
    if not sandbox.grade_python(task.reference, given, limits=_QUICK).passed:
        return []  # too slow for this: every grading would wait
    fresh = sandbox.fresh_cases(task.reference, given, count=_FRESH, seed=1, limits=_QUICK)
    found: list[_Mutated] = []
    wide: list[Case] = []
    for mutant in mutants_of(task.reference, most=_MUTANTS, seed=2):
        passed = sandbox.grade_python(mutant.source, given, limits=_QUICK).passed
        alive = passed and (not fresh or sandbox.grade_python(mutant.source, fresh, limits=_QUICK).passed)
        same = False
        if alive:
            wide = wide or sandbox.fresh_cases(task.reference, [*given, *fresh], count=searched, seed=3, limits=_QUICK)
            answers = answers_of(sandbox.jails, mutant.source, wide, _QUICK)
            same = all(answer.kind == "ok" and holds(case, answer.value) for case, answer in zip(wide, answers, strict=True))
        found.append(_Mutated(task.name, mutant, passed, alive, same))
    return found


def _some(tasks: Sequence[_One], most: int | None) -> list[_One]:
    """All, or so many of them at even distances."""
    return list(tasks) if most is None or most >= len(tasks) else [tasks[place * len(tasks) // most] for place in range(most)]
