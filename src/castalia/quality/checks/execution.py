"""Layer 4: what can run, runs; what can be compared, is compared. Opinions end here."""

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.quality.check import CheckContext, Finding, RecordCheck
from castalia.quality.view import View
from castalia.records import Check, PreferencePair
from castalia.sandbox.compare import parse_value
from castalia.sandbox.grading import inputs_of
from castalia.scoring import score


def _execution(view: View, ctx: CheckContext) -> Finding | None:
    if isinstance(view.record, PreferencePair):
        return _ranked_by_execution(view.record)
    if view.check is None or view.check.kind == "state":  # a state check needs the tool run itself: build_sft made it
        return None
    flaw = _unprovable(view.check)
    if flaw:
        return Finding("fail", f"its check proves nothing: {flaw}")
    try:
        result = score(view.check, view.answer, sandbox=ctx.context.services.get("sandbox"))
    except SandboxUnavailable as error:
        return Finding("waiting", f"needs the sandbox: {error}")
    except ConfigError as error:
        if view.check.kind == "execution":  # the check is sound, so it is the runner, its harness or its toolchain that is broken
            return Finding("waiting", f"its runner can't run here: {error}")
        return Finding("fail", f"its check proves nothing: {error}")
    return Finding("pass" if result.passed else "fail", f"{view.check.kind}: {result.reason or 'right'}")


def _unprovable(check: Check) -> str:
    """What is wrong with a check of programs that no sandbox could make good, empty where nothing is."""
    if check.kind != "execution":
        return ""
    if check.execution is None:
        return "it has no program to run"
    try:
        inputs_of(check.execution)
        for test in check.execution.tests:
            parse_value(test.expected)
    except (ConfigError, ValueError) as error:
        return str(error)
    return ""


def _ranked_by_execution(pair: PreferencePair) -> Finding | None:
    if pair.chosen.executed is None:
        return None
    if pair.chosen.executed and not pair.rejected.executed:
        return Finding("pass", "the chosen answer ran right, the rejected one did not")
    if pair.chosen.executed:
        return Finding("flag", "both answers run right: the preference is about style")
    return Finding("fail", "the chosen answer does not run right")


EXECUTION = RecordCheck("execution", _execution)
