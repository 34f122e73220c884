"""The statistics agree with SciPy, statsmodels and krippendorff where those have them, and keep their promises where not."""

import itertools
import math

import krippendorff
import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests

from castalia import statistics as stats
from castalia.errors import InputError


@pytest.mark.parametrize("df", [1, 2, 3, 5, 11, 15, 63, 400, 1539])
def test_t_distribution_agrees_with_scipy(df: int) -> None:
    for x in (-40.0, -3.1, -1.0, -0.01, 0.0, 1e-6, 0.4, 2.0, 9.0):
        assert stats.t_cdf(x, df) == pytest.approx(scipy.stats.t.cdf(x, df), rel=1e-10, abs=1e-14)
    for p in (1e-5, 0.0076, 0.025, 0.05, 0.3, 0.5, 0.7, 0.9696, 0.975, 0.9999):
        assert stats.t_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-9, abs=1e-12)


def test_t_with_infinite_degrees_is_the_normal() -> None:
    assert stats.t_quantile(0.975, math.inf) == pytest.approx(scipy.stats.norm.ppf(0.975), rel=1e-12)
    assert stats.t_cdf(-8.0, math.inf) == pytest.approx(scipy.stats.norm.cdf(-8.0), rel=1e-10)


def _clustered_scores(seed: int, clusters: int, size: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(clusters), size)
    shift = rng.normal(0, 0.8, clusters)[names]
    before = (rng.normal(0, 1, len(names)) + shift > 0.3).astype(float)
    after = (rng.normal(0, 1, len(names)) + shift > -0.1).astype(float)
    return before, after, names.tolist()


def test_cluster_robust_difference_agrees_with_statsmodels() -> None:
    before, after, clusters = _clustered_scores(3, 14, 5)
    result = stats.paired_difference(before, after, clusters)
    fit = sm.OLS(after - before, np.ones(len(before))).fit(cov_type="cluster", cov_kwds={"groups": np.array(clusters)}, use_t=True)
    assert result.mean == pytest.approx(fit.params[0], abs=1e-12)
    assert result.error == pytest.approx(fit.bse[0], abs=1e-10)
    assert result.df == 13
    assert result.interval(0.95) == pytest.approx(tuple(fit.conf_int(0.05)[0]), abs=1e-8)


def test_without_clusters_it_is_the_paired_t_test() -> None:
    before, after, _ = _clustered_scores(4, 12, 3)
    result, reference = stats.paired_difference(before, after), scipy.stats.ttest_rel(after, before)
    assert (result.mean / result.error) == pytest.approx(reference.statistic, abs=1e-10)
    assert result.p_at_most(0) == pytest.approx(scipy.stats.ttest_rel(after, before, alternative="greater").pvalue, abs=1e-10)
    assert result.p_at_least(0) == pytest.approx(scipy.stats.ttest_rel(after, before, alternative="less").pvalue, abs=1e-10)


def test_lower_bound_and_p_value_tell_the_same() -> None:
    before, after, clusters = _clustered_scores(5, 10, 4)
    result = stats.paired_difference(before, after, clusters)
    assert result.p_at_most(result.lower_bound(0.03)) == pytest.approx(0.03, abs=1e-9)


def test_one_cluster_or_unpaired_scores_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2 clusters"):
        stats.paired_difference([0, 1, 1], [1, 1, 1], ["a", "a", "a"])
    with pytest.raises(InputError, match="same items"):
        stats.paired_difference([0, 1], [1])
    with pytest.raises(InputError, match="NaN"):
        stats.paired_difference([0, float("nan")], [1, 1])


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits, bootstrap_hits, repeats, clusters, size = 0, 0, 400, 12, 4
    names = np.repeat(np.arange(clusters), size).tolist()
    for seed in range(repeats):
        shift = np.repeat(rng.normal(0.1, 0.2, clusters), size)
        change = np.clip(shift + rng.normal(0, 0.1, clusters * size), -1, 1)
        result = stats.paired_difference(np.zeros(clusters * size), change, names)
        low, high = result.interval(0.95)
        hits += low <= 0.1 <= high
        low, high = stats.cluster_bootstrap(np.zeros(clusters * size), change, names, resamples=200, seed=seed)
        bootstrap_hits += low <= 0.1 <= high
    assert 0.92 <= hits / repeats <= 0.98
    assert 0.85 <= bootstrap_hits / repeats <= 0.97  # the percentile interval is known to be short with a dozen clusters


def test_bootstrap_agrees_with_scipys_and_repeats_itself() -> None:
    before, after, clusters = _clustered_scores(6, 30, 1)
    interval = stats.cluster_bootstrap(before, after, clusters, seed=1)
    reference = scipy.stats.bootstrap((after - before,), np.mean, method="percentile", n_resamples=9999, rng=np.random.default_rng(2))
    assert interval == pytest.approx(tuple(reference.confidence_interval), abs=0.035)
    assert interval == stats.cluster_bootstrap(before, after, clusters, seed=1)


def test_sparse_floor_keeps_unchanged_items_from_being_proof() -> None:
    unchanged = stats.paired_difference(np.ones(16), np.ones(16))
    assert unchanged.error == 0
    floored = stats.with_sparse_floor(unchanged)
    assert floored.error == pytest.approx(1 / 18)
    assert floored.lower_bound(0.05) < -0.02
    many = stats.with_sparse_floor(stats.paired_difference(np.ones(200), np.ones(200)))
    assert many.lower_bound(0.05) > -0.02
    before, after, clusters = _clustered_scores(7, 20, 5)
    ordinary = stats.paired_difference(before, after, clusters)
    assert stats.with_sparse_floor(ordinary).error >= ordinary.error


def test_mcnemar_agrees_with_statsmodels() -> None:
    for gained, lost in [(0, 0), (1, 0), (5, 1), (3, 3), (2, 11), (40, 22)]:
        before = [0] * gained + [1] * lost + [1, 0]
        after = [1] * gained + [0] * lost + [1, 0]
        reference = mcnemar([[1, lost], [gained, 1]], exact=True).pvalue if gained + lost else 1.0
        assert stats.mcnemar_exact(before, after) == pytest.approx(reference, abs=1e-12)


def test_items_needed_for_two_and_five_points() -> None:
    assert stats.items_needed(0.02, 0.10) == 1540
    assert stats.items_needed(0.05, 0.10) == 242
    assert stats.minimal_detectable_effect(1540, 0.10) == pytest.approx(0.02, abs=1e-4)
    assert stats.minimal_detectable_effect(242, 0.10, design_effect=2) > stats.minimal_detectable_effect(242, 0.10)


@pytest.mark.parametrize(
    "p_values", [[0.04], [0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], [0.0, 1.0, 0.02, 0.02], [0.011, 0.012, 0.013, 0.04]]
)
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    reject, adjusted, *_ = multipletests(p_values, alpha=0.05, method="holm")
    assert stats.holm(p_values) == pytest.approx(adjusted.tolist(), abs=1e-12)
    levels = stats.holm_levels(p_values, 0.05)
    assert all(reject) == all(p <= level for p, level in zip(p_values, levels, strict=True))


def test_alpha_of_all_rounds_together_is_the_budget() -> None:
    assert stats.alpha_for_round(1) == pytest.approx(0.0303963, abs=1e-6)
    assert sum(stats.alpha_for_round(k) for k in range(1, 20_001)) == pytest.approx(0.05, abs=1e-5)
    with pytest.raises(InputError):
        stats.alpha_for_round(0)


def test_e_process_is_fair_under_the_null() -> None:
    finals = [stats.betting_e_process(np.array(signs))[-1] for signs in itertools.product([-1.0, 1.0], repeat=10)]
    assert np.mean(finals) == pytest.approx(1.0, abs=1e-12)
    assert min(finals) > 0


def test_e_process_rarely_alarms_without_and_soon_with_an_effect() -> None:
    rng = np.random.default_rng(1)
    alarms = [stats.betting_e_process(rng.choice([-1.0, 0.0, 1.0], 200, p=[0.2, 0.6, 0.2])).max() >= 20 for _ in range(300)]
    found = [stats.betting_e_process(rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.55, 0.35])).max() >= 20 for _ in range(100)]
    assert np.mean(alarms) <= 0.05
    assert np.mean(found) >= 0.9
    with pytest.raises(InputError, match="within"):
        stats.betting_e_process([0.5, 3.0])


def test_kappa_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(2)
    first = rng.integers(0, 4, 80)
    second = np.where(rng.random(80) < 0.6, first, rng.integers(0, 4, 80))
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    assert stats.cohen_kappa(first.tolist(), second.tolist()) == pytest.approx(cohens_kappa(table).kappa, abs=1e-10)
    assert stats.cohen_kappa(["pass", "fail"], ["pass", "fail"]) == 1
    assert math.isnan(stats.cohen_kappa(["pass", "pass"], ["pass", "pass"]))


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_krippendorff_alpha_agrees_with_the_library(level: stats.agreement.Level) -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 6, 40)
    ratings = np.where(rng.random((4, 40)) < 0.7, truth, rng.integers(1, 6, (4, 40))).astype(float)
    ratings[rng.random((4, 40)) < 0.2] = np.nan
    reference = krippendorff.alpha(reliability_data=ratings, level_of_measurement=level)
    assert stats.krippendorff_alpha(ratings, level) == pytest.approx(reference, abs=1e-10)


def test_alpha_without_a_shared_record_is_refused() -> None:
    with pytest.raises(InputError, match="two ratings"):
        stats.krippendorff_alpha([[1, float("nan")], [float("nan"), 2]])


def test_prediction_powered_mean_is_unbiased_and_shorter_than_labels_alone() -> None:
    rng = np.random.default_rng(4)
    hits, widths, plain_widths = 0, [], []
    for _ in range(200):
        quality = rng.random(1060) < 0.7
        judged = np.where(rng.random(1060) < 0.9, quality, ~quality).astype(float)
        labels = quality[:60].astype(float)
        estimate = stats.ppi_mean(labels, judged[:60], judged[60:])
        hits += estimate.interval[0] <= 0.7 <= estimate.interval[1]
        widths.append(estimate.error)
        plain_widths.append(labels.std(ddof=1) / math.sqrt(60))
    assert 0.90 <= hits / 200 <= 0.99
    assert np.mean(widths) < 0.8 * np.mean(plain_widths)


def test_untuned_prediction_powered_mean_is_judge_mean_plus_rectifier() -> None:
    estimate = stats.ppi_mean([1, 0, 1, 1], [1, 1, 1, 0], [1, 1, 0, 1, 1], tune=False)
    assert estimate.mean == pytest.approx(0.8 + 0.0)
    with pytest.raises(InputError, match="pair"):
        stats.ppi_mean([1, 0], [1], [1, 0])
