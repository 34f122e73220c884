"""Everything a reader of the report wants to see, gathered from store, ledger and training folder as plain values."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from castalia.evaluation.gate import Decision
from castalia.evaluation.results import ItemResult
from castalia.evaluation.statistics import paired_difference, with_sparse_floor
from castalia.oracle import REFERENCE_PRICE, open_ledger, price_list
from castalia.records import CATEGORIES, DATASETS, Document, Page, Record, Reject, ReviewItem, SuiteItem, TaxonomyNode, Verdict
from castalia.release import released_versions
from castalia.workspace import Workspace


class StageRow(NamedTuple):
    """What one stage let through."""

    stage: str
    datasets: str
    kept: int
    rejected: int
    reasons: str


class FunnelRow(NamedTuple):
    """One dataset through the layers: records still standing after each."""

    dataset: str
    records: int
    standing: tuple[int, ...]
    flagged: int


class ScoreRow(NamedTuple):
    """One category of one bank, before and after. `low` and `high` are None where too few clusters give no interval."""

    category: str
    items: int
    before: float
    after: float
    low: float | None
    high: float | None


class Example(NamedTuple):
    """One DEV item with both answers side by side. GATE and VAULT items are never shown."""

    category: str
    question: str
    before: str
    before_passed: bool
    after: str
    after_passed: bool


class Curve(NamedTuple):
    """One metric of one training stage, step by step."""

    stage: str
    metric: str
    points: tuple[tuple[float, float], ...]


class Licence(NamedTuple):
    """Pages under one licence, and where the evidence stood."""

    spdx: str
    pages: int
    evidence: str


class Summary(NamedTuple):
    """The whole report as values."""

    name: str
    domain: str
    target: str
    stages: tuple[StageRow, ...]
    funnel: tuple[FunnelRow, ...]
    waiting_for_people: int
    licences: tuple[Licence, ...]
    coverage: tuple[tuple[str, Mapping[str, int]], ...]
    usage: tuple[Mapping[str, Any], ...]
    reference_price: str
    release: str
    training: tuple[Mapping[str, Any], ...]
    curves: tuple[Curve, ...]
    decision: Decision | None
    scores: tuple[ScoreRow, ...]
    native: tuple[ScoreRow, ...]
    format_before: float | None
    format_after: float | None
    examples: tuple[Example, ...]


LAYERS = ("schema", "consistency", "facts", "execution", "policy")
_EXAMPLES = 16


def summarize(workspace: Workspace) -> Summary:
    """The report of a workspace as far as it got; parts that don't exist yet are empty."""
    before, after = results(workspace, "base", "gate"), results(workspace, "candidate", "gate")
    decisions = sorted(_records(workspace, "decisions", Decision), key=lambda decision: decision.round)
    versions = released_versions(workspace.releases, workspace.config.name)
    rounds = sorted(workspace.training.glob("round-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    training = rounds[-1] if rounds else workspace.training
    return Summary(
        name=workspace.config.name,
        domain=workspace.config.domain,
        target=workspace.config.target.model,
        stages=tuple(_stage_rows(workspace)),
        funnel=tuple(_funnel(workspace)),
        waiting_for_people=len(_records(workspace, "review_queue", ReviewItem)),
        licences=tuple(_licences(_records(workspace, "pages", Page), _records(workspace, "documents", Document))),
        coverage=tuple(_coverage(workspace)),
        usage=tuple(_usage(workspace)),
        reference_price=_reference_price(),
        release=versions[-1].name if versions else "",
        training=tuple(_training_stages(training)),
        curves=tuple(_curves(training)),
        decision=decisions[-1] if decisions else None,
        scores=tuple(_scores(before, after)),
        native=tuple(_scores(results(workspace, "native", "gate"), after)),
        format_before=_format(before),
        format_after=_format(after),
        examples=tuple(_examples(workspace)),
    )


def results(workspace: Workspace, model: str, bank: str) -> list[ItemResult]:
    """Stored results of one model (`base`, `native`, `candidate`, `promoted`) on one bank, by subject."""
    found = _records(workspace, f"results.{model}.{bank}", ItemResult)
    return sorted(found, key=lambda result: result.subject)


def _records(workspace: Workspace, name: str, record_type: type[Any]) -> list[Any]:
    return list(workspace.store.read_dataset(name, record_type)) if workspace.store.has(name) else []


def _stage_rows(workspace: Workspace) -> list[StageRow]:
    rows: list[StageRow] = []
    for stage in workspace.stages:
        written = [name for name in stage.writes if workspace.store.has(name)]
        if not written:
            continue
        rejects: list[Reject] = _records(workspace, f"{stage.name}.rejects", Reject)
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(Counter(reject.reason for reject in rejects).items()))
        kept = sum(workspace.store.manifest(name).rows for name in written)
        rows.append(StageRow(stage.name, ", ".join(written), kept, len(rejects), reasons))
    return rows


def _funnel(workspace: Workspace) -> list[FunnelRow]:
    verdicts: list[Verdict] = _records(workspace, "verdicts", Verdict)
    stopped: dict[str, dict[str, int]] = {}
    flagged: dict[str, set[str]] = {}
    for verdict in verdicts:
        if verdict.outcome == "flag":
            flagged.setdefault(verdict.dataset, set()).add(verdict.record)
        elif verdict.outcome != "pass":
            layers = stopped.setdefault(verdict.dataset, {})
            layers[verdict.record] = min(layers.get(verdict.record, 99), verdict.layer)
    rows: list[FunnelRow] = []
    for dataset in DATASETS if verdicts else ():
        total = workspace.store.manifest(dataset).rows
        lost = Counter(stopped.get(dataset, {}).values())
        standing = tuple(total - sum(lost[layer] for layer in range(1, number + 1)) for number in range(1, len(LAYERS) + 1))
        rows.append(FunnelRow(dataset, total, standing, len(flagged.get(dataset, set()) - set(stopped.get(dataset, {})))))
    return rows


def _licences(pages: Sequence[Page], documents: Sequence[Document]) -> list[Licence]:
    used = {document.url for document in documents}
    groups: dict[str, list[Page]] = {}
    for page in pages:
        if page.url in used:
            groups.setdefault(page.licence.spdx or "none", []).append(page)
    rows: list[Licence] = []
    for spdx, members in sorted(groups.items()):
        places = Counter(evidence.place for page in members for evidence in page.licence.evidence)
        rows.append(Licence(spdx, len(members), ", ".join(f"{place} on {count}" for place, count in sorted(places.items()))))
    return rows


def _coverage(workspace: Workspace) -> list[tuple[str, Mapping[str, int]]]:
    nodes: list[TaxonomyNode] = _records(workspace, "taxonomy", TaxonomyNode)
    named: dict[str, type[Record]] = {**DATASETS, "suite": SuiteItem}
    counts = {name: Counter(getattr(record, "node", "") for record in _records(workspace, name, kind)) for name, kind in named.items()}
    ordered = sorted(nodes, key=lambda node: (CATEGORIES.index(node.category), node.key))
    return [(node.key, {name: counts[name][node.key] for name in named}) for node in ordered]


def _usage(workspace: Workspace) -> list[Mapping[str, Any]]:
    if not workspace.ledger.is_file():
        return []
    with open_ledger(workspace.ledger, readonly=True) as ledger:
        return [row._asdict() for row in ledger.usage()]


def _reference_price() -> str:
    """At what price calls that cost nothing are valued, in words."""
    entry = next(price for price in price_list() if price.name == REFERENCE_PRICE)
    return f"the list price of {entry.name}, ${entry.input:g} and ${entry.output:g} per million tokens in and out ({entry.date})"


def _training_stages(folder: Path) -> list[Mapping[str, Any]]:
    """What each finished training stage wrote about itself, in the order of training."""
    order = {stage: number for number, stage in enumerate(("sft", "preference", "grpo", "consolidate"))}
    finished: list[Mapping[str, Any]] = [json.loads(path.read_bytes()) for path in folder.glob("*/stage.json")]
    return sorted(finished, key=lambda stage: order.get(stage["stage"], len(order)))


_CURVES = ("loss", "reward", "margin", "accuracy", "kl")


def _curves(folder: Path) -> list[Curve]:
    curves: list[Curve] = []
    for path in sorted(folder.glob("*/metrics.jsonl")):
        steps = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        for metric in _CURVES:
            points = tuple((float(step["step"]), float(step[metric])) for step in steps if step.get(metric) is not None and "step" in step)
            if len(points) > 1:
                curves.append(Curve(path.parent.name, metric, points))
    return curves


def _scores(before: Sequence[ItemResult], after: Sequence[ItemResult]) -> list[ScoreRow]:
    """Means by category with the 95 % interval of the paired difference, and all together."""
    later = {result.subject: result for result in after}
    pairs = [(result, later[result.subject]) for result in before if result.subject in later]
    rows: list[ScoreRow] = []
    for category in (*CATEGORIES, "all"):
        chosen = [(b, a) for b, a in pairs if category in (b.category, "all")]
        if not chosen:
            continue
        old, new = [b.value for b, _ in chosen], [a.value for _, a in chosen]
        clusters = [f"{b.node}/{b.cluster}" for b, _ in chosen]
        measurable = len(set(clusters)) > 1
        low, high = with_sparse_floor(paired_difference(old, new, clusters)).interval(0.95) if measurable else (None, None)
        rows.append(ScoreRow(category, len(chosen), sum(old) / len(old), sum(new) / len(new), low, high))
    return rows


def _format(items: Sequence[ItemResult]) -> float | None:
    return sum(result.format_valid for result in items) / len(items) if items else None


def _examples(workspace: Workspace) -> list[Example]:
    """DEV items that changed, then others, in turn by category."""
    items: dict[str, SuiteItem] = {item.subject: item for item in _records(workspace, "suite", SuiteItem) if item.bank == "dev"}
    after = {result.subject: result for result in results(workspace, "candidate", "dev")}
    rows = [
        Example(
            b.category, items[b.subject].prompt.messages[-1].content, b.answer, b.passed, after[b.subject].answer, after[b.subject].passed
        )
        for b in results(workspace, "base", "dev")
        if b.subject in after and b.subject in items
    ]
    rows.sort(key=lambda row: (row.before_passed == row.after_passed, row.category))
    return rows[:_EXAMPLES]
