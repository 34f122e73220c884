"""The report of a collection: one HTML file, no script, no request to anywhere."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from castalia import __version__
from castalia.store import write_file


def write_corpus_report(facts: Mapping[str, Any], path: Path) -> Path:
    """Renders `report.json` of a corpus to `path`, atomically; the same facts give the same bytes. Raises StoreError, StorageFull."""
    write_file(path, render_corpus_report(facts).encode())
    return path


def render_corpus_report(facts: Mapping[str, Any]) -> str:
    """The page as HTML; every value is escaped by the template engine."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": lambda value: f"{value:,}"}
    template = environment.from_string(resources.files("castalia.ui").joinpath("pages/corpus.html.j2").read_text(encoding="utf-8"))
    return template.render(f=facts, version=__version__)
