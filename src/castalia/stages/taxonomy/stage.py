"""Asks once for the capabilities of all four categories, and keeps the well-formed ones."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.stage import Params, Stage
from castalia.errors import AnswerUnusable
from castalia.records import CATEGORIES, Provenance, Record, Reject, TaxonomyNode
from castalia.records.flaw import Flaw
from castalia.stages.taxonomy.answers import WrittenNode, WrittenTaxonomy

PROMPT = Path(__file__).with_name("taxonomy.md")


class TaxonomyParams(Params):
    """What the taxonomy is of."""

    domain: str = Field(description="The domain, in words for the oracle.")
    nodes_per_category: int = Field(default=4, ge=1, description="At most so many nodes in each of the four categories.")


async def build_taxonomy(_: Mapping[str, Sequence[Record]], params: TaxonomyParams, ctx: Context) -> AsyncIterator[TaxonomyNode | Reject]:
    """One ask, subject `taxonomy`. Rejects: malformed or double nodes, nodes beyond the limit, and an empty category."""
    try:
        answer, call = await ctx.ask(PROMPT.stem, "taxonomy", dict(params), WrittenTaxonomy)
    except AnswerUnusable as error:
        provenance = Provenance(calls=error.calls)
        yield Reject(stage=ctx.stage, subject="taxonomy", reason="answer-unusable", detail=str(error), provenance=provenance)
        return
    provenance = Provenance(calls=(call,))
    kept: dict[str, TaxonomyNode] = {}
    for written in answer.nodes:
        key = f"{written.category}/{written.slug}"
        if flaw := _flaw(written, kept, params.nodes_per_category):
            yield Reject(stage=ctx.stage, subject=key, reason=flaw.reason, detail=flaw.detail, provenance=provenance)
            continue
        domain = "-".join(re.findall(r"\w+", written.domain.casefold()))
        kept[key] = TaxonomyNode(key=key, domain=domain, **written.model_dump(exclude={"slug", "domain"}), provenance=provenance)
        yield kept[key]
    for category in CATEGORIES:
        if not any(node.category == category for node in kept.values()):
            yield Reject(stage=ctx.stage, subject=category, reason="category-empty", provenance=provenance)


def _flaw(node: WrittenNode, kept: Mapping[str, TaxonomyNode], limit: int) -> Flaw | None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", node.slug):
        return Flaw("malformed-slug", f"{node.slug!r} must be lower-case words joined by hyphens")
    if f"{node.category}/{node.slug}" in kept:
        return Flaw("duplicate-node", node.slug)
    if sum(other.category == node.category for other in kept.values()) >= limit:
        return Flaw("too-many-nodes", f"{limit} per category")
    if not node.title.strip() or not node.description.strip() or not any(ability.strip() for ability in node.abilities):
        return Flaw("empty-node", "title, description and at least one ability are needed")
    return None


STAGE = Stage(
    name="taxonomy", version=3, run=build_taxonomy, params=TaxonomyParams, shape="whole",
    reads={}, writes={"taxonomy": TaxonomyNode}, prompts=(PROMPT,), oracle=("writer",),
)  # fmt: skip
