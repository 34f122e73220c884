"""The capability taxonomy: what the target should be able to do."""

from castalia.stages.taxonomy.stage import STAGE, TaxonomyParams

__all__ = ["STAGE", "TaxonomyParams"]
