"""The quality stage: runs the six layers over all four datasets and fills the review queue."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from pydantic import Field, field_validator

from castalia.engine import ExecutingParams, Stage
from castalia.engine.context import Context
from castalia.errors import MissingRecording
from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.checks import policy, schema
from castalia.quality.layers import LAYERS, layers_with
from castalia.quality.review import review_queue
from castalia.quality.view import View, by_group, view_record
from castalia.records import (
    DATASETS,
    Document,
    Leak,
    Provenance,
    Record,
    ReviewItem,
    SFTExample,
    Verdict,
)


class VerifyParams(ExecutingParams):
    """What decides verdicts."""

    max_characters: int = Field(8000, description="Longest question or answer.")
    passages_per_record: int = Field(2, description="Passages from other pages shown per record in layer 3.")
    plugin_checks: tuple[str, ...] = Field((), description="Names of installed plug-in checks to run as well.")
    review_size: int = Field(40, description="About how many records people are asked to review.")

    @field_validator("plugin_checks")
    @classmethod
    def _usable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        layers_with(names)  # raises now, not after everything else was paid for
        return names


async def verify_records(inputs: Mapping[str, Sequence[Record]], params: VerifyParams, ctx: Context) -> AsyncIterator[Record]:
    """Verdicts on every record, then the review queue."""
    layers = layers_with(params.plugin_checks)
    prompts = {check.prompt.stem: check.prompt for layer in layers for check in layer.checks if isinstance(check, GroupCheck)}
    views = [view_record(cast("SFTExample", record), name) for name in DATASETS for record in inputs[name]]
    first_asker: dict[str, str] = {}
    for view in sorted((view for view in views if view.dataset == "sft"), key=lambda view: view.record.id):
        first_asker.setdefault(schema.normal_prompt(view), view.record.id)
    checks = CheckContext(
        documents={document.id: document for document in cast("Sequence[Document]", inputs["documents"])},
        leaks={
            leak.record: f"{leak.method} overlap {leak.similarity:.2f} with {leak.bank} item"
            for leak in cast("Sequence[Leak]", inputs["leaks"])
        },
        seen_prompts=first_asker,
        params=params,
        context=dataclasses.replace(ctx, prompts={**prompts, **ctx.prompts}),
    )
    verdicts: dict[str, list[Verdict]] = {view.record.id: [] for view in views}
    standing = views
    for layer in layers:
        for check in layer.checks:
            findings = await _run(check, standing, checks)
            for view in standing:
                finding = findings.get(view.record.id)
                if finding is not None:
                    verdicts[view.record.id].append(_verdict(view, layer.number, check.name, finding))
        standing = [view for view in standing if all(verdict.outcome in ("pass", "flag") for verdict in verdicts[view.record.id])]
    for view in views:
        for verdict in verdicts[view.record.id]:
            yield verdict
    for item in review_queue(views, verdicts, size=params.review_size):
        yield item


async def _run(check: RecordCheck | GroupCheck, views: Sequence[View], checks: CheckContext) -> Mapping[str, Finding]:
    """Findings by record id; records to which the check doesn't apply have none."""
    if isinstance(check, RecordCheck):
        results = await asyncio.to_thread(lambda: [(view.record.id, check.run(view, checks)) for view in views])
        return {identity: finding for identity, finding in results if finding is not None}
    groups = list(by_group([view for view in views if check.applies(view)]).values())
    answers = await asyncio.gather(*(check.run(group, checks) for group in groups), return_exceptions=True)
    missing = [answer for answer in answers if isinstance(answer, MissingRecording)]
    if missing:
        raise MissingRecording(f"{len(missing)} of {len(groups)} {check.name!r} verdicts have no recording; the first: {missing[0]}")
    findings: dict[str, Finding] = {}
    for group, answer in zip(groups, answers, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        for view in group:
            findings[view.record.id] = answer.get(view.label, Finding("abstain", "the check gave no finding"))
    return findings


def _verdict(view: View, layer: int, check: str, finding: Finding) -> Verdict:
    return Verdict(
        record=view.record.id,
        dataset=view.dataset,
        layer=layer,
        check=check,
        outcome=finding.outcome,
        reason=finding.reason,
        quotes=finding.quotes,
        provenance=Provenance(parents=(view.record.id,), calls=finding.calls),
    )


_PROMPTS = tuple(check.prompt for layer in LAYERS for check in layer.checks if isinstance(check, GroupCheck))

STAGE = Stage(
    name="verify",
    version=1,
    run=verify_records,
    params=VerifyParams,
    prompts=(*_PROMPTS, policy.RULES),
    oracle=("judge",),
    reads={**DATASETS, "documents": Document, "leaks": Leak},
    writes={"verdicts": Verdict, "review_queue": ReviewItem},
    shape="whole",
)
