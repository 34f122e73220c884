"""From queries to licensed pages."""

from castalia.engine.stage import Stage
from castalia.records import Page, Query
from castalia.stages.collect.collect import CollectParams, collect_pages

STAGE = Stage(
    name="collect",
    version=3,
    run=collect_pages,
    params=CollectParams,
    reads={"queries": Query},
    writes={"pages": Page},
    optional=frozenset({"queries"}),  # a corpus can be collected from sites alone
    shape="whole",
)
