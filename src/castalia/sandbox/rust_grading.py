"""Rust programs against cases, tests in Rust, or the inputs of an execution."""

import contextlib
import hashlib
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
from castalia.sandbox.jails import START, Jails
from castalia.sandbox.programs import run_program
from castalia.sandbox.python_grading import grade_verdict, refused
from castalia.sandbox.reports import outcome_of
from castalia.sandbox.runners import Runner, evaluate_with
from castalia.sandbox.runtime import BUILT_IN
from castalia.sandbox.rust import Build, Declared, calls_task, count_tests, read_signatures, support_task, tests_task
from castalia.sandbox.supervise import Conversation
from castalia.sandbox.toolchains import Mount, Toolchain
from castalia.sandbox.values import Case, Failure, Grade, Limits, Value

_TALK = (Path(__file__).parent / "harnesses" / "rust_talk.py").read_text(encoding="utf-8")
_BUILD = (Path(__file__).parent / "harnesses" / "rust_build.py").read_bytes()
_PLAIN = (Path(__file__).parent / "rust" / "plain.rs").read_bytes()
_SUPPORT = "/castalia-rust"
_KEPT = 32  # built programs, each of half a megabyte or so
COMPILE_SECONDS = 60.0
"""Seconds the compiler may take; then it is the candidate that takes too long to compile."""


class RustJails:
    """Jails that see the compiler and a library of plain values; that is built once, in a jail that holds nothing foreign."""

    def __init__(self, jails: Jails) -> None:
        self._jails = jails
        self._lock = threading.Lock()
        self._toolchain: Toolchain | None = None
        self._built: dict[bytes, bytes] = {}

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
        """As `Sandbox.evaluate`: an input is `{"call": "name", "args": [...]}`, a value is JSON; tuples are arrays, maps are objects. The
        program is built once and started for each input. Raises ToolchainMissing."""
        calls = [_call_of(value) for value in inputs]
        functions = {call[0]: "v" * call[1] for call in calls if call}
        program = self.build(partial(calls_task, candidate, functions, ())) if functions else b""
        if isinstance(program, Answer):
            return [Failure(program.kind, program.detail)] * len(inputs)
        asked = [value for value, call in zip(inputs, calls, strict=True) if call]
        config = BUILT_IN["rust"]
        runner = Runner("rust", config, Path(config.harness).read_text(encoding="utf-8"))
        given = iter(evaluate_with(self._jails, runner, program, asked, limits) if asked else [])
        return [next(given) if call else _NO_CALL for call in calls]

    def ask(
        self, candidate: str, cases: Sequence[Case], limits: Limits, declared: Declared | None = None
    ) -> tuple[list[Answer], Mapping[str, Any]]:
        """The candidate's answers to calls, all by one process. Raises ToolchainMissing."""
        types = declared.types if declared else ()
        kinds = {function.name: function.kinds for function in declared.functions} if declared else {}
        program = self.build(partial(calls_task, candidate, {**{case.function: "v" * len(case.args) for case in cases}, **kinds}, types))
        if isinstance(program, Answer):
            return [program] * len(cases), {}
        return ask_all(self.opener(limits), talk_of(program, limits.seconds), cases, limits.seconds)

    def build(self, make: Callable[[str, str], Build]) -> bytes | Answer:
        """The program, or why there is none; the last ones are kept, so tests are built once for many candidates. `make` is told where the
        compiler and the library of plain values are. Raises ToolchainMissing."""
        toolchain = self.toolchain()
        key = hashlib.sha256(repr(make("", "")).encode()).digest()
        with self._lock:
            if key in self._built:
                return self._built[key]
        limits = compiler_limits(Limits(seconds=COMPILE_SECONDS))

        def request(plan: Plan) -> Mapping[str, Any]:
            made = make(plan.seen_at(toolchain.told["rustc"]), plan.seen_at(f"{_SUPPORT}/libcastalia_plain.rlib"))
            files = {name: text.encode("utf-8", "replace") for name, text in made.files.items()}
            files |= {"build.py": _BUILD, "steps.json": json.dumps(made.steps).encode()}
            return {"mode": "execute", "argv": [plan.executable, "build.py"], "files": files, "stdin": b""}

        most = 2 * (limits.output_bytes + (limits.files_mb << 20))
        outcome = outcome_of(self._jails.ask(request, limits, seconds=limits.seconds, most=most, toolchain=toolchain))
        if outcome.kind == "ok" and "program" in outcome.files:
            with self._lock:
                self._built[key] = outcome.files["program"]
                while len(self._built) > _KEPT:
                    del self._built[next(iter(self._built))]
            return outcome.files["program"]
        said = outcome.stderr.decode("utf-8", "replace")[-1700:] or f"the compiler ended: {outcome.kind} {outcome.detail}"
        return Answer(outcome.kind if outcome.kind in ("timeout", "memory", "output") else "crash", None, said)

    def opener(self, limits: Limits) -> Open:
        """Opens a jail for a talk with a program."""
        toolchain = self.toolchain()

        @contextlib.contextmanager
        def open_jail(talk: Talk) -> Generator[Conversation]:
            with self._jails.talk(talk.harness, lambda _: talk.task, limits, toolchain=toolchain) as jail:
                yield jail

        return open_jail


def compiler_limits(limits: Limits) -> Limits:
    """What the jail of the compiler may use: it needs more than the program."""
    return limits.model_copy(
        update={"memory_mb": max(limits.memory_mb, 4096), "files_mb": max(limits.files_mb, 128), "processes": max(limits.processes, 64)}
    )


def talk_of(program: bytes, patience: float, *, tests: bool = False) -> Talk:
    """What the jail of a built program is told."""
    return Talk(_TALK, {"program": program, "tests": tests}, patience)


_NO_CALL = Failure("wrong", 'an input of runner `rust` is {"call": "name", "args": [...]}, without keywords')


def _call_of(value: object) -> tuple[str, int] | None:
    """The function and the number of arguments of an input, None for what is no call."""
    given: Mapping[str, Any] = cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
    name, args = given.get("call"), given.get("args", [])
    if not isinstance(name, str) or not name.isidentifier() or not isinstance(args, list) or given.get("kwargs"):
        return None
    return name, len(cast(list[object], args))


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
    kinds = {function.name: function.kinds for function in declared.functions}
    try:
        built = rust.build(partial(tests_task, tests, declared))
        if isinstance(built, Answer):
            return refused(f"the tests do not run: {built.detail}", expected)
        program = rust.build(partial(calls_task, candidate, kinds, declared.types))
        if isinstance(program, Answer):
            return Grade(False, program.kind, (f"{program.kind}: {program.detail}",), expected, 0)
        inner, outer = talk_of(built, START, tests=True), talk_of(program, limits.seconds)
        verdict = relay_tests(rust.opener(limits), inner, outer, limits.seconds, limits.seconds * expected)
    except ToolchainMissing as error:
        return refused(str(error), expected)
    return grade_verdict(verdict, expected, counted_by_tests=True)
