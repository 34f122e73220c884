"""Whether what an oracle wrote proves itself: its answer passes its check, and its check is one at all."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.records import Check, ExecutionTest
from castalia.records.base import content_hash
from castalia.records.flaw import Flaw
from castalia.sandbox import Sandbox
from castalia.scoring.examination import Examination, examine
from castalia.scoring.fences import program_of
from castalia.scoring.hidden import hidden_tests
from castalia.scoring.score import score


class Once(Protocol):
    """Makes what has a name when it is first wanted and keeps it, as `Context.once` does for a run of a stage."""

    def __call__(self, name: str, make: Callable[[], Any], /) -> Any: ...


async def proof_flaw(
    check: Check,
    answer: str,
    *,
    sandbox: Sandbox | None,
    files: Mapping[str, str] | None = None,
    hidden: Sequence[ExecutionTest] = (),
) -> Flaw | None:
    """None where `answer` passes; else `execution-failed`, `check-failed`, or `check-unusable` for a check that fits no answer.

    Scores in a thread, so that other asks go on meanwhile. Raises SandboxUnavailable where code must run and can't, ConfigError where
    the sandbox itself is configured wrongly.
    """
    try:
        result = await asyncio.to_thread(score, check, answer, sandbox=sandbox, files=files, hidden=hidden)
    except ConfigError as error:
        if check.kind == "execution":
            raise
        return Flaw("check-unusable", str(error))
    if result.passed:
        return None
    return Flaw("execution-failed" if check.kind == "execution" else "check-failed", result.reason)


_OF_NOTHING = "Lorem ipsum dolor sit amet, consectetur adipiscing elit."


def text_flaw(check: Check, question: str) -> str:
    """Why a check that compares text proves nothing, whatever the answer is; empty where it proves something, or runs a program or tools.

    It proves nothing where it fits no answer at all, and where it passes for no answer, for `question` said again, or for a sentence that
    speaks of nothing: a reward by it would be free. `question` is what was asked last, without the turns before.
    """
    if check.kind in ("execution", "state"):
        return ""
    try:
        free = next((name for name, text in _free(question) if score(check, text, sandbox=None).passed), "")
    except ConfigError as error:
        return str(error)
    return f"{check.kind} {list(check.expected)} passes for {free}" if free else ""


def _free(question: str) -> tuple[tuple[str, str], ...]:
    return ("an empty answer", ""), ("the question said again", question), ("a sentence that speaks of nothing", _OF_NOTHING)


class Trusted(NamedTuple):
    """A check that was examined, with the tests it lacked, and the program that stood for the task and passes it."""

    check: Check
    reference: str

    def proves(self, answer: str) -> bool:
        """Whether the answer is that program, and so need not be run again."""
        return program_of(answer).strip() == self.reference.strip() != ""


async def trusted_check(check: Check, references: Sequence[str], *, sandbox: Sandbox | None, once: Once) -> Trusted | Flaw:
    """The check, with tests added where its own are too weak; `execution-failed` where no reference passes it, `tests-prove-nothing`
    where no added test helps. A check that runs no program is returned as it is.

    `references` are answers; the first that passes stands for the task. Each check is examined once per reference and run. Raises
    as `proof_flaw`.
    """
    execution = check.execution
    if check.kind != "execution" or execution is None:
        return Trusted(check, "")
    if sandbox is None:
        raise SandboxUnavailable(
            f"a check needs runner {execution.runner!r} and no sandbox is open; `castalia sandbox doctor` says what this machine offers"
        )
    flaw = Flaw("execution-failed", "there is no right answer to examine its tests with")
    for reference in dict.fromkeys(map(program_of, references)):
        key = f"examined:{content_hash([execution.model_dump(mode='json'), reference])}"
        # shielded: whoever waits may be canceled, others wait for the same
        found: Examination = await asyncio.shield(once(key, lambda program=reference: _started(sandbox, execution, program)))
        if found.passed:
            if found.flaw:
                return Flaw("tests-prove-nothing", found.flaw)
            return Trusted(check.model_copy(update={"execution": found.execution}), reference)
        flaw = Flaw("execution-failed", found.flaw)
    return flaw


async def drawn_tests(check: Check, reference: str, *, sandbox: Sandbox | None, seed: str) -> tuple[ExecutionTest, ...]:
    """Tests nobody has seen, for grading what a model answered; none where the check runs no program or nothing can be drawn."""
    if check.execution is None or sandbox is None or check.kind != "execution":
        return ()
    return await asyncio.to_thread(hidden_tests, sandbox, check.execution, program_of(reference), seed=seed)


def _started(sandbox: Sandbox, execution: Any, program: str) -> "asyncio.Future[Examination]":
    return asyncio.ensure_future(asyncio.to_thread(examine, sandbox, execution, program))
