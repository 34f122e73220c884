"""Charts, rendered on the server to SVG: no script reaches the page. Altair describes them, vl-convert draws them.

Text and lines take the page's own color, so that one drawing serves light and dark.
"""

# pyright: basic
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from castalia.summary import Curve, ScoreRow

_BLUE, _GRAY = "#3b82c4", "#94a3b8"
_INK = "currentColor"
_AXIS = {"labelColor": _INK, "titleColor": _INK, "domainColor": _INK, "tickColor": _INK, "gridColor": _INK, "gridOpacity": 0.15}
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "padding": {"left": 25, "right": 15, "top": 5, "bottom": 5},  # the reader's font may be wider than the one this was laid out with
    "axis": {**_AXIS, "domainOpacity": 0.4, "tickOpacity": 0.4, "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 11},
    "title": {"color": _INK, "fontSize": 12, "anchor": "start"},
    "text": {"color": _INK, "fontSize": 11},
    "legend": {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 11},
}


def curve_chart(curve: Curve) -> str:
    """One metric over the steps of one stage; an SVG element."""
    rows = [{"step": step, "value": value} for step, value in curve.points]
    chart = (
        alt.Chart(alt.Data(values=rows), width=250, height=110, title=f"{curve.stage}: {curve.metric}")
        .mark_line(strokeWidth=1.5, color=_BLUE)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickMinStep=1, tickCount=5)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)),
        )
    )
    return _svg(chart)


def score_chart(rows: Sequence[ScoreRow]) -> str:
    """Before and after per category as two dots on one line; an SVG element, empty for no rows."""
    if not rows:
        return ""
    lines = [{"category": row.category, "before": 100 * row.before, "after": 100 * row.after} for row in rows]
    points = [{"category": row["category"], "when": when, "score": row[when]} for row in lines for when in ("before", "after")]
    y = alt.Y("category:N", title=None, sort=[row.category for row in rows])
    x = alt.Scale(domain=[0, 100])
    moved = alt.Chart(alt.Data(values=lines)).mark_rule(color=_GRAY).encode(x=alt.X("before:Q", scale=x), x2="after:Q", y=y)
    dots = (
        alt.Chart(alt.Data(values=points))
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=alt.X("score:Q", title="items right, %", scale=x),
            y=y,
            color=alt.Color("when:N", title=None, scale=alt.Scale(domain=["before", "after"], range=[_GRAY, _BLUE])),
        )
    )
    return _svg((moved + dots).properties(width=520, height=26 * len(rows)))


def yield_chart(steps: Sequence[tuple[str, int]]) -> str:
    """Bars of counts in the order given; an SVG element, empty for no steps."""
    if not steps:
        return ""
    rows = [{"step": name, "count": count, "text": f"{count:,}"} for name, count in steps]
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("step:N", sort=[name for name, _ in steps], title=None))
    bars = base.mark_bar(color=_BLUE).encode(x=alt.X("count:Q", title=None, axis=alt.Axis(tickMinStep=1)))
    texts = base.mark_text(align="left", dx=4).encode(x="count:Q", text="text:N")
    return _svg((bars + texts).properties(width=520, height=24 * len(rows)))


def _svg(chart: alt.LayerChart | alt.FacetChart | alt.Chart) -> str:
    return vl_convert.vegalite_to_svg({**chart.to_dict(validate=False), "config": _CONFIG})
