"""What a run tells while it goes on: enough for a progress bar with rate and time left, and for machines."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StageStarted:
    """A stage begins. `total` is its number of input records, None where it can't be known."""

    stage: str
    total: int | None


@dataclass(frozen=True)
class StageAdvanced:
    """A stage did `done` units so far: input records, or what a whole stage counts."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True)
class StageFinished:
    """A stage published its datasets."""

    stage: str
    kept: int
    rejected: int
    seconds: float


@dataclass(frozen=True)
class StageSkipped:
    """A stage did not run: it was fresh, or kept by a waiver."""

    stage: str
    reason: str


@dataclass(frozen=True)
class OracleAsking:
    """How the asking goes, about once a second while models are asked. Money in USD."""

    stage: str
    calls: int
    """Answered in this run, without those from the ledger."""
    cached: int
    calls_per_second: float
    tokens_per_second: float
    """In and out."""
    usd: float
    """Paid in this run."""
    usd_left: float | None
    """Until the budget, less what is reserved; None without a budget."""
    in_flight: int
    waiting: int
    limit: str
    """What limits the speed right now: `concurrency`, `requests per minute`, `tokens per minute`, `provider`, `budget`."""
    seconds_left: float | None
    """Of the stage; None where its end isn't known yet."""


@dataclass(frozen=True)
class OracleStopping:
    """A run is stopped: nothing new is asked, and what is in flight is waited for, at most so many seconds."""

    in_flight: int
    seconds: float


Event = StageStarted | StageAdvanced | StageFinished | StageSkipped | OracleAsking | OracleStopping
