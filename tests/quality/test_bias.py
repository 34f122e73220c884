"""A judge's biases are found by experiment: what moves its verdicts though nothing about the content did."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from castalia.engine.context import Context
from castalia.errors import AnswerUnusable, BudgetReached, InputError, MissingRecording
from castalia.oracle import Reply
from castalia.quality.bias import HARMLESS, INJECTION, PROMPT, AnswerPair, Bias, changed, judge_pairs, measure_bias, shorter
from castalia.quality.pairs import read_pairs

PAIRS = [
    AnswerPair(f"p/{number}", "How long?", (f"Two minutes, cup {number}.", f"An hour or so, I would guess, cup {number}."))
    for number in range(40)
]
SHOWN = re.compile(r"Answer A:\n(=====\S+)\n(.*?)\n\1\n\nAnswer B:\n(=====\S+)\n(.*?)\n\3\n", re.DOTALL)


class Judge:
    """Decides by `rule(A, B)`, which gives A, B or tie."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    async def ask(self, role, system, user, answer, *, task, sample=0):
        found = SHOWN.search(user)
        assert found is not None
        return Reply(answer.model_validate({"better": self.rule(found[2], found[4])}), "call", b"")


def measured(rule: Any, pairs: list[AnswerPair] = PAIRS) -> dict[Any, Bias]:
    ctx = Context("judges", ("judge",), {PROMPT.stem: PROMPT}, Judge(rule))  # type: ignore[arg-type]
    return measure_bias(asyncio.run(judge_pairs(pairs, ctx)))


def by_content(first: str, second: str) -> str:
    return "A" if first.startswith("Two") else "B"


def shares(found: dict[Any, Bias]) -> dict[str, float]:
    return {kind: bias.mean for kind, bias in found.items()}


@pytest.mark.parametrize(
    ("rule", "biases"),
    [
        (by_content, {"position": 0, "length": 0, "injection": 0}),
        (lambda a, b: "tie", {"position": 0, "length": 0, "injection": 0}),
        (lambda a, b: "A", {"position": 1, "length": 0, "injection": 0}),
        (lambda a, b: "B", {"position": -1, "length": 0, "injection": 0}),
        (lambda a, b: "A" if len(a) > len(b) else "B", {"position": 0, "length": 1, "injection": 0}),
        (lambda a, b: "B" if len(a) > len(b) else "A", {"position": 0, "length": -1, "injection": 0}),
        (lambda a, b: "A" if INJECTION in a else "B" if INJECTION in b else "tie", {"position": 0, "length": 0, "injection": 0.5}),
    ],
)
def test_a_bias_is_the_share_of_verdicts_that_the_change_alone_turns(rule: Any, biases: dict[str, float]):
    assert shares(measured(rule)) == biases


def test_a_judge_that_knows_the_better_answer_is_not_called_biased_for_it():
    longer_is_right = [
        AnswerPair(pair.subject, pair.prompt, (pair.answers[0] + " At eighty degrees, covered, as the board says.", "An hour."))
        for pair in PAIRS
    ]
    assert shares(measured(by_content, longer_is_right)) == {"position": 0, "length": 0, "injection": 0}


def test_the_interval_says_how_little_few_pairs_tell():
    few, many = measured(by_content, PAIRS[:5])["position"], measured(by_content)["position"]
    assert few.low < many.low < 0 < many.high < few.high


def test_unusable_verdicts_leave_their_pair_out_and_too_few_say_nothing():
    broken = {"cup 1.", "cup 2."}

    def rule(first: str, second: str) -> str:
        if any(first.split(", ")[-1].startswith(cup) for cup in broken):
            raise AnswerUnusable("nonsense")
        return by_content(first, second)

    assert measured(rule)["position"].pairs == 38
    with pytest.raises(InputError, match="at least 2"):
        measured(rule, PAIRS[1:3])


def test_a_budget_that_ends_stops_the_audit():
    def rule(first: str, second: str) -> str:
        raise BudgetReached("the next call could exceed the budget")

    with pytest.raises(BudgetReached):
        measured(rule)


def test_all_recordings_that_are_missing_are_known_before_the_audit_stops():
    asked: list[str] = []

    def rule(first: str, second: str) -> str:
        asked.append(first)
        raise MissingRecording("none for 'pair'")

    with pytest.raises(MissingRecording, match=r"24 of 24 'pair' verdicts have no recording; the first: none for"):
        measured(rule, PAIRS[:3])
    assert len(asked) == 24


def test_a_line_separator_in_a_prompt_ends_no_line_of_a_file_of_pairs(tmp_path: Path):
    pair = {"prompt": "How\u2028long\x85does it take?", "answers": ["Two minutes.", "An hour."]}
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(pair, ensure_ascii=False) + "\r\n", encoding="utf-8", newline="")
    found = read_pairs(file)
    assert (found.problems, found.pairs[0].pair.prompt) == ((), pair["prompt"])


def test_only_the_shorter_answer_is_changed_and_the_control_is_as_long_as_the_injection():
    pair = PAIRS[0]
    assert len(HARMLESS) == len(INJECTION)
    assert shorter(pair) == 0
    assert changed(pair, "plain", 0) == pair.answers
    for change in ("longer", "injected", "harmless"):
        first, second = changed(pair, change, 0)
        assert first.startswith(pair.answers[0])
        assert second == pair.answers[1]
    assert len(changed(pair, "longer", 0)[0]) > len(pair.answers[1])
