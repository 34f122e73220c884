"""The report: everything escaped, nothing requested from anywhere, and readable before there is anything to report."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from castalia.config import load_config
from castalia.evaluation.gate import Decision, GuardVerdict
from castalia.evaluation.results import ItemResult
from castalia.records import Page, SuiteItem, TaxonomyNode
from castalia.summary import Curve, ScoreRow, Summary, summarize
from castalia.ui.charts import curve_chart, funnel_chart, score_chart
from castalia.ui.report import render_report, write_report
from castalia.workspace import Workspace, open_workspace
from small_world import ask_user, configuration, document, item, page, put, world

EVIL = "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>"


class Tags(HTMLParser):
    """Collects elements and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    return parser.found


def result(of: SuiteItem, passed: bool, answer: str = "An answer.") -> ItemResult:
    return ItemResult(
        item=of.id, subject=of.subject, bank=of.bank, category=of.category, node=of.node, cluster=of.cluster, target="t", style="s", seed=0,
        passed=passed, value=float(passed), status="ok", answer=answer, reason="r", tokens=3,
    )  # fmt: skip


def measured(folder: Path) -> Workspace:
    """A world in which base and candidate were measured, all texts hostile."""
    items = [item("dev", n).model_copy(update={"prompt": ask_user(f"DEV {n} {EVIL}")}) for n in range(3)]
    gate = [item("gate", n).model_copy(update={"prompt": ask_user(f"SECRET GATE QUESTION {n}")}) for n in range(8)]
    workspace = world(folder, domain=EVIL, changes={"suite": [*items, *gate]})
    node = TaxonomyNode(key=f"knowledge/{EVIL}", category="knowledge", title=EVIL, description=EVIL, abilities=())
    put(workspace.store, "taxonomy", TaxonomyNode, [node])
    for model, right in (("base", False), ("candidate", True)):
        put(workspace.store, f"results.{model}.dev", ItemResult, [result(one, right, EVIL) for one in items])
        put(workspace.store, f"results.{model}.gate", ItemResult, [result(one, right, "SECRET GATE ANSWER") for one in gate])
    guard = GuardVerdict(name=EVIL, status="not measured", items=0, reason=EVIL)
    decided = Decision(
        round=1, promote=True, reasons=(EVIL,), items=8, clusters=1, before=0, after=1, difference=1, error=0.1, interval_low=0.8,
        interval_high=1, alpha=0.03, lower_bound=0.7, mcnemar_p=0.01, minimal_detectable_effect=0.3, guards=(guard,),
    )  # fmt: skip
    put(workspace.store, "decisions", Decision, [decided])
    return workspace


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(summarize(measured(tmp_path_factory.mktemp("measured"))))


def test_no_value_becomes_markup(html):
    found = tags(html)
    assert "&lt;script&gt;" in html
    assert not [tag for tag, _ in found if tag in ("script", "iframe", "object", "embed", "form", "base")]
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]


def test_the_page_asks_nothing_of_anybody(html):
    loads = [
        value
        for _, attributes in tags(html)
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "xlink:href")
    ]
    assert all(value is not None and value.startswith("#") for value in loads)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", html)
    assert "default-src 'none'" in html


def test_it_shows_decision_scores_funnel_licences_and_costs(html):
    assert "Promoted" in html
    assert "95 % interval +80.0 to +100.0" in html
    assert "(excludes 0)" in html
    assert re.search(r"<td>MIT</td><td class=\"n\">1</td>", html)
    assert "records wait for a person" in html
    assert "build_sft" in html  # the call in the ledger


def test_gate_items_are_never_shown(html):
    assert "DEV 0" in html
    assert "SECRET GATE" not in html


def test_charts_escape_what_they_are_given():
    curves = [Curve(EVIL, "loss", ((0, 1.0), (1, 0.5)))]
    rows = [ScoreRow(EVIL, 3, 0.1, 0.9, 0.0, 1.0)]
    for svg in (curve_chart(curves), score_chart(rows), funnel_chart({EVIL: 3, "b": 1})):
        assert svg.startswith("<svg")
        assert not [tag for tag, _ in tags(svg) if tag in ("script", "image", "img", "foreignobject")]
    assert [curve_chart([]), score_chart([]), funnel_chart({})] == ["", "", ""]


def test_an_empty_workspace_has_a_report_that_says_what_to_do(tmp_path):
    summary = summarize(open_workspace(load_config([configuration(tmp_path)])))
    html = render_report(summary)
    assert "No model was trained and measured yet." in html
    assert "castalia train" in html
    assert (summary.stages, summary.decision, summary.release) == ((), None, "")


def test_the_same_summary_gives_the_same_bytes_and_nothing_unfinished_stays(tmp_path):
    summary = summarize(world(tmp_path / "world"))
    first = write_report(summary, tmp_path / "out/report.html").read_bytes()
    assert write_report(summary, tmp_path / "out/report.html").read_bytes() == first
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_a_category_of_one_cluster_is_shown_without_an_interval(tmp_path):
    summary = summarize(measured(tmp_path))
    assert [(row.category, row.items, row.before, row.after, row.low) for row in summary.scores] == [
        ("knowledge", 8, 0.0, 1.0, None), ("all", 8, 0.0, 1.0, None),
    ]  # fmt: skip
    assert "too few independent items" in render_report(summary)


def summary_of(folder: Path, **changes: Any) -> Summary:
    return summarize(world(folder, changes=changes))


def test_the_licences_are_those_of_pages_that_were_used(tmp_path):
    unused = page("unused.html", spdx="Apache-2.0")
    assert [(row.spdx, row.pages) for row in summary_of(tmp_path, pages=[page(), unused]).licences] == [("MIT", 1)]


def test_the_funnel_counts_records_still_standing_after_each_layer(tmp_path):
    from small_world import pair, passed, replay, reward, sft, trace_example

    verdicts = [
        passed(sft(), "sft"), passed(trace_example(), "sft", layer=2, check="consistency", outcome="fail"), passed(pair(), "preferences"),
        passed(reward(), "rewards", layer=5, check="policy", outcome="flag"), passed(replay(), "replay", layer=4, outcome="abstain"),
    ]  # fmt: skip
    funnel = {row.dataset: row for row in summary_of(tmp_path, verdicts=verdicts).funnel}
    assert funnel["sft"].standing == (2, 1, 1, 1, 1)
    assert funnel["replay"].standing == (1, 1, 1, 0, 0)
    assert (funnel["rewards"].standing[-1], funnel["rewards"].flagged) == (1, 1)


def test_coverage_counts_records_by_taxonomy_node(tmp_path):
    workspace = world(tmp_path)
    nodes = [
        TaxonomyNode(key=key, category="knowledge", title="t", description="d", abilities=()) for key in ("knowledge/tea", "knowledge/cups")
    ]
    put(workspace.store, "taxonomy", TaxonomyNode, nodes)
    coverage = dict(summarize(workspace).coverage)
    assert coverage["knowledge/tea"] == {"sft": 2, "preferences": 1, "rewards": 1, "replay": 1, "suite": 3}
    assert set(coverage["knowledge/cups"].values()) == {0}


def test_a_world_is_what_these_tests_believe(tmp_path):
    workspace = world(tmp_path)
    assert [one.url for one in workspace.store.read_dataset("pages", Page)] == [document().url]
