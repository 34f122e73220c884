"""Plans searches category by category, then lets the oracle review the coverage until a review fills no new cell.

The reviews end by themselves or at `max_reviews`; a node that is still without any query gets those of the templates. What was collected
and left uncovered comes back as the dataset `gaps`, and cells from which too few examples were accepted as `example_gaps` (see
`castalia.acquisition`): a review for each round of them plans further searches.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Answer, Context
from castalia.engine.stage import Params, Stage
from castalia.errors import AnswerUnusable
from castalia.records import CATEGORIES, Category, CoverageGap, ExampleGap, Provenance, Query, Record, Reject, TaxonomyNode
from castalia.records.flaw import Flaw
from castalia.stages.plan_queries.answers import CoverageReview, WrittenQueries, WrittenQuery
from castalia.stages.plan_queries.coverage import STYLES, Cell, by_category, cell, coverage_table
from castalia.stages.plan_queries.gaps import asked_before
from castalia.stages.plan_queries.templates import FILES, templates
from castalia.web.licences import Policy
from castalia.web.search.openly_licensed import open_hosts

HERE = Path(__file__).parent
CATEGORY_PROMPTS: dict[Category, Path] = {category: HERE / f"plan_queries_{category}.md" for category in CATEGORIES}
REVIEW_PROMPT = HERE / "review_coverage.md"
COLLECTED_PROMPT = HERE / "review_collected.md"
EXAMPLES_PROMPT = HERE / "review_examples.md"


Gap = CoverageGap | ExampleGap


class PlanParams(Params):
    """What is searched for, and how much."""

    domain: str = Field(description="The domain, in words for the oracle.")
    licences: str | tuple[str, ...] = Field(
        "permissive", description="`permissive`, or the allowed SPDX ids: decides which hosts come first."
    )
    sites: tuple[str, ...] = Field(default=(), description="URL prefixes that were given; queries may be limited to one of them.")
    per_node: int = Field(default=3, ge=1, description="At most so many queries per node before the reviews.")
    max_reviews: int = Field(default=2, ge=0, description="At most so many coverage reviews.")
    per_review: int = Field(default=8, ge=1, description="At most so many queries from one review.")
    max_collected_reviews: int = Field(
        default=2, ge=0, description="At most so many reviews of what was collected, where `sources.search` names more than `site`."
    )
    max_example_reviews: int = Field(
        default=0,
        ge=0,
        description="At most so many reviews of cells with fewer examples than a quota of the mix asks for; each is followed by making data "
        "from what it finds.",
    )


async def plan_queries(inputs: Mapping[str, Sequence[Record]], params: PlanParams, ctx: Context) -> AsyncIterator[Query | Reject]:
    """One ask per category with nodes, then `review/1`, `review/2`, ... until one fills no new cell; then templates; then `collected/1`,
    ... for the gaps that collecting left and `examples/1`, ... for those that making examples left."""
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
            break
        for outcome in plan.add(review.value.queries, review.call, limit=params.per_review):
            yield outcome
        if plan.cells() == cells:
            break
    for query in plan.fill(params.domain):
        yield query
    gaps = cast(Sequence[CoverageGap], inputs["gaps"])
    example_gaps = cast(Sequence[ExampleGap], inputs["example_gaps"])
    for number in range(1, params.max_collected_reviews + params.max_example_reviews + 1):
        after = asked_before(plan.queries, number)
        of_pages, of_examples = ([gap for gap in found if _is_for(gap, number, after, plan)] for found in (gaps, example_gaps))
        for prompt, subject, left in ((COLLECTED_PROMPT, "collected", of_pages), (EXAMPLES_PROMPT, "examples", of_examples)):
            if not left:
                continue
            review = await _ask_gaps(prompt, f"{subject}/{number}", left, plan, params, ctx)
            if isinstance(review, Reject):
                yield review
                continue
            for outcome in plan.add(review.value.queries, review.call, limit=params.per_review, gaps=left):
                yield outcome
        if not of_pages and not of_examples:
            break


def _is_for(gap: Gap, number: int, after: str, plan: "_Plan") -> bool:
    return gap.round == number and gap.after == after and gap.node in plan.nodes


class _Plan:
    """The queries accepted so far."""

    def __init__(self, stage: str, nodes: Sequence[TaxonomyNode], sites: tuple[str, ...]):
        self.stage = stage
        self.nodes = {node.key: node for node in nodes}
        self.sites = sites
        self.queries: list[Query] = []

    def cells(self) -> set[Cell]:
        """Cells that some query fills."""
        return {cell(query) for query in self.queries}

    def fill(self, domain: str) -> Iterator[Query]:
        """Queries made from templates for the nodes that have none."""
        empty = self.nodes.keys() - {query.node for query in self.queries}
        for node in (node for key, node in self.nodes.items() if key in empty):
            for template in templates(node.category):
                query = Query(
                    text=template.fill(domain, node),
                    node=node.key,
                    category=node.category,
                    wanted=template.wanted,
                    difficulty=template.difficulty,
                    provenance=Provenance(parents=(node.id,)),
                )
                if self._is_new(query.text, None):
                    self.queries.append(query)
                    yield query

    def add(
        self,
        written: Sequence[WrittenQuery],
        call: str,
        *,
        only: Category | None = None,
        per_node: int | None = None,
        limit: int | None = None,
        gaps: Sequence[Gap] = (),
    ) -> Iterator[Query | Reject]:
        """Accepts or rejects each written query, in order; with `gaps` those for their nodes only."""
        accepted: list[Query] = []
        for query in written:
            flaw = self._flaw(query, only)
            if flaw is None and gaps and all(gap.node != query.node for gap in gaps):
                flaw = Flaw("node-without-gap", query.node)
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
            round = gaps[0].round if gaps else 0
            accepted.append(Query(category=node.category, **query.model_dump(), round=round, provenance=provenance))
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
        return None if self._is_new(query.text, query.site) else Flaw("duplicate-query", query.text)

    def _is_new(self, text: str, site: str | None) -> bool:
        return not any(_words(other.text) == _words(text) and other.site == site for other in self.queries)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.casefold().split())


async def _ask_category(
    category: Category, nodes: Sequence[TaxonomyNode], params: PlanParams, ctx: Context
) -> Answer[WrittenQueries] | Reject:
    values: dict[str, Any] = {
        "domain": params.domain, "sites": params.sites, "nodes": nodes, "per_node": params.per_node,
        "hosts": open_hosts(Policy.named(params.licences)), "templates": templates(category),
    }  # fmt: skip
    try:
        return await ctx.ask(CATEGORY_PROMPTS[category].stem, category, values, WrittenQueries)
    except AnswerUnusable as error:
        return _unusable(ctx, category, error)


async def _ask_review(number: int, plan: _Plan, params: PlanParams, ctx: Context) -> Answer[CoverageReview] | Reject:
    nodes = list(plan.nodes.values())
    values: dict[str, Any] = {
        "domain": params.domain, "sites": params.sites, "nodes": nodes, "queries": plan.queries,
        "table": coverage_table(nodes, plan.queries), "limit": params.per_review,
    }  # fmt: skip
    try:
        return await ctx.ask(REVIEW_PROMPT.stem, f"review/{number}", values, CoverageReview)
    except AnswerUnusable as error:
        return _unusable(ctx, f"review/{number}", error)


async def _ask_gaps(
    prompt: Path, subject: str, gaps: Sequence[Gap], plan: _Plan, params: PlanParams, ctx: Context
) -> Answer[CoverageReview] | Reject:
    searched: dict[Cell, list[str]] = {}
    for query in plan.queries:
        searched.setdefault(cell(query), []).append(query.text)
    ordered = sorted(gaps, key=lambda gap: (by_category(plan.nodes[gap.node]), list(STYLES).index(gap.style), gap.difficulty))
    values: dict[str, Any] = {
        "domain": params.domain, "sites": params.sites, "hosts": open_hosts(Policy.named(params.licences)), "limit": params.per_review,
        "gaps": [
            {"node": plan.nodes[gap.node], "style": gap.style, "wanted": STYLES[gap.style], "difficulty": gap.difficulty,
             "searched": sorted(searched.get(Cell(gap.node, gap.difficulty, gap.style), [])),
             **({"examples": gap.examples, "least": gap.wanted} if isinstance(gap, ExampleGap) else {})}
            for gap in ordered
        ],
    }  # fmt: skip
    try:
        return await ctx.ask(prompt.stem, subject, values, CoverageReview)
    except AnswerUnusable as error:
        return _unusable(ctx, subject, error)


def _unusable(ctx: Context, subject: str, error: AnswerUnusable) -> Reject:
    provenance = Provenance(calls=error.calls)
    return Reject(stage=ctx.stage, subject=subject, reason="answer-unusable", detail=str(error), provenance=provenance)


STAGE = Stage(
    name="plan_queries", version=5, run=plan_queries, params=PlanParams, shape="whole",
    reads={"taxonomy": TaxonomyNode, "gaps": CoverageGap, "example_gaps": ExampleGap}, writes={"queries": Query},
    optional=frozenset({"gaps", "example_gaps"}),
    prompts=(*CATEGORY_PROMPTS.values(), REVIEW_PROMPT, COLLECTED_PROMPT, EXAMPLES_PROMPT, *FILES.values()), oracle=("writer",),
)  # fmt: skip
