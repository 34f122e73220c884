"""What the judging layers share: one question per passage, strict answers, and failing closed."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from castalia.errors import AnswerUnusable, OracleRefused
from castalia.quality.check import CheckContext, Finding
from castalia.quality.view import View, cited_blocks
from castalia.records import Document, content_hash


class JudgedRecord(BaseModel):
    """The judge's verdict on one record."""

    model_config = ConfigDict(extra="forbid")

    record: str = Field(description="Label of the record, as shown.")
    outcome: Literal["pass", "fail", "flag"] = Field(description="flag: acceptable, but a person should look.")
    reason: str = Field(description="One sentence.")
    blocks: list[str] = Field(default_factory=list, description="Labels of the blocks the verdict rests on, e.g. `syntax.html:12`.")


class JudgeAnswer(BaseModel):
    """One verdict per record shown."""

    model_config = ConfigDict(extra="forbid")

    verdicts: list[JudgedRecord]


def block_label(document: Document, number: int) -> str:
    """`PAGE:NUMBER`, short enough to cite and unique within a site."""
    return f"{document.url.rsplit('/', 1)[-1] or 'index'}:{number}"


def source_blocks(views: Sequence[View], documents: Mapping[str, Document]) -> dict[str, str]:
    """The text of every block that any of the records cites, by label, in page order."""
    cited = {(document.url, number): document for view in views for document, number in cited_blocks(view, documents)}
    return {
        block_label(document, number): document.blocks[number].text
        for (_, number), document in sorted(cited.items(), key=lambda item: item[0])
    }


def delimiter(*texts: str) -> str:
    """A marker that quoted text can't contain by accident, the same for the same text."""
    return f"<<<{content_hash(list(texts))[:12]}>>>"


async def ask_judge(
    prompt: str,
    views: Sequence[View],
    ctx: CheckContext,
    *,
    sources: Mapping[str, str],
    needs_block: bool,
    extra: Mapping[str, object] | None = None,
) -> dict[str, Finding]:
    """Findings by label. An unusable answer or a record left out abstains, an absent judge waits, and so does nobody pass."""
    values = {"records": views, "sources": sources, "delimiter": delimiter(*sources.values()), **(extra or {})}
    try:
        answer = await ctx.context.ask(prompt, views[0].group, values, JudgeAnswer, role="judge")
    except AnswerUnusable as error:
        return {view.label: Finding("abstain", f"the judge gave no usable verdict: {error}") for view in views}
    except OracleRefused as error:
        return {view.label: Finding("waiting", f"the judge could not be asked: {error}") for view in views}
    judged = {verdict.record: verdict for verdict in answer.value.verdicts}
    return {view.label: _finding(judged.get(view.label), sources, needs_block and view.dataset != "replay", answer.call) for view in views}


def _finding(verdict: JudgedRecord | None, sources: Mapping[str, str], needs_block: bool, call: str) -> Finding:
    if verdict is None:
        return Finding("abstain", "the judge left this record out", calls=(call,))
    unknown = [label for label in verdict.blocks if label not in sources]
    if unknown:
        return Finding("abstain", f"the judge cites {unknown}, which it was not shown", calls=(call,))
    if verdict.outcome == "pass" and needs_block and not verdict.blocks:
        return Finding("abstain", "the judge passed it without citing a block", calls=(call,))
    return Finding(verdict.outcome, verdict.reason, tuple(verdict.blocks), (call,))
