"""Reviewing in the terminal: labels are kept at once, can be taken back, and stay apart by reviewer."""

import io
import json
import sys

import pytest

from castalia.cli import main
from castalia.quality.labels import read_labels
from castalia.workspace import Workspace
from small_world import configuration


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


def test_skipped_records_and_wrong_keys_label_nothing(made, monkeypatch, capsys):
    assert review(monkeypatch, "s\nx\nq\n") == 0
    assert labels(made) == []
    assert "'x' is not a key" in capsys.readouterr().out


def test_reviewers_do_not_see_each_others_labels(made, monkeypatch, capsys):
    review(monkeypatch, "a\nq\n", "--reviewer", "ana")
    review(monkeypatch, "q\n", "--reviewer", "ben")
    assert "5 records wait for ben" in capsys.readouterr().out


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
