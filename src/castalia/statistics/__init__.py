"""Statistics that hold for small, paired, clustered samples. NumPy only."""

from castalia.statistics.agreement import Estimate, cohen_kappa, krippendorff_alpha, ppi_mean
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
    "Difference",
    "Estimate",
    "alpha_for_round",
    "betting_e_process",
    "cluster_bootstrap",
    "cohen_kappa",
    "holm",
    "holm_levels",
    "items_needed",
    "krippendorff_alpha",
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
