"""Reviewing in the terminal: labels are kept at once, can be taken back, and stay apart by reviewer."""

import io
import json
import sys

import pytest

from castalia.cli import main
from castalia.quality.labels import add_label, read_labels
from castalia.workspace import Workspace
from small_world import configuration, passed, replay, sft, trace_example, world


def review(monkeypatch: pytest.MonkeyPatch, keys: str, *arguments: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(keys))
    return main(["review", *arguments])


def labels(made: Workspace) -> list[str]:
    return [label.label for label in read_labels(made.labels)]


def test_review_lists_what_waits(made, capsys):
    assert main(["review", "--list", "--json"]) == 0
    waiting = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["dataset"] for line in waiting} == {"sft", "preferences", "rewards", "replay"}


def test_labels_are_kept_and_their_records_not_asked_again(made, monkeypatch, capsys):
    assert review(monkeypatch, "a\nr\nf\n") == 0
    assert labels(made) == ["approve", "reject", "flag"]
    assert "2 records wait for reviewer" in capsys.readouterr().out
    assert review(monkeypatch, "a\na\n") == 0
    assert len(labels(made)) == 5
    assert review(monkeypatch, "") == 0
    assert "0 records wait for reviewer" in capsys.readouterr().out


def test_the_end_of_the_input_ends_the_review(made, monkeypatch):
    assert review(monkeypatch, "a") == 0
    assert labels(made) == ["approve"]


def test_undo_takes_a_label_back_even_if_no_other_follows(made, monkeypatch):
    assert review(monkeypatch, "a\nr\nu\nq\n") == 0
    assert labels(made) == ["approve"]


def test_after_undo_the_same_record_is_asked_again(made, monkeypatch, capsys):
    assert review(monkeypatch, "r\nundo\na\nq\n") == 0
    assert labels(made) == ["approve"]
    assert capsys.readouterr().out.count("--- 1 of 5") == 2


def test_a_label_of_an_earlier_session_can_be_taken_back(made, monkeypatch, capsys):
    review(monkeypatch, "a\nr\n")
    assert review(monkeypatch, "u\nf\nu\nu\nu\nq\n") == 0
    assert labels(made) == []
    assert "reviewer has no label to take back" in capsys.readouterr().out


def test_what_another_reviewer_decides_meanwhile_is_not_asked(made, monkeypatch, capsys):
    first = next(line for line in _listed(capsys) if line["reviews"] == 1)["record"]
    add_label(made.labels, first, "ana", "approve")
    review(monkeypatch, "s\n" * 5)
    assert first not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x\x1b[2J", "r" * 65])
def test_a_name_that_nobody_could_read_is_refused(made, monkeypatch, capsys, name: str):
    assert review(monkeypatch, "a\n", "--reviewer", name) == 2
    assert "1 to 64 readable characters" in capsys.readouterr().err
    assert labels(made) == []


def test_the_reviewer_sees_how_an_answer_is_checked_and_who_was_called(tmp_path, monkeypatch, capsys):
    world(tmp_path, changes={"sft": [trace_example()], "preferences": [], "rewards": [], "replay": [replay()]})
    monkeypatch.chdir(tmp_path)
    review(monkeypatch, "s\ns\n")
    shown = capsys.readouterr().out
    assert "[check] " in shown
    assert " to functions.run_python] code: print(2)" in shown


def _listed(capsys) -> list[dict]:
    assert main(["review", "--list", "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_skipped_records_and_wrong_keys_label_nothing(made, monkeypatch, capsys):
    assert review(monkeypatch, "s\nx\nq\n") == 0
    assert labels(made) == []
    assert "'x' is not a key" in capsys.readouterr().out


def test_reviewers_do_not_see_each_others_labels(made, monkeypatch, capsys):
    review(monkeypatch, "f\nq\n", "--reviewer", "ana")
    review(monkeypatch, "q\n", "--reviewer", "ben")
    assert "5 records wait for ben" in capsys.readouterr().out


def test_what_somebody_decided_is_not_asked_of_the_next_reviewer(made, monkeypatch, capsys):
    review(monkeypatch, "a\nq\n", "--reviewer", "ana")
    review(monkeypatch, "q\n", "--reviewer", "ben")
    assert "4 records wait for ben" in capsys.readouterr().out


def test_verdicts_stay_hidden_until_the_label_is_given(made, monkeypatch, capsys):
    review(monkeypatch, "q\n")
    shown = capsys.readouterr().out
    assert "agree-pass" not in shown
    assert "1.0" not in shown


def test_a_damaged_label_is_named_and_not_skipped(made, monkeypatch, capsys):
    (made.folder / "labels.jsonl").write_text('{"record": "a"}\n')
    assert review(monkeypatch, "q\n") == 3
    assert "line 1 is no label" in capsys.readouterr().err


def test_review_before_there_is_a_queue_says_what_fills_it(tmp_path, monkeypatch, capsys):
    configuration(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["review"]) == 3
    assert "castalia run" in capsys.readouterr().err


def test_the_list_holds_what_nobody_decided_yet_and_says_what_it_is_about(made, capsys):
    add_label(made.labels, sft().id, "ana", "approve")
    add_label(made.labels, replay().id, "ana", "reject")
    assert main(["review", "--list"]) == 0
    shown = capsys.readouterr().out
    assert sft().id not in shown
    assert "Count the minutes." in shown
    assert "3 of 5 records wait, 0 for a second person; people approved 1 and rejected 1" in shown


def test_status_counts_only_records_that_nobody_decided(made, capsys):
    add_label(made.labels, sft().id, "ana", "reject")
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == "4 records wait for a person: castalia review"
    assert "6 people reject: 1" in shown


def test_status_says_what_records_of_a_layer_wait_for(tmp_path, monkeypatch, capsys):
    waiting = passed(trace_example(), "sft", layer=4, check="execution", outcome="waiting", reason="no cargo")
    world(tmp_path, changes={"verdicts": [passed(sft(), "sft"), waiting]})
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 0
    assert "1 sft records wait for layer 4 execution: no cargo" in capsys.readouterr().out


def test_after_the_label_the_reviewer_hears_what_checks_said_and_what_no_approval_overrides(tmp_path, monkeypatch, capsys):
    failed = passed(sft(), "sft", layer=4, check="execution", outcome="fail", reason="test 1: gave 3")
    world(tmp_path, changes={"sft": [sft()], "preferences": [], "rewards": [], "replay": [], "verdicts": [failed]})
    monkeypatch.chdir(tmp_path)
    review(monkeypatch, "a\n")
    before, _, after = capsys.readouterr().out.partition(" > ")
    assert "gave 3" not in before
    assert "Steep green tea for two minutes" in before  # the block that it cites
    assert "execution fail: test 1: gave 3" in after
    assert "; it stays out all the same: 4 execution fail, which no approval overrides" in after


def test_what_a_terminal_would_obey_is_not_printed(tmp_path, monkeypatch, capsys):
    hostile = replay(wrong="before\x1b]0;title\x07\x1b[2Jafter")
    world(tmp_path, changes={"sft": [], "preferences": [], "rewards": [], "replay": [hostile]})
    monkeypatch.chdir(tmp_path)
    review(monkeypatch, "q\n")
    shown = capsys.readouterr().out
    assert "after" in shown
    assert "\x1b" not in shown
