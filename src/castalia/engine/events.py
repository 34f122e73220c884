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


Event = StageStarted | StageAdvanced | StageFinished | StageSkipped
