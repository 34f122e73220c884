"""The supervised set: gold completions grounded in passages, worked solutions that ran, agent traces that happened."""

from castalia.stages.build_sft.stage import STAGE, SftParams

__all__ = ["STAGE", "SftParams"]
