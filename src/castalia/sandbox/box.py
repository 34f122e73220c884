"""The sandbox: a chosen tier, staged packages, and the calls that run foreign code in fresh jails.

Every call starts a jail of its own and leaves nothing behind, so calls are independent and may come from several threads.
"""

import base64
import binascii
import json
import os
import shutil
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self, cast

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.records import Execution
from castalia.sandbox.compare import parse_value
from castalia.sandbox.grading import grade_answers, inputs_of
from castalia.sandbox.jail import Builder, Plan, plan_jail
from castalia.sandbox.packages import copy_packages, package_set
from castalia.sandbox.runtime import PYTHON_HARNESS
from castalia.sandbox.stage import remove_stage
from castalia.sandbox.supervise import Report, converse
from castalia.sandbox.values import KINDS, Failure, Grade, Kind, Limits, Outcome, RunnerConfig, Tier, Value

_START = 20.0  # seconds a jail may take to start on a busy machine


class Sandbox:
    """Runs foreign code. Made by `open_sandbox`; a context manager that removes its staging folder."""

    def __init__(self, builder: Builder, runners: Mapping[str, RunnerConfig]) -> None:
        self._builder = builder
        self._runners = {"python": RunnerConfig(harness=str(PYTHON_HARNESS)), **runners}
        self._harnesses = {name: _harness_text(name, runner) for name, runner in self._runners.items()}
        self._packages: dict[tuple[str, ...], Path] = {}
        self._lock = threading.Lock()
        self._remove_stage = weakref.finalize(self, remove_stage, builder.stage)

    @property
    def tier(self) -> Tier:
        """`A` with bubblewrap, `B` with Landlock, seccomp and rlimits alone."""
        return self._builder.tier

    @property
    def runners(self) -> Mapping[str, RunnerConfig]:
        """The runners by name, `python` among them."""
        return self._runners

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Removes the staging folder."""
        self._remove_stage()

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
    ) -> Outcome:
        """Runs a program in a working folder that holds `files`; `python` as `argv[0]` is the jail's interpreter.

        Returns how it ended, its output and the regular files then in the working folder. Raises ConfigError for a
        distribution that isn't installed, SandboxUnavailable when no jail can be started.
        """
        limits = limits or Limits()
        problem = _refusal(argv, files or {})
        if problem:
            return Outcome("refused", detail=problem)
        plan = plan_jail(self._builder, limits, self._package_folder(packages))
        try:
            program = [plan.executable if argv[0] == "python" else argv[0], *argv[1:]]
            content = {name: base64.b64encode(data).decode() for name, data in (files or {}).items()}
            request = {"mode": "execute", "argv": program, "files": content, "stdin": base64.b64encode(stdin).decode()}
            report = self._converse(plan, request, limits, limits.seconds)
            return _outcome(report)
        finally:
            _remove_work(plan)

    def evaluate(self, runner: str, candidate: str, inputs: Sequence[object], *, limits: Limits | None = None) -> list[Value | Failure]:
        """Gives a candidate each input, in one jail but a process of its own per input; one result per input, in order.

        Raises ConfigError for an unknown runner, a missing distribution or a harness that does not load,
        SandboxUnavailable when no jail can be started.
        """
        limits = limits or Limits()
        if runner not in self._runners:
            raise ConfigError(f"no sandbox runner is named {runner!r}; there are {', '.join(sorted(self._runners))}")
        if not inputs:
            return []
        plan = plan_jail(self._builder, limits, self._package_folder(self._runners[runner].packages))
        request = {"mode": "evaluate", "harness": self._harnesses[runner], "candidate": candidate, "inputs": list(inputs)}
        try:
            report = self._converse(plan, request, limits, limits.seconds * len(inputs))
        finally:
            _remove_work(plan)
        if report.frames and isinstance(report.frames[0].get("harness"), str):
            raise ConfigError(
                f"the harness of runner {runner!r} does not load in the sandbox: {report.frames[0]['harness']}; "
                f"it sees the standard library and the distributions {list(self._runners[runner].packages)}"
            )
        results = [_result(frame) for frame in report.frames[: len(inputs)]]
        missing = _missing(report)
        return results + [missing] * (len(inputs) - len(results))

    def grade(self, execution: Execution, candidate: str, *, limits: Limits | None = None) -> Grade:
        """Whether the candidate gives every expected value. The expected values stay on this side."""
        answers = self.evaluate(execution.runner, candidate, inputs_of(execution), limits=limits)
        return grade_answers(execution, answers)

    def grade_many(
        self, pairs: Sequence[tuple[Execution, str]], *, limits: Limits | None = None, workers: int | None = None
    ) -> list[Grade]:
        """Grades pairs of execution and candidate, each in a jail of its own, `workers` at a time (by default one per core);
        results in order."""
        with ThreadPoolExecutor(max_workers=workers or len(os.sched_getaffinity(0))) as pool:

            def one(pair: tuple[Execution, str]) -> Grade:
                return self.grade(pair[0], pair[1], limits=limits)

            return list(pool.map(one, pairs))

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

    def _converse(self, plan: Plan, request: Mapping[str, Any], limits: Limits, seconds: float) -> Report:
        """One jail, with the frame that says it is confined checked and taken off."""
        try:
            body = json.dumps({"jail": plan.jail, **request}, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the inputs of a sandbox call must be JSON values: {error}") from error
        answers = len(request.get("inputs", ())) or 1
        most = 2 * (limits.output_bytes + (limits.files_mb << 20)) if request["mode"] == "execute" else 6 * limits.output_bytes * answers
        try:
            report = converse(
                plan.launch,
                body,
                seconds=seconds + _START,
                most_bytes=most + (1 << 20),
                memory_mb=limits.memory_mb,
                files_mb=limits.files_mb,
            )
        except OSError as error:
            raise SandboxUnavailable(f"the jail could not be started: {error}") from error
        first = report.frames[0] if report.frames else {}
        if "ready" in first:
            return Report(report.frames[1:], report.limit, report.complaint, report.peak_memory_mb)
        reason = first.get("unconfined") or report.complaint or report.limit or "it ended without a word"
        raise SandboxUnavailable(f"the jail (tier {self.tier}) could not be started: {reason}")


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
        if not _is_below(name):
            return f"the file name {name!r} is not a path below the working folder"
    return ""


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts) and "\0" not in name


def _remove_work(plan: Plan) -> None:
    if plan.work:
        shutil.rmtree(plan.work, ignore_errors=True)


def _number(value: object) -> float:
    return value if isinstance(value, float) else 0.0


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _outcome(report: Report) -> Outcome:
    """What the jail says, none of it trusted: foreign code might have taken the supervisor over."""
    frame = report.frames[0] if report.frames else {}
    if "refused" in frame:
        return Outcome("refused", detail=str(frame["refused"]))
    if report.limit or not frame:
        return Outcome(report.limit or "crash", detail="the jail was ended from outside", peak_memory_mb=report.peak_memory_mb)
    status = frame.get("status")
    stderr = _bytes(frame.get("stderr"))
    files = frame.get("files")
    omitted = frame.get("omitted")
    left = (
        {str(name): _bytes(data) for name, data in cast(dict[object, object], files).items() if _is_below(str(name))}
        if isinstance(files, dict)
        else {}
    )
    return Outcome(
        kind=_kind(frame.get("limit"), status, stderr),
        stdout=_bytes(frame.get("stdout")),
        stderr=stderr,
        files=left,
        exit_code=status if isinstance(status, int) and status >= 0 else None,
        seconds=_number(frame.get("seconds")),
        peak_memory_mb=_number(frame.get("peak_memory_mb")) or None,
        detail=f"not returned: {', '.join(str(name) for name in cast(list[object], omitted))}" if omitted else "",
    )


def _kind(limit: object, status: object, stderr: bytes) -> Kind:
    if limit == "timeout":
        return "timeout"
    if limit == "output":
        return "output"
    if status == 0:
        return "ok"
    if stderr.rstrip().rpartition(b"\n")[2].startswith(b"MemoryError"):
        return "memory"
    return "wrong" if isinstance(status, int) and status > 0 else "crash"


def _result(frame: Mapping[str, Any]) -> Value | Failure:
    kind: Any = frame.get("kind")
    if kind == "ok":
        try:
            return Value(parse_value(str(frame.get("value"))), _number(frame.get("seconds")))
        except ValueError as error:
            return Failure("wrong", f"not a JSON value: {error}")
    return Failure(kind if kind in KINDS else "crash", str(frame.get("detail", ""))[:1000])


def _missing(report: Report) -> Failure:
    if report.limit == "memory":
        return Failure("memory", "all processes together used more memory than allowed")
    if report.limit == "timeout":
        return Failure("timeout", "the jail did not end in time")
    if report.limit == "output":
        return Failure("output", "the values together are longer than allowed")
    return Failure("crash", "the jail ended before it gave a value")
