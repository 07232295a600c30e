"""A backtest as one HTML file that needs nothing else: vector graphics in the page, no scripts, no libraries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

import numpy as np

from alerting.backtest.panel import Panel
from alerting.backtest.run import Found
from alerting.detection.detector import Floats

_WIDTH, _LEFT, _RIGHT = 1200, 60, 10
_COUNTS, _SCORES, _GAP = 260, 130, 34  # heights, and the space for the time axis between

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #888; --band: #9ecae1; --line: #08519c; --alert: #d7301f;
  --window: #41ab5d; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --faint: #999; --band: #2b4a66; --line: #9ecae1;
  --alert: #fc8d59; --paper: #161616 } }
body { font: 14px system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2em }
svg { width: 100%; height: auto; max-width: 1400px } text { font-size: 12px; fill: var(--faint) }
.counts { stroke: var(--ink); fill: none; stroke-width: .8 } .expected, .score { stroke: var(--line); fill: none }
.band { fill: var(--band); opacity: .6 } .threshold { stroke: var(--alert); fill: none; stroke-dasharray: 4 3 }
.alert { fill: var(--alert); opacity: .35 } .window { fill: none; stroke: var(--window) } .axis { stroke: var(--faint) }
table { border-collapse: collapse; margin: 1em 0 2em } td, th { padding: .2em 1em .2em 0; text-align: left }
"""
_LEGEND = (
    "Black: the highest count of a step. Blue: the expected count, in a band that holds 99% of ordinary counts. Below: "
    "score and, dashed, the threshold in force. Red: alerts. Green frames: labelled windows. Times are UTC."
)


def render(title: str, panels: Sequence[Panel]) -> str:
    """The page."""
    body = "".join(_section(panel) for panel in panels) or "<p>Nothing was judged.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1><p>{_LEGEND}</p>{body}</html>\n"
    )


def _section(panel: Panel) -> str:
    heading = f"<h2>{escape(panel.title)}</h2>"
    return f"{heading}{_graphic(panel)}{_table(panel.alerts)}"


def _graphic(panel: Panel) -> str:
    height = 10 + _COUNTS + _GAP + _SCORES + 5
    x = np.linspace(_LEFT, _WIDTH - _RIGHT, len(panel.times)) if len(panel.times) > 1 else np.array([float(_LEFT)])
    most = float(np.nanmax([np.nanmax(panel.counts, initial=1.0), np.nanmax(panel.high, initial=1.0)]))
    strongest = float(max(np.nanmax(panel.score, initial=0.0), np.nanmax(panel.threshold, initial=0.0), 1e-9)) * 1.05
    top, bottom = 10, 10 + _COUNTS
    low_top, low_bottom = bottom + _GAP, bottom + _GAP + _SCORES

    def of_counts(values: Floats) -> Floats:
        return bottom - _COUNTS * values / most

    def of_scores(values: Floats) -> Floats:
        return low_bottom - _SCORES * np.minimum(values, strongest) / strongest

    parts = [
        _axis(top, bottom, most, "stories a step"),
        _axis(low_top, low_bottom, strongest, "score"),
        _time_axis(panel, x, bottom),
        _band(x, of_counts(panel.low), of_counts(panel.high)),
        _line("expected", x, of_counts(panel.expected)),
        _line("counts", x, of_counts(panel.counts)),
        _line("score", x, of_scores(panel.score)),
        _line("threshold", x, of_scores(panel.threshold)),
    ]
    for window in panel.windows:
        parts.append(_span("window", panel, x, window.start, window.end, top, low_bottom, "labelled window"))
    for alert in panel.alerts:
        parts.append(_span("alert", panel, x, alert.start, alert.end, top, low_bottom, str(alert)))
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(panel.title)}">{"".join(parts)}</svg>'


def _table(alerts: Sequence[Found]) -> str:
    if not alerts:
        return "<p>No alert.</p>"
    rows = "".join(
        f"<tr><td>{each.start:%Y-%m-%d %H:%M}<td>{each.end:%Y-%m-%d %H:%M}<td>{each.peak:%Y-%m-%d %H:%M}"
        f"<td>{each.observed:.0f} in {each.window_minutes} min<td>{each.expected:.1f}<td>{each.score:.2f}"
        for each in alerts
    )
    return f"<table><tr><th>opened<th>until<th>peak<th>observed<th>expected<th>score{rows}</table>"


def _axis(top: int, bottom: int, most: float, what: str) -> str:
    places = [(share * most, bottom - share * (bottom - top) + 4) for share in (0.0, 0.5, 1.0)]
    ticks = "".join(f'<text x="{_LEFT - 6}" y="{y:.0f}" text-anchor="end">{value:.3g}</text>' for value, y in places)
    line = f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{top}" y2="{bottom}"/>'
    middle = (top + bottom) / 2
    name = f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{what}</text>'
    return line + ticks + name


def _time_axis(panel: Panel, x: Floats, y: int) -> str:
    """Eight midnights at most; a series too short for that has its first time."""
    last = panel.times[-1]
    day = panel.times[0].replace(hour=0, minute=0) + timedelta(days=1)
    apart = timedelta(days=max(1, -(-(last - day).days // 8)))
    labels = [] if day <= last else [_time_label(panel, x, panel.times[0], y, "%Y-%m-%d %H:%M")]
    while day <= last:
        labels.append(_time_label(panel, x, day, y, "%Y-%m-%d"))
        day += apart
    return f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>{"".join(labels)}'


def _time_label(panel: Panel, x: Floats, at: datetime, y: int, form: str) -> str:
    place = _place(panel, x, at)
    tick = f'<line class="axis" x1="{place:.1f}" x2="{place:.1f}" y1="{y}" y2="{y + 4}"/>'
    return f'{tick}<text x="{place:.1f}" y="{y + 18}" text-anchor="middle">{at.strftime(form)}</text>'


def _place(panel: Panel, x: Floats, at: datetime) -> float:
    """Where the time `at` lies, within the graphic."""
    first = panel.times[0]
    whole = max((panel.times[-1] - first).total_seconds(), 1.0)
    return float(np.clip(x[0] + (at - first).total_seconds() / whole * (x[-1] - x[0]), x[0], x[-1]))


def _line(name: str, x: Floats, y: Floats) -> str:
    known = np.isfinite(y)
    return f'<polyline class="{name}" points="{_points(x[known], y[known])}"/>'


def _band(x: Floats, low: Floats, high: Floats) -> str:
    known = np.isfinite(low) & np.isfinite(high)
    there, back = _points(x[known], high[known]), _points(x[known][::-1], low[known][::-1])
    return f'<polygon class="band" points="{there} {back}"/>'


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _span(name: str, panel: Panel, x: Floats, start: datetime, end: datetime, top: int, bottom: int, words: str) -> str:
    left, right = _place(panel, x, start), _place(panel, x, end)
    return (
        f'<rect class="{name}" x="{left:.1f}" y="{top}" width="{max(right - left, 2.0):.1f}" height="{bottom - top}">'
        f"<title>{escape(words)}</title></rect>"
    )
