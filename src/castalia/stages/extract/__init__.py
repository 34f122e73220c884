"""Extraction: pages become typed atoms with evidence."""

from castalia.stages.extract.stage import STAGE, ExtractParams

__all__ = ["STAGE", "ExtractParams"]
