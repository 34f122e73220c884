"""Grading by calls: the candidate in a jail of its own, its plain values compared by the host or by tests in a second jail.

Neither jail holds both a candidate and an expected value, so there is nothing a candidate could read, patch or forge: it gives the
right values, or it doesn't pass.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, cast

from castalia.sandbox.compare import shorten
from castalia.sandbox.inside.plain import decode, encode
from castalia.sandbox.supervise import Conversation
from castalia.sandbox.values import Case, Grade, Kind


class Talk(NamedTuple):
    """A candidate or tests to be loaded: the harness and what it is told. `patience` is what loading may take, in seconds."""

    harness: str
    task: Mapping[str, Any]
    patience: float


class Answer(NamedTuple):
    """What came of one call: `ok` with a plain value, or why there is none."""

    kind: Kind
    value: object
    detail: str


Open = Callable[[Talk], AbstractContextManager[Conversation]]
"""Starts a jail for a talk and sends the request; leaving the context ends the jail."""


def encode_call(case: Case) -> dict[str, Any]:
    """A call as it travels. Raises TypeError or ValueError when an argument has no plain form."""
    return {"call": case.function, "args": [encode(item) for item in case.args], "kwargs": {k: encode(v) for k, v in case.kwargs.items()}}


def ask_all(open_jail: Open, talk: Talk, cases: Sequence[Case], seconds: float) -> tuple[list[Answer], dict[str, Any]]:
    """The answers of one candidate, in order, and what it used. A candidate that dies or hangs gives none from there on."""
    answers: list[Answer] = []
    used: dict[str, Any] = {"seconds": 0.0}
    frame: dict[str, Any] | None = None
    with open_jail(talk) as jail:
        for case in cases:
            jail.send(json.dumps(encode_call(case)).encode())
        jail.finish()
        first = jail.receive(talk.patience)
        began = time.monotonic()
        problem = _not_loaded(jail, first)
        while problem is None and len(answers) < len(cases):
            frame = jail.receive(seconds)
            answers.append(_answer(jail, frame))
            if frame is None or "ended" in frame:
                problem = answers.pop()
        used["seconds"] = time.monotonic() - began
        used |= _used(jail, jail.receive(seconds) if problem is None else frame)
    missing = [problem] * (len(cases) - len(answers)) if problem else []
    return answers + missing, used


def grade_cases(cases: Sequence[Case], answers: Sequence[Answer], used: Mapping[str, Any]) -> Grade:
    """Compares on the host. `details` has one line per case that did not pass."""
    details: list[str] = []
    kinds: list[Kind] = []
    for number, (case, answer) in enumerate(zip(cases, answers, strict=True), 1):
        if answer.kind != "ok":
            kinds.append(answer.kind)
            details.append(f"call {number}: {answer.kind}: {answer.detail}")
        elif not holds(case, answer.value):
            kinds.append("wrong")
            details.append(f"call {number}: gave {_shown(answer.value)}, expected {_wanted(case)}")
    return Grade(not kinds, kinds[0] if kinds else "ok", tuple(details), len(cases), len(cases) - len(kinds), **used)


def holds(case: Case, value: object) -> bool:
    """Whether a plain value is what the case asks for. Only built-in types are compared, so no foreign code runs here."""
    try:
        if case.relation == "truthy":
            return bool(value)
        if case.relation == "falsy":
            return not value
        if case.relation == "is":
            return value is case.expected
        if case.relation == "close":
            return isinstance(value, (int, float)) and abs(value - cast(float, case.expected)) <= case.tolerance
        return bool(value == case.expected)
    except (OverflowError, RecursionError):
        return False


class Said(NamedTuple):
    """What the tests' jail said: how many tests ran, passed and were skipped, what failed, and why they don't run at all."""

    ran: int = 0
    passed: int = 0
    skipped: int = 0
    failures: tuple[str, ...] = ()
    broken: str = ""


class Verdict(NamedTuple):
    """What the tests' jail said, what the candidate did when it was lost, how many calls were made, what it used."""

    said: Said
    lost: Answer | None
    calls: int
    used: Mapping[str, Any]


_ALL_CALLS = 20
"""Times as long as one call may take, all calls of one grading may take together, beside what there is per test."""


def relay_tests(open_jail: Open, tests: Talk, candidate: Talk, seconds: float, patience: float) -> Verdict:
    """Runs tests in one jail against a candidate in another. `seconds` bounds each call of the candidate, 20 times as much and `patience` all
    of them; `patience` also bounds what the tests do themselves."""
    calls, began, waited, most = 0, time.monotonic(), 0.0, _ALL_CALLS * seconds + patience
    with open_jail(tests) as inner, open_jail(candidate) as outer:
        lost = _not_loaded(outer, outer.receive(candidate.patience))
        deadline = time.monotonic() + tests.patience + patience
        while (frame := inner.receive(deadline + waited - time.monotonic())) is not None and "call" in frame:
            calls += 1
            answer: dict[str, Any] | None = None
            asked = time.monotonic()
            if lost is None and waited >= most:
                lost = Answer("timeout", None, f"all calls together took more than {most:g} s")
            if lost is None:
                outer.send(json.dumps(frame).encode())
                answer = outer.receive(seconds)
                if answer is None or "ended" in answer:
                    lost, answer = _answer(outer, answer), None
            if answer is None:
                assert lost is not None
                answer = {"lost": f"{lost.kind}: {lost.detail}"}
            waited += time.monotonic() - asked
            inner.send(json.dumps(answer).encode())
        said = Said() if lost is not None and frame is None else _said(frame, inner.limit)
        used = {"seconds": time.monotonic() - began, "cpu_seconds": None, "peak_memory_mb": outer.peak_memory_mb or None}
        if lost is None:
            outer.finish()
            used |= _used(outer, outer.receive(seconds))
        return Verdict(said, lost, calls, used)


def _said(frame: Mapping[str, Any] | None, limit: str | None) -> Said:
    """The verdict of a frame. Tests are foreign code, too: what is no verdict says that they don't run."""
    if frame is None or "ended" in frame:
        return Said(broken=f"they ended at a limit: {limit}" if limit else "they ended without a verdict")
    verdict = frame.get("verdict", frame)
    if isinstance(verdict, dict):
        told = cast(dict[str, Any], verdict)
        counts, failures = [told.get(name) for name in ("ran", "passed", "skipped")], told.get("failures")
        if isinstance(told.get("broken"), str) and told["broken"]:
            return Said(broken=told["broken"])
        if isinstance(failures, list) and all(type(count) is int and count >= 0 for count in counts):
            return Said(*cast(list[int], counts), failures=tuple(map(str, cast(list[object], failures))))
    return Said(broken="what they say is no verdict")


def _used(jail: Conversation, last: Mapping[str, Any] | None) -> dict[str, float | None]:
    """What the supervisor says at the end, where it could, and what the host saw itself."""
    told = {key: value for key in ("cpu_seconds", "peak_memory_mb") if isinstance(value := (last or {}).get(key), float) and value >= 0}
    peak = max(jail.peak_memory_mb, told.get("peak_memory_mb", 0.0))
    return {"cpu_seconds": told.get("cpu_seconds"), "peak_memory_mb": peak or None}


def _not_loaded(jail: Conversation, frame: Mapping[str, Any] | None) -> Answer | None:
    if frame is None or "ended" in frame:
        return _answer(jail, frame)
    if frame.get("loaded") is True:
        return None
    said = _answer(jail, frame)
    return said if said.kind != "ok" else Answer("crash", None, "it did not load")


def _answer(jail: Conversation, frame: Mapping[str, Any] | None) -> Answer:
    """What a frame says, none of it trusted."""
    if frame is None:
        return Answer(_limit(jail.limit), None, _WHY.get(jail.limit or "", "it ended before it gave a value"))
    if frame.get("entries") is True:
        return Answer("output", None, "it made more files and folders than allowed")
    if "ended" in frame:
        return Answer("crash", None, f"it ended with status {frame['ended']!r} before it gave a value"[:200])
    if "value" in frame:
        try:
            return Answer("ok", decode(frame["value"]), "")
        except (ValueError, TypeError, OverflowError, MemoryError) as error:
            return Answer("wrong", None, f"no plain value: {error}")
    if "unplain" in frame:
        return Answer("wrong", None, str(frame["unplain"])[:300])
    if "raised" in frame:
        kind: Kind = "memory" if frame.get("memory") is True else "crash"
        return Answer(kind, None, f"{frame['raised']}: {frame.get('text', '')}{frame.get('place', '')}"[:1000])
    return Answer("crash", None, str(frame.get("problem", frame.get("broken", "it said nothing that can be read")))[:1500])


_WHY = {
    "timeout": "no value in time",
    "memory": "all processes together used more memory than allowed",
    "output": "the values are longer than allowed, or more was written to files",
}


def _limit(limit: str | None) -> Kind:
    return cast(Kind, limit) if limit in _WHY else "crash"


def _shown(value: object) -> str:
    try:
        return shorten(encode(value)) if not isinstance(value, (str, int, float, bool, type(None))) else shorten(value)
    except (TypeError, ValueError):
        return "a value that can't be shown"


def _wanted(case: Case) -> str:
    if case.relation in ("truthy", "falsy"):
        return f"a {case.relation} value"
    return _shown(case.expected) + (f" within {case.tolerance:g}" if case.relation == "close" else "")
