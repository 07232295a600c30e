"""`newstide migrate | retention | audit | settings | metrics`: looking after a store."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict

import click

from core.errors import InputError
from core.metrics import PROCESSES
from core.settings import describe, load_settings, shown, variable
from core.store.connection import open_engine
from core.store.migration import await_schema
from core.store.recount import audit_store, totals
from core.store.retention import run_retention
from core.terminal import printable
from newstide.commands.audit_report import audit_document, audit_lines
from newstide.stack.resources import database, store
from newstide.stack.supervisor import catch_stop_signals

log = logging.getLogger(__name__)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 unless the schema is this version's.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), metavar="SECONDS", help="With --check: how long to wait for it."
)
def migrate(check: bool, wait_s: float | None) -> None:
    """Bring the database schema up to date."""
    if check:
        engine = open_engine(load_settings(), pool_size=1)
        try:
            await_schema(engine, wait_s or 0, log.warning)
        finally:
            engine.dispose()
        click.echo("the schema is up to date")
        return
    if wait_s is not None:
        raise InputError("--wait belongs to --check; without it `database.start_timeout_s` is how long Postgres has")
    with database(load_settings()):
        click.echo("the schema is up to date")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retention(as_json: bool) -> None:
    """Drop, delete and merge what is older than the settings `database.retention_days` and `retention.*` say.

    Beside running workers, and interrupted at any moment: the next run goes on.
    """
    settings = load_settings()
    with catch_stop_signals() as stopping, database(settings) as found:
        report = run_retention(found, stopping)
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    if report.at_work:
        click.echo("another process runs retention already")
        return
    rows = ", ".join(f"{count} of {table}" for table, count in report.rows.items() if count) or "none"
    click.echo(f"{report.days_dropped} days of messages dropped; rows deleted or merged: {rows}")
    if report.unfinished:
        click.echo(f"left for the next run, since others were using it: {', '.join(report.unfinished)}", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def audit(as_json: bool) -> None:
    """Count trends again from the stored messages, and messages from the offsets read; exit status 1 if any differ.

    What can't be checked (messages that retention dropped, offsets read by older versions) is named, and no fault.
    """
    settings = load_settings()
    with store(settings) as engine:
        found = audit_store(engine)
        counts = totals(engine)
    if as_json:
        click.echo(json.dumps({**counts, **audit_document(found)}))
    else:
        click.echo(f"{counts['messages']} messages, {counts['stories']} stories")
        for line in audit_lines(found):
            click.echo(printable(line))
    sys.exit(0 if found.exact else 1)


@click.command()
@click.option("--markdown", is_flag=True, help="Print docs/settings.md: every setting with its default.")
def settings(markdown: bool) -> None:
    """List every setting with its value and its environment variable."""
    if markdown:
        click.echo(settings_document(), nl=False)
        return
    loaded = load_settings()
    for name, field in describe():
        section, _, leaf = name.rpartition(".")
        value = getattr(getattr(loaded, section) if section else loaded, leaf)
        click.echo(f"{name} = {shown(field, value)}\n    {field.description}\n    {variable(name)}")


def settings_document() -> str:
    """The text of docs/settings.md, made from the settings class."""
    lines = [
        "# Settings",
        "",
        "Defaults, then `newstide.toml` in the working directory, then the environment, which is the strongest.",
        "In `newstide.toml` a dotted name is a table and a key: `kafka.partitions` stands under `[kafka]`.",
        "`newstide settings` prints what is in force. This page is made by `newstide settings --markdown`.",
    ]
    current = None
    for name, field in describe():
        section = name.rpartition(".")[0]
        if section != current:
            title = f"## {section}" if section else "## General"
            lines += ["", title, "", "| setting | environment | default | meaning |", "|---|---|---|---|"]
            current = section
        default = "empty" if field.default is None else f"`{json.dumps(field.default, default=str)}`"
        lines.append(f"| `{name}` | `{variable(name)}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--markdown", is_flag=True, help="Print docs/metrics.md: every metric with its labels.")
def metrics(markdown: bool) -> None:
    """List every metric and the kind of process that shows it."""
    if markdown:
        click.echo(metrics_document(), nl=False)
        return
    for process in PROCESSES:
        for metric in process.described:
            labels = "{" + ", ".join(metric.labels) + "}" if metric.labels else ""
            click.echo(f"{metric.name}{labels} ({process.name}, {metric.kind})\n    {metric.meaning}")


def metrics_document() -> str:
    """The text of docs/metrics.md, made from the declarations."""
    lines = [
        "# Metrics",
        "",
        "Each process serves `/metrics` in Prometheus' text format at `metrics.*_port`, and shows the metrics that it",
        "writes and no others, with those of the operating system on it (`process_*`). A histogram comes as `_bucket`,",
        "`_sum` and `_count`. `alerting/prometheus/` has a configuration that scrapes them and rules that watch them,",
        "see [grafana.md](grafana.md) for the boards. `newstide metrics --markdown` makes this page.",
    ]
    for process in PROCESSES:
        lines += ["", f"## {process.name}", "", "| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for metric in process.described:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


COMMANDS = [migrate, retention, audit, settings, metrics]
