"""From queries to licensed pages."""

from castalia.engine.stage import Stage
from castalia.records import Page, Query
from castalia.stages.collect.collect import CollectParams, collect_pages
from castalia.stages.collect.ties import TIE_PROMPT

STAGE = Stage(
    name="collect",
    version=3,
    run=collect_pages,
    params=CollectParams,
    reads={"queries": Query},
    writes={"pages": Page},
    optional=frozenset({"queries"}),  # a corpus can be collected from sites alone
    shape="whole",
    prompts=(TIE_PROMPT,),
    oracle=("judge",),
    asks=lambda params: params.break_ties,
)
