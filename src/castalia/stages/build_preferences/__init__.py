"""The preference set: candidates at planned quality levels, ranked by execution or by a judge in both orders."""

from castalia.stages.build_preferences.stage import STAGE, PreferenceParams

__all__ = ["STAGE", "PreferenceParams"]
