"""Charts, rendered on the server to SVG: no script reaches the page. Altair describes them, vl-convert draws them."""

# pyright: basic
from collections.abc import Mapping, Sequence

import altair as alt
import vl_convert

from castalia.summary import Curve, ScoreRow

_BLUE, _GRAY = "#2b6cb0", "#a0aec0"


def curve_chart(curves: Sequence[Curve]) -> str:
    """Lines of one metric over training steps, one color per stage; an SVG element, empty for no curves."""
    rows = [{"step": step, "value": value, "stage": curve.stage} for curve in curves for step, value in curve.points]
    if not rows:
        return ""
    metric = curves[0].metric
    chart = (
        alt.Chart(alt.Data(values=rows), width=300, height=150, title=metric)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("stage:N", title=None),
        )
    )
    return _svg(chart)


def score_chart(rows: Sequence[ScoreRow]) -> str:
    """Before and after per category as dots on one line; an SVG element, empty for no rows."""
    if not rows:
        return ""
    points = [
        {"category": row.category, "when": when, "score": 100 * score}
        for row in rows
        for when, score in (("before", row.before), ("after", row.after))
    ]
    chart = (
        alt.Chart(alt.Data(values=points), width=460, height=28 * len(rows))
        .mark_point(filled=True, size=90)
        .encode(
            x=alt.X("score:Q", title="items right, %", scale=alt.Scale(domain=[0, 100])),
            y=alt.Y("category:N", title=None, sort=[row.category for row in rows]),
            color=alt.Color("when:N", title=None, scale=alt.Scale(domain=["before", "after"], range=[_GRAY, _BLUE])),
        )
    )
    return _svg(chart)


def funnel_chart(steps: Mapping[str, int]) -> str:
    """Bars of counts in the order given; an SVG element, empty for no steps."""
    if not steps:
        return ""
    rows = [{"step": name, "count": count} for name, count in steps.items()]
    base = alt.Chart(alt.Data(values=rows), width=460, height=22 * len(rows)).encode(y=alt.Y("step:N", sort=list(steps), title=None))
    bars = base.mark_bar(color=_BLUE, opacity=0.8).encode(x=alt.X("count:Q", title="records"))
    return _svg(bars + base.mark_text(align="left", dx=4).encode(x="count:Q", text="count:Q"))


def _svg(chart: alt.LayerChart | alt.FacetChart | alt.Chart) -> str:
    return vl_convert.vegalite_to_svg(chart.to_dict(validate=False))
