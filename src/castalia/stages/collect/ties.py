"""A page whose licence one sentence leaves open: the oracle picks one of the readings that the rules found, or none."""

from pathlib import Path

from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.fence import fence
from castalia.errors import AnswerUnusable
from castalia.records import Frozen, LicenceDecision
from castalia.web.licences import Policy
from castalia.web.licences.ties import settle, tie

TIE_PROMPT = Path(__file__).with_name("break_tie.md")


class ChosenReading(Frozen):
    """Which of the listed readings the sentence has."""

    reading: int = Field(description="Its number; 0 where none of them holds for sure.")


async def break_tie(url: str, decision: LicenceDecision, policy: Policy, ctx: Context) -> LicenceDecision:
    """The decision, with the oracle's choice as evidence where there was a tie. An answer that can't be used leaves it open."""
    found = tie(decision)
    if found is None:
        return decision
    values = {"sentence": fence(found.sentence), "licences": [item.spdx for item in found.licences]}
    try:
        answer = await ctx.ask(TIE_PROMPT.stem, f"licence/{url}", values, ChosenReading)
    except AnswerUnusable:
        return decision
    return settle(decision, found, answer.value.reading, answer.call, policy)
