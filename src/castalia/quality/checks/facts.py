"""Layer 3: claims are taken apart and held against passages that the record was not written from.

A claim is supported or refuted by words: the judge copies them from the passage that it names, and they are looked for there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from castalia.errors import AnswerUnusable, OracleRefused
from castalia.quality.check import CheckContext, Finding, GroupCheck
from castalia.quality.checks.judge import block_labels, delimiter, labeled_blocks, sole_answers
from castalia.quality.view import View


class Claim(BaseModel):
    """One claim of a record and what the passages say of it."""

    model_config = ConfigDict(extra="forbid")

    claim: str
    verdict: Literal["supported", "refuted", "not_enough"]
    passages: list[str] = Field(default_factory=list, description="Labels of the passages that say so.")
    quotes: list[str] = Field(default_factory=list, description="The words that say so, copied letter by letter from those passages.")


class ClaimedRecord(BaseModel):
    """A record taken apart."""

    model_config = ConfigDict(extra="forbid")

    record: str
    claims: list[Claim]


class FactsAnswer(BaseModel):
    """All records of one passage."""

    model_config = ConfigDict(extra="forbid")

    records: list[ClaimedRecord]


async def _facts(views: Sequence[View], ctx: CheckContext) -> Mapping[str, Finding]:
    chosen = {view.label: ctx.passages.about(view, ctx.params.passages_per_record) for view in views}
    blocks = [block for found in chosen.values() for block in found]
    labels = block_labels(blocks)
    # What is chosen for one record may stand on the page of another, for which it is then no independent source.
    independent = {
        view.label: sorted(
            {labels[document.url, number] for document, number in blocks if ctx.passages.independent(view, (document, number))}
        )
        for view in views
    }
    alone = {view.label: Finding("flag", "no other source speaks of this") for view in views if not chosen[view.label]}
    asked = [view for view in views if view.label not in alone]
    if not asked:
        return alone
    passages = labeled_blocks(blocks)
    values = {"records": asked, "passages": passages, "independent": independent, "delimiter": delimiter(passages, asked)}
    try:
        answer = await ctx.context.ask("facts", views[0].group, values, FactsAnswer, role="judge")
    except AnswerUnusable as error:
        return alone | {view.label: Finding("abstain", f"the judge gave no usable verdict: {error}") for view in asked}
    except OracleRefused as error:
        return alone | {view.label: Finding("waiting", f"the judge could not be asked: {error}") for view in asked}
    by_label = sole_answers(answer.value.records, lambda record: record.record)
    return alone | {view.label: _finding(by_label.get(view.label), passages, independent[view.label], answer.call) for view in asked}


def _finding(record: ClaimedRecord | None, passages: Mapping[str, str], independent: Collection[str], call: str) -> Finding:
    """What the claims of a record add up to. Any passage can refute; only those of other pages can support; both by words that stand there."""
    if record is None or not record.claims:
        return Finding("abstain", "the judge named no claim of this record, or took it apart twice", calls=(call,))
    cited = [label for claim in record.claims for label in claim.passages]
    unknown = [label for label in dict.fromkeys(cited) if label not in passages]
    if unknown:
        return Finding("abstain", f"the judge cites {unknown}, which it was not shown", calls=(call,))
    invented = [quote for claim in record.claims for quote in claim.quotes if not _standing(quote, claim.passages, passages)]
    if invented:
        return Finding("abstain", f"the judge quotes {invented[0]!r:.100}, which stands in none of the passages it names", calls=(call,))
    quotes = tuple(dict.fromkeys(f"{_standing(quote, c.passages, passages)}: {quote}" for c in record.claims for quote in c.quotes))
    refuted = [claim for claim in record.claims if claim.verdict == "refuted"]
    if refuted and not any(claim.quotes for claim in refuted):
        return Finding("abstain", f"the judge refutes without a quote: {refuted[0].claim}", calls=(call,))
    if refuted:
        return Finding("fail", f"refuted: {next(claim.claim for claim in refuted if claim.quotes)}", quotes, (call,))
    open_claims = [claim.claim for claim in record.claims if not _supported(claim, passages, independent)]
    if open_claims:
        return Finding("flag", f"no other source settles: {open_claims[0]}", quotes, (call,))
    return Finding("pass", f"{len(record.claims)} claims supported by other sources", quotes, (call,))


def _supported(claim: Claim, passages: Mapping[str, str], independent: Collection[str]) -> bool:
    sources = [label for label in claim.passages if label in independent]
    return claim.verdict == "supported" and any(_standing(quote, sources, passages) for quote in claim.quotes)


def _standing(quote: str, labels: Iterable[str], passages: Mapping[str, str]) -> str:
    """The first of the passages that holds the quote, whatever its white space; empty where none does, or nothing is quoted."""
    words = " ".join(quote.split())
    return next((label for label in labels if words and words in " ".join(passages[label].split())), "")


FACTS = GroupCheck(
    "facts",
    _facts,
    # Skills are executed and behavior is judged by policy: emphasis follows the category.
    applies=lambda view: view.category in ("knowledge", "procedural") and view.dataset != "replay",
    prompt=Path(__file__).with_name("facts.md"),
)
