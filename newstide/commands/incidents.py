"""`newstide alerts list | incidents | show | feedback`: incidents that were reported, and what people say of them."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from alerting.incidents.document import incident_document
from alerting.incidents.sentence import figures, incident_sentence
from alerting.rules.alerts_file import load_rules
from core.errors import NewstideError
from core.settings import Settings, load_settings
from core.store.alerts import STATES, AlertRow, count_unjudged, list_alerts
from core.store.incidents import (
    VERDICTS,
    FalseAlarms,
    Feedback,
    Incident,
    Verdict,
    add_feedback,
    find_incident,
    list_incidents,
    measure_false_alarms,
    read_feedback,
)
from core.terminal import printable
from newstide.commands.output import open_console
from newstide.commands.times import Moment
from newstide.stack.resources import store

_SHORT_ID = 8  # digits that tell incidents apart in a list
_WIDE = 150  # columns that hold a headline too


@click.command("list")
@click.option("--since", type=Moment(), help="Only what was not over by then: 2014-09-19, 36h, 7d.")
@click.option("--state", type=click.Choice(STATES), help="Only these; all but the withdrawn if not given.")
@click.option("--series", metavar="KIND=NAME", help="all, topic=NAME or entity=NAME.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest ones.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of alerts; see `incidents --json` too.")
def list_(since: datetime | None, state: str | None, series: str | None, limit: int, as_json: bool) -> None:
    """Show incidents, the newest first: alerts that share their stories are one."""
    settings = load_settings()
    with store(settings) as engine:
        if as_json:
            rows = list_alerts(engine, since=since, state=state, series=series, limit=limit)
            click.echo(json.dumps([row.to_json() for row in rows], indent=1))
            return
        incidents = list_incidents(engine, since=since, state=state, series=series, limit=limit)
        unjudged, measured = count_unjudged(engine), measure_false_alarms(engine)
    console = open_console()
    console.print(_table(incidents, console.width) if incidents else "no alerts")
    if incidents:
        click.echo(budget_line(measured, _budget(settings)))
    if unjudged:
        click.echo(f"{unjudged} messages came days late: they are counted in the trends, and were not judged", err=True)


@click.command("incidents")
@click.option("--since", type=Moment(), help="Only what was not over by then: 2014-09-19, 36h, 7d.")
@click.option("--state", type=click.Choice(STATES), help="Only these; all but the withdrawn if not given.")
@click.option("--series", metavar="KIND=NAME", help="With an alert on all, topic=NAME or entity=NAME.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest ones.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, as receivers get it.")
def incidents_(since: datetime | None, state: str | None, series: str | None, limit: int, as_json: bool) -> None:
    """Show incidents with their alerts and the main story of each, the newest first."""
    with store(load_settings()) as engine:
        found = list_incidents(engine, since=since, state=state, series=series, limit=limit)
    if as_json:
        click.echo(json.dumps([incident_document(incident) for incident in found], indent=1))
        return
    console = open_console()
    for incident in found:
        _print_head(console, incident)
        _print_alerts(console, incident.alerts)
        for story in incident.evidence.get("stories", [])[:1]:
            _print_story(console, story)
        console.print()
    if not found:
        console.print("no incidents")


@click.command()
@click.argument("incident", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(incident: str, as_json: bool) -> None:
    """Show one incident: its alerts, the evidence, what was said of it. ID may be cut short, or be an alert's."""
    with store(load_settings()) as engine:
        found = find_incident(engine, incident)
        said = read_feedback(engine, found.row.id)
    if as_json:
        feedback = [{"verdict": each.verdict, "analyst": each.analyst, "note": each.note, "at": each.at.isoformat()}
                    for each in said]  # fmt: skip
        click.echo(json.dumps({**incident_document(found), "feedback": feedback}, indent=1))
        return
    console = open_console()
    _print_head(console, found)
    _print_alerts(console, found.alerts)
    _print_evidence(console, found.evidence)
    _print_feedback(console, said)


@click.command()
@click.argument("incident", metavar="ID")
@click.argument("verdict", type=click.Choice(VERDICTS))
@click.option("--note", default="", help="Why.")
@click.option("--analyst", help="Who says it; by default the user of this machine.")
def feedback(incident: str, verdict: Verdict, note: str, analyst: str | None) -> None:
    """Say whether an incident was useful or a false alarm. The latest verdict counts, and the earlier ones stay."""
    with store(load_settings()) as engine:
        found = find_incident(engine, incident)
        add_feedback(engine, found.row.id, verdict, analyst or _user(), note)
    click.echo(printable(f"{incident_sentence(found)}: {_verdict_words(verdict)}"))


def budget_line(measured: FalseAlarms, budget: float | None) -> str:
    """Pages and false pages of the last weeks beside the budget, in one sentence."""
    span = f"{measured.weeks:.0f} weeks" if measured.weeks >= 2 else f"{measured.weeks * 7:.0f} days"
    line = f"last {span}: {_pages(measured.incidents)}, {measured.per_week:.2g} a week"
    if budget is not None:
        line += f"; the budget is {_pages(budget, 'false ')} a week"
    marked = measured.useful + measured.false
    if not marked:
        return f"{line}; none is marked yet (`newstide alerts feedback`)"
    return f"{line}; {measured.false} of {marked} marked are false"


def _pages(number: float, which: str = "") -> str:
    return f"{number:g} {which}page{'' if number == 1 else 's'}"


def _budget(settings: Settings) -> float | None:
    """The budget in force; None where the rules can't be read, which `newstide alerts run` complains of."""
    try:
        return load_rules(settings).policy.budget_per_week
    except NewstideError:
        return None


def _table(incidents: list[Incident], width: int) -> Table:
    """A line for each; in a narrow terminal without the story that drove it."""
    wide = width >= _WIDE
    series, what = Column("series", no_wrap=wide), Column("what", no_wrap=wide)
    table = Table("id", "opened (UTC)", "state", series, what, Column("score", justify="right"), box=None)
    if wide:
        table.add_column("driven by", no_wrap=True, overflow="ellipsis", ratio=1)
    for incident in incidents:
        row, stories = incident.row, incident.evidence.get("stories") or [{}]
        others = len({alert.series for alert in incident.alerts} - {row.series})
        cells: list[str | Text] = [
            str(row.id)[:_SHORT_ID],
            f"{row.opened_at:%Y-%m-%d %H:%M}",
            _state(incident),
            f"{row.series} +{others}" if others else row.series,
            figures(row, incident.evidence),
            f"{row.score:.1f}",
        ]
        table.add_row(*cells, *([stories[0].get("headline", "")] if wide else []))
    return table


def _state(incident: Incident) -> Text:
    style = {"open": "red", "withdrawn": "bright_black"}.get(incident.row.state, "")
    said = f", {_verdict_words(incident.verdict)}" if incident.verdict else ""
    return Text(f"{incident.row.state}{said}", style=style)


def _verdict_words(verdict: Verdict) -> str:
    return "a false alarm" if verdict == "false" else "useful"


def _print_head(console: Console, incident: Incident) -> None:
    row = incident.row
    console.print(incident_sentence(incident), style="bold")
    until = f"to {row.closed_at:%m-%d %H:%M}" if row.closed_at else f"(last elevated {row.last_at:%m-%d %H:%M})"
    line = f"{row.id}  {row.series}  {row.opened_at:%Y-%m-%d %H:%M} {until} UTC  "
    console.print(Text(printable(line)) + _state(incident))


def _print_alerts(console: Console, alerts: list[AlertRow]) -> None:
    table = Table("alert", "opened", "state", "stories", "expected", "window", "score", box=None, padding=(0, 2, 0, 2))
    for alert in alerts:
        table.add_row(
            alert.series if alert.signal == "negative" else f"{alert.series} ({alert.signal})",
            f"{alert.opened_at:%m-%d %H:%M}",
            alert.state,
            f"{alert.observed:.0f}",
            f"{alert.expected:.1f}",
            f"{alert.window_minutes} min",
            f"{alert.score:.1f}",
        )
    console.print(table)


def _print_evidence(console: Console, evidence: dict[str, Any]) -> None:
    counts, corrected = evidence.get("counts"), evidence.get("corrected")
    if counts and counts["stories"]:
        share = counts["negative"] / counts["stories"]
        line = f"{counts['negative']} of {counts['stories']} stories are negative ({share:.0%})"
        if corrected:
            line += (
                f"; {corrected['negative']:.0f} ({corrected['negative'] / counts['stories']:.0%}) "
                "corrected for the model's known mistakes"
            )
        else:
            line += "; not corrected: the model's mistakes are not known"
        console.print(f"{line}. Reach: {counts['reach']} messages.")
    for title, names in (("entities", "entities"), ("sources", "sources")):
        _print_list(console, title, [f"{each['name']} ({each['stories']})" for each in evidence.get(names, [])])
    _print_list(console, "kinds", [f"{kind} {share:.0%}" for kind, share in evidence.get("kinds", {}).items()])
    _print_list(console, "words", evidence.get("words", []))
    _print_list(console, "models", [f"{name} ({number})" for name, number in evidence.get("models", {}).items()])
    for story in evidence.get("stories", []):
        _print_story(console, story)


def _print_list(console: Console, title: str, values: Iterable[str]) -> None:
    if shown := ", ".join(values):
        console.print(f"{title}: {shown}")


def _print_story(console: Console, story: dict[str, Any]) -> None:
    copies = story["messages"] - 1
    more = f" and {copies} {'copy' if copies == 1 else 'copies'}" if copies > 0 else ""
    sources = ", ".join(story["sources"][:3])
    console.print(f"  {story['first_at'][11:16]}  {story['headline']}")
    console.print(f"         {story['url']}  {sources}{more}".rstrip(), style="bright_black")


def _print_feedback(console: Console, said: list[Feedback]) -> None:
    for each in said:
        note = f": {each.note}" if each.note else ""
        console.print(f"{each.at:%Y-%m-%d %H:%M} {each.analyst}: {_verdict_words(each.verdict)}{note}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"


COMMANDS = [list_, incidents_, show, feedback]
