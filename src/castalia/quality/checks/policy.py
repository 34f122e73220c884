"""Layer 5: licence of every source again, then the policy file, read by a judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.checks.judge import ask_judge
from castalia.quality.view import View

_RULES = Path(__file__).with_name("policy_rules.md")


def _licence(view: View, ctx: CheckContext) -> Finding | None:
    if view.dataset == "replay":
        return None
    for evidence in view.evidence:
        document = ctx.documents.get(evidence.document)
        if document is None:
            return Finding("fail", f"the licence of {evidence.url!r} is unknown: the document is not in the corpus")
        if document.licence.verdict != "allowed":
            return Finding("fail", f"{document.url!r} is {document.licence.verdict}: {document.licence.reason}")
    return Finding("pass", "every source is under an allowed licence")


async def _policy(views: Sequence[View], ctx: CheckContext) -> Mapping[str, Finding]:
    rules = _RULES.read_text(encoding="utf-8")
    return await ask_judge("policy", views, ctx, sources={}, needs_block=False, extra={"rules": rules})


LICENCE = RecordCheck("licence", _licence)
POLICY = GroupCheck("policy", _policy, applies=lambda _: True, prompt=Path(__file__).with_name("policy.md"))
RULES = _RULES
