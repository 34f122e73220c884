"""From queries to licensed pages."""

from castalia.engine.stage import Stage
from castalia.records import Page, Query
from castalia.stages.collect.collect import CollectParams, collect_pages

STAGE = Stage(
    name="collect",
    version=1,
    run=collect_pages,
    params=CollectParams,
    reads={"queries": Query},
    writes={"pages": Page},
    shape="whole",
)
