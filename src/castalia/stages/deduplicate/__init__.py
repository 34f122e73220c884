"""One copy of each document."""

from castalia.engine.stage import Stage
from castalia.records import Document, Likeness
from castalia.stages.deduplicate.deduplicate import DeduplicateParams, deduplicate_documents

STAGE = Stage(
    name="deduplicate",
    version=3,
    run=deduplicate_documents,
    params=DeduplicateParams,
    reads={"documents_scrubbed": Document},
    writes={"documents": Document, "likenesses": Likeness},
    shape="whole",
)
