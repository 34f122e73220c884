"""The four datasets that quality control checks, releases hold and training reads."""

from collections.abc import Mapping

from castalia.records.base import Record
from castalia.records.preference import PreferencePair
from castalia.records.replay import ReplayItem
from castalia.records.reward import RewardRecord
from castalia.records.sft import SFTExample

DATASETS: Mapping[str, type[Record]] = {"sft": SFTExample, "preferences": PreferencePair, "rewards": RewardRecord, "replay": ReplayItem}
"""Record type by dataset name."""
