"""`python -m benchmarks NAME`: the table, the line of JSON, the aims."""

import importlib
import json
from types import SimpleNamespace

import pytest
from benchmarks.aims import AIMS, Aim

from benchmarks import __main__ as runner

PERFECT = {
    "token_equal": 1.0,
    "emit_coverage": 1.0,
    "wrong_context_tokens": 0,
    "round_trip": 1.0,
    "formats_round_trip": 1.0,
    "vectors_wrong": 0,
    "fuzz_crashes": 0,
}


@pytest.fixture
def measured(monkeypatch):
    """Puts given figures in the place of a measurement."""

    def give(**changes):
        result = {"figures": {**PERFECT, **changes}, "peers": {"castalia": {"thoughts": 4}, "other": {"thoughts": 1}}, "nulls": {}}
        monkeypatch.setattr(runner.importlib, "import_module", lambda _: SimpleNamespace(run=lambda gold, quick: result))

    return give


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_known_benchmark_is_a_module_with_run():
    for name in AIMS:
        assert callable(importlib.import_module(f"benchmarks.{name}").run)


def test_the_last_line_is_json_with_figures_aims_peers_and_environment(measured, capsys):
    measured()
    assert runner.main(["harmony", "--quick"]) == 0
    line = last_line(capsys)
    assert line["benchmark"] == "harmony"
    assert line["figures"] == PERFECT
    assert line["aims"]["emit_coverage"] == {"aim": "== 1.0", "value": 1.0, "met": True}
    assert line["peers"]["other"] == {"thoughts": 1}
    assert line["environment"]["quick"] is True


def test_the_table_shows_ours_beside_peers(measured, capsys):
    measured()
    runner.main(["harmony"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["castalia", "4"] in rows
    assert ["other", "1"] in rows


def test_json_alone_prints_one_line(measured, capsys):
    measured()
    runner.main(["harmony", "--json"])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_missed_aim_fails_only_when_strict(measured, capsys):
    measured(fuzz_crashes=1)
    assert runner.main(["harmony"]) == 0
    assert runner.main(["harmony", "--strict"]) == 1
    assert last_line(capsys)["aims"]["fuzz_crashes"] == {"aim": "== 0", "value": 1, "met": False}


def test_a_figure_that_was_not_measured_is_null_with_a_reason_and_meets_no_aim(measured, capsys):
    measured(token_equal=None)
    assert runner.main(["harmony", "--strict"]) == 1
    line = last_line(capsys)
    assert line["figures"]["token_equal"] is None
    assert line["nulls"]["token_equal"]
    assert line["aims"]["token_equal"]["met"] is False


def test_a_benchmark_that_forgets_a_figure_with_an_aim_reports_it_as_null():
    line = runner.report("harmony", {"figures": {"token_equal": 1.0}}, quick=False)
    assert line["figures"]["round_trip"] is None
    assert line["nulls"]["round_trip"] == "the benchmark gave no value"


def test_an_unknown_name_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        runner.main(["harmoni"])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert all(name in message for name in AIMS)


@pytest.mark.parametrize(
    ("aim", "measured", "met"),
    [
        (Aim(">=", 0.9), 0.9, True),
        (Aim("<=", 60), 60.1, False),
        (Aim(">", 0), 0, False),
        (Aim("==", True), True, True),
        (Aim("==", True), 1, False),
        (Aim("==", 1.0), True, False),
        (Aim("<=", 60), None, False),
    ],
)
def test_an_aim_holds_only_for_a_value_of_its_kind(aim, measured, met):
    assert aim.met(measured) is met
