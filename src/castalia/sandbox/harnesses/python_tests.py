# pyright: basic
"""In the jail of the tests: runs test code whose calls of the candidate go to another jail. No candidate is here.

Every name that the tests take from the candidate's module is a function that sends its arguments out and gets a plain value back:
an object with an `__eq__` of its own, a patched module or a changed frame stay in the other jail.
"""

from __future__ import annotations

import sys

from inside import plain, talk  # type: ignore[import-not-found] - as the jail sees them

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CandidateRaised(Exception):
    """The candidate raised an error that is none of Python's own."""


class Lost(BaseException):
    """The candidate's jail is gone: no test can pass any more."""


def serve(task: dict[str, Any]) -> None:
    """Runs the tests and says which ran, which failed and why, and which were skipped."""
    names = {name: _remote(name) for name in task["functions"]}
    _install(task["modules"])
    if task["pytest"]:
        verdict = _with_pytest(task, names)
    else:
        verdict = _plainly(task, names)
    talk.send({"verdict": verdict})


def _remote(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        frame = {
            "call": name, "changes": True,
            "args": [plain.encode(item) for item in args],
            "kwargs": {key: plain.encode(item) for key, item in kwargs.items()},
        }  # fmt: skip
        talk.send(frame)
        answer = talk.receive()
        if answer is None or "lost" in answer:
            raise Lost(answer["lost"] if answer else "no answer")
        for place, new in answer.get("changed", {}).items():
            _replace(args[int(place)], plain.decode(new))
        if "raised" in answer:
            raise _error(answer)
        if "unplain" in answer:
            raise CandidateRaised(f"{name} gave a value with no plain form: {answer['unplain']}")
        return plain.decode(answer["value"])

    call.__name__ = call.__qualname__ = name
    return call


def _replace(old: Any, new: Any) -> None:
    """What the candidate did to a list, dictionary or set it was given."""
    if type(old) is list and type(new) is list:
        old[:] = new
    elif (type(old) is dict and type(new) is dict) or (type(old) is set and type(new) is set):
        old.clear()
        old.update(new)


def _error(answer: dict[str, Any]) -> Exception:
    kind = getattr(__import__("builtins"), answer["raised"], None)
    text = f"{answer['text']}"
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
        return kind(text)
    return CandidateRaised(f"{answer['raised']}: {text}")


class _Module(type(sys)):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.startswith("test"):
            raise AttributeError(name)
        self.__dict__[name] = _remote(name)
        return self.__dict__[name]


def _install(modules: list[str]) -> None:
    for name in modules:
        sys.modules[name] = _Module(name)


def _plainly(task: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    module = type(sys)("tests")
    sys.modules["tests"] = module
    space = module.__dict__
    verdict: dict[str, Any] = {"ran": 0, "passed": 0, "skipped": 0, "failures": [], "broken": ""}
    try:
        exec(compile(task["setup"], "setup.py", "exec"), space)
        space.update(names)
        exec(compile(task["tests"], "tests.py", "exec"), space)
    except Lost as error:
        verdict["failures"].append(f"lost: {error}")
        return verdict
    except AssertionError as error:
        verdict["ran"] = 1
        verdict["failures"].append(_said("the module", error))
        return verdict
    except BaseException as error:  # noqa: BLE001 - tests that don't load are a fault of the tests
        verdict["broken"] = f"{type(error).__name__}: {error}"[:500]
        return verdict
    if task["module_asserts"]:
        verdict["ran"] += 1
        verdict["passed"] += 1
    for test in task["names"]:
        verdict["ran"] += 1
        try:
            _run(space, test, task["entry_point"])
            verdict["passed"] += 1
        except BaseException as error:  # noqa: BLE001 - whatever a test raises, it did not pass
            if type(error).__name__ in ("SkipTest", "Skipped"):
                verdict["skipped"] += 1
            verdict["failures"].append(_said(test, error))
            if isinstance(error, Lost):
                break
    return verdict


def _run(space: dict[str, Any], test: str, entry_point: str) -> None:
    kind, _, method = test.partition(".")
    if method:
        one = space[kind](method) if hasattr(space[kind], "assertEqual") else space[kind]()
        for name in ("setup_method", "setUp"):
            if hasattr(one, name) and (name != "setup_method" or not hasattr(one, "assertEqual")):
                getattr(one, name)()
        getattr(one, method)()
        if hasattr(one, "tearDown"):
            one.tearDown()
    elif kind == "check":
        space[kind](space[entry_point])
    else:
        space[kind]()


def _said(test: str, error: BaseException) -> str:
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = f" at line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{test}{line}: {type(error).__name__}: {error}"[:500]


def _with_pytest(task: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    import builtins

    import pytest

    verdict: dict[str, Any] = {"ran": 0, "passed": 0, "skipped": 0, "failures": [], "broken": ""}

    class Counter:
        def pytest_collection_modifyitems(self, items: list[Any]) -> None:
            verdict["ran"] = len(items)

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                verdict["broken"] = str(report.longrepr)[-500:]
            verdict["skipped"] += bool(report.skipped)

        def pytest_runtest_logreport(self, report: Any) -> None:
            plain_pass = report.passed and not hasattr(report, "wasxfail")
            if report.when == "call":
                verdict["passed"] += plain_pass
            if report.skipped or hasattr(report, "wasxfail"):
                verdict["skipped"] += 1
            if report.failed:
                verdict["failures"].append(f"{report.nodeid}: {str(report.longrepr)[-300:]}")

    with open("test_candidate.py", "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is a fifth of a jail's start
        file.write(
            f"{task['setup']}\nfrom builtins import __castalia_names__ as _names\nglobals().update(_names)\ndel _names\n{task['tests']}\n"
        )
    builtins.__castalia_names__ = names  # type: ignore[attr-defined]
    code = pytest.main(["-p", "no:cacheprovider", "-p", "no:terminal", "--capture=no", "test_candidate.py"], plugins=[Counter()])
    if int(code) not in (0, 1) and not verdict["broken"]:
        verdict["broken"] = f"pytest ended with {code!r}"
    return verdict
