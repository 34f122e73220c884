"""The replay set: failures of the target on DEV items, corrected and tagged."""

from castalia.stages.build_replay.stage import STAGE, ReplayParams

__all__ = ["STAGE", "ReplayParams"]
