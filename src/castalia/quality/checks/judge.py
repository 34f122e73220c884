"""What the judging layers share: one question per passage, strict answers, and failing closed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from castalia.errors import AnswerUnusable, OracleRefused
from castalia.quality.check import CheckContext, Finding
from castalia.quality.view import View, cited_blocks
from castalia.records import Document, content_hash

T = TypeVar("T")


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


class Addressed(Protocol):
    """A page."""

    @property
    def url(self) -> str:
        """Its address."""
        ...


def block_labels(found: Iterable[tuple[Addressed, int]]) -> dict[tuple[str, int], str]:
    """The label of each block (URL, number), in page order: `PAGE:NUMBER`, short enough to cite; PAGE is the end of the URL, as long as
    it takes to tell the pages apart."""
    blocks = {(page.url, number) for page, number in found}
    names = _page_names({url for url, _ in blocks})
    return {(url, number): f"{names[url]}:{number}" for url, number in sorted(blocks)}


def labeled_blocks(found: Iterable[tuple[Document, int]]) -> dict[str, str]:
    """The text of blocks by label, in page order."""
    blocks = list(found)
    texts = {(document.url, number): document.blocks[number].text for document, number in blocks}
    return {label: texts[block] for block, label in block_labels(blocks).items()}


def source_blocks(views: Sequence[View], documents: Mapping[str, Document]) -> dict[str, str]:
    """The text of every block that any of the records cites, by label, in page order."""
    return labeled_blocks(cited for view in views for cited in cited_blocks(view, documents))


def delimiter(sources: Mapping[str, str], views: Sequence[View]) -> str:
    """A marker that the quoted text can't contain, because it is a hash of all of it; the same for the same text."""
    return f"<<<{content_hash([*sources.values(), *(text for view in views for text in (view.question, view.answer, view.worse))])[:12]}>>>"


def sole_answers(answers: Iterable[T], label: Callable[[T], str]) -> dict[str, T]:
    """What a judge said of each record, without records that it spoke of twice: which one it means is anybody's guess."""
    said = [(label(answer), answer) for answer in answers]
    times = Counter(name for name, _ in said)
    return {name: answer for name, answer in said if times[name] == 1}


def _page_names(urls: Collection[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for depth in range(1, 1 + max((url.count("/") + 1 for url in urls), default=0)):
        ends = {url: "/".join([*url.split("/")[:-1], url.rsplit("/", 1)[-1] or "index"][-depth:]) for url in urls if url not in names}
        times = Counter(ends.values())
        names.update((url, end) for url, end in ends.items() if times[end] == 1 and end not in names.values())
    return names | {url: url for url in urls if url not in names}


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
    values = {"records": views, "sources": sources, "delimiter": delimiter(sources, views), **(extra or {})}
    try:
        answer = await ctx.context.ask(prompt, views[0].group, values, JudgeAnswer, role="judge")
    except AnswerUnusable as error:
        return {view.label: Finding("abstain", f"the judge gave no usable verdict: {error}", calls=error.calls) for view in views}
    except OracleRefused as error:
        return {view.label: Finding("waiting", f"the judge could not be asked: {error}") for view in views}
    judged = sole_answers(answer.value.verdicts, lambda verdict: verdict.record)
    return {view.label: _finding(judged.get(view.label), sources, needs_block and view.dataset != "replay", answer.call) for view in views}


def _finding(verdict: JudgedRecord | None, sources: Mapping[str, str], needs_block: bool, call: str) -> Finding:
    if verdict is None:
        return Finding("abstain", "the judge left this record out, or judged it twice", calls=(call,))
    unknown = [label for label in verdict.blocks if label not in sources]
    if unknown:
        return Finding("abstain", f"the judge cites {unknown}, which it was not shown", calls=(call,))
    if verdict.outcome != "fail" and needs_block and not verdict.blocks:
        return Finding("abstain", "the judge let it through without citing a block", calls=(call,))
    return Finding(verdict.outcome, verdict.reason, tuple(verdict.blocks), (call,))
