"""Plans searches category by category, then lets the oracle review the coverage until a review adds nothing new."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Answer, Context
from castalia.engine.stage import Params, Stage
from castalia.errors import AnswerUnusable
from castalia.records import CATEGORIES, Category, Provenance, Query, Record, Reject, TaxonomyNode
from castalia.records.sections import Flaw
from castalia.stages.plan_queries.answers import CoverageReview, WrittenQueries, WrittenQuery
from castalia.stages.plan_queries.specification import coverage_table

HERE = Path(__file__).parent
CATEGORY_PROMPTS: dict[Category, Path] = {category: HERE / f"plan_queries_{category}.md" for category in CATEGORIES}
REVIEW_PROMPT = HERE / "review_coverage.md"


class PlanParams(Params):
    """What is searched for, and how much."""

    domain: str = Field(description="The domain, in words for the oracle.")
    sites: tuple[str, ...] = Field(default=(), description="URL prefixes that were given; queries may be limited to one of them.")
    per_node: int = Field(default=3, ge=1, description="At most so many queries per node before the reviews.")
    max_reviews: int = Field(default=2, ge=0, description="At most so many coverage reviews.")
    per_review: int = Field(default=8, ge=1, description="At most so many queries from one review.")


async def plan_queries(inputs: Mapping[str, Sequence[Record]], params: PlanParams, ctx: Context) -> AsyncIterator[Query | Reject]:
    """One ask per category with nodes, then `review/1`, `review/2`, ... until one adds no cell of node x wanted kind."""
    nodes = sorted(cast(Sequence[TaxonomyNode], inputs["taxonomy"]), key=lambda node: (CATEGORIES.index(node.category), node.key))
    plan = _Plan(ctx.stage, nodes, params.sites)
    by_category = {category: [node for node in nodes if node.category == category] for category in CATEGORIES}
    asked: list[Category] = [category for category in CATEGORIES if by_category[category]]
    for category, answer in zip(asked, await concurrently(_ask_category(c, by_category[c], params, ctx) for c in asked), strict=True):
        if isinstance(answer, Reject):
            yield answer
            continue
        for outcome in plan.add(answer.value.queries, answer.call, only=category, per_node=params.per_node):
            yield outcome
    for number in range(1, params.max_reviews + 1):
        cells = plan.cells()
        review = await _ask_review(number, plan, params, ctx)
        if isinstance(review, Reject):
            yield review
            return
        for outcome in plan.add(review.value.queries, review.call, limit=params.per_review):
            yield outcome
        if plan.cells() == cells:
            return


class _Plan:
    """The queries accepted so far."""

    def __init__(self, stage: str, nodes: Sequence[TaxonomyNode], sites: tuple[str, ...]):
        self.stage = stage
        self.nodes = {node.key: node for node in nodes}
        self.sites = sites
        self.queries: list[Query] = []

    def cells(self) -> set[tuple[str, str]]:
        """Pairs of node and wanted kind that some query fills."""
        return {(query.node, query.wanted) for query in self.queries}

    def add(
        self,
        written: Sequence[WrittenQuery],
        call: str,
        *,
        only: Category | None = None,
        per_node: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Query | Reject]:
        """Accepts or rejects each written query, in order."""
        accepted: list[Query] = []
        for query in written:
            flaw = self._flaw(query, only)
            if flaw is None and limit is not None and len(accepted) >= limit:
                flaw = Flaw("too-many-queries", f"{limit} per review")
            if flaw is None and per_node is not None and sum(other.node == query.node for other in accepted) >= per_node:
                flaw = Flaw("too-many-queries", f"{per_node} for node {query.node!r}")
            node = self.nodes.get(query.node)
            provenance = Provenance(parents=(node.id,) if node else (), calls=(call,))
            if flaw or node is None:
                reason, detail = flaw or Flaw("unknown-node", query.node)
                yield Reject(stage=self.stage, subject=query.text, reason=reason, detail=detail, provenance=provenance)
                continue
            accepted.append(Query(category=node.category, **query.model_dump(), provenance=provenance))
            self.queries.append(accepted[-1])
            yield accepted[-1]

    def _flaw(self, query: WrittenQuery, only: Category | None) -> Flaw | None:
        node = self.nodes.get(query.node)
        if node is None:
            return Flaw("unknown-node", query.node)
        if only and node.category != only:
            return Flaw("node-of-other-category", query.node)
        if not query.text.strip():
            return Flaw("empty-query", query.node)
        if query.site is not None and query.site not in self.sites:
            return Flaw("site-not-given", query.site)
        if any(_words(other.text) == _words(query.text) and other.site == query.site for other in self.queries):
            return Flaw("duplicate-query", query.text)
        return None


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.casefold().split())


async def _ask_category(
    category: Category, nodes: Sequence[TaxonomyNode], params: PlanParams, ctx: Context
) -> Answer[WrittenQueries] | Reject:
    values: dict[str, Any] = {"domain": params.domain, "sites": params.sites, "nodes": nodes, "per_node": params.per_node}
    try:
        return await ctx.ask(CATEGORY_PROMPTS[category].stem, category, values, WrittenQueries)
    except AnswerUnusable as error:
        return Reject(stage=ctx.stage, subject=category, reason="answer-unusable", detail=str(error))


async def _ask_review(number: int, plan: _Plan, params: PlanParams, ctx: Context) -> Answer[CoverageReview] | Reject:
    nodes = list(plan.nodes.values())
    values: dict[str, Any] = {
        "domain": params.domain, "sites": params.sites, "nodes": nodes, "queries": plan.queries,
        "table": coverage_table(nodes, plan.queries), "limit": params.per_review,
    }  # fmt: skip
    try:
        return await ctx.ask(REVIEW_PROMPT.stem, f"review/{number}", values, CoverageReview)
    except AnswerUnusable as error:
        return Reject(stage=ctx.stage, subject=f"review/{number}", reason="answer-unusable", detail=str(error))


STAGE = Stage(
    name="plan_queries", version=1, run=plan_queries, params=PlanParams, shape="whole", reads={"taxonomy": TaxonomyNode},
    writes={"queries": Query}, prompts=(*CATEGORY_PROMPTS.values(), REVIEW_PROMPT), oracle=("writer",),
    estimate=lambda records, params: min(records, len(CATEGORIES)) + params.max_reviews,
)  # fmt: skip
