"""A backtest as an image, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alerting.backtest.panel import Panel

_INK, _BLUE, _BAND, _RED, _GREEN = "#222222", "#08519c", "#9ecae1", "#d7301f", "#41ab5d"


def draw(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Write the panels to `path`, one below the other: counts and expected band, score and threshold, alerts."""
    figure = Figure(figsize=(14, max(5.0 * len(panels), 1.0)), layout="constrained")
    figure.suptitle(title, parse_math=False)
    if not panels:
        figure.text(0.5, 0.5, "Nothing was judged.", ha="center")
        FigureCanvasAgg(figure).print_png(path)
        return
    axes = figure.subplots(2 * len(panels), 1, squeeze=False, height_ratios=[2, 1] * len(panels))
    for place, panel in enumerate(panels):
        counts, scores = axes[2 * place, 0], axes[2 * place + 1, 0]
        scores.sharex(counts)
        counts.set_title(panel.title, loc="left", parse_math=False)
        counts.fill_between(panel.times, panel.low, panel.high, color=_BAND, alpha=0.6, label="99% of ordinary counts")
        counts.plot(panel.times, panel.expected, color=_BLUE, linewidth=1, label="expected")
        counts.plot(panel.times, panel.counts, color=_INK, linewidth=0.6, label="stories a step")
        scores.plot(panel.times, panel.score, color=_BLUE, linewidth=0.8, label="score")
        scores.plot(panel.times, panel.threshold, color=_RED, linewidth=0.8, linestyle="--", label="threshold")
        for axis in (counts, scores):
            for window in panel.windows:
                axis.axvspan(window.start, window.end, fill=False, edgecolor=_GREEN)
            for alert in panel.alerts:
                axis.axvspan(alert.start, alert.end, color=_RED, alpha=0.35, linewidth=1)
            axis.set_ylim(bottom=0)
            axis.legend(loc="upper left", fontsize="small")
    FigureCanvasAgg(figure).print_png(path)
