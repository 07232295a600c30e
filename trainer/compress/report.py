"""The report of a compression: every variant in a table, and the Pareto front of quality against speed and size."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from core.scoring import TaskScore
from trainer.compress.measure import Variant

DEEP = 0.05  # accuracy
_HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right }}
th:nth-child(2), td:nth-child(2) {{ text-align: left }}
tr.chosen {{ background: #e6f2e6; font-weight: 600 }}
svg {{ max-width: 100%; height: auto }}
</style></head><body>
<h1>{title}</h1>
{notes}
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table>
{plot}
</body></html>
"""


def write_report(
    directory: Path, title: str, variants: Sequence[Variant], chosen: Variant, notes: Sequence[str]
) -> None:
    """Write `report.md`, `report.html` and `pareto.svg` to `directory`. Figures are those of the test part."""
    directory.mkdir(parents=True, exist_ok=True)
    plot = pareto_plot(variants, chosen)
    head, rows = table(variants)
    (directory / "pareto.svg").write_text(plot, encoding="utf-8")
    lines = [f"# {title}", "", *(f"{note}\n" for note in notes)]
    lines += ["| " + " | ".join(head) + " |", "|---:|---|" + "---:|" * (len(head) - 2)]
    for variant, row in zip(variants, rows, strict=True):
        cells = [f"**{cell}**" for cell in row] if variant.name == chosen.name else row
        lines.append("| " + " | ".join(cells) + " |")
    (directory / "report.md").write_text("\n".join([*lines, "", "![Pareto front](pareto.svg)", ""]), encoding="utf-8")
    page = _HTML.format(
        title=html.escape(title),
        notes="".join(f"<p>{html.escape(note)}</p>" for note in notes),
        head="".join(f"<th>{html.escape(cell)}</th>" for cell in head),
        rows="\n".join(
            f"<tr{' class=chosen' if variant.name == chosen.name else ''}>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for variant, row in zip(variants, rows, strict=True)
        ),
        plot=plot[plot.index("<svg") :],
    )
    (directory / "report.html").write_text(page, encoding="utf-8")


def table(variants: Sequence[Variant]) -> tuple[list[str], list[list[str]]]:
    """Head and one numbered row of text per variant; speed also as a ratio to the first one."""
    head = ["", "variant", "MB", "parameters (M)", "messages/s", "against the first"]
    for score in variants[0].test:
        head += [f"{score.task} accuracy", "macro-F1", "ECE"]
    rows = []
    for number, variant in enumerate(variants, start=1):
        ratio = variant.rate / variants[0].rate
        row = [str(number), variant.name, f"{variant.size / 1e6:.2f}", f"{variant.parameters / 1e6:.2f}"]
        row += [f"{variant.rate:.0f}", f"{ratio:.2f}x"]
        for score in variant.test:
            row += [f"{score.accuracy:.4f}", f"{score.macro_f1:.4f}", f"{score.ece:.4f}"]
        rows.append(row)
    return head, rows


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points (cost, quality) that no other one beats in both, by rising cost."""
    front: list[int] = []
    best = float("-inf")
    for position in sorted(range(len(points)), key=lambda p: (points[p][0], -points[p][1])):
        if points[position][1] > best:
            best = points[position][1]
            front.append(position)
    return front


def pareto_plot(variants: Sequence[Variant], chosen: Variant) -> str:
    """Mean accuracy over the tasks against messages per second and against size, as SVG; points bear the rows' numbers.

    Variants more than DEEP below the best, such as what was cut and not taught yet, are left out.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasSVG(figure)
    quality = [_mean_accuracy(variant.test) for variant in variants]
    panels: list[tuple[str, Callable[[Variant], float], int]] = [
        ("messages per second of CPU time, one thread", lambda variant: variant.rate, -1),
        ("graph and tokenizer, MB", lambda variant: variant.size / 1e6, 1),
    ]
    for axes, (label, value, sign) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        values = [value(variant) for variant in variants]
        shown = [p for p, worth in enumerate(quality) if worth >= max(quality) - DEEP]
        axes.scatter([values[p] for p in shown], [quality[p] for p in shown], color="#8a8a8a", zorder=2)
        front = pareto_front([(sign * v, q) for v, q in zip(values, quality, strict=True)])
        front = [p for p in front if p in shown]
        axes.plot([values[p] for p in front], [quality[p] for p in front], color="#2b6cb0", zorder=1)
        at = next(p for p, variant in enumerate(variants) if variant.name == chosen.name)
        axes.scatter([values[at]], [quality[at]], color="#2f855a", s=90, zorder=3)
        for position in shown:
            place = (values[position], quality[position])
            axes.annotate(str(position + 1), place, textcoords="offset points", xytext=(6, 5), fontsize=9)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("mean accuracy on the test part")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _mean_accuracy(scores: Sequence[TaskScore]) -> float:
    return sum(score.accuracy for score in scores) / len(scores)
