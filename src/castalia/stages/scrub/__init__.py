"""From raw documents to documents without personal data."""

from castalia.engine.stage import Stage
from castalia.records import Document, Redaction
from castalia.stages.scrub.scrub import ScrubParams, scrub_document

STAGE = Stage(
    name="scrub",
    version=4,
    run=scrub_document,
    params=ScrubParams,
    reads={"documents_raw": Document},
    writes={"documents_scrubbed": Document, "redactions": Redaction},
    shape="map",
)
