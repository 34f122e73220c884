"""The report: everything escaped, nothing requested from anywhere, and readable before there is anything to report."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from castalia.config import load_config
from castalia.errors import StoreError
from castalia.evaluation.gate import Decision, GuardVerdict
from castalia.evaluation.results import ItemResult
from castalia.records import CATEGORIES, Page, SuiteItem, TaxonomyNode
from castalia.rounds.measure import decision_fingerprint
from castalia.summary import Curve, Example, ScoreRow, Summary, summarize
from castalia.summary.comparison import CHANGES, choose_examples
from castalia.ui.charts import curve_chart, score_chart, yield_chart
from castalia.ui.report import render_report, write_report
from castalia.workspace import Workspace, open_workspace
from small_world import (
    ask_user,
    configuration,
    document,
    item,
    page,
    pair,
    passed,
    put,
    replay,
    reward,
    sft,
    trace_example,
    world,
)

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
    before, after = ([result(one, right, "SECRET GATE ANSWER") for one in gate] for right in (False, True))
    put(workspace.store, "results.base.gate", ItemResult, before)
    put(workspace.store, "results.candidate.gate", ItemResult, after)
    decide(workspace, [decision(1, guards=(GuardVerdict(name=EVIL, status="not measured", items=0, reason=EVIL),))], before, after)
    return workspace


def decision(number: int, promote: bool = True, **changes: Any) -> Decision:
    values = {
        "round": number, "look": number, "promote": promote, "reasons": (EVIL,), "items": 8, "clusters": 1, "before": 0.0, "after": 1.0, "difference": 1.0,
        "error": 0.1, "interval_low": 0.8, "interval_high": 1.0, "alpha": 0.03, "lower_bound": 0.7, "mcnemar_p": 0.01,
        "minimal_detectable_effect": 0.3, "guards": (),
    }  # fmt: skip
    return Decision.model_validate(values | changes)


def decide(workspace: Workspace, decisions: list[Decision], before: list[ItemResult], after: list[ItemResult]) -> None:
    """Stores decisions, the last of them made from these results."""
    fingerprint = decision_fingerprint(decisions[-1].round, before, after)
    workspace.store.write_dataset("decisions", Decision, decisions, fingerprint=fingerprint)


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
    assert "Round 1: promoted" in html
    assert "95 % interval +80.0 to +100.0" in html
    assert "(excludes 0)" in html
    assert re.search(r"<td>MIT</td><td class=\"n\">1</td>", html)
    assert "records of the sample wait for a person" in html
    assert "build_sft" in html  # the call in the ledger


def section(html: str, identity: str) -> str:
    return html.partition(f'<h2 id="{identity}">')[2].partition("<h2 ")[0]


def test_it_shows_how_records_are_spread_and_what_length_and_style_give_away(tmp_path):
    pairs = [pair(1, "- two minutes, and not a moment more than that", rejected="An hour.")]
    shown = section(render_report(summarize(world(tmp_path, changes={"preferences": pairs}))), "balance")
    assert re.search(r"<td>sft</td><td>knowledge</td><td class=\"n\">1</td><td>grounded-answer: 1</td>", shown)
    assert re.search(r"<td></td><td>procedural</td><td class=\"n\">1</td><td>agent-trace: 1</td>", shown)
    assert re.search(r"<td>agent-trace</td><td class=\"n\">2\.0</td><td class=\"n\">2\.0</td><td class=\"n\">2</td>", shown)
    assert "not balanced in length" in shown
    assert re.search(
        r"<td>list</td><td class=\"n\">100\.0 %</td><td class=\"n zero\">0\.0 %</td><td class=\"n wrong\">\+100\.0</td>", shown
    )
    assert "What is wrong with rejected answers: logic_error: 1." in shown


def test_before_quality_control_there_is_nothing_to_say_of_balance(tmp_path):
    shown = section(render_report(summarize(open_workspace(load_config([configuration(tmp_path)])))), "balance")
    assert "Nothing passed quality control yet" in shown


def test_gate_items_are_never_shown(html):
    assert "DEV 0" in html
    assert "SECRET GATE" not in html


def test_charts_escape_what_they_are_given():
    rows = [ScoreRow(EVIL, 3, 0.1, 0.9, 0.0, 1.0)]
    for svg in (curve_chart(Curve(EVIL, "loss", ((0, 1.0), (1, 0.5)))), score_chart(rows), yield_chart([(EVIL, 3), ("b", 1)])):
        assert svg.startswith("<svg")
        assert not [tag for tag, _ in tags(svg) if tag in ("script", "image", "img", "foreignobject")]
    assert [score_chart([]), yield_chart([])] == ["", ""]


def test_an_empty_workspace_has_a_report_that_says_what_to_do(tmp_path):
    summary = summarize(open_workspace(load_config([configuration(tmp_path)])))
    html = render_report(summary)
    assert "No model was trained and measured yet" in html
    assert "castalia train" in html
    assert (summary.stages, summary.rounds, summary.release) == ((), (), "")


def test_the_same_summary_gives_the_same_bytes_and_nothing_unfinished_stays(tmp_path):
    summary = summarize(world(tmp_path / "world"))
    first = write_report(summary, tmp_path / "out/report.html").read_bytes()
    assert write_report(summary, tmp_path / "out/report.html").read_bytes() == first
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_a_category_of_one_cluster_is_shown_without_an_interval(tmp_path):
    summary = summarize(measured(tmp_path))
    assert summary.comparison
    assert [(row.category, row.items, row.before, row.after, row.low) for row in summary.comparison.scores] == [
        ("knowledge", 8, 0.0, 1.0, None), ("all", 8, 0.0, 1.0, None),
    ]  # fmt: skip
    assert "too few independent items" in render_report(summary)


def summary_of(folder: Path, **changes: Any) -> Summary:
    return summarize(world(folder, changes=changes))


def test_the_licences_are_those_of_pages_that_were_used(tmp_path):
    unused = page("unused.html", spdx="Apache-2.0")
    assert [(row.spdx, row.pages) for row in summary_of(tmp_path, pages=[page(), unused]).licences] == [("MIT", 1)]


def test_the_funnel_counts_records_still_standing_after_each_layer(tmp_path):
    verdicts = [
        passed(sft(), "sft"), passed(trace_example(), "sft", layer=2, check="consistency", outcome="fail"), passed(pair(), "preferences"),
        passed(reward(), "rewards", layer=5, check="policy", outcome="flag"), passed(replay(), "replay", layer=4, outcome="abstain"),
    ]  # fmt: skip
    funnel = {row.dataset: row for row in summary_of(tmp_path, verdicts=verdicts).funnel}
    assert funnel["sft"].standing == (2, 1, 1, 1, 1, 1)
    assert funnel["replay"].standing == (1, 1, 1, 0, 0, 0)
    assert (funnel["rewards"].standing[-1], funnel["rewards"].flagged) == (1, 1)


def test_coverage_counts_accepted_records_by_node_and_agrees_with_the_funnel(tmp_path):
    verdicts = [
        passed(sft(), "sft"), passed(trace_example(), "sft", outcome="fail"), passed(pair(), "preferences"), passed(reward(), "rewards"),
        passed(replay(), "replay"),
    ]  # fmt: skip
    workspace = world(tmp_path, changes={"verdicts": verdicts})
    nodes = [
        TaxonomyNode(key=key, category="knowledge", title="t", description="d", abilities=()) for key in ("knowledge/tea", "knowledge/cups")
    ]
    put(workspace.store, "taxonomy", TaxonomyNode, nodes)
    summary = summarize(workspace)
    rows = {row.node: row for row in summary.coverage}
    assert rows["knowledge/tea"].accepted == {row.dataset: row.accepted for row in summary.funnel}
    assert rows["knowledge/tea"].accepted["sft"] == 1
    assert rows["knowledge/tea"].suite == 3
    assert set(rows["knowledge/cups"].accepted.values()) == {0}
    assert dict(summary.yields)["accepted"] == 4


def test_costs_add_up_to_the_total(tmp_path):
    summary = summarize(world(tmp_path))
    assert summary.usage.total.calls == sum(row.calls for row in summary.usage.rows) == 1


# Before and after


def answered(workspace: Workspace, model: str, right: int, of: int = 8) -> list[ItemResult]:
    """GATE results of `model`, the first `right` of them right, stored."""
    found = [result(item("gate", number), number < right, model) for number in range(of)]
    put(workspace.store, f"results.{model}.gate", ItemResult, found)
    return found


def test_a_later_round_is_compared_with_the_promoted_model_as_its_decision_was(tmp_path):
    workspace = world(tmp_path)
    answered(workspace, "base", 0)
    before, after = answered(workspace, "promoted", 3), answered(workspace, "candidate", 5)
    decide(workspace, [decision(1), decision(2, promote=False, before=3 / 8, after=5 / 8, difference=2 / 8)], before, after)
    summary = summarize(workspace)
    assert summary.comparison
    overall = summary.comparison.scores[-1]
    assert (summary.comparison.before, overall.before, overall.after) == ("promoted", 3 / 8, 5 / 8)
    assert [(round.decision.round, round.against) for round in summary.rounds] == [(1, 0), (2, 1)]
    html = render_report(summary)
    assert "against the model of round 1" in html
    assert "Round 2: not promoted" in html


def test_results_that_no_decision_was_made_from_are_not_shown_beside_one(tmp_path):
    workspace = measured(tmp_path)
    answered(workspace, "candidate", 1)
    summary = summarize(workspace)
    assert summary.comparison is None
    html = render_report(summary)
    assert "Round 1: promoted" in html
    assert "measured since and is not decided yet" in html


def test_dev_answers_of_another_candidate_are_not_shown(tmp_path):
    workspace = measured(tmp_path)
    newer = [result(item("dev", n), True).model_copy(update={"target": "another"}) for n in range(3)]
    put(workspace.store, "results.candidate.dev", ItemResult, newer)
    comparison = summarize(workspace).comparison
    assert comparison
    assert (comparison.examples, comparison.changes) == ((), {})


def test_examples_are_chosen_in_turn_over_categories_and_what_became_of_them():
    every = [
        Example(category, change, f"{category} {change} {n}", "", "") for n in range(3) for category in CATEGORIES for change in CHANGES
    ]
    chosen = choose_examples(every, 16)
    assert {(example.change, example.category) for example in chosen} == {
        (change, category) for change in CHANGES for category in CATEGORIES
    }
    assert [example.category for example in chosen] == list(CATEGORIES) * 4
    mostly_won = [example for example in every if example.change == "won" or example.question == "skills lost 2"]
    assert [example.change for example in choose_examples(mostly_won, 6)] == ["won"] * 5 + ["lost"]


# Training


def test_a_killed_training_is_shown_as_far_as_it_got(tmp_path):
    workspace = world(tmp_path)
    stage = workspace.training / "round-1" / "sft"
    stage.mkdir(parents=True)
    (stage / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n{"step": 3, "lo')
    summary = summarize(workspace)
    [row] = summary.training
    assert (row.stage, row.steps, row.result) == ("sft", 2, None)
    assert summary.curves == (Curve("sft", "loss", ((1.0, 2.0), (2.0, 1.5))),)
    assert "not finished" in render_report(summary)


def test_a_report_that_can_not_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    summary = summarize(world(tmp_path / "world"))
    with pytest.raises(StoreError, match="could not write"):
        write_report(summary, tmp_path / "file" / "report.html")
    with pytest.raises(StoreError, match="could not write"):
        write_report(summary, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "world"]


def test_a_world_is_what_these_tests_believe(tmp_path):
    workspace = world(tmp_path)
    assert [one.url for one in workspace.store.read_dataset("pages", Page)] == [document().url]
