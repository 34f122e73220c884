"""The static report: one HTML file with everything in it, no script, no request to anywhere."""

import os
from importlib import resources
from pathlib import Path

import jinja2

from castalia.summary import LAYERS, Summary
from castalia.ui.charts import curve_chart, funnel_chart, score_chart


def write_report(summary: Summary, path: Path) -> Path:
    """Renders `summary` to `path`, atomically; the same summary gives the same bytes. Returns the path."""
    page = render_report(summary)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, path)  # noqa: PTH105 - Path.replace is the same call with a worse name for a reader
    return path


def render_report(summary: Summary) -> str:
    """The page as HTML. Every value is escaped by the template engine; only our own SVG is not."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "points": _points}
    template = environment.from_string(resources.files("castalia.ui").joinpath("pages/report.html.j2").read_text(encoding="utf-8"))
    metrics = sorted({curve.metric for curve in summary.curves})
    return template.render(
        s=summary,
        layers=LAYERS,
        charts=[curve_chart([curve for curve in summary.curves if curve.metric == metric]) for metric in metrics],
        scores=score_chart(summary.scores),
        funnel=funnel_chart({row.datasets: row.kept for row in summary.stages}),
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"
