"""Rust programs against cases, tests in Rust, or the inputs of an execution."""

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from castalia.errors import ToolchainMissing
from castalia.sandbox.calls import Answer, Open, Talk, ask_all, encode_call, grade_cases, relay_tests
from castalia.sandbox.jail import Plan
from castalia.sandbox.jails import Jails
from castalia.sandbox.programs import run_program
from castalia.sandbox.python_grading import grade_verdict, refused
from castalia.sandbox.rust import Declared, calls_task, count_tests, read_signatures, support_task, tests_task
from castalia.sandbox.rust_types import OwnType
from castalia.sandbox.supervise import Conversation
from castalia.sandbox.toolchains import Mount, Toolchain
from castalia.sandbox.values import Case, Failure, Grade, Limits, Value

_HARNESS = (Path(__file__).parent / "harnesses" / "rust.py").read_text(encoding="utf-8")
_PLAIN = (Path(__file__).parent / "rust" / "plain.rs").read_bytes()
_SUPPORT = "/castalia-rust"
COMPILE_SECONDS = 60.0
"""Seconds the compiler may take; then it is the candidate that takes too long to compile."""


class RustJails:
    """Jails that see the compiler and a library of plain values; that is built once, in a jail that holds nothing foreign."""

    def __init__(self, jails: Jails) -> None:
        self._jails = jails
        self._lock = threading.Lock()
        self._toolchain: Toolchain | None = None

    def toolchain(self) -> Toolchain:
        """The Rust toolchain with the library beside it. Raises ToolchainMissing."""
        with self._lock:
            if self._toolchain is None:
                bare = self._jails.toolchain("rust")
                compiler, *options = support_task(bare)
                assert compiler == bare.told["rustc"]
                outcome = run_program(
                    self._jails,
                    ["rustc", *options],
                    files={"plain.rs": _PLAIN},
                    stdin=b"",
                    limits=compiler_limits(Limits(seconds=COMPILE_SECONDS)),
                    toolchain="rust",
                )
                library = outcome.files.get("libcastalia_plain.rlib")
                if library is None:
                    said = outcome.stderr.decode("utf-8", "replace")[:500] or outcome.kind
                    raise ToolchainMissing(f"runner 'rust' found {bare.version}, but it does not compile here: {said}")
                folder = self._jails.stage / "rust-plain"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                folder.chmod(0o755)  # whatever the umask says
                (folder / "libcastalia_plain.rlib").write_bytes(library)
                (folder / "libcastalia_plain.rlib").chmod(0o644)
                self._toolchain = bare._replace(mounts=(*bare.mounts, Mount(folder, _SUPPORT)))
            return self._toolchain

    def evaluate(self, candidate: str, inputs: Sequence[object], limits: Limits) -> list[Value | Failure]:
        """As `Sandbox.evaluate`: an input is `{"call": "name", "args": [...]}`, a value is JSON; tuples are arrays, maps with keys of
        text are objects. All inputs go to one process."""
        wrong = Failure("wrong", 'an input of runner `rust` is {"call": "name", "args": [...]}')
        cases: list[Case] = []
        for value in inputs:
            given: Mapping[str, Any] = cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
            if not isinstance(given.get("call"), str) or not isinstance(given.get("args", []), list):
                return [wrong] * len(inputs)
            cases.append(Case(given["call"], tuple(given.get("args", []))))
        answers, _ = self.ask(candidate, cases, limits)
        return [_result(answer) for answer in answers]

    def ask(
        self, candidate: str, cases: Sequence[Case], limits: Limits, declared: Declared | None = None
    ) -> tuple[list[Answer], Mapping[str, Any]]:
        """The candidate's answers to calls. Raises ToolchainMissing."""
        types = declared.types if declared else ()
        kinds = {function.name: function.kinds for function in declared.functions} if declared else {}
        talk = candidate_talk(candidate, {**{case.function: "v" * len(case.args) for case in cases}, **kinds}, types)
        return ask_all(self.opener(limits), talk, cases, limits.seconds)

    def opener(self, limits: Limits) -> Open:
        """Opens a jail with the toolchain for a talk."""
        toolchain = self.toolchain()

        @contextlib.contextmanager
        def open_jail(talk: Talk) -> Generator[Conversation]:
            make: Callable[[str, str], Mapping[str, Any]] = talk.task["make"]

            def task(plan: Plan) -> Mapping[str, Any]:
                return {
                    **make(plan.seen_at(toolchain.told["rustc"]), plan.seen_at(f"{_SUPPORT}/libcastalia_plain.rlib")),
                    "memory_mb": limits.memory_mb,
                }

            with self._jails.talk(talk.harness, task, compiler_limits(limits), toolchain=toolchain) as jail:
                yield jail

        return open_jail


def compiler_limits(limits: Limits) -> Limits:
    """What the jail of a Rust program may use: its compiler needs more than the program."""
    return limits.model_copy(
        update={"memory_mb": max(limits.memory_mb, 4096), "files_mb": max(limits.files_mb, 128), "processes": max(limits.processes, 64)}
    )


def candidate_talk(candidate: str, functions: Mapping[str, str], types: Sequence[OwnType]) -> Talk:
    """What the candidate's jail is told: the program and the functions that will be called, with the kinds of their parameters."""
    return Talk(_HARNESS, {"make": partial(calls_task, candidate, functions, types)}, COMPILE_SECONDS)


def grade_rust(rust: RustJails, candidate: str, tests: str | Sequence[Case], *, signature: str, limits: Limits) -> Grade:
    """See `Sandbox.grade_rust`."""
    try:
        declared = read_signatures(signature) if signature or isinstance(tests, str) else None
    except ValueError as error:
        return refused(f"the signature of what is called can't be used: {error}")
    if isinstance(tests, str):
        assert declared
        return _by_tests(rust, candidate, tests, declared, limits)
    cases = tuple(tests)
    if not cases:
        return refused("there are no cases, so nothing would be proved")
    try:
        for case in cases:
            encode_call(case)
            if case.kwargs or not case.function.isidentifier():
                return refused(f"a Rust function is called by its name, without keywords; got {case.function!r}", len(cases))
        answers, used = rust.ask(candidate, cases, limits, declared)
    except ToolchainMissing as error:
        return refused(str(error), len(cases))
    except (TypeError, ValueError) as error:
        return refused(f"an argument can't be handed over: {error}", len(cases))
    return grade_cases(cases, answers, used)


def _by_tests(rust: RustJails, candidate: str, tests: str, declared: Declared, limits: Limits) -> Grade:
    expected = count_tests(tests)
    if not expected:
        return refused("the tests have no #[test] outside of comments")
    inner = Talk(_HARNESS, {"make": partial(tests_task, tests, declared)}, COMPILE_SECONDS)
    outer = candidate_talk(candidate, {function.name: function.kinds for function in declared.functions}, declared.types)
    try:
        open_jail = rust.opener(limits)
        verdict = relay_tests(open_jail, inner, outer, limits.seconds, limits.seconds * expected)
    except ToolchainMissing as error:
        return refused(str(error), expected)
    return grade_verdict(verdict, expected, counted_by_tests=True)


def _result(answer: Answer) -> Value | Failure:
    if answer.kind != "ok":
        return Failure(answer.kind, answer.detail)
    try:
        return Value(json.loads(json.dumps(answer.value, allow_nan=False)))
    except (TypeError, ValueError) as error:
        return Failure("wrong", f"not a JSON value: {error}")
