"""What the demo benchmark reads from a finished demo folder, and how it treats runs that fail or differ."""

import pytest
from benchmarks.processes import Watched

from benchmarks import demo
from castalia.evaluation.gate import Decision, decide
from castalia.evaluation.results import ItemResult
from castalia.store import open_store


def result(number: int, target: str, *, value: float, status: str = "ok", style: str = "harmony") -> ItemResult:
    return ItemResult(
        item=f"item_{number}", subject=f"skills/loops/gate/{number}", bank="gate", category="skills", node="skills/loops",
        cluster=f"c{number}", target=target, style=style, seed=0, passed=value == 1, value=value, status=status, answer="x", reason="r",
        tokens=3,
    )  # fmt: skip


def write_results(work) -> Decision:
    store = open_store(work / "store")
    before = [result(n, "base", value=0.0, status="no-final") for n in range(8)]
    after = [result(n, "candidate", value=float(n > 1), status="ok" if n else "truncated") for n in range(8)]
    decision = decide(before, after)
    store.write_dataset("results.base.gate", ItemResult, before, fingerprint="a" * 64)
    store.write_dataset("results.candidate.gate", ItemResult, after, fingerprint="b" * 64)
    store.write_dataset("decisions", Decision, [decision], fingerprint="c" * 64)
    return decision


def test_figures_come_from_the_stored_decision_and_results(tmp_path):
    decision = write_results(tmp_path)
    figures, sides = demo.what_training_bought(tmp_path)
    assert figures["format_before"] == 0.0
    assert figures["format_after"] == pytest.approx(7 / 8)
    assert figures["gate_gain"] == pytest.approx(6 / 8)
    assert figures["gate_gain_ci_low"] == decision.interval_low
    assert sides["candidate"]["right"] == 6


@pytest.fixture
def scripted(monkeypatch):
    """Stands in for `castalia demo`: writes what a run of the given script would."""

    def script(*, lock_after_kill: str = "same", code: int = 0):
        def run(root, folder, *options, kill_after=None):
            work = root / folder / "work"
            (root / folder / "download").mkdir(parents=True, exist_ok=True)
            if kill_after is not None:
                return Watched(-9, kill_after, 1.0, "")
            if code:
                return Watched(code, 1.0, None, "castalia: a stage failed\n")
            new = not (work / "releases").is_dir()
            (work / "releases" / "mako@v1").mkdir(parents=True, exist_ok=True)
            text = "same" if folder == "whole" else lock_after_kill
            (work / "releases" / "mako@v1" / "lock.json").write_text(text, encoding="utf-8")
            return Watched(0, 10.0, 300.0, "done" if new else "nothing to do: everything is there and fresh")

        monkeypatch.setattr(demo, "_castalia", run)

    return script


def test_a_quick_run_measures_the_data_half_and_says_why_the_rest_is_null(scripted):
    scripted()
    measured = demo.run(None, quick=True)
    assert measured["figures"]["data_only_seconds"] == 10.0
    assert measured["figures"]["second_run_does_nothing"] is True
    assert measured["figures"]["identical_after_kill"] is True
    assert measured["figures"]["gate_gain"] is None
    assert "trains nothing" in measured["nulls"]["gate_gain"]


def test_other_bytes_after_a_kill_are_reported(scripted):
    scripted(lock_after_kill="other")
    assert demo.run(None, quick=True)["figures"]["identical_after_kill"] is False


def test_a_demo_that_fails_gives_nulls_with_its_last_words(scripted):
    scripted(code=6)
    measured = demo.run(None, quick=False)
    assert measured["figures"]["seconds"] is None
    assert "a stage failed" in measured["nulls"]["data_only_seconds"]
    assert measured["figures"]["identical_after_kill"] is None


def test_every_folder_is_killed_as_often_as_planned(scripted, tmp_path):
    scripted()
    demo._castalia(tmp_path, "whole")
    figures = demo._killed(tmp_path, 10.0, 2, 3, {})
    assert figures == {"identical_after_kill": True, "kills": 6}
