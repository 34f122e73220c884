"""Layer 4: what can run, runs; what can be compared, is compared. Opinions end here."""

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.quality.check import CheckContext, Finding, RecordCheck
from castalia.quality.view import View
from castalia.records import PreferencePair
from castalia.scoring import score


def _execution(view: View, ctx: CheckContext) -> Finding | None:
    if isinstance(view.record, PreferencePair):
        return _ranked_by_execution(view.record)
    if view.check is None or view.check.kind == "state":  # a state check needs the tool run itself: build_sft made it
        return None
    try:
        result = score(view.check, view.answer, sandbox=ctx.context.services.get("sandbox"))
    except SandboxUnavailable as error:
        return Finding("waiting", f"needs the sandbox: {error}")
    except ConfigError as error:
        return Finding("fail", f"its check proves nothing: {error}")
    return Finding("pass" if result.passed else "fail", f"{view.check.kind}: {result.reason or 'right'}")


def _ranked_by_execution(pair: PreferencePair) -> Finding | None:
    if pair.chosen.executed is None:
        return None
    if pair.chosen.executed and not pair.rejected.executed:
        return Finding("pass", "the chosen answer ran right, the rejected one did not")
    if pair.chosen.executed:
        return Finding("flag", "both answers run right: the preference is about style")
    return Finding("fail", "the chosen answer does not run right")


EXECUTION = RecordCheck("execution", _execution)
