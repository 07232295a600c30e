"""What `newstide ingest check` found, as a table and a few lines below it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click
from rich.table import Table
from rich.text import Text

from core.terminal import printable
from ingest.check import Finding
from newstide.commands.output import open_console

_MOST_LANGUAGES = 4


def show_findings(found: Sequence[Finding]) -> None:
    """Print `found`: a row each, then what is wrong and what to know, by source."""
    table = Table(box=None, pad_edge=False)
    for title in ("source", "type", "state"):
        table.add_column(title)
    for title in ("messages", "unreadable", "times unread", "newest"):
        table.add_column(title, justify="right")
    table.add_column("languages")
    for finding in found:
        state = Text("well", "green") if finding.well else Text("fails", "bold red")
        figures = (finding.messages, finding.unreadable, finding.times_unread)
        languages = sorted(finding.languages.items(), key=lambda pair: -pair[1])[:_MOST_LANGUAGES]
        table.add_row(
            finding.source,
            finding.type,
            state,
            *map(str, figures),
            _age(finding.newest),
            ", ".join(f"{code} {count}" for code, count in languages),
        )
    open_console().print(table)
    for finding in found:
        lines = [
            *([finding.error] if finding.error else []),
            *(f"unreadable: {reason}" for reason in finding.reasons),
            *([f"{finding.encodings_doubtful} texts in a doubtful encoding"] if finding.encodings_doubtful else []),
            *([f"{finding.passed_over} not asked for (`words`, `where`)"] if finding.passed_over else []),
            *finding.notes,
            *(f"“{example}”" for example in finding.examples),
        ]
        if lines:
            click.echo(f"\n{printable(finding.source)}: {printable(finding.address)}")
        for line in lines:
            click.echo(f"  {printable(line)}")


def _age(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    minutes = max(0, int((datetime.now(UTC) - moment).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 72 * 60 else f"{minutes // 1440} days ago"
