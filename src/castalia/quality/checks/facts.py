"""Layer 3: claims are taken apart and held against sources that the record was not written from.

Where search providers are named, the claims of each record are named first, sources are searched and fetched for each, and the judge says
what they say of it. Where none is, passages of other pages of the corpus are all there is, and the judge takes the records of a passage
apart itself. Either way the same rules decide: a claim is supported or refuted by words, which the judge copies from the passage that it
names, and which are looked for there; only independent sources support, and copies of each other are one.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from castalia.errors import AnswerUnusable, ConfigError, MissingRecording, OracleRefused, SearchFailed
from castalia.quality.check import CheckContext, Finding, GroupCheck
from castalia.quality.checks.claims import CLAIMS_PROMPT, Claims, subject_of, take_apart
from castalia.quality.checks.facts_canaries import facts_canaries
from castalia.quality.checks.judge import block_labels, delimiter, sole_answers
from castalia.quality.checks.settle import Case, Entry, add_up
from castalia.quality.sources.copies import Kinship
from castalia.quality.sources.lookup import Lookup, best_passages
from castalia.quality.sources.passage import Passage
from castalia.quality.view import View


class Claim(BaseModel):
    """One claim of a record and what the passages say of it."""

    model_config = ConfigDict(extra="forbid")

    claim: str = Field(min_length=1, max_length=400, description="The claim, or its number where the claims are numbered.")
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
    if not ctx.params.search:
        return await _in_corpus(views, ctx)
    outcomes = await asyncio.gather(*(_in_sources(view, ctx) for view in views), return_exceptions=True)
    raised = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if raised:  # every record was asked about by now, so that all missing recordings are known
        raise next((error for error in raised if not isinstance(error, MissingRecording)), raised[0])
    return {view.label: outcome for view, outcome in zip(views, outcomes, strict=True) if isinstance(outcome, Finding)}


async def _in_corpus(views: Sequence[View], ctx: CheckContext) -> Mapping[str, Finding]:
    """Findings on all records of a passage, from one question."""
    chosen = {view.label: _of_corpus(view, ctx) for view in views}
    alone = {view.label: Finding("flag", "no other source speaks of this") for view in views if not chosen[view.label]}
    asked = [view for view in views if view.label not in alone]
    if not asked:
        return alone
    passages = _labeled(passage for found in chosen.values() for passage in found)
    # What is chosen for one record may stand on the page of another, for which it is then no independent source.
    kinship = Kinship(passages)
    cited = {view.label: ctx.passages.cited(view) for view in views}
    cases = {
        view.label: Case(view, passages, kinship.independent(cited[view.label], by_site=False), cited[view.label], {}) for view in views
    }
    try:
        found, call = await _ask(asked, cases, (), views[0].group, ctx)
    except AnswerUnusable as error:
        return alone | {view.label: _no_verdict(error) for view in asked}
    except OracleRefused as error:
        return alone | {view.label: _no_judge(error) for view in asked}
    least = ctx.params.least_sources
    return alone | {view.label: add_up(cases[view.label], _entries(found.get(view.label)), calls=(call,), least=least) for view in asked}


async def _in_sources(view: View, ctx: CheckContext) -> Finding:
    """The finding on one record, from sources that are searched for its claims."""
    calls: tuple[str, ...] = ()
    try:
        claims = await take_apart(view, ctx)
        calls = (claims.call,)
        if claims.flaw:
            return Finding("abstain", claims.flaw, calls=calls)
        passages, unread = await _search(view, claims, ctx)
        cited = ctx.passages.cited(view)
        case = Case(view, passages, Kinship(passages).independent(cited, by_site=True), cited, unread)
        entries = list[Entry]()
        if passages:  # those that are not independent support nothing, but may refute
            texts = [claim.text for claim in claims.claims]
            found, call = await _ask([view], {view.label: case}, texts, subject_of(view), ctx)
            calls, entries = (*calls, call), _entries(found.get(view.label))
    except AnswerUnusable as error:
        return _no_verdict(error, *calls)
    except OracleRefused as error:
        return _no_judge(error)
    except (SearchFailed, ConfigError) as error:
        return Finding("waiting", f"sources could not be searched: {error}; then: castalia run --rebuild verify")
    named = tuple((claim.text, claim.search) for claim in claims.claims)
    return add_up(case, entries, calls=calls, least=ctx.params.least_sources, named=named, more=claims.more, asked=bool(case.passages))


async def _search(view: View, claims: Claims, ctx: CheckContext) -> tuple[dict[str, Passage], Counter[str]]:
    """Passages of the corpus and of fetched pages that speak of any of the claims, and why other hits could not be read."""
    web = ctx.context.service("web")
    lookup = ctx.context.once("facts lookup", lambda: Lookup(web, ctx.params.search, ctx.params.hits_per_claim))
    cited = [evidence.url for evidence in view.evidence]
    searched = await asyncio.gather(*(lookup.find(claim.search, cited) for claim in claims.claims))
    found: list[Passage] = []
    unread: Counter[str] = Counter()
    for claim, hits in zip(claims.claims, searched, strict=True):
        found += [*_of_corpus(view, ctx, claim.text), *best_passages(claim.text, hits.pages)]
        unread += hits.unread
    return _labeled(found), unread


def _of_corpus(view: View, ctx: CheckContext, claim: str = "") -> list[Passage]:
    found = ctx.passages.about(view, ctx.params.passages_per_record, claim)
    return [Passage(ctx.passages.source(document), number, document.blocks[number].text) for document, number in found]


def _labeled(found: Iterable[Passage]) -> dict[str, Passage]:
    """Passages by label, in page order."""
    passages = {(passage.source.url, passage.number): passage for passage in found}
    labels = block_labels((passage.source, passage.number) for passage in passages.values())
    return {label: passages[place] for place, label in labels.items()}


async def _ask(
    views: Sequence[View], cases: Mapping[str, Case], claims: Sequence[str], subject: str, ctx: CheckContext
) -> tuple[dict[str, ClaimedRecord], str]:
    """What the judge says of each record, and the call. All records share their passages. Raises as `Context.ask`."""
    passages = cases[views[0].label].passages
    shown = {label: f"{passage.heading}{passage.text}" for label, passage in passages.items()}
    values = {
        "records": views,
        "claims": claims,
        "max_claims": ctx.params.max_claims,
        "passages": shown,
        "independent": {view.label: sorted(cases[view.label].independent) for view in views},
        "delimiter": delimiter({**shown, **{f"claim {number}": claim for number, claim in enumerate(claims, 1)}}, views),
    }
    answer = await ctx.context.ask("facts", subject, values, FactsAnswer, role="judge")
    return sole_answers(answer.value.records, lambda record: record.record), answer.call


def _entries(record: ClaimedRecord | None) -> list[Entry]:
    """What was said of each claim; nothing where the record was left out, or spoken of twice."""
    said = record.claims if record is not None else ()
    return [Entry(claim.claim, claim.verdict, tuple(claim.passages), tuple(claim.quotes)) for claim in said]


def _no_verdict(error: AnswerUnusable, *calls: str) -> Finding:
    return Finding("abstain", f"the judge gave no usable verdict: {error}", calls=(*calls, *error.calls))


def _no_judge(error: OracleRefused) -> Finding:
    return Finding("waiting", f"the judge could not be asked: {error}")


FACTS = GroupCheck(
    "facts",
    _facts,
    # Skills are executed and behavior is judged by policy: emphasis follows the category.
    applies=lambda view: view.category in ("knowledge", "procedural") and view.dataset != "replay",
    prompt=Path(__file__).with_name("facts.md"),
    more_prompts=(CLAIMS_PROMPT,),
    canaries=facts_canaries,
    asks_singly=lambda ctx: bool(ctx.params.search),
)
