"""What each benchmark aims at, as data. An aim is a goal, not a test: it is compared and reported, and decides only with `--strict`."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "==": operator.eq,
    "within": lambda measured, ends: ends[0] <= measured <= ends[1],
}


class Aim(NamedTuple):
    """A figure's goal: `value` on the right of `relation`."""

    relation: str
    value: float | bool | tuple[float, float]

    def __str__(self) -> str:
        if isinstance(self.value, tuple):
            return f"{self.relation} {self.value[0]} to {self.value[1]}"
        return f"{self.relation} {str(self.value).lower()}"

    def met(self, measured: object) -> bool:
        """Whether the figure reaches the aim. What was not measured does not, and `True` is no number."""
        if measured is None or isinstance(measured, bool) != isinstance(self.value, bool):
            return False
        return _RELATIONS[self.relation](measured, self.value)


AIMS: Mapping[str, Mapping[str, Aim]] = {
    "demo": {
        "seconds": Aim("<=", 720),
        "peak_mb": Aim("<=", 6144),
        "format_after": Aim(">=", 0.9),
        "gate_gain_ci_low": Aim(">", 0),
        "identical_after_kill": Aim("==", True),
        "data_only_seconds": Aim("<=", 60),
    },
    "oracle_faults": {
        "lost": Aim("==", 0),
        "unlisted_duplicates": Aim("==", 0),
        "batch_duplicates": Aim("==", 0),
        "double_done": Aim("==", 0),
        "bill_mismatch_cents": Aim("==", 0),
        "over_budget_cents": Aim("==", 0),
    },
    "oracle": {
        "rate_64": Aim(">=", 0.85),
        "rate_256": Aim(">=", 0.70),
        "cpu_ms_per_call": Aim("<=", 1.0),
        "paid_twice": Aim("<=", 64),
        "unlisted_duplicates": Aim("==", 0),
        "rate_under_429": Aim(">=", 0.6),
        "calls_for_one_row": Aim("==", 1),
        "million_row_peak_mb": Aim("<=", 300),
    },
    "extraction": {
        "f1": Aim(">=", 0.88),
        "f1_forum": Aim(">=", 0.80),
        "code_verbatim": Aim(">=", 0.98),
        "table_rows": Aim(">=", 0.85),
        "headings": Aim(">=", 0.95),
        "docs_per_s_core": Aim(">=", 100),
    },
    "fetch": {
        "schedule_fraction": Aim(">=", 0.9),
        "hostile_hangs": Aim("==", 0),
        "hostile_escapes": Aim("==", 0),
        "robots_crashes": Aim("==", 0),
        "refetched_after_kill": Aim("==", 0),
        "hostile_wrong": Aim("==", 0),
        "robots_wrong": Aim("==", 0),
        "url_missed_merges": Aim("==", 0),
        "url_wrong_merges": Aim("==", 0),
        "url_not_idempotent": Aim("==", 0),
        "hurried_requests": Aim("==", 0),
        "missing_after_kill": Aim("==", 0),
    },
    "collect": {
        "pages": Aim(">=", 1000),
        "refetched_after_kill": Aim("==", 0),
        "identical_after_kill": Aim("==", True),
        "second_run_does_nothing": Aim("==", True),
    },
    "harmony": {
        "token_equal": Aim("==", 1.0),
        "emit_coverage": Aim("==", 1.0),
        "wrong_context_tokens": Aim("==", 0),
        "round_trip": Aim("==", 1.0),
        "formats_round_trip": Aim("==", 1.0),
        "vectors_wrong": Aim("==", 0),
        "fuzz_crashes": Aim("==", 0),
    },
    "datasets": {
        "evidence_valid": Aim(">=", 1.0),
        "grounded": Aim(">=", 0.98),
        "rebuild_identical": Aim("==", True),
        "faults_used": Aim("==", 0),
        "leaked_records": Aim("==", 0),
        "not_refused": Aim("==", 0),
    },
    "pii": {
        "recall_structured": Aim(">=", 0.95),
        "precision_structured": Aim(">=", 0.95),
        "code_bytes_changed": Aim("==", 0),
        "mb_per_s_core": Aim(">=", 10),
    },
    "licences": {
        "text_correct": Aim("==", 1.0),
        "text_false_accepts": Aim("<=", 2),
        "text_changed_accepted": Aim("==", 0),
        "wrong_merges": Aim("==", 0),
        "page_precision": Aim(">=", 0.99),
        "page_recall": Aim(">=", 0.80),
    },
    "judges": {
        "bias_error_points": Aim("<=", 2),
        "interval_coverage": Aim("within", (0.94, 0.96)),
        "corrected_half_width_points": Aim("<=", 3.5),
        "fail_open": Aim("==", 0),
    },
    "sandbox": {
        "attacks": Aim(">=", 60),
        "escapes": Aim("==", 0),
        "canaries_intact": Aim("==", True),
        "survivors": Aim("==", 0),
        "start_ms_p50": Aim("<=", 50),
        "python_gradings_per_s": Aim(">=", 20),
        "rust_gradings_per_s": Aim(">=", 1),
    },
    "rewards": {
        "cheats": Aim(">=", 80),
        "cheats_accepted": Aim("==", 0),
        "references_accepted": Aim(">=", 0.995),
        "mutants_rejected": Aim(">=", 0.95),
    },
    "duplicates": {
        "ari": Aim(">=", 0.975),
        "pair_precision": Aim(">=", 0.999),
        "pair_recall": Aim(">=", 0.95),
        "wrong_merges": Aim("==", 0),
        "peak_mb": Aim("<=", 300),
    },
}
"""By benchmark and figure. A benchmark is known when it stands here; figures without an aim are reported all the same."""


def judge(benchmark: str, figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{figure: {"aim", "value", "met"}}` for every aim of the benchmark."""
    return {
        figure: {"aim": str(aim), "value": figures.get(figure), "met": aim.met(figures.get(figure))}
        for figure, aim in AIMS[benchmark].items()
    }
