"""The evaluation suite, written from the taxonomy before any page is fetched.

Every item proves itself before it is kept: its reference passes its own check, an executable one in the sandbox, and an
item with tools is solved for real by the calls that came with it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from castalia.engine.context import Context
from castalia.engine.stage import ExecutingParams, Stage
from castalia.engine.trace import ArgumentsText, open_room, tool_specs
from castalia.errors import AnswerUnusable
from castalia.records import Bank, Check, Frozen, Provenance, Reject, SuiteItem, TaxonomyNode, ask_user
from castalia.records.flaw import Flaw
from castalia.scoring import RULES
from castalia.scoring.execution import execution_flaw
from castalia.scoring.proof import proof_flaw, text_flaw

PROMPT = Path(__file__).with_suffix(".md")


class SuiteParams(ExecutingParams):
    """What the suite holds."""

    domain: str = Field(description="The domain, in words for the oracle.")
    dev: int = Field(default=1, ge=0, description="Items per node in the DEV bank.")
    gate: int = Field(default=4, ge=1, description="Items per node in the GATE bank.")
    vault: int = Field(default=1, ge=0, description="Items per node in the VAULT bank.")
    runners: tuple[str, ...] = Field(default=(), description="Runners for execution checks: `NAME: what candidate, input and value are`.")
    packages: tuple[str, ...] = Field(default=(), description="Installed distributions that tools may import.")


class SolvingCall(Frozen):
    """One tool call of a solution."""

    tool: str = Field(description="Name of the tool.")
    arguments: ArgumentsText = Field(description="Its arguments, a JSON object as text.")


class WrittenItem(Frozen):
    """One item."""

    bank: Bank = Field(description="dev, gate or vault.")
    cluster: str = Field(description="Slug that items built on the same idea share.")
    question: str = Field(description="What the model is asked, with the form to answer in.")
    check: Check = Field(description="What a right answer is.")
    reference: str = Field(description="A right answer in exactly the form asked for.")
    max_tokens: Annotated[int, Field(ge=1)] = Field(default=96, description="Upper bound of the answer in tokens, all turns together.")
    tools: bool = Field(default=False, description="Whether the model gets the tools.")
    solution: tuple[SolvingCall, ...] = Field(default=(), description="For items with tools: the calls that solve it.")


class WrittenItems(Frozen):
    """The items of one node."""

    items: tuple[WrittenItem, ...] = Field(description="All items of the node.")


async def design_suite(node: TaxonomyNode, params: SuiteParams, ctx: Context) -> AsyncIterator[SuiteItem | Reject]:
    """One ask per node, subject = its key. An item that can't prove itself is a Reject, and so is every bank left short."""
    counts: dict[Bank, int] = {"dev": params.dev, "gate": params.gate, "vault": params.vault}
    values: dict[str, object] = {
        "domain": params.domain, "node": node, "counts": counts, "runners": params.runners, "tools": tool_specs(),
        "packages": params.packages,
        "rules": [name if rule.takes == "nothing" else f"{name}={rule.takes.upper()}" for name, rule in RULES.items()],
    }  # fmt: skip
    try:
        answer, call = await ctx.ask(PROMPT.stem, node.key, values, WrittenItems)
    except AnswerUnusable as error:
        provenance = Provenance(parents=(node.id,), calls=error.calls)
        yield Reject(stage=ctx.stage, subject=node.key, reason="answer-unusable", detail=str(error), provenance=provenance)
        return
    provenance = Provenance(parents=(node.id,), calls=(call,))
    written: Counter[Bank] = Counter()
    seen = _Seen({}, {})
    for item in answer.items:
        written[item.bank] += 1
        subject = f"{node.key}/{item.bank}/{written[item.bank]}"
        flaw = _flaw(item, written[item.bank], counts, params, seen) or await _proof_flaw(item, params, ctx)
        if flaw:
            yield Reject(stage=ctx.stage, subject=subject, reason=flaw.reason, detail=flaw.detail, provenance=provenance)
            continue
        seen.questions[_plain(item.question)] = subject
        seen.clusters[item.cluster] = item.bank
        yield SuiteItem(
            subject=subject, bank=item.bank, category=node.category, node=node.key, cluster=f"{node.key}/{item.cluster}",
            prompt=ask_user(item.question, tools=tool_specs() if item.tools else ()), check=item.check, reference=item.reference,
            max_tokens=item.max_tokens, provenance=provenance,
        )  # fmt: skip
    for bank, count in counts.items():
        if written[bank] < count:
            detail = f"{written[bank]} of {count}"
            yield Reject(stage=ctx.stage, subject=f"{node.key}/{bank}", reason="too-few-items", detail=detail, provenance=provenance)


class _Seen(NamedTuple):
    questions: dict[str, str]
    """Plain question to the subject of its item."""
    clusters: dict[str, Bank]


def _flaw(item: WrittenItem, number: int, counts: dict[Bank, int], params: SuiteParams, seen: _Seen) -> Flaw | None:
    if number > counts[item.bank]:
        return Flaw("too-many-items", f"{counts[item.bank]} for {item.bank}")
    if not item.question.strip() or not item.reference.strip() or not item.cluster.strip():
        return Flaw("empty-item", "question, reference and cluster are needed")
    if earlier := seen.questions.get(_plain(item.question)):
        return Flaw("duplicate-question", f"asked in {earlier}")
    if seen.clusters.get(item.cluster, item.bank) != item.bank:
        return Flaw("cluster-in-two-banks", item.cluster)
    if item.tools != bool(item.solution):
        return Flaw("solution-does-not-fit", "items with tools come with the calls that solve them, others without")
    if item.check.kind == "state" and not item.tools:
        return Flaw("check-needs-tools", "only tools leave files behind")
    if item.check.kind == "execution":
        return execution_flaw(item.check, params.runners)
    return None if item.check.expected else Flaw("empty-check", item.check.kind)


async def _proof_flaw(item: WrittenItem, params: SuiteParams, ctx: Context) -> Flaw | None:
    """None where the reference passes and nothing does that is no answer; for items with tools, after the solution was carried out for
    real."""
    files: dict[str, str] | None = None
    if item.solution:
        room = open_room(ctx, params.packages)
        for call in item.solution:
            await asyncio.to_thread(room.call, call.tool, call.arguments)
        files = room.files()
    if flaw := await proof_flaw(item.check, item.reference, sandbox=ctx.services.get("sandbox"), files=files):
        return flaw
    free = text_flaw(item.check, item.question)
    return Flaw("check-proves-nothing", free) if free else None


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())


STAGE = Stage(
    name="design_suite", version=4, run=design_suite, params=SuiteParams, shape="ask", reads={"taxonomy": TaxonomyNode},
    writes={"suite": SuiteItem}, prompts=(PROMPT,), oracle=("writer",),
)  # fmt: skip
