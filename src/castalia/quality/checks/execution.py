"""Layer 4: what can run, runs; what can be compared, is compared. Opinions end here."""

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.quality.check import CheckContext, Finding, RecordCheck
from castalia.quality.view import View
from castalia.records import Check, PreferencePair, ReplayItem, RewardRecord
from castalia.scoring import score
from castalia.scoring.execution import constant_share, tests_flaw
from castalia.scoring.proof import text_flaw

PROVES_NOTHING = "its check proves nothing"
"""What the reason begins with where a check was refused, so that nothing ran."""


def _execution(view: View, ctx: CheckContext) -> Finding | None:
    if isinstance(view.record, PreferencePair):
        return _ranked_by_execution(view.record)
    if view.check is None or view.check.kind == "state":  # a state check needs the tool run itself: build_sft made it
        return None
    flaw = _unprovable(view, view.check)
    if flaw:
        return Finding("fail", f"{PROVES_NOTHING}: {flaw}")
    try:
        result = score(view.check, view.answer, sandbox=ctx.context.services.get("sandbox"))
    except SandboxUnavailable as error:
        return Finding("waiting", f"needs the sandbox: {error}")
    except ConfigError as error:
        # the check is sound, so it is the runner, its harness or its toolchain that is broken
        return Finding("waiting", f"its runner can't run here: {error}")
    if result.passed and _by_heart(view.record):
        return Finding("flag", "its answers were graded by known tests alone, which can be learned by heart")
    return Finding("pass" if result.passed else "fail", f"{view.check.kind}: {result.reason or 'right'}")


def _by_heart(record: object) -> bool:
    return isinstance(record, RewardRecord) and record.check.kind == "execution" and bool(record.answers) and not record.hidden_tests


def _unprovable(view: View, check: Check) -> str:
    """What is wrong with a check, whatever the answer is; empty where nothing is. It was examined when the record was made
    (castalia.scoring.proof); what needs no run is looked at again, as records come from plug-ins, too. A task without input has one
    right value, so the check of a replay item, which rewards nothing, may have a constant one."""
    if check.kind != "execution":
        asked = [message.content for message in view.prompt.messages if message.role == "user"]
        return text_flaw(check, asked[-1] if asked else "")
    flaw = tests_flaw(check.execution)
    rewards = not isinstance(view.record, ReplayItem)
    if rewards and not flaw and check.execution and constant_share(check.execution.tests) == 1:
        return f"a program that prints a constant passes all {len(check.execution.tests)} tests"
    return flaw


def _ranked_by_execution(pair: PreferencePair) -> Finding | None:
    if pair.chosen.executed is None:
        return None
    if pair.chosen.executed and not pair.rejected.executed:
        return Finding("pass", "the chosen answer ran right, the rejected one did not")
    if pair.chosen.executed:
        return Finding("flag", "both answers run right: the preference is about style")
    return Finding("fail", "the chosen answer does not run right")


EXECUTION = RecordCheck("execution", _execution)
