"""The whole report as values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from castalia.release import released_versions
from castalia.summary.balance import balance
from castalia.summary.comparison import Comparison, Round, compare, rounds, stopped
from castalia.summary.data import (
    CoverageRow,
    FunnelRow,
    LicenceRow,
    StageRow,
    Usage,
    coverage,
    funnel,
    licences,
    passed_records,
    stage_rows,
    usage,
    yields,
)
from castalia.summary.people import People, people
from castalia.summary.training import Curve, TrainingRow, curves, latest_round, training_rows
from castalia.workspace import Workspace


class Summary(NamedTuple):
    """Parts that don't exist yet are empty."""

    name: str
    domain: str
    target: str
    release: str
    yields: tuple[tuple[str, int], ...]
    """What is left after each step of the data half, from pages to accepted records."""
    stages: tuple[StageRow, ...]
    funnel: tuple[FunnelRow, ...]
    people: People
    licences: tuple[LicenceRow, ...]
    coverage: tuple[CoverageRow, ...]
    balance: Mapping[str, Any] | None
    """Counts, lengths and style of what passed, see `measure_balance`; None before quality control ran."""
    usage: Usage
    trained_round: int
    """The round that `training` and `curves` tell of, 0 before the first."""
    training: tuple[TrainingRow, ...]
    curves: tuple[Curve, ...]
    rounds: tuple[Round, ...]
    stopped: str
    """Why the loop ended, empty while it goes on or where there is none."""
    comparison: Comparison | None
    """What the last decision compared; None before it, and when a later measurement has replaced its results."""


def summarize(workspace: Workspace) -> Summary:
    """The report of a workspace as far as it got."""
    versions = released_versions(workspace.releases, workspace.config.name)
    number, folder = latest_round(workspace)
    decided = rounds(workspace)
    passed = passed_records(workspace)
    checked = funnel(workspace, passed)
    return Summary(
        name=workspace.config.name,
        domain=workspace.config.domain,
        target=workspace.config.target.model,
        release=versions[-1].name if versions else "",
        yields=yields(workspace, checked),
        stages=stage_rows(workspace),
        funnel=checked,
        people=people(workspace),
        licences=licences(workspace),
        coverage=coverage(workspace, passed),
        balance=balance(workspace, passed),
        usage=usage(workspace),
        trained_round=number,
        training=training_rows(folder),
        curves=curves(folder),
        rounds=decided,
        stopped=stopped(workspace),
        comparison=compare(workspace, decided[-1].decision) if decided else None,
    )
