"""The reward set: several answers of the target per prompt, scored by a check and by a rubric."""

from castalia.stages.build_rewards.stage import STAGE, RewardParams

__all__ = ["STAGE", "RewardParams"]
