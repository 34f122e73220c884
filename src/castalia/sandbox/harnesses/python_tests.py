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


# an iteration in the tests would end at them as if it were done
_SILENT = ("StopIteration", "StopAsyncIteration")


def _error(answer: dict[str, Any]) -> Exception:
    kind = getattr(__import__("builtins"), answer["raised"], None)
    text = f"{answer['text']}"
    if isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ not in _SILENT:
        try:
            return kind(text)
        except TypeError:
            pass  # made of more than a text: UnicodeError, ExceptionGroup
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
    except BaseException as error:  # noqa: BLE001 - tests that don't load are a fault of the tests, or of what they asked
        if _by_candidate(error):
            verdict["ran"] = 1
            verdict["failures"].append(_said("the module", error))
        else:
            verdict["broken"] = f"{type(error).__name__}: {error}"[:500]
        return verdict
    if task["module_asserts"]:
        verdict["ran"] += 1
        verdict["passed"] += 1
    cases: list[Any] = []
    try:
        _hooked(verdict, module, "setup_module")
        for kind, tests in _grouped(task["names"], space):
            if isinstance(kind, type) and _is_case(kind):
                cases += [_test_of(kind, test) for test in tests]
            elif isinstance(kind, type):
                _class(kind, tests, verdict)
            else:
                for test in tests:
                    given = (space[task["entry_point"]],) if test == "check" else ()
                    _one(verdict, test, lambda test=test, given=given: _function(module, test, *given))
        if cases:
            _with_unittest(cases, verdict)
        _hooked(verdict, module, "teardown_module")
    except NothingRuns as error:
        verdict["broken"] = str(error)
    return verdict


class NothingRuns(BaseException):
    """A test that does nothing when it is called."""


def _by_candidate(error: BaseException) -> bool:
    """Whether an error says something of the candidate: it was raised for it, or an assertion failed."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace is not None else None
    return isinstance(error, AssertionError) or (code is not None and code.co_filename == "harness.py" and code.co_name == "call")


def _grouped(names: list[str], space: dict[str, Any]) -> list[tuple[Any, list[str]]]:
    """The tests that are there, in order: functions by themselves, methods by their class."""
    groups: dict[str, list[str]] = {}
    for name in names:
        kind, _, method = name.rpartition(".")
        there = hasattr(space[kind], method) if kind in space else not kind and name in space
        if there:
            groups.setdefault(kind, []).append(method)
    return [(space.get(kind), tests) for kind, tests in groups.items()]


def _one(verdict: dict[str, Any], name: str, test: Any) -> None:
    verdict["ran"] += 1
    try:
        test()
        verdict["passed"] += 1
    except NothingRuns:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a test raises, it did not pass
        if type(error).__name__ in ("SkipTest", "Skipped"):
            verdict["skipped"] += 1
        verdict["failures"].append(_said(name, error))


def _call(test: Any, *args: Any) -> None:
    """Calls a test; one that is async runs to its end."""
    made = test(*args)
    if hasattr(made, "__await__"):
        import asyncio

        asyncio.run(made)
    elif type(made).__name__ in ("generator", "async_generator"):
        raise NothingRuns(f"{test.__name__!r} yields, so a call of it runs nothing")


def _class(kind: Any, tests: list[str], verdict: dict[str, Any]) -> None:
    """The tests of a class that is none of unittest's, with the hooks that pytest knows."""
    if not _hooked(verdict, kind, "setup_class"):
        verdict["ran"] += len(tests)
        return
    for test in tests:
        _one(verdict, f"{kind.__name__}.{test}", lambda test=test: _method(kind(), test))
    _hooked(verdict, kind, "teardown_class")


def _method(one: Any, test: str) -> None:
    method = getattr(one, test)
    for name in ("setup_method", "setUp"):
        _call_hook(one, name, method)
    try:
        _call(method)
    finally:
        for name in ("teardown_method", "tearDown"):
            _call_hook(one, name, method)


def _function(module: Any, test: str, *given: Any) -> None:
    function = getattr(module, test)
    _call_hook(module, "setup_function", function)
    try:
        _call(function, *given)
    finally:
        _call_hook(module, "teardown_function", function)


def _hooked(verdict: dict[str, Any], owner: Any, name: str) -> bool:
    """Calls a hook of a class or module; whether that went well."""
    try:
        _call_hook(owner, name, owner)
    except BaseException as error:  # noqa: BLE001 - a hook may call the candidate, too
        verdict["failures"].append(_said(f"{owner.__name__}.{name}", error))
        return False
    return True


def _call_hook(owner: Any, name: str, given: Any) -> None:
    """Calls a hook where there is one, with what it is about where it takes that."""
    hook = getattr(owner, name, None)
    if hook is not None:
        takes = hook.__code__.co_argcount - (getattr(hook, "__self__", None) is not None)
        hook(given) if takes else hook()


def _is_case(kind: Any) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and issubclass(kind, unittest.TestCase)


def _test_of(kind: Any, test: str) -> Any:
    """A case of unittest, whose own async methods would not be awaited outside of IsolatedAsyncioTestCase."""
    import unittest

    method = getattr(kind, test)
    flags = getattr(getattr(method, "__code__", None), "co_flags", 0)
    if flags & 0x220:  # it yields
        raise NothingRuns(f"{kind.__name__}.{test} yields, so a call of it runs nothing")
    if flags & 0x80 and not issubclass(kind, unittest.IsolatedAsyncioTestCase):
        setattr(kind, test, lambda self, *args: _call(method, self, *args))
    return kind(test)


def _with_unittest(cases: list[Any], verdict: dict[str, Any]) -> None:
    import unittest

    failed: set[str] = set()

    class Result(unittest.TestResult):
        def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
            failed.add(test.id())
            verdict["failures"].append(_said(test.id().removeprefix("tests."), err[1]))

        addError = addFailure  # noqa: N815

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
            if err is not None:
                self.addFailure(test, err)

        def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
            failed.add(test.id())
            verdict["failures"].append(f"{test.id()}: it was to fail and did not")

    result = Result()
    unittest.TestSuite(cases).run(result)
    not_run = len({test.id() for test, _ in [*result.skipped, *result.expectedFailures]})
    verdict["ran"] += result.testsRun
    verdict["skipped"] += not_run
    verdict["passed"] += result.testsRun - not_run - len(failed & {case.id() for case in cases})


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
    not_loaded: list[str] = []

    class Counter:
        def pytest_collection_modifyitems(self, items: list[Any]) -> None:
            verdict["ran"] += len(items)

        def pytest_exception_interact(self, node: Any, call: Any) -> None:
            if isinstance(node, pytest.Collector) and _by_candidate(call.excinfo.value):
                not_loaded.append(_said("the module", call.excinfo.value))

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed and not not_loaded:
                verdict["broken"] = str(report.longrepr)[-500:]
            verdict["skipped"] += bool(report.skipped)

        def pytest_pyfunc_call(self, pyfuncitem: Any) -> Any:
            function = pyfuncitem.obj
            if not getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x80:
                return None
            _call(lambda: function(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
            return True

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
        if "check" in task["names"]:
            file.write(
                f"def test_by_check():\n    from builtins import __castalia_call__\n    __castalia_call__(check, {task['entry_point']})\n"
            )
    builtins.__castalia_names__, builtins.__castalia_call__ = names, _call  # type: ignore[attr-defined]
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "--capture=no", "--basetemp=temporary"]
    code = pytest.main([*options, "test_candidate.py"], plugins=[Counter()])
    verdict["failures"] += not_loaded
    if task["module_asserts"]:
        verdict["ran"] += 1
        verdict["passed"] += not not_loaded
    empty = int(code) == 5 and not task["names"]
    if int(code) not in (0, 1) and not empty and not verdict["broken"] and not verdict["failures"]:
        verdict["broken"] = f"pytest ended with {code!r}"
    return verdict
