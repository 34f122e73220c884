"""The static report: one HTML file with everything in it, no script, no request to anywhere."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import jinja2

from castalia import __version__
from castalia.release.balance import BALANCED
from castalia.store import write_file
from castalia.summary import LAYER_NAMES, Summary
from castalia.ui.charts import curve_chart, score_chart, yield_chart


def write_report(summary: Summary, path: Path) -> Path:
    """Renders `summary` to `path`, atomically; the same summary gives the same bytes. Raises StoreError, StorageFull."""
    write_file(path, render_report(summary).encode())
    return path


def render_report(summary: Summary) -> str:
    """The page as HTML. Every value is escaped by the template engine; only our own SVG is not."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "points": _points, "count": _count, "usd": _usd, "counted": _counted, "excerpt": excerpt}
    template = environment.from_string(resources.files("castalia.ui").joinpath("pages/report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        s=summary,
        layers=LAYER_NAMES,
        version=__version__,
        balanced=BALANCED,
        curves=[curve_chart(curve) for curve in summary.curves],
        scores=score_chart(summary.comparison.scores) if summary.comparison else "",
        yields=yield_chart(summary.yields),
    )


def excerpt(text: str, lines: int = 6, characters: int = 320) -> str:
    """The beginning of a text, and how much of it is left out."""
    shown = "\n".join(text.split("\n")[:lines])[:characters]
    left = len(text) - len(shown)
    return f"{shown} … ({left:,} more characters)" if left > 0 else shown or "(nothing)"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def _count(value: int) -> str:
    return f"{value:,}"


def _usd(value: float) -> str:
    """Cents where they say something, and more digits below a cent."""
    return f"${value:,.2f}" if value == 0 or value >= 0.01 else f"${value:.4f}"


def _counted(pairs: Iterable[tuple[str, int]]) -> str:
    """`name: count, name: count`."""
    return ", ".join(f"{name}: {count:,}" for name, count in pairs)
