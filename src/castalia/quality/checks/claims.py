"""A record taken apart into claims, each of which can be looked up by itself."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from castalia.quality.check import CheckContext
from castalia.quality.checks.judge import delimiter
from castalia.quality.planting import CANARY
from castalia.quality.view import View

CLAIMS_PROMPT = Path(__file__).with_name("claims.md")

_OWN_WORDS = 1 / 3
"""Share of a claim's words that the record has, too, in any form: less is a claim of something else."""
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")
"""Where a script has no spaces, every sign is one."""
_STEM, _LEAST = 5, 3
"""Letters by which forms of a word are known; a shorter word (`def`) is looked for at the beginning of longer ones (`defined`)."""
_ANYWHERE = re.compile(
    r"an?|the|is|are|was|were|be|been|its?|of|to|in|on|at|by|for|from|with|without|as|and|or|not?|nor|but|if|so|than|then|that|this|these|those"
    r"|there|which|what|when|where|who|how|why|can|could|may|might|must|shall|should|will|would|do|does|did|has|have|had|you|your|we|our|they"
    r"|their|he|she|his|her|i|my|one|any|all|each|some|into|onto|out|up|down|over|also|only|very|more|most|such|same|other|another|own|just"
)
"""English words that any claim has: they count for nothing."""


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
    """The name of a record in questions about it alone; a planted one has the subject of the record it was made from, and another name."""
    return view.group if view.group.startswith(CANARY) else f"{view.dataset}:{view.record.subject}"


def claims_flaw(claims: Sequence[str], view: View) -> str:
    """Why these can't stand for what the record claims; empty where they can."""
    if not claims:
        return "the judge named no claim of this record"
    own = {word[:_STEM] for word in _words(f"{view.question} {view.answer}")}
    begun = {form for stem in own for form in _beginnings(stem)}
    for claim in claims:
        stems = {word[:_STEM] for word in _words(claim) if not _ANYWHERE.fullmatch(word)}
        shared = [stem for stem in stems if stem in begun or _beginnings(stem) & own]
        if not stems or len(shared) < _OWN_WORDS * len(stems):
            return f"the judge names a claim that this record does not make: {claim:.200}"
    return ""


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _beginnings(stem: str) -> set[str]:
    return {stem, *(stem[:length] for length in range(_LEAST, len(stem)))}
