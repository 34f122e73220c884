"""The quality stage: runs the six layers over all four datasets and fills the review queue."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, cast, get_args

from pydantic import Field, computed_field, field_validator

from castalia.engine import ExecutingParams, Stage, plugin_identity
from castalia.engine.context import Context
from castalia.errors import AnswerUnusable, CastaliaError, ConfigError, MissingRecording, OracleRefused, SandboxUnavailable
from castalia.quality.canaries import hide_canaries, judged_canary, misled, too_strict, trials, withheld
from castalia.quality.check import CheckContext, Finding, GroupCheck, RecordCheck
from castalia.quality.checks import schema
from castalia.quality.gold import plant_gold
from castalia.quality.layers import LAYERS, layers_with
from castalia.quality.policy_file import Policy, load_policy, shipped_policy
from castalia.quality.review import review_queue
from castalia.quality.view import View, by_group, view_record
from castalia.records import (
    DATASETS,
    RELEASING,
    Canary,
    Document,
    Leak,
    Outcome,
    Provenance,
    Record,
    ReviewItem,
    SFTExample,
    Verdict,
    in_brief,
)
from castalia.records.claim import CheckedClaim


class VerifyParams(ExecutingParams):
    """What decides verdicts."""

    OWN: ClassVar[frozenset[str]] = frozenset({"search"})

    max_characters: int = Field(8000, ge=1, description="Longest question or answer.")
    passages_per_record: int = Field(2, ge=1, description="Passages from other pages of the corpus shown per record in layer 3.")
    search: tuple[str, ...] = Field(
        (),
        description="Search providers that layer 3 looks for sources of each claim with; none: other pages of the corpus are all it has.",
    )
    max_claims: int = Field(3, ge=1, le=10, description="Claims that a record is taken apart into in layer 3, at most.")
    hits_per_claim: int = Field(5, ge=1, le=20, description="Pages that are fetched to check one claim, at most.")
    least_sources: int = Field(1, ge=1, description="Independent sources that must support a claim.")
    plugin_checks: tuple[str, ...] = Field((), description="Names of installed plug-in checks to run as well.")
    policy: Policy = Field(
        default_factory=shipped_policy, description="Path of a file that changes the shipped rules of layer 5, beside the configuration."
    )
    review_size: int = Field(40, ge=1, description="About how many records people are asked to review.")

    @computed_field(description="What each of them is made of: another version or an edited prompt is another check.")
    @property
    def plugins(self) -> tuple[str, ...]:
        """Identities of the plug-in checks, in their order."""
        return tuple(plugin_identity("castalia.checks", name) for name in self.plugin_checks)

    @field_validator("policy", mode="before")
    @classmethod
    def _read_policy(cls, given: object) -> object:
        """What a path leads to: the rules decide verdicts, wherever their file lies."""
        return load_policy(Path(given)) if isinstance(given, str) else given

    @field_validator("search")
    @classmethod
    def _by_words(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "site" in names:
            raise ValueError("'site' explores a site and knows no words: name providers that are asked a query, e.g. searxng")
        return names

    @field_validator("plugin_checks")
    @classmethod
    def _usable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        layers_with(names)  # raises now, not after everything else was paid for
        return names


async def verify_records(inputs: Mapping[str, Sequence[Record]], params: VerifyParams, ctx: Context) -> AsyncIterator[Record]:
    """Verdicts on every record, then the review queue."""
    layers = layers_with(params.plugin_checks)
    prompts = {path.stem: path for layer in layers for check in layer.checks if isinstance(check, GroupCheck) for path in check.prompts}
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
    claims: list[CheckedClaim] = []
    canaries: list[Canary] = []
    standing = views
    for layer in layers:
        for check in layer.checks:
            # What a judge is asked is paid for: no more of what another check of this layer stopped. Programs look at all of it.
            seen = [view for view in standing if _stands(verdicts[view.record.id])] if isinstance(check, GroupCheck) else standing
            findings, judged = await _run(check, seen, checks)
            canaries += judged
            for view in seen:
                finding = findings.get(view.record.id)
                if finding is not None:
                    verdicts[view.record.id].append(_verdict(view, layer.number, check.name, finding))
                    claims.extend(finding.claims)
        standing = [view for view in standing if _stands(verdicts[view.record.id])]
    for view in views:
        for verdict in verdicts[view.record.id]:
            yield verdict
    for claim in claims:
        yield claim
    for canary in canaries:
        yield canary
    queue = review_queue(views, verdicts, size=params.review_size, doubted=too_strict(trials(canaries)))
    for item in queue:
        yield item
    for planted, item in plant_gold(queue, views, checks.documents):
        yield planted
        yield item


def _stands(verdicts: Sequence[Verdict]) -> bool:
    """Whether a record is looked at further: a person may still stand in for a verdict that no judge gave."""
    return all(verdict.outcome in (*RELEASING, "abstain") for verdict in verdicts)


async def _run(check: RecordCheck | GroupCheck, views: Sequence[View], checks: CheckContext) -> tuple[Mapping[str, Finding], list[Canary]]:
    """Findings by record id, and how the judge stood its canaries. Records to which the check doesn't apply have no finding; a check that
    can't run leaves its records waiting; what a judge let through that is misled by canaries is undecided."""
    if isinstance(check, RecordCheck):
        results = await asyncio.to_thread(lambda: [(view.record.id, _look(check, view, checks)) for view in views])
        return {identity: finding for identity, finding in results if finding is not None}, []
    findings: dict[str, Finding] = {}
    concerned: list[View] = []
    for view in views:
        try:
            if check.applies(view):
                concerned.append(view)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; its records wait
            findings[view.record.id] = _could_not_run(check.name, error)
    groups = by_group(concerned)
    try:
        hidden = await asyncio.to_thread(hide_canaries, check, groups, checks)
    except Exception as error:  # noqa: BLE001 - as above: a judge is not asked what it can't be held to
        return {**findings, **{view.record.id: _could_not_run(check.name, error) for view in concerned}}, []
    asked = [*groups.values(), *(shown.group for shown in hidden)]
    answers = await asyncio.gather(*(check.run(group, checks) for group in asked), return_exceptions=True)
    missing = [answer for answer in answers if isinstance(answer, MissingRecording)]
    if missing:
        raise MissingRecording(f"{len(missing)} of {len(asked)} {check.name!r} verdicts have no recording; the first: {missing[0]}")
    for group, answer in zip(groups.values(), answers, strict=False):
        for view in group:
            findings[view.record.id] = _found(check.name, view, group, answer)
    canaries = [
        judged_canary(check.name, shown, _found(check.name, shown.canary.view, shown.group, answer))
        for shown, answer in zip(hidden, answers[len(groups) :], strict=True)
    ]
    failed = misled(trials(canaries))
    return {identity: withheld(finding, failed) for identity, finding in findings.items()}, canaries


def _found(check: str, view: View, group: Sequence[View], answer: object) -> Finding:
    """What a check's answer about a group says of one record of it."""
    if isinstance(answer, BaseException):
        return _could_not_run(check, answer)
    shown = sum(other.label == view.label for other in group)
    if shown > 1:
        return Finding("abstain", f"{shown} records of {view.group!r} were shown as {view.label!r}")
    return _sound(check, _said_of(view, answer))


def _said_of(view: View, answer: object) -> object:
    """What a check's answer holds for a record; the answer itself where it is no mapping, as plug-ins may give anything."""
    if not isinstance(answer, Mapping):
        return answer
    return cast("Mapping[str, object]", answer).get(view.label, Finding("abstain", "the check gave no finding"))


def _look(check: RecordCheck, view: View, checks: CheckContext) -> Finding | None:
    try:
        found = check.run(view, checks)
    except Exception as error:  # noqa: BLE001 - as above
        return _could_not_run(check.name, error)
    return None if found is None else _sound(check.name, found)


def _could_not_run(check: str, error: BaseException) -> Finding:
    """The record waits where the check is broken, its plug-in included, and is undecided where a judge's answer was of no use. What stops
    the whole run is raised again: a budget, a recording that is missing, a full disk, an interrupt."""
    if isinstance(error, AnswerUnusable):
        return Finding("abstain", f"check {check!r} got no usable answer: {error}", calls=error.calls)
    stops_the_run = isinstance(error, CastaliaError) and not isinstance(error, ConfigError | SandboxUnavailable | OracleRefused)
    if stops_the_run or not isinstance(error, Exception):
        raise error
    return Finding("waiting", f"check {check!r} could not run: {type(error).__name__}: {error}")


def _sound(check: str, found: object) -> Finding:
    """What a check gave, if it is a finding: plug-ins may give anything."""
    if isinstance(found, Finding) and found.outcome in get_args(Outcome):
        return found
    return Finding("waiting", f"check {check!r} gave {found!r:.80}, which is no Finding with one of the outcomes {get_args(Outcome)}")


def _verdict(view: View, layer: int, check: str, finding: Finding) -> Verdict:
    return Verdict(
        record=view.record.id,
        dataset=view.dataset,
        category=view.category,
        layer=layer,
        check=check,
        outcome=finding.outcome,
        reason=in_brief(finding.reason),
        quotes=finding.quotes,
        provenance=Provenance(parents=(view.record.id,), calls=finding.calls),
    )


_PROMPTS = tuple(path for layer in LAYERS for check in layer.checks if isinstance(check, GroupCheck) for path in check.prompts)

STAGE = Stage(
    name="verify",
    version=12,
    run=verify_records,
    params=VerifyParams,
    prompts=_PROMPTS,
    oracle=("judge",),
    reads={**DATASETS, "documents": Document, "leaks": Leak},
    writes={"verdicts": Verdict, "claims": CheckedClaim, "canaries": Canary, "review_queue": ReviewItem},
    shape="whole",
)
