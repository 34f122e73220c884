"""The data half in figures: what each stage let through, what quality control stopped, licences, coverage, money."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from castalia.oracle import REFERENCE_PRICE, open_ledger, price_list
from castalia.quality.funnel import FunnelRow
from castalia.quality.funnel import funnel as quality_funnel
from castalia.quality.labels import read_labels
from castalia.quality.layers import LAYERS
from castalia.records import CATEGORIES, DATASETS, Document, Page, Record, Reject, SuiteItem, TaxonomyNode, Verdict
from castalia.release import Passed, what_passed
from castalia.summary.stored import stored
from castalia.workspace import Workspace

LAYER_NAMES = tuple(layer.name for layer in LAYERS)


class StageRow(NamedTuple):
    """What one stage let through."""

    stage: str
    written: tuple[tuple[str, int], ...]
    """Records by dataset."""
    rejected: int
    reasons: tuple[tuple[str, int], ...]


class LicenceRow(NamedTuple):
    """Pages of the corpus under one licence, and where the evidence stood."""

    spdx: str
    pages: int
    evidence: tuple[tuple[str, int], ...]


class CoverageRow(NamedTuple):
    """One node of the taxonomy: accepted records by dataset, and items of the evaluation suite."""

    node: str
    accepted: Mapping[str, int]
    suite: int


class Spending(NamedTuple):
    """Calls of one stage, role and model."""

    stage: str
    role: str
    model: str
    calls: int
    cached: int
    """Answers that came from the ledger instead of being asked for again."""
    tokens_in: int
    tokens_out: int
    usd: float
    usd_equivalent: float


class Usage(NamedTuple):
    """All calls, the sums, and the price at which calls without one are valued."""

    rows: tuple[Spending, ...]
    total: Spending
    reference_price: str
    budget_usd: float | None


def yields(workspace: Workspace, checked: Sequence[FunnelRow]) -> tuple[tuple[str, int], ...]:
    """Records left after each step, in order: pages, documents, atoms, training records, accepted ones."""
    store = workspace.store
    steps = [(name, store.manifest(name).rows) for name in ("pages", "documents", "atoms") if store.has(name)]
    made = [store.manifest(name).rows for name in DATASETS if store.has(name)]
    steps += [("records", sum(made))] if made else []
    steps += [("accepted", sum(row.accepted for row in checked))] if checked else []
    return tuple(steps)


def stage_rows(workspace: Workspace) -> tuple[StageRow, ...]:
    """Stages that have written something, in the order of the pipeline."""
    rows: list[StageRow] = []
    for stage in workspace.stages:
        written = tuple((name, workspace.store.manifest(name).rows) for name in stage.writes if workspace.store.has(name))
        if not written:
            continue
        rejects = stored(workspace, f"{stage.name}.rejects", Reject)
        rows.append(StageRow(stage.name, written, len(rejects), _counted(reject.reason for reject in rejects)))
    return tuple(rows)


def passed_records(workspace: Workspace) -> Passed | None:
    """What quality control, people and the mix let through, records that wait for a layer kept out; None before quality control ran."""
    if not workspace.store.has("verdicts"):
        return None
    datasets = {name: stored(workspace, name, kind) for name, kind in DATASETS.items()}
    return what_passed(datasets, stored(workspace, "verdicts", Verdict), read_labels(workspace.labels), workspace.config.mix)


def funnel(workspace: Workspace, passed: Passed | None) -> tuple[FunnelRow, ...]:
    """The datasets through the layers of quality control, people included; empty before it ran."""
    if passed is None:
        return ()
    totals = {dataset: workspace.store.manifest(dataset).rows for dataset in DATASETS if workspace.store.has(dataset)}
    return quality_funnel(totals, stored(workspace, "verdicts", Verdict), passed.stops)


def licences(workspace: Workspace) -> tuple[LicenceRow, ...]:
    """The licences of the pages that became documents."""
    used = {document.url for document in stored(workspace, "documents", Document)}
    groups: dict[str, list[Page]] = {}
    for page in stored(workspace, "pages", Page):
        if page.url in used:
            groups.setdefault(page.licence.spdx or "none", []).append(page)
    return tuple(
        LicenceRow(spdx, len(pages), _counted(place for page in pages for place in {seen.place for seen in page.licence.evidence}))
        for spdx, pages in sorted(groups.items())
    )


def coverage(workspace: Workspace, passed: Passed | None) -> tuple[CoverageRow, ...]:
    """Accepted records by node; before quality control ran, all that were made."""
    records = passed.records if passed else {name: stored(workspace, name, kind) for name, kind in DATASETS.items()}
    counts = {name: Counter(map(_node, records[name])) for name in DATASETS}
    suite = Counter(item.node for item in stored(workspace, "suite", SuiteItem))
    nodes = sorted(stored(workspace, "taxonomy", TaxonomyNode), key=lambda node: (CATEGORIES.index(node.category), node.key))
    return tuple(CoverageRow(node.key, {name: counts[name][node.key] for name in DATASETS}, suite[node.key]) for node in nodes)


def usage(workspace: Workspace) -> Usage:
    """What the oracle was asked and what it cost."""
    entry = next(price for price in price_list() if price.name == REFERENCE_PRICE)
    price = f"the list price of {entry.name}, ${entry.input:g} and ${entry.output:g} per million tokens in and out ({entry.date})"
    rows: tuple[Spending, ...] = ()
    if workspace.ledger.is_file():
        with open_ledger(workspace.ledger, readonly=True) as ledger:
            rows = tuple(Spending(*(getattr(row, name) for name in Spending._fields)) for row in ledger.usage())
    total = Spending(
        "all", "", "",
        calls=sum(row.calls for row in rows),
        cached=sum(row.cached for row in rows),
        tokens_in=sum(row.tokens_in for row in rows),
        tokens_out=sum(row.tokens_out for row in rows),
        usd=sum(row.usd for row in rows),
        usd_equivalent=sum(row.usd_equivalent for row in rows),
    )  # fmt: skip
    return Usage(rows, total, price, workspace.config.execution.budget_usd)


def _node(record: Record) -> str:
    return str(getattr(record, "node", ""))


def _counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Names with their counts, by name."""
    return tuple(sorted(Counter(names).items()))
