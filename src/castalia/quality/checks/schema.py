"""Layer 1: what a program can see without reading for sense."""

import re

from castalia.harmony import gpt_oss_vocabulary, lint_conversation
from castalia.quality.check import CheckContext, Finding, RecordCheck
from castalia.quality.view import View, texts

# Shapes of credentials: a prefix that vendors document, then a long random tail.
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}\b"
    r"|\bsk-[A-Za-z0-9_-]{24,}|\bxox[abprs]-[A-Za-z0-9-]{20,}"
)
_BROKEN_TEXT = re.compile(r"\ufffd|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|â€™|â€œ|Ã©|Ã¼")


def _harmony(view: View, ctx: CheckContext) -> Finding | None:
    problems = [
        finding.message
        for conversation in view.conversations
        for finding in lint_conversation(conversation, gpt_oss_vocabulary())
        if finding.severity == "error"
    ]
    return Finding("fail", "Harmony lint: " + "; ".join(problems)) if problems else Finding("pass", "renders to Harmony without findings")


def _evidence(view: View, ctx: CheckContext) -> Finding | None:
    if view.dataset == "replay":
        return None
    if not view.evidence:
        return Finding("fail", "cites no evidence")
    for evidence in view.evidence:
        document = ctx.documents.get(evidence.document)
        if document is None:
            return Finding("fail", f"cites document {evidence.document!r}, which is not in the corpus")
        if not evidence.blocks:
            return Finding("fail", f"cites no block of {document.url!r}")
        beyond = [number for number in evidence.blocks if not 0 <= number < len(document.blocks)]
        if beyond:
            return Finding("fail", f"cites blocks {beyond} of {document.url!r}, which has {len(document.blocks)}")
        if evidence.quote and not any(evidence.quote in document.blocks[number].text for number in evidence.blocks):
            return Finding("fail", f"quote {evidence.quote[:60]!r} is in none of the cited blocks of {document.url!r}")
    return Finding("pass", "every cited block exists")


def _lengths(view: View, ctx: CheckContext) -> Finding:
    limit = ctx.params.max_characters
    if not view.question.strip() or not view.answer.strip():
        return Finding("fail", "question or answer is empty")
    if view.dataset == "preferences" and (not view.worse.strip() or view.worse.strip() == view.answer.strip()):
        return Finding("fail", "the worse answer is empty, or the same as the better one")
    longest = max(len(view.question), len(view.answer), len(view.worse))
    if longest > limit:
        return Finding("fail", f"a text of {longest} characters exceeds max_characters={limit}")
    return Finding("pass", f"longest text has {longest} characters")


def _encoding(view: View, ctx: CheckContext) -> Finding:
    found = _BROKEN_TEXT.search("\n".join(texts(view)))
    if found:
        return Finding("fail", f"broken text {found.group()!r}: control characters, or UTF-8 read as another encoding")
    return Finding("pass", "no broken text")


def _secrets(view: View, ctx: CheckContext) -> Finding:
    if _SECRETS.search("\n".join(texts(view))):
        return Finding("fail", "holds what looks like a credential")  # the value itself is not repeated in the verdict
    return Finding("pass", "no credentials")


def _duplicate_prompt(view: View, ctx: CheckContext) -> Finding | None:
    if view.dataset != "sft":
        return None
    first = ctx.seen_prompts[normal_prompt(view)]
    if first != view.record.id:
        return Finding("fail", f"asks the same as record {first!r}")
    return Finding("pass", "no other example asks this")


def _contamination(view: View, ctx: CheckContext) -> Finding:
    leak = ctx.leaks.get(view.record.id)
    return Finding("fail", leak) if leak else Finding("pass", "no overlap with GATE or VAULT")


def normal_prompt(view: View) -> str:
    """The prompt as compared for duplicates: lower case, single spaces."""
    return " ".join(view.question.lower().split())


HARMONY = RecordCheck("harmony", _harmony)
EVIDENCE = RecordCheck("evidence", _evidence)
LENGTHS = RecordCheck("lengths", _lengths)
ENCODING = RecordCheck("encoding", _encoding)
SECRETS = RecordCheck("secrets", _secrets)
DUPLICATE_PROMPT = RecordCheck("duplicate-prompt", _duplicate_prompt)
CONTAMINATION = RecordCheck("contamination", _contamination)
