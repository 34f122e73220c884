"""The benchmark of judges sees what it is there to see: a bias that was planted, and a judge's error that passes a record."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.judges_canaries import run_canaries
from benchmarks.judges_fail_open import run_cases
from benchmarks.judges_replays import PANELS, judged_records, share_coverage
from benchmarks.judges_scripted import JudgedPair, measure_judges

from castalia.quality import verify
from castalia.quality.bias import AnswerPair
from castalia.quality.check import Finding
from castalia.quality.checks import claims, judge, settle


def pairs(count: int) -> list[JudgedPair]:
    return [
        JudgedPair(
            AnswerPair(f"p/{n}", "How long?", (f"Two minutes, cup {n}.", f"An hour, I would guess, cup {n}.")), (n % 2, n % 2, n % 3 % 2)
        )
        for n in range(count)
    ]


def test_planted_biases_are_measured_and_the_verdicts_behind_them_kept(tmp_path: Path):
    found = {one.kind: one for one in measure_judges(pairs(160), ["gullible"], tmp_path)}
    assert found["injection"].planted == 0.2
    assert all(abs(one.measured - one.planted) < 0.06 for one in found.values())
    assert all(one.low <= one.planted <= one.high for one in found.values())
    assert len((tmp_path / "gullible.jsonl").read_text().splitlines()) == 160 * 8


def test_people_agree_where_two_of_three_do():
    pair = AnswerPair("p", "?", ("a", "b"))
    assert [JudgedPair(pair, people).better for people in [(0, 0, 1), (1, 1, 1), (0, 1, None), (None, None, 0), (1,)]] == [
        0,
        1,
        None,
        None,
        1,
    ]


def test_no_case_passes_a_record_and_the_sound_answer_does():
    found = run_cases(2)
    assert found.passed == ()
    assert found.tried > 800


def test_no_record_passes_a_judge_that_errs_on_planted_records_and_an_honest_one_lets_all_pass():
    found = run_canaries()
    assert found.passed == ()
    assert found.tried == 840


def test_misses_on_planted_records_would_be_reported_where_they_had_no_effect(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "misled", lambda of: [])
    assert len(run_canaries().passed) > 100


def test_a_judge_that_fails_open_would_be_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judge, "_finding", lambda verdict, sources, needs_block, call: Finding("pass", "so it seems", calls=(call,)))
    passed = run_cases(0, judges=("consistency", "policy")).passed
    assert any("no verdicts in consistency" in one for one in passed)
    assert any("every verdict twice in policy" in one for one in passed)


def test_claims_that_a_record_does_not_make_would_be_reported_if_they_counted(monkeypatch: pytest.MonkeyPatch):
    for module in (claims, settle):
        monkeypatch.setattr(module, "claims_flaw", lambda claims, view: "")
    passed = {one.partition(":")[0] for one in run_cases(0, judges=("facts", "claims")).passed}
    assert {"a claim of something else in facts", "a claim of something else in claims with search"} <= passed


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    rows = share_coverage(judged_records(900, PANELS["ordinary"], rng), 200, 200, rng)
    assert 0.89 < rows["castalia"].covered <= 1
    assert rows["castalia"].half_width < rows["Wilson, simple random sample"].half_width
