"""Asks passage by passage for atoms, and keeps those whose evidence is in the page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from pydantic import Field

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Context
from castalia.engine.fence import fence
from castalia.engine.stage import Params, Stage
from castalia.errors import AnswerUnusable
from castalia.records import Atom, Document, Evidence, Provenance, Reject, TaxonomyNode
from castalia.records.flaw import Flaw
from castalia.records.sections import Section, cite, sections, show_section
from castalia.scoring.execution import execution_flaw
from castalia.stages.extract.answers import Extraction, FoundAtom

PROMPT = Path(__file__).with_name("extract.md")


class ExtractParams(Params):
    """How pages are cut and how much is taken from them."""

    max_words: int = Field(default=1200, ge=50, description="At most so many words in a passage; one longer block stays whole.")
    max_atoms: int = Field(default=8, ge=1, description="At most so many atoms from a passage.")
    runners: tuple[str, ...] = Field(default=(), description="Runners for execution checks: `NAME: what candidate, input and value are`.")


async def extract_atoms(document: Document, params: ExtractParams, ctx: Context) -> AsyncIterator[Atom | Reject]:
    """One ask per passage, subject = the passage. An atom that cites what isn't there is a Reject."""
    nodes = {node.key: node for node in cast(Sequence[TaxonomyNode], ctx.side["taxonomy"])}
    found = await concurrently(_extract(document, section, nodes, params, ctx) for section in sections(document, params.max_words))
    for outcomes in found:
        for outcome in outcomes:
            yield outcome


async def _extract(
    document: Document, section: Section, nodes: Mapping[str, TaxonomyNode], params: ExtractParams, ctx: Context
) -> list[Atom | Reject]:
    values: dict[str, object] = {
        "nodes": sorted(nodes.values(), key=lambda node: node.key), "runners": params.runners, "max_atoms": params.max_atoms,
        "passage": fence(show_section(document, section)),
    }  # fmt: skip
    try:
        answer, call = await ctx.ask(PROMPT.stem, section.subject, values, Extraction)
    except AnswerUnusable as error:
        provenance = Provenance(parents=(document.id,), calls=error.calls)
        return [Reject(stage=ctx.stage, subject=section.subject, reason="answer-unusable", detail=str(error), provenance=provenance)]
    outcomes: list[Atom | Reject] = []
    for number, found in enumerate(answer.atoms, start=1):
        node = nodes.get(found.node)
        provenance = Provenance(parents=(document.id, node.id) if node else (document.id,), calls=(call,))
        subject = f"{section.subject}/{number}"
        evidence = _flaw(found, number, nodes, params) or cite(document, section, found.blocks, found.quote)
        if isinstance(evidence, Flaw):
            outcomes.append(Reject(stage=ctx.stage, subject=subject, reason=evidence.reason, detail=evidence.detail, provenance=provenance))
        else:
            outcomes.append(_atom(found, subject, section, nodes[found.node], evidence, provenance))
    return outcomes


def _atom(found: FoundAtom, subject: str, section: Section, node: TaxonomyNode, evidence: Evidence, provenance: Provenance) -> Atom:
    return Atom(
        subject=subject, section=section.subject, category=found.category, node=found.node, domain=node.part,
        difficulty=found.difficulty, style=found.style, evidence=evidence, knowledge=found.knowledge, skill=found.skill,
        behavioral=found.behavioral, procedural=found.procedural, provenance=provenance,
    )  # fmt: skip


def _flaw(found: FoundAtom, number: int, nodes: Mapping[str, TaxonomyNode], params: ExtractParams) -> Flaw | None:
    if number > params.max_atoms:
        return Flaw("too-many-atoms", f"{params.max_atoms} per passage")
    if found.node not in nodes:
        return Flaw("unknown-node", found.node)
    if nodes[found.node].category != found.category:
        return Flaw("node-of-other-category", f"{found.node!r} for an atom of {found.category!r}")
    bodies = {"knowledge": found.knowledge, "skills": found.skill, "behavioral": found.behavioral, "procedural": found.procedural}
    filled = [category for category, body in bodies.items() if body is not None]
    if filled != [found.category]:
        return Flaw("wrong-body", f"category {found.category!r} fills {filled}")
    check = found.skill.check if found.skill else None
    if check and check.kind != "execution":
        return Flaw("check-not-executable", f"{check.kind!r}: an atom's check executes its example")
    return execution_flaw(check, params.runners) if check else None


STAGE = Stage(
    name="extract", version=4, run=extract_atoms, params=ExtractParams, shape="ask",
    reads={"documents": Document, "taxonomy": TaxonomyNode}, writes={"atoms": Atom}, prompts=(PROMPT,), oracle=("extractor",),
)  # fmt: skip
