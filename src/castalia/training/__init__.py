"""The staged recipe on TRL: SFT, preference, GRPO, consolidation; each stage a function and a module to launch.

Importing this package imports no torch: recipes and plans are made without it.
"""

from castalia.training.plan import Counts, Hardware, TrainingPlan, plan_training
from castalia.training.recipe import (
    ConsolidateSettings,
    GrpoSettings,
    LoraSettings,
    PreferenceSettings,
    Recipe,
    SftSettings,
    StageName,
    load_recipe,
)
from castalia.training.scheduler import Item, Schedule

__all__ = [
    "ConsolidateSettings", "Counts", "GrpoSettings", "Hardware", "Item", "LoraSettings", "PreferenceSettings", "Recipe", "Schedule",
    "SftSettings", "StageName", "TrainingPlan", "load_recipe", "plan_training",
]  # fmt: skip
