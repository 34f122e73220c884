"""Layer 5: licence of every source again, then the policy file, read by a judge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from castalia.errors import ConfigError
from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.checks.judge import ask_judge
from castalia.quality.view import View

_RULES = Path(__file__).with_name("policy_rules.md")
_NUMBERED = re.compile(r"^([A-Za-z]+\d+)[.:)]", re.MULTILINE)
_RULE = re.compile(r"P\d+")


def rule_numbers(policy: str) -> frozenset[str]:
    """The numbers of a policy's rules: lines that begin with `P1.`, `P2.` and so on.

    Raises ConfigError for a policy without rules, for two rules of one number, and for a number of another form, which no verdict could
    name.
    """
    numbers = _NUMBERED.findall(policy)
    unknown = sorted({number for number in numbers if not _RULE.fullmatch(number) or numbers.count(number) > 1})
    if unknown or not numbers:
        what = f"the rules {unknown}" if unknown else "no rule at all"
        raise ConfigError(f"the policy has {what}; give every rule a number of its own at the beginning of a line: `P1.`, `P2.` ...")
    return frozenset(numbers)


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
    numbers = rule_numbers(rules)
    found = await ask_judge("policy", views, ctx, sources={}, needs_block=False, extra={"rules": rules})
    return {label: _founded(finding, numbers) for label, finding in found.items()}


def _founded(finding: Finding, numbers: frozenset[str]) -> Finding:
    """The finding, if what it objects to is against a rule that the policy has."""
    named = _RULE.match(finding.reason.lstrip("[(`* "))
    if finding.outcome not in ("flag", "fail") or (named and named.group() in numbers):
        return finding
    return replace(finding, outcome="abstain", reason=f"the judge gave {finding.outcome!r} by no rule of the policy: {finding.reason}")


LICENCE = RecordCheck("licence", _licence)
POLICY = GroupCheck("policy", _policy, applies=lambda _: True, prompt=Path(__file__).with_name("policy.md"))
RULES = _RULES
