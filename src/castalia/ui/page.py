"""A page beside what was extracted from it: one HTML file that asks nobody for anything, wherever it is opened.

The original stands in a frame without any permission. What could reach out before a policy is looked at (links to other files, scripts,
refreshes, prefetching) is made inert, too.
"""

import re
from importlib import resources
from pathlib import Path

import jinja2

from castalia.store import write_file
from castalia.summary.page import PageView

_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
_REACHING = re.compile(r"<(/?)(link|base|meta|object|embed|frame|iframe|frameset|portal)\b", re.IGNORECASE)
_SCRIPT = re.compile(r"<(/?)script\b", re.IGNORECASE)


def write_page(view: PageView, path: Path) -> Path:
    """Writes the file, atomically. Raises StoreError, StorageFull."""
    write_file(path, render_page(view).encode("utf-8", "replace"))
    return path


def render_page(view: PageView) -> str:
    """The file. Every value is escaped by the template engine, the original page included."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("castalia.ui").joinpath("pages/page.html.j2").read_text(encoding="utf-8"))
    return template.render(v=view, framed=_POLICY + inert(view.html))


def inert(html: str) -> str:
    """The page without elements that load, run or lead anywhere; its text and inline styles stay."""
    return _SCRIPT.sub(r"<\1template", _REACHING.sub(r"<\1x-\2", html))
