"""Measuring the configured judge from the command line: biases, agreement with people, and broken lines by name."""

import json
from pathlib import Path

import pytest

from castalia.cli import main
from castalia.quality.bias import Change, shorter
from castalia.quality.pairs import read_pairs
from small_world import configuration

PROMPT = "How long does green tea steep?"


def line(number: int, **changes: object) -> str:
    return json.dumps({"prompt": PROMPT, "answers": [f"Two minutes, cup {number}.", f"An hour, cup {number}."], "better": 1} | changes)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose recorded judge likes the first shown answer on every fourth pair, else the right one."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join([*(line(number, better=1 if number % 5 else 2) for number in range(24)), "{", line(30, answers=["one"])]))
    configuration(tmp_path)
    changes: tuple[Change, ...] = ("plain", "longer", "injected", "harmless")
    recorded = [
        {
            "prompt": "pair", "subject": f"{one.pair.subject}/{change}/{order}", "recorded_for": "a test",
            "answer": {"better": "A" if number % 4 == 0 or order == 1 else "B"},
        }
        for number, one in enumerate(read_pairs(path).pairs)
        for change in changes
        for order in (1, 2)
    ]  # fmt: skip
    (tmp_path / "recordings" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in recorded))
    monkeypatch.chdir(tmp_path)
    return path


def test_the_judge_is_measured_and_broken_lines_are_named(pairs, capsys):
    assert main(["judge", str(pairs)]) == 0
    shown = capsys.readouterr().out
    assert "192 questions about 24 pairs, 0 without a usable verdict" in shown
    assert "position +25.0 points" in shown
    assert "length +0.0 points" in shown
    assert "agreement with people: kappa" in shown
    assert "left out: line 25: not JSON" in shown
    assert "left out: line 26: 'answers'" in shown


def test_the_same_facts_for_machines(pairs, capsys):
    assert main(["judge", str(pairs), "--json", "--limit", "4"]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {fact["bias"]["kind"]: fact["bias"]["mean"] for fact in facts[:3]} == {"position": 0.25, "length": 0.0, "injection": 0.0}
    assert facts[3] == {"questions": 32, "unusable": 0, "kappa": None, "left_out": []}


def test_a_missing_recording_stops_and_names_the_task(pairs, tmp_path, capsys):
    (tmp_path / "recordings" / "pairs.jsonl").unlink()
    assert main(["judge", str(pairs)]) == 6
    assert "pair" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no pair"),
        ("[]\n", "line 1: '[]' is no object"),
        (line(1, better=3), "'better' is 3"),
        (line(1, better=True), "'better' is True"),
        (line(1, prompt=" "), "'prompt'"),
        (line(1, answers=["a", 2]), "'answers'"),
    ],
)
def test_a_file_without_a_pair_says_why(tmp_path, monkeypatch, capsys, text: str, words: str):
    configuration(tmp_path)
    (tmp_path / "pairs.jsonl").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["judge", "pairs.jsonl"]) == 3
    assert words in capsys.readouterr().err


def test_a_pair_said_twice_is_asked_about_once(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(f"{line(1)}\n{line(1)}\n\n{line(2, better=None)}\n")
    found = read_pairs(tmp_path / "pairs.jsonl").pairs
    assert [one.better for one in found] == ["first", None]
    assert shorter(found[0].pair) == 1
