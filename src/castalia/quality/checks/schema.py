"""Layer 1: what a program can see without reading for sense."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from castalia.harmony import gpt_oss_vocabulary, lint_conversation
from castalia.quality.check import CheckContext, Finding, RecordCheck
from castalia.quality.view import View, cited_blocks
from castalia.records import Conversation, Document, PreferencePair, ReplayItem, RewardRecord
from castalia.web.pii import PERSONAL, find_personal_data
from castalia.web.pii.secrets import secrets

_PERSONAL = PERSONAL - {"SECRET"}  # those are of no person, and have a check of their own
_BROKEN_TEXT = re.compile(r"\ufffd|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|â€™|â€œ|Ã©|Ã¼")


_CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[._][A-Za-z0-9_]+)+|\b[A-Za-z]*[a-z][A-Z]\w+|\b[A-Z][A-Z_]{2,}\b")
_WORDS = re.compile(r"\w+")


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


def _names(view: View, ctx: CheckContext) -> Finding | None:
    """Whether every name of the answer stands in what it rests on. A flag, for people: a name may follow from what is cited."""
    if view.dataset == "replay" or (view.check is not None and view.check.kind in ("execution", "state")):
        return None
    cited = cited_blocks(view, ctx.documents)
    ground = [view.question]
    ground += [text for document, number in cited for text in (document.title, document.blocks[number].text, _heading(document, number))]
    ground += [message.content for message in view.prompt.messages if message.role == "tool"]
    known = set(_WORDS.findall("\n".join(ground).casefold()))
    unknown = [name for name in _names_in(view.answer) if not known.issuperset(_WORDS.findall(name.casefold()))]
    if unknown:
        shown = ", ".join(f"{name:.40}" for name in unknown[:3])
        return Finding("flag", f"the answer names what neither the question nor the cited blocks name: {shown}")
    return Finding("pass", "every name of the answer stands in the question or in the cited blocks")


def _names_in(answer: str) -> list[str]:
    """Inline code, dotted and snake-case names, camel case and capitals; not those of code blocks, which are the answer's own."""
    prose = _CODE_BLOCK.sub(" ", answer)
    return list(dict.fromkeys([*_CODE.findall(prose), *_NAME.findall(_CODE.sub(" ", prose))]))


def _heading(document: Document, number: int) -> str:
    """The heading that a block is read under."""
    return next((block.text for block in reversed(document.blocks[: number + 1]) if block.kind == "heading"), "")


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
    for part in released_texts(view):
        if found := _BROKEN_TEXT.search(part.text):
            return Finding("fail", f"broken text {found.group()!r} in {part.name}: control characters, or UTF-8 read as another encoding")
    return Finding("pass", "no broken text")


def _secrets(view: View, ctx: CheckContext) -> Finding:
    for part in released_texts(view):
        if any(not span.reserved for span in secrets(part.text, 0, len(part.text))):
            return Finding("fail", f"{part.name} holds what looks like a credential")  # the value itself is not repeated in the verdict
    return Finding("pass", "no credentials")


def _personal_data(view: View, ctx: CheckContext) -> Finding:
    for part in released_texts(view):
        for span in find_personal_data(part.text, code=part.code, kinds=_PERSONAL):
            place = f"{part.name}, characters {span.start} to {span.end}"
            return Finding("fail", f"personal data of kind {span.kind} in {place}")  # nor is this value
    return Finding("pass", "no personal data")


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


class Part(NamedTuple):
    """A text of a record that a release holds. `code` where it is no prose."""

    name: str
    text: str
    code: bool = False


def released_texts(view: View) -> Iterator[Part]:
    """Every text of a record that a release holds, whoever wrote it: also the target's answers, right and wrong, and checks."""
    record = view.record
    if view.check is not None:
        yield Part("the check", "\n".join(_strings(view.check.model_dump())), code=True)
    if isinstance(record, PreferencePair):
        yield from _said(record.prompt)
        yield Part("the chosen answer", record.chosen.text)
        yield Part("the rejected answer", record.rejected.text)
    elif isinstance(record, RewardRecord):
        yield from _said(record.prompt)
        yield Part("the reference", record.reference)
        yield from (Part(f"answer {number} of the target", answer.text) for number, answer in enumerate(record.answers, 1))
    else:
        yield from _said(record.conversation)
    if isinstance(record, ReplayItem):
        yield Part("the wrong answer", record.wrong)
        yield Part("what to practise", record.practise)


def _said(conversation: Conversation) -> Iterator[Part]:
    yield Part("the instructions", conversation.instructions)
    for tool in conversation.tools:
        yield Part(f"tool {tool.name!r}", tool.description)
        yield Part(f"the parameters of tool {tool.name!r}", tool.parameters, code=True)
    for number, message in enumerate(conversation.messages, 1):
        yield Part(f"message {number}", message.content, code=message.role == "tool" or message.recipient is not None)


def _strings(value: Any) -> Iterator[str]:
    """Every string in plain values: as JSON they would be escaped, and escapes hide what is looked for."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in cast("dict[str, Any]", value).values():
            yield from _strings(inner)
    elif isinstance(value, tuple | list):
        for inner in cast("list[Any]", value):
            yield from _strings(inner)


def normal_prompt(view: View) -> str:
    """The prompt as compared for duplicates: lower case, single spaces."""
    return " ".join(view.question.lower().split())


HARMONY = RecordCheck("harmony", _harmony)
EVIDENCE = RecordCheck("evidence", _evidence)
NAMES = RecordCheck("names", _names)
LENGTHS = RecordCheck("lengths", _lengths)
ENCODING = RecordCheck("encoding", _encoding)
SECRETS = RecordCheck("secrets", _secrets)
PERSONAL_DATA = RecordCheck("personal-data", _personal_data)
DUPLICATE_PROMPT = RecordCheck("duplicate-prompt", _duplicate_prompt)
CONTAMINATION = RecordCheck("contamination", _contamination)
