"""What a release says of its own spread: counts, coverage of the taxonomy, and what length and style give away."""

import json

import pytest

from castalia.cli import main
from castalia.harmony import gpt_oss_vocabulary
from castalia.records import Candidate, Rubric, ScoredAnswer, TaxonomyNode
from castalia.release.balance import balance_lines, measure_balance, pair_bias, reward_bias
from castalia.workspace import make_release
from small_world import pair, reward, sft, trace_example, world

VOCABULARY = gpt_oss_vocabulary()
LONG = "Two minutes, and not a moment more than that, as everybody who ever brewed it will gladly tell you."


def node(key: str) -> TaxonomyNode:
    return TaxonomyNode(key=key, category=key.partition("/")[0], title=key, description="Does it.", abilities=("does it",))  # type: ignore[arg-type]


def test_records_are_counted_by_category_and_kind_and_empty_nodes_are_named():
    nodes = [node("knowledge/tea"), node("skills/pour")]
    measured = measure_balance({"sft": [sft(1), sft(3, "And black tea?"), trace_example()], "preferences": [pair()]}, nodes, VOCABULARY)
    assert measured["sft"]["by_category"] == {"knowledge": {"grounded-answer": 2}, "procedural": {"agent-trace": 1}}
    assert (measured["sft"]["coverage"], measured["sft"]["empty"]) == (0.5, ["skills/pour"])
    assert measured["replay"] | {"by_node": {}} == {
        "records": 0, "by_category": {}, "by_domain": {}, "by_difficulty": {}, "by_style": {}, "by_cell": {}, "by_node": {},
        "coverage": 0.0, "empty": ["knowledge/tea", "skills/pour"],
        "left_out": {}, "short": [], "over": [],
    }  # fmt: skip
    assert "* sft: nothing about `skills/pour`" in balance_lines(measured)


def test_pairs_of_equal_length_are_balanced_and_pairs_whose_better_answer_is_longer_are_not():
    even = pair_bias([pair(1, "Two minutes.", "Six minutes.")], VOCABULARY)
    assert (even["length"], even["balanced"], even["longer_chosen"]) == (0.0, True, None)
    longer = pair_bias([pair(n, LONG, "An hour.") for n in range(3)], VOCABULARY)
    assert longer["length"] > 0.5
    assert (longer["balanced"], longer["longer_chosen"]) == (False, 1.0)
    turned = pair_bias([pair(n, "An hour.", LONG) for n in range(3)], VOCABULARY)
    assert turned["length"] == pytest.approx(-longer["length"])
    assert pair_bias([], VOCABULARY)["length"] is None


def test_what_pairs_say_of_their_judge_is_averaged_over_prompts_and_shown():
    seen = Candidate(level="target", text="An hour.", failure_modes=("hallucination",), seen_modes=("hallucination",))
    first = pair(1).model_copy(update={"rejected": seen, "orders_agree": 1.0, "judge_agrees": 0.5, "margin": 4.0})
    again = first.model_copy(update={"subject": f"{first.subject}.2", "margin": 6.0})
    turned = pair(2)
    asked = turned.prompt.messages[0].model_copy(update={"content": "And green tea?"})
    turned = turned.model_copy(
        update={"prompt": turned.prompt.model_copy(update={"messages": (asked,)}), "orders_agree": 0.5, "on_policy": True, "margin": 5.0}
    )
    figures = pair_bias([first, again, turned], VOCABULARY)
    assert (figures["orders_agree"], figures["judge_agrees"], figures["on_policy"], figures["margin"]) == (0.75, 0.5, 1, 5.0)
    assert (figures["seen_modes"], figures["levels"]["target"]) == ({"hallucination": 2}, 2)
    lines = "\n".join(balance_lines(measure_balance({"preferences": [first, again, turned]}, [], VOCABULARY)))
    assert "its two orders rank 75% of two answers alike, and it ranks 50% of passed and failed answers as execution does" in lines
    assert "Both answers are the target's own in 1 pairs" in lines


def test_a_trait_that_only_better_answers_have_is_named():
    measured = measure_balance({"preferences": [pair(n, "- two\n- minutes", "two minutes") for n in range(2)]}, [], VOCABULARY)
    assert measured["preferences"]["bias"]["style"]["list"] == {"chosen": 1.0, "rejected": 0.0}
    assert any("list in 100% of chosen and 0% of rejected" in line for line in balance_lines(measured))


def answers(*scored: tuple[str, float | None]) -> tuple[ScoredAnswer, ...]:
    return tuple(ScoredAnswer(text=text, parsed=True, rubric=Rubric(), checked=True, reward=reward) for text, reward in scored)


def test_rewards_that_follow_length_are_found_and_missing_rewards_are_counted_not_compared():
    assert reward_bias([reward(answers=answers((LONG, 1.0), ("Two.", 0.5), ("Six minutes.", None)))], VOCABULARY) == {
        "length": 1.0, "compared": 1, "mean_reward": 0.75, "without_reward": 1, "disagreements": 0,
    }  # fmt: skip
    mixed = [reward(answers=answers((LONG, 0.0), ("Two.", 1.0))), reward(2, answers=answers((LONG, 1.0), ("Two.", 0.0)))]
    assert reward_bias(mixed, VOCABULARY)["length"] == 0.0


def test_a_release_carries_its_figures_and_its_card_says_when_pairs_are_unbalanced(tmp_path):
    unsafe = Candidate(level="unsafe", text="Eat the leaves.", score=0.0, failure_modes=("safety_violation",))
    changes = {"preferences": [pair(1, LONG, rejected=unsafe.text).model_copy(update={"rejected": unsafe})]}
    release = make_release(world(tmp_path, changes=changes))
    figures = json.loads((release.folder / "balance.json").read_text())
    assert figures["preferences"]["bias"]["failure_modes"] == {"safety_violation": 1}
    card = (release.folder / "README.md").read_text()
    assert "Length of pairs: NOT balanced" in card
    assert "1 safety_violation" in card


def test_what_passed_is_shown_before_it_is_released(tmp_path, capsys, monkeypatch):
    world(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["show", "balance"]) == 0
    assert "| preferences |" in capsys.readouterr().out
    assert main(["show", "balance", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sft"]["records"] == 2
