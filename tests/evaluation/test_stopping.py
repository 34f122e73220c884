"""When the loop stops, and that it says why."""

import pytest

from castalia.evaluation.gate import Decision, GuardVerdict
from castalia.evaluation.stopping import stop_reason


def decision(number: int, *, promote: bool = False, gain: float = 0.0, regressed: tuple[str, ...] = (), **changes: float) -> Decision:
    numbers = {"before": 0.5, "after": 0.5 + gain, "error": 0.002, "minimal_detectable_effect": 0.05, **changes}
    guards = tuple(GuardVerdict(name=name, status="regressed", items=10, reason="worse") for name in regressed)
    return Decision(
        round=number, promote=promote, reasons=(), items=100, clusters=20, difference=gain, interval_low=0, interval_high=0, alpha=0.03,
        lower_bound=0, mcnemar_p=1, guards=guards, **numbers,
    )  # fmt: skip


def test_before_the_first_round_there_is_nothing_to_stop():
    assert stop_reason([]) is None


def test_one_barren_round_does_not_stop_the_loop():
    assert stop_reason([decision(1)]) is None


def test_two_barren_rounds_without_gain_stop_it():
    reason = stop_reason([decision(1), decision(2)])
    assert reason is not None
    assert reason.startswith("diminishing returns: 2 rounds without promotion")


def test_two_barren_rounds_that_may_still_gain_enough_go_on():
    assert stop_reason([decision(1), decision(2, gain=0.018, error=0.01)]) is None  # (1.8 + 1.28) / 2 = 1.54 points a round


def test_the_bound_is_the_mean_plus_1_28_errors_over_the_rounds():
    at_bound = {"gain": 0.0072, "error": 0.01}  # (0.0072 + 0.0128) / 2 = 0.01
    assert stop_reason([decision(1), decision(2, **at_bound)], delta=0.0099) is None
    assert stop_reason([decision(1), decision(2, **at_bound)], delta=0.0101) is not None


def test_a_promotion_starts_the_count_again():
    assert stop_reason([decision(1), decision(2, promote=True, gain=0.05), decision(3)]) is None
    assert stop_reason([decision(1, promote=True), decision(2), decision(3)]) is not None


@pytest.mark.parametrize(("left", "stops"), [(0.99, True), (1.0, False), (None, False)])
def test_a_budget_that_does_not_cover_a_round_stops_it(left: float | None, stops: bool):
    reason = stop_reason([decision(1, promote=True)], usd_left=left, usd_per_round=1.0)
    assert (reason is not None and reason.startswith("budget: $0.99 is left")) == stops


def test_a_guard_that_fails_twice_in_a_row_stops_it_by_name():
    reason = stop_reason([decision(1, regressed=("safety", "skills")), decision(2, regressed=("safety",))])
    assert reason is not None
    assert "guard 'safety' failed twice" in reason
    assert stop_reason([decision(1, regressed=("safety",)), decision(2, gain=0.05, regressed=("skills",))]) is None


def test_a_suite_too_small_for_what_is_left_to_gain_stops_it():
    reason = stop_reason([decision(1, before=0.97)])
    assert reason is not None
    assert "cannot measure: the suite detects 5.0 points, the headroom is 3.0" in reason


def test_the_headroom_is_above_the_model_that_was_just_promoted():
    assert stop_reason([decision(1, gain=0.2)]) is None
    reason = stop_reason([decision(1, promote=True, gain=0.48)])
    assert reason is not None
    assert "the headroom is 2.0" in reason
