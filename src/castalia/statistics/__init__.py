"""Statistics that hold for small, paired, clustered or stratified samples. NumPy only."""

from castalia.statistics.agreement import Estimate, cohen_kappa, kappa_interval, krippendorff_alpha, krippendorff_interval, ppi_mean
from castalia.statistics.corrected import CorrectedShare, JudgedStratum, Stratum, allocate, corrected_kappa, corrected_share, labels_needed
from castalia.statistics.distributions import normal_cdf, normal_quantile, t_cdf, t_quantile
from castalia.statistics.paired import (
    Difference,
    cluster_bootstrap,
    items_needed,
    mcnemar_exact,
    minimal_detectable_effect,
    paired_difference,
    with_sparse_floor,
)
from castalia.statistics.sequential import alpha_for_round, betting_e_process, holm, holm_levels

__all__ = [
    "CorrectedShare",
    "Difference",
    "Estimate",
    "JudgedStratum",
    "Stratum",
    "allocate",
    "alpha_for_round",
    "betting_e_process",
    "cluster_bootstrap",
    "cohen_kappa",
    "corrected_kappa",
    "corrected_share",
    "holm",
    "holm_levels",
    "items_needed",
    "kappa_interval",
    "krippendorff_alpha",
    "krippendorff_interval",
    "labels_needed",
    "mcnemar_exact",
    "minimal_detectable_effect",
    "normal_cdf",
    "normal_quantile",
    "paired_difference",
    "ppi_mean",
    "t_cdf",
    "t_quantile",
    "with_sparse_floor",
]
