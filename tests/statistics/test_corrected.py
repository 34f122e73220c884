"""Corrected shares and the intervals of agreement: exact where everything is known, honest where little is, weighted by stratum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.errors import InputError
from castalia.statistics import (
    JudgedStratum,
    Stratum,
    allocate,
    cohen_kappa,
    corrected_kappa,
    corrected_share,
    kappa_interval,
    krippendorff_alpha,
    krippendorff_interval,
    labels_needed,
)

STRATA = st.lists(
    st.tuples(st.integers(1, 300), st.integers(0, 30), st.integers(0, 30)).map(
        lambda n: Stratum(n[0], min(n[0], n[1]), min(n[0], n[1], n[2]))
    ),
    min_size=1,
    max_size=6,
)


def test_where_everything_is_labelled_nothing_is_uncertain() -> None:
    found = corrected_share([Stratum(10, 10, 9), Stratum(30, 30, 15)])
    assert (found.mean, found.low, found.high) == (0.6, 0.6, 0.6)


def test_strata_weigh_by_their_size_not_by_their_labels() -> None:
    found = corrected_share([Stratum(900, 20, 20), Stratum(100, 100, 0)])
    assert found.mean == pytest.approx(0.9, abs=0.01)
    assert found.high == 0.9


def test_five_flawless_labels_do_not_prove_a_flawless_stratum() -> None:
    found = corrected_share([Stratum(1000, 5, 5)])
    assert found.low < 0.85
    assert found.high == 1.0


@settings(max_examples=200, deadline=None)
@given(strata=STRATA)
def test_the_share_lies_in_its_interval_and_the_interval_in_what_is_possible(strata: list[Stratum]) -> None:
    if not any(stratum.labelled for stratum in strata):
        with pytest.raises(InputError, match="no record is labelled"):
            corrected_share(strata)
        return
    found = corrected_share(strata)
    size = sum(stratum.size for stratum in strata)
    good, bad = sum(s.good for s in strata), sum(s.labelled - s.good for s in strata)
    assert good / size - 1e-9 <= found.low <= found.mean + 1e-9 <= found.high + 2e-9 <= 1 - bad / size + 3e-9


@pytest.mark.parametrize(("threshold", "certainty"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_certainty_of_a_threshold_is_that_of_the_share_above_it(threshold: float, certainty: float) -> None:
    assert corrected_share([Stratum(100, 20, 10)], threshold=threshold).certainty_above == pytest.approx(certainty, abs=1e-6)
    assert corrected_share([Stratum(100, 20, 10)], threshold=0.5).certainty_above == pytest.approx(0.5, abs=0.05)


def test_a_large_set_is_counted_as_a_small_one_is() -> None:
    small, large = corrected_share([Stratum(4000, 50, 40)]), corrected_share([Stratum(200_000, 50, 40)])
    assert large.low == pytest.approx(small.low, abs=0.005)
    assert large.high == pytest.approx(small.high, abs=0.005)


@pytest.mark.parametrize("stratum", [Stratum(5, 6, 1), Stratum(5, 3, 4), Stratum(5, 3, -1)])
def test_counts_that_cannot_be_are_refused(stratum: Stratum) -> None:
    with pytest.raises(InputError, match="can't be"):
        corrected_share([stratum])


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    sizes, good, labelled = (700, 120, 180), (651, 66, 22), (60, 40, 40)
    truth = sum(good) / sum(sizes)
    held = 0
    for _ in range(400):
        seen = [int(rng.hypergeometric(g, size - g, n)) for size, g, n in zip(sizes, good, labelled, strict=True)]
        found = corrected_share([Stratum(*one) for one in zip(sizes, labelled, seen, strict=True)])
        held += found.low <= truth <= found.high
    assert abs(held / 400 - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / 400)


# Agreement


def test_kappa_of_a_fully_labelled_set_is_that_of_the_table() -> None:
    found = corrected_kappa([JudgedStratum(True, 14, 14, 13), JudgedStratum(False, 6, 6, 2)])
    assert found is not None
    judge, people = [1] * 14 + [0] * 6, [1] * 13 + [0] + [1] * 2 + [0] * 4
    assert found.mean == pytest.approx(cohen_kappa(judge, people))
    assert found.interval == pytest.approx((found.mean, found.mean))


def test_kappa_is_weighted_back_to_the_set_and_none_where_there_was_one_answer() -> None:
    oversampled = corrected_kappa([JudgedStratum(True, 900, 50, 49), JudgedStratum(False, 100, 50, 5)])
    assert oversampled is not None
    judge, people = [1] * 900 + [0] * 100, [1] * 882 + [0] * 18 + [1] * 10 + [0] * 90
    assert oversampled.mean == pytest.approx(cohen_kappa(judge, people), abs=0.03)
    assert corrected_kappa([JudgedStratum(True, 100, 20, 20)]) is None


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_intervals_of_agreement_hold_the_estimate_and_shrink_with_more_records(level: str) -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, size=400)
    raters = np.array([np.where(rng.random(400) < 0.85, truth, rng.integers(0, 3, size=400)) for _ in range(3)], dtype=float)
    few, many = krippendorff_interval(raters[:, :40], level), krippendorff_interval(raters, level)  # type: ignore[arg-type]
    assert few.interval[0] < krippendorff_alpha(raters[:, :40], level) < few.interval[1]  # type: ignore[arg-type]
    assert many.interval[1] - many.interval[0] < 0.5 * (few.interval[1] - few.interval[0])


def test_two_who_agree_on_everything_are_not_certain_to_do_so_forever() -> None:
    found = kappa_interval(["pass"] * 15 + ["fail"] * 5, ["pass"] * 15 + ["fail"] * 5)
    assert found.mean == 1
    assert found.interval[0] < 0.95


def test_ratings_may_be_missing() -> None:
    ratings = [[1, 0, 1, 1, float("nan")], [1, 0, float("nan"), 0, 1], [float("nan"), 0, 1, 1, float("nan")]]
    assert krippendorff_interval(ratings).mean == krippendorff_alpha(ratings)


# How many labels


def test_labels_go_where_doubt_is_and_never_beyond_the_stratum() -> None:
    assert allocate([1000, 100], [0.1, 0.5], 60) == [40, 20]
    assert allocate([1000, 3], [0.1, 0.5], 60, floor=5) == [59, 3]


def test_the_counted_labels_give_the_half_width() -> None:
    sizes, shares = [800, 200], [0.95, 0.5]
    deviations = [math.sqrt(p * (1 - p)) for p in shares]
    labels = labels_needed(0.03, sizes, deviations)
    drawn = allocate(sizes, deviations, labels)
    found = corrected_share([Stratum(size, n, round(n * p)) for size, n, p in zip(sizes, drawn, shares, strict=True)])
    assert found.half_width == pytest.approx(0.03, abs=0.003)
    assert labels_needed(1e-6, [100], [0.5]) == 100
    with pytest.raises(InputError, match="half width"):
        labels_needed(0, sizes, deviations)
