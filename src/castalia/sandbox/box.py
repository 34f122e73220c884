"""The sandbox: a chosen tier, staged packages and toolchains, and the calls that run foreign code in fresh jails.

Every call starts a jail of its own and leaves nothing behind, so calls are independent and may come from several threads.
"""

import contextlib
import marshal
import os
import secrets
import shutil
import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from castalia.errors import ConfigError, SandboxUnavailable, ToolchainMissing
from castalia.records import Execution
from castalia.sandbox.calls import START
from castalia.sandbox.fresh import fresh_cases
from castalia.sandbox.grading import grade_answers, inputs_of
from castalia.sandbox.jail import Builder, Kind
from castalia.sandbox.packages import copy_packages, package_set
from castalia.sandbox.pool import Jails, Started
from castalia.sandbox.python_grading import answers_of, grade_python
from castalia.sandbox.reports import is_below, missing_result, outcome_of, result_of
from castalia.sandbox.runtime import BUILT_IN
from castalia.sandbox.rust_grading import RustSupport, grade_rust
from castalia.sandbox.stage import remove_stage
from castalia.sandbox.supervise import Conversation, Report, converse
from castalia.sandbox.toolchains import Toolchain, find_toolchain
from castalia.sandbox.values import Case, Failure, Grade, Limits, Outcome, RunnerConfig, Tier, Value

_FRAME = 1 << 20  # bytes that frames may take beside their content
_One = TypeVar("_One")


class Sandbox:
    """Runs foreign code. Made by `open_sandbox`; a context manager that removes its staging folder.

    With `warm`, so many jails wait, started ahead, for each kind of call in use. Each still serves one call and ends.
    """

    def __init__(self, builder: Builder, runners: Mapping[str, RunnerConfig], warm: int = 0) -> None:
        self._builder = builder
        self._runners = {**BUILT_IN, **runners}
        self._harnesses = {name: _harness_text(name, runner) for name, runner in self._runners.items()}
        self._packages: dict[tuple[str, ...], Path] = {}
        self._toolchains: dict[str, Toolchain | ToolchainMissing] = {}
        self._lock = threading.RLock()
        self._jails = Jails(builder, warm)
        self._rust = RustSupport()
        self._end = weakref.finalize(self, _close, self._jails, builder.stage)

    @property
    def tier(self) -> Tier:
        """`A` with bubblewrap, `B` with Landlock, seccomp and rlimits alone."""
        return self._builder.tier

    @property
    def runners(self) -> Mapping[str, RunnerConfig]:
        """The runners by name, `python`, `rust` and `shell` among them."""
        return self._runners

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the jails that wait and removes the staging folder."""
        self._end()

    def check(self) -> None:
        """Runs one line of Python in a jail. Raises SandboxUnavailable when no jail can be started or it gives nothing."""
        [result] = self.evaluate("python", "def answer():\n    return 42", [{"call": "answer"}])
        if result.__class__ is not Value or cast(Value, result).value != 42:
            raise SandboxUnavailable(f"a jail of tier {self.tier} started, but a one-line program gave {result!r} in place of 42")

    def run(
        self,
        argv: Sequence[str],
        *,
        files: Mapping[str, bytes] | None = None,
        stdin: bytes = b"",
        limits: Limits | None = None,
        packages: Sequence[str] = (),
        toolchain: str = "",
    ) -> Outcome:
        """Runs a program in a working folder that holds `files`; `python` as `argv[0]` is the jail's interpreter, and `sh` or `rustc`
        those of the named toolchain (`shell`, `rust`).

        Returns how it ended, its output and the regular files then in the working folder. Raises ConfigError for a
        distribution that isn't installed, ToolchainMissing, SandboxUnavailable when no jail can be started.
        """
        limits = limits or Limits()
        problem = _refusal(argv, files or {})
        if problem:
            return Outcome("refused", detail=problem)
        kind = Kind(limits.files_mb, self._package_folder(packages), self.toolchain(toolchain) if toolchain else None)
        started = self._take(kind)
        plan = started.plan
        program = plan.executable if argv[0] == "python" else argv[0]
        if kind.toolchain and argv[0] in kind.toolchain.told:
            program = plan.seen_at(kind.toolchain.told[argv[0]])
        request = {"mode": "execute", "argv": [program, *argv[1:]], "files": dict(files or {}), "stdin": bytes(stdin)}
        most = 2 * (limits.output_bytes + (limits.files_mb << 20)) + _FRAME
        return outcome_of(self._converse(started, request, limits, limits.seconds, most))

    def evaluate(self, runner: str, candidate: str, inputs: Sequence[object], *, limits: Limits | None = None) -> list[Value | Failure]:
        """Gives a candidate each input, in one jail but a process of its own per input; one result per input, in order.

        Raises ConfigError for an unknown runner, a missing distribution or a harness that does not load, ToolchainMissing,
        SandboxUnavailable when no jail can be started.
        """
        limits = limits or Limits()
        if runner not in self._runners:
            raise ConfigError(f"no sandbox runner is named {runner!r}; there are {', '.join(sorted(self._runners))}")
        if not inputs:
            return []
        if runner == "rust":
            return self._rust.evaluate(self, candidate, inputs, limits)
        config = self._runners[runner]
        kind = Kind(limits.files_mb, self._package_folder(config.packages), self.toolchain(config.toolchain) if config.toolchain else None)
        request = {"mode": "evaluate", "harness": self._harnesses[runner], "candidate": candidate, "inputs": list(inputs)}
        most = 6 * limits.output_bytes * len(inputs) + _FRAME
        report = self._converse(self._take(kind), request, limits, limits.seconds * len(inputs), most)
        if report.frames and isinstance(report.frames[0].get("harness"), str):
            raise ConfigError(
                f"the harness of runner {runner!r} does not load in the sandbox: {report.frames[0]['harness']}; "
                f"it sees the standard library and the distributions {list(config.packages)}"
            )
        results = [result_of(frame) for frame in report.frames[: len(inputs)]]
        return results + [missing_result(report)] * (len(inputs) - len(results))

    def grade(self, execution: Execution, candidate: str, *, limits: Limits | None = None) -> Grade:
        """Whether the candidate gives every expected value. The expected values stay on this side."""
        answers = self.evaluate(execution.runner, candidate, inputs_of(execution), limits=limits)
        return grade_answers(execution, answers)

    def grade_many(
        self, pairs: Sequence[tuple[Execution, str]], *, limits: Limits | None = None, workers: int | None = None
    ) -> list[Grade]:
        """Grades pairs of execution and candidate as `each` does; results in order."""
        return self.each([lambda pair=pair: self.grade(pair[0], pair[1], limits=limits) for pair in pairs], workers=workers)

    def grade_python(
        self,
        candidate: str,
        tests: str | Sequence[Case],
        *,
        entry_point: str = "",
        setup: str = "",
        limits: Limits | None = None,
        packages: Sequence[str] = (),
    ) -> Grade:
        """Whether a Python program gives the values that cases or test code ask for.

        Test code is `def check(candidate)` (then `entry_point` names the function), test functions or classes, bare assertions, or
        pytest; it calls the candidate's functions by name or imports them from `candidate` or `solution`. `setup` is run before it, in
        the tests' jail. Refused: tests that don't compile, don't load, are none, or call nothing. Every test must run; a skipped one fails.
        `packages` are installed distributions the candidate may import.
        """
        return grade_python(self, candidate, tests, entry_point=entry_point, setup=setup, limits=limits or Limits(), packages=packages)

    def fresh_cases(
        self, reference: str, known: Sequence[Case], *, count: int = 20, seed: int | None = None, limits: Limits | None = None
    ) -> list[Case]:
        """At most `count` cases nobody has seen: inputs near the known ones, expected values from the reference, a right Python
        program, run in jails of its own. With `seed` None they differ each time."""
        limits = limits or Limits()
        drawn = secrets.randbits(32) if seed is None else seed
        return fresh_cases(lambda cases: answers_of(self, reference, cases, limits), known, count, seed=drawn)

    def grade_rust(self, candidate: str, tests: str | Sequence[Case], *, signature: str = "", limits: Limits | None = None) -> Grade:
        """Whether a Rust library gives the values that cases or tests in Rust ask for.

        Tests in Rust need `signature`: the functions they call, declared without a body, among the `use` lines they need; they are compiled
        without the candidate. Refused: no Rust here, tests that don't compile or are none. `limits` are those of the built program
        and of each call; the compiler has its own (castalia.sandbox.rust_grading).
        """
        return grade_rust(self, self._rust, candidate, tests, signature=signature, limits=limits or Limits())

    def each(self, gradings: Sequence[Callable[[], _One]], *, workers: int | None = None) -> list[_One]:
        """Calls all, `workers` at a time (by default one more than there are cores, as starting a jail is partly waiting); results in
        order."""
        with ThreadPoolExecutor(max_workers=workers or len(os.sched_getaffinity(0)) + 1) as pool:
            waiting = [pool.submit(grading) for grading in gradings]
            return [future.result() for future in waiting]

    def toolchain(self, name: str) -> Toolchain:
        """The toolchain `rust` or `shell` of this machine. Raises ToolchainMissing, with what to install."""
        with self._lock:
            if name not in self._toolchains:
                try:
                    self._toolchains[name] = find_toolchain(name, self._builder.stage)
                except ToolchainMissing as error:
                    self._toolchains[name] = error
            found = self._toolchains[name]
            if isinstance(found, ToolchainMissing):
                raise ToolchainMissing(str(found))
            return found

    @property
    def stage(self) -> Path:
        """The staging folder, which jails may be shown parts of."""
        return self._builder.stage

    @contextlib.contextmanager
    def talk(
        self, harness: str, make_task: Callable[[Callable[[str], str]], Mapping[str, Any]], limits: Limits, *,
        packages: Sequence[str] = (), toolchain: Toolchain | None = None,
    ) -> Generator[Conversation]:  # fmt: skip
        """A jail that one talks with; it ends with the context. `make_task` gets a function from a toolchain's path to the jail's.
        Raises SandboxUnavailable when it can't be started."""
        started = self._take(Kind(limits.files_mb, self._package_folder(packages), toolchain))
        conversation = Conversation(started.process, started.plan.launch, limits, 6 * limits.output_bytes + _FRAME, per_frame=True)
        try:
            request = {"mode": "talk", "harness": harness, "task": dict(make_task(started.plan.seen_at))}
            conversation.send(marshal.dumps({"jail": started.plan.told(limits), **request}))
            self._ready(conversation.receive(START), conversation)
            yield conversation
        finally:
            conversation.end()
            started.plan.remove_work()

    def _package_folder(self, names: Sequence[str]) -> Path | None:
        wanted = package_set(names)
        if not wanted:
            return None
        with self._lock:
            if wanted not in self._packages:
                target = self._builder.stage / f"packages-{len(self._packages)}"
                try:
                    copy_packages(wanted, target)
                except ConfigError:
                    shutil.rmtree(target, ignore_errors=True)
                    raise
                self._packages[wanted] = target
            return self._packages[wanted]

    def _take(self, kind: Kind) -> Started:
        try:
            return self._jails.take(kind)
        except OSError as error:
            raise SandboxUnavailable(f"the jail could not be started: {error}") from error

    def _converse(self, started: Started, request: Mapping[str, Any], limits: Limits, seconds: float, most: int) -> Report:
        """One jail, with the frame that says it is confined checked and taken off."""
        conversation = Conversation(started.process, started.plan.launch, limits, most)
        try:
            try:
                body = marshal.dumps({"jail": started.plan.told(limits), **request})
            except ValueError as error:
                conversation.end()
                raise ConfigError(f"the inputs of a sandbox call must be JSON values: {error}") from error
            report = converse(conversation, body, seconds + START)
        finally:
            started.plan.remove_work()
        self._ready(report.frames[0] if report.frames else None, conversation)
        return Report(report.frames[1:], report.limit, report.complaint, report.peak_memory_mb)

    def _ready(self, first: Mapping[str, Any] | None, conversation: Conversation) -> None:
        if first is None or "ready" not in first:
            reason = (first or {}).get("unconfined") or conversation.complaint or conversation.limit or "it ended without a word"
            raise SandboxUnavailable(f"the jail (tier {self.tier}) could not be started: {reason}")


def _close(jails: Jails, stage: Path) -> None:
    jails.close()
    remove_stage(stage)


def _harness_text(name: str, runner: RunnerConfig) -> str:
    try:
        return Path(runner.harness).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the harness {runner.harness!r} of sandbox runner {name!r} can't be read: {error}; give the path of a Python file"
        ) from error


def _refusal(argv: Sequence[str], files: Mapping[str, bytes]) -> str:
    if not argv or any("\0" in word for word in argv):
        return f"the command {list(argv)!r} is empty or has a NUL character"
    for name in files:
        if not is_below(name):
            return f"the file name {name!r} is not a path below the working folder"
    return ""
