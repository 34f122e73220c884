"""Query planning: searches per category, reviewed for coverage, and the acquisition specification made from them."""

from castalia.stages.plan_queries.coverage import Cell
from castalia.stages.plan_queries.gaps import next_example_gaps, next_gaps
from castalia.stages.plan_queries.specification import acquisition_specification, specification_page
from castalia.stages.plan_queries.stage import STAGE, PlanParams

__all__ = ["STAGE", "Cell", "PlanParams", "acquisition_specification", "next_example_gaps", "next_gaps", "specification_page"]
