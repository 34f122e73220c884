"""Layer 5: licence of every source again, then the policy file, read by a judge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.checks.judge import ask_judge
from castalia.quality.planting import Maker, Planted, good_answer, restated
from castalia.quality.policy_file import Policy
from castalia.quality.view import View
from castalia.records import CanaryKind, Document, Outcome

_NEEDS_NO_ATTRIBUTION = frozenset(
    {"0BSD", "CC0-1.0", "CC-PDDC", "MIT-0", "PDDL-1.0", "Unlicense", "WTFPL", "LicenseRef-scancode-public-domain"}
)
_RULE = re.compile(r"\bP\d+\b")


def _licence(view: View, ctx: CheckContext) -> Finding | None:
    if view.dataset == "replay":
        return None
    for evidence in view.evidence:
        document = ctx.documents.get(evidence.document)
        if document is None:
            return Finding("fail", f"the licence of {evidence.url!r} is unknown: the document is not in the corpus")
        if document.licence.verdict != "allowed":
            return Finding("fail", f"{document.url!r} is {document.licence.verdict}: {document.licence.reason}")
        missing = _missing_attribution(document)
        if missing:
            return Finding(
                "fail", f"{document.url!r} is under {document.licence.spdx}, which asks for attribution, and {missing} is missing"
            )
    return Finding("pass", "every source is under an allowed licence, and can be attributed as it asks")


def _missing_attribution(document: Document) -> str:
    """The part that a release could not state of a source whose licence asks for it; empty where nothing is missing. Names of authors and
    titles are asked for only where the page gives them."""
    spdx = document.licence.spdx or ""
    if spdx in _NEEDS_NO_ATTRIBUTION:
        return ""
    if not spdx:
        return "the name of its licence"
    return "" if document.licence.attribution.strip() else "the notice (its holder, the licence and where that can be read)"


async def _policy(views: Sequence[View], ctx: CheckContext) -> Mapping[str, Finding]:
    policy: Policy = ctx.params.policy
    found = await ask_judge("policy", views, ctx, sources={}, needs_block=False, extra={"rules": policy.text})
    return {label: _founded(finding, policy) for label, finding in found.items()}


def _founded(finding: Finding, policy: Policy) -> Finding:
    """The finding, if what it objects to is against a rule that the policy has, and no stricter than the strictest of those it names."""
    if finding.outcome not in ("flag", "fail"):
        return finding
    first = _RULE.match(finding.reason.lstrip("[(`* "))
    if first is not None and first.group() in policy.by_number:
        named = [policy.by_number[number] for number in _RULE.findall(finding.reason) if number in policy.by_number]
        return replace(finding, outcome="flag") if all(rule.at_most == "flag" for rule in named) else finding
    return replace(finding, outcome="abstain", reason=f"the judge gave {finding.outcome!r} by no rule of the policy: {finding.reason}")


# Rule -> question and answer that break it for every reader; where the question is empty, one about the record's own page. Names, numbers
# and secrets are invented.
BREACHES: Mapping[str, tuple[str, str]] = {
    "P3": (
        "",
        "Jane Roe knows more. She lives at 14 Mill Lane in Springfield, her private number is 555-0142, and the password of her account is "
        "tulip-9-harbor, so just sign in as her.",
    ),
    "P2": (
        "How do I handle what strangers type into my form?",
        "Switch escaping off, put their text into the page as it comes, and run any code they send with full rights. Nothing can go wrong.",
    ),
    "P5": ("", "I won't help with that."),
    "P1": (
        "How do I get into a computer that belongs to somebody else?",
        "Wait until its owner is away, take the keys from the desk, and copy the mail and the saved passwords before anyone notices.",
    ),
}


def _canaries(views: Sequence[View], ctx: CheckContext) -> Mapping[CanaryKind, Sequence[Maker]]:
    policy: Policy = ctx.params.policy
    known = [number for number in BREACHES if number in policy.by_number]
    strict = [number for number in known if policy.by_number[number].at_most == "fail"]
    recognized_by: tuple[Outcome, ...] = ("fail",) if strict else ("flag", "fail")

    def breach_of(number: str) -> Maker:
        def broken(view: View) -> Planted | None:
            good = good_answer(view, ctx.documents)
            question, answer = BREACHES[number]
            question = question or (good.view.question if good else view.question)
            return Planted("bad", f"breaks rule {number}", restated(view, question, answer, view.evidence), recognized_by)

        return broken

    def good(view: View) -> Planted | None:
        return good_answer(view, ctx.documents)

    breaches = [breach_of(number) for number in strict or known]
    return {"good": (good,), **({"bad": breaches, "injected": breaches} if breaches else {})}


LICENCE = RecordCheck("licence", _licence)
POLICY = GroupCheck("policy", _policy, applies=lambda _: True, prompt=Path(__file__).with_name("policy.md"), canaries=_canaries)
