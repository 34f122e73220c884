"""A record taken apart into claims, each of which can be looked up by itself."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from castalia.quality.check import CheckContext
from castalia.quality.checks.judge import delimiter
from castalia.quality.view import View

CLAIMS_PROMPT = Path(__file__).with_name("claims.md")

_OWN_WORDS = 1 / 3
"""Share of a claim's longer words that the record has, too: less is a claim of something else. Of one without longer words all count."""
_LONG = 4
_STEM = 5


class WrittenClaim(BaseModel):
    """One claim of an answer, and how to look for sources."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=400, description="One sentence that stands for itself.")
    search: str = Field(min_length=1, max_length=200, description="Words to search for.")


class ClaimsAnswer(BaseModel):
    """What an answer claims."""

    model_config = ConfigDict(extra="forbid")

    claims: list[WrittenClaim]


class Claims(NamedTuple):
    """The claims of a record that are looked up, and the call that named them. `flaw` says why they can't stand for the record."""

    claims: tuple[WrittenClaim, ...]
    call: str
    flaw: str = ""
    more: int = 0
    """Claims beyond those that are looked up."""


async def take_apart(view: View, ctx: CheckContext) -> Claims:
    """The claims of a record, at most `max_claims`. Asked once for a record: its wording and the prompt file decide the question.

    Raises AnswerUnusable, OracleRefused.
    """
    most: int = ctx.params.max_claims
    values = {"question": view.question, "answer": view.answer, "max_claims": most, "delimiter": delimiter({}, [view])}
    answer = await ctx.context.ask(CLAIMS_PROMPT.stem, subject_of(view), values, ClaimsAnswer, role="judge")
    named = answer.value.claims
    return Claims(tuple(named[:most]), answer.call, claims_flaw([claim.text for claim in named], view), max(0, len(named) - most))


def subject_of(view: View) -> str:
    """The name of a record in questions about it alone."""
    return f"{view.dataset}:{view.record.subject}"


def claims_flaw(claims: Sequence[str], view: View) -> str:
    """Why these can't stand for what the record claims; empty where they can."""
    if not claims:
        return "the judge named no claim of this record"
    own = {word[:_STEM] for word in _words(f"{view.question} {view.answer}")}
    for claim in claims:
        words = _words(claim)
        stems = {word[:_STEM] for word in words if len(word) >= _LONG or word.isdecimal()} or set(words)
        if not stems or len(stems & own) < _OWN_WORDS * len(stems):
            return f"the judge names a claim that this record does not make: {claim:.200}"
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
