# pyright: basic
"""In the jail of a candidate: calls its functions with plain values and hands plain values back. No expected value is here."""

from __future__ import annotations

import os
import sys

from inside import plain, talk  # type: ignore[import-not-found] - as the jail sees them

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

encode, decode, exit_now = plain.encode, plain.decode, os._exit


def serve(task: dict[str, Any]) -> None:
    """Loads the candidate, then answers every call: `value`, or `raised` with the error's type, or `unplain`."""
    # what the candidate replaces in these modules later is nothing to this function
    receive, send, describe = talk.receive, talk.send, _describe
    module = type(sys)(task["module"])
    sys.modules[task["module"]] = module
    problem: dict[str, Any] | None = None
    try:
        exec(compile(task["candidate"], "candidate.py", "exec"), module.__dict__)
    except BaseException as error:  # noqa: BLE001 - SystemExit is the candidate's too
        problem = describe(error)
    send({"loaded": problem is None, **(problem or {})})
    while problem is None and (call := receive()) is not None:
        send(_call(module.__dict__, call, describe))
    exit_now(0)  # no exit handlers, no waiting for threads


def _call(names: dict[str, Any], call: dict[str, Any], describe: Any) -> dict[str, Any]:
    try:
        args = [decode(item) for item in call["args"]]
        kwargs = {name: decode(item) for name, item in call["kwargs"].items()}
        if call["call"] not in names:
            raise NameError(f"the program defines no {call['call']!r}")  # noqa: TRY301
        result = names[call["call"]](*args, **kwargs)
        try:
            answer = {"value": encode(result)}
        except (TypeError, ValueError, RecursionError) as error:
            return {"unplain": str(error)[:300]}
        return {**answer, **_changed(call, args)} if call.get("changes") else answer
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are the candidate's too
        return describe(error)


def _changed(call: dict[str, Any], args: list[Any]) -> dict[str, Any]:
    """Arguments the call changed in place: position to new value."""
    try:
        now = [encode(item) for item in args]
    except (TypeError, ValueError, RecursionError):
        return {}
    return {"changed": {str(place): new for place, (old, new) in enumerate(zip(call["args"], now)) if old != new}}  # noqa: B905


def _describe(error: BaseException) -> dict[str, Any]:
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "candidate.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" (line {line} of the candidate)" if line is not None else ""
    try:
        text = str(error)[:500]
    except BaseException:  # noqa: BLE001 - an error whose text is code of the candidate
        text = ""
    return {"raised": type(error).__name__, "text": text, "place": place, "memory": isinstance(error, MemoryError)}
