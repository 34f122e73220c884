"""The gate promotes what is better and nothing else, and tells 'got worse' from 'can't tell'."""

import itertools

import numpy as np
import pytest

from castalia.errors import ConfigError, InputError
from castalia.evaluation.gate import Decision, decide, standard_guards
from castalia.evaluation.results import ItemResult, summarize
from castalia.records import CATEGORIES, Bank, Category


def result(
    number: int, value: float, category: Category = "knowledge", *, status: str = "ok", node: str = "", bank: Bank = "gate", seed: int = 0
):
    return ItemResult(
        item=f"item_{number:04}",
        subject=f"n/{bank}/{number}",
        bank=bank,
        category=category,
        node=node or f"{category}/n",
        cluster=f"c{number}",
        target="t",
        style="A",
        seed=seed,
        passed=value == 1,
        value=value,
        status=status,
        answer="",
        reason="",
        tokens=3,
    )


def suite(values: list[float], *, status: str = "ok") -> list[ItemResult]:
    return [result(n, v, category, status=status) for n, (v, category) in enumerate(zip(values, itertools.cycle(CATEGORIES), strict=False))]


def guards_of(decision: Decision) -> dict[str, str]:
    return {guard.name: guard.status for guard in decision.guards}


def test_a_base_that_knows_no_harmony_can_lose_nothing_and_is_replaced_by_a_clear_gain() -> None:
    decision = decide(suite([0.0] * 64, status="truncated"), suite([1.0, 0.0, 0.0, 1.0] * 16))
    assert decision.promote
    assert decision.lower_bound > 0
    assert decision.interval_low > 0
    assert set(guards_of(decision).values()) == {"nothing to lose", "not measured"}
    assert "up to 17%" in next(guard.reason for guard in decision.guards if guard.name == "skills")


def test_equal_models_are_not_exchanged() -> None:
    values = [1.0, 0.0] * 300
    decision = decide(suite(values), suite(values))
    assert not decision.promote
    assert decision.lower_bound < 0


def test_a_gain_that_costs_a_category_is_refused_as_a_regression() -> None:
    before = suite([1.0, 0.0, 0.0, 0.0] * 100)
    after = suite([0.7 if n % 4 == 0 else 1.0 for n in range(400)])
    decision = decide(before, after)
    assert decision.lower_bound > 0
    assert not decision.promote
    assert guards_of(decision)["behavioral"] == "regressed"
    assert any(reason.startswith("behavioral: regressed") for reason in decision.reasons)


def test_a_category_too_small_to_judge_blocks_but_is_not_called_a_regression() -> None:
    rng = np.random.default_rng(0)
    before = suite(rng.choice([0.0, 1.0], 64).tolist())
    after = suite([1.0 if r.category != "skills" else r.value for r in before])
    decision = decide(before, after)
    assert guards_of(decision)["skills"] == "cannot measure"
    assert "regressed" not in guards_of(decision).values()
    assert not decision.promote
    assert "items would show" in next(g.reason for g in decision.guards if g.name == "skills")


def test_a_large_suite_proves_that_nothing_was_lost() -> None:
    rng = np.random.default_rng(1)
    before = suite((rng.random(4000) < 0.6).astype(float).tolist())
    after = suite([min(1.0, r.value + float(rng.random() < 0.1)) for r in before])
    decision = decide(before, after)
    assert decision.promote
    assert {guards_of(decision)[category] for category in CATEGORIES} == {"non-inferior"}
    assert guards_of(decision)["format validity"] == "non-inferior"
    assert decision.minimal_detectable_effect < 0.03


def test_broken_format_is_caught_even_where_scores_rise() -> None:
    before = suite([0.0] * 800)
    after = [r.model_copy(update={"status": "truncated"}) if n % 10 == 0 else r for n, r in enumerate(suite([1.0] * 800))]
    assert guards_of(decide(before, after))["format validity"] == "regressed"


def test_named_nodes_become_guards() -> None:
    before = [result(n, 1.0, "behavioral", node="behavioral/harm") for n in range(400)]
    after = [result(n, 0.0, "behavioral", node="behavioral/harm") for n in range(400)]
    decision = decide(before, after, guards=standard_guards({"safety": ["behavioral/harm"]}))
    assert guards_of(decision)["safety"] == "regressed"
    assert guards_of(decision)["over-refusal"] == "not measured"


def test_later_looks_must_show_more_whatever_their_round() -> None:
    before, after = suite([0.0, 0.0, 1.0, 0.0] * 30), suite([0.0, 1.0, 1.0, 0.0] * 30)
    first, fifth = decide(before, after, round=1, look=1), decide(before, after, round=1, look=5)
    assert fifth.alpha < first.alpha
    assert fifth.lower_bound < first.lower_bound
    assert fifth.minimal_detectable_effect > first.minimal_detectable_effect


def test_the_same_comparison_is_known_again_and_any_other_is_not() -> None:
    before, after = suite([0.0, 1.0] * 8), suite([1.0, 1.0] * 8)
    made = decide(before, after, round=1, look=1).compared
    assert made
    assert decide(before, after[::-1], round=2, look=7).compared == made
    others = [decide(before, suite([1.0, 0.0] * 8)), decide(before, after, guards=standard_guards({"safety": ["skills/n"]}))]
    assert made not in {other.compared for other in others}


def test_items_of_other_banks_never_decide() -> None:
    with pytest.raises(ConfigError, match="only 'gate' decides"):
        decide([result(1, 0.0, bank="dev")], [result(1, 1.0, bank="dev")])


def test_results_that_are_not_of_the_same_items_and_seeds_are_refused() -> None:
    with pytest.raises(InputError, match="share 1 items"):
        decide([result(1, 0.0), result(2, 0.0)], [result(1, 1.0), result(3, 1.0)])
    with pytest.raises(InputError, match="seeds"):
        decide([result(1, 0.0), result(2, 0.0)], [result(1, 1.0, seed=4), result(2, 1.0)])


def test_worthless_candidates_are_promoted_within_the_error_budget() -> None:
    rng = np.random.default_rng(2)
    promoted = 0
    for _ in range(60):
        before = suite((rng.random(48) < 0.05).astype(float).tolist())
        after = suite((rng.random(48) < 0.05).astype(float).tolist())
        promoted += decide(before, after).lower_bound > 0
    assert promoted <= 4


def test_summaries_count_unparsable_answers() -> None:
    summary = summarize([result(1, 1.0), result(2, 0.0, status="truncated"), result(3, 1.0, "skills")])
    assert summary["knowledge"] == (2, 0.5, 1, 0.5)
    assert summary["all"].items == 3
    assert "procedural" not in summary
