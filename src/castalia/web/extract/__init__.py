"""From a page's HTML to clean, typed blocks: `extract(html, url)` is the whole of it."""

from castalia.web.extract.meta import Metadata
from castalia.web.extract.model import shipped_model
from castalia.web.extract.page import Extraction, extract
from castalia.web.extract.render import markdown_text, plain_text

__all__ = ["Extraction", "Metadata", "extract", "fitted_pages", "markdown_text", "plain_text"]


def fitted_pages() -> frozenset[str]:
    """First 8 hex digits of the sha256 of every page that the shipped model was fitted on."""
    return shipped_model().fitted
