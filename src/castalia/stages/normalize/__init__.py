"""From a page's HTML to clean, typed blocks."""

from castalia.engine.stage import Stage
from castalia.records import Document, Page
from castalia.stages.normalize.normalize import NormalizeParams, normalize_page

STAGE = Stage(
    name="normalize",
    version=1,
    run=normalize_page,
    params=NormalizeParams,
    reads={"pages": Page},
    writes={"documents_raw": Document},
    shape="map",
)
