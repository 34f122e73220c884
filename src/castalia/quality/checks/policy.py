"""Layer 5: licence of every source again, then the policy file, read by a judge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.checks.judge import ask_judge
from castalia.quality.policy_file import Policy
from castalia.quality.view import View

_RULE = re.compile(r"P\d+")


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
    policy: Policy = ctx.params.policy
    found = await ask_judge("policy", views, ctx, sources={}, needs_block=False, extra={"rules": policy.text})
    return {label: _founded(finding, policy) for label, finding in found.items()}


def _founded(finding: Finding, policy: Policy) -> Finding:
    """The finding, if what it objects to is against a rule that the policy has, and no stricter than the rule."""
    named = _RULE.match(finding.reason.lstrip("[(`* "))
    rule = policy.by_number.get(named.group()) if named else None
    if finding.outcome not in ("flag", "fail"):
        return finding
    if rule is not None:
        return replace(finding, outcome="flag") if rule.at_most == "flag" else finding
    return replace(finding, outcome="abstain", reason=f"the judge gave {finding.outcome!r} by no rule of the policy: {finding.reason}")


LICENCE = RecordCheck("licence", _licence)
POLICY = GroupCheck("policy", _policy, applies=lambda _: True, prompt=Path(__file__).with_name("policy.md"))
