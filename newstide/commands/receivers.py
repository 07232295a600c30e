"""`newstide alerts check | test`: what alerts.toml means, and whether its receivers hear."""

from __future__ import annotations

import json
from datetime import time
from typing import Any

import click
import psycopg
from rich.table import Table

from alerting.delivery.channels import open_channel, open_channels
from alerting.delivery.trial import send_trial
from alerting.rules.alert_rules import AlertRules, Rule
from alerting.rules.alerts_file import load_rules, rules_file
from alerting.rules.policy import Watch, names_outages
from alerting.rules.unseen import unseen_entities
from core.columns import closest_hint
from core.errors import InputError
from core.settings import Settings, load_settings
from core.store.connection import connect
from core.taxonomy import load_taxonomy
from newstide.commands.output import open_console
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.stack.resources import database, with_broker


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(as_json: bool) -> None:
    """Say what alerts.toml means: what each rule matches and where it goes. Exit status 1 if it has a fault.

    A secret that is not there, and an entity that nothing has named yet, are warnings.
    """
    settings = load_settings()
    rules = load_rules(settings)
    warnings = [*rules.warnings, *_unreadable(rules), *_unseen(settings, rules)]
    if as_json:
        click.echo(json.dumps(_document(settings, rules, warnings), indent=1))
        return
    console = open_console()
    policy = rules.policy
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in policy.tiers.items())
    console.print(f"{rules_file(settings) or 'no alerts.toml: the defaults hold'}", markup=False)
    console.print(f"budget: {policy.budget_per_week:.4g} false pages a week over everything ({shares})\n", markup=False)
    console.print(_rule_table(settings, rules))
    console.print(_receiver_table(settings, rules))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


@click.command()
@click.argument("receiver")
def test(receiver: str) -> None:
    """Send one test message to RECEIVER: a name in alerts.toml, `webhook` or `kafka`."""
    settings = with_broker(load_settings())
    rules = load_rules(settings)
    named = next((each for each in rules.receivers if each.name == receiver), None)
    if named is not None:
        channel = open_channel(named, rules.link)
    else:
        given = {each.name: each for each in open_channels(settings, AlertRules())}
        if receiver not in given:
            known = [*(each.name for each in rules.receivers), *given]
            raise InputError(
                f"there is no receiver `{receiver}`{closest_hint(receiver, known)}; "
                f"receivers: {', '.join(known) or 'none, write one into alerts.toml'}"
            )
        channel = given[receiver]
    try:
        send_trial(channel)
    finally:
        channel.close()
    click.echo(f"{receiver} took the message")


COMMANDS = [check, test]


def _unreadable(rules: AlertRules) -> list[str]:
    """Receivers whose secret is not there. Raises InputError for an address that is there and of no use."""
    found = []
    for receiver in rules.receivers:
        try:
            for secret in (receiver.url, *receiver.headers.values()):
                secret.reveal()
        except InputError as error:
            found.append(f"receiver `{receiver.name}`: {error}")
            continue
        open_channel(receiver, rules.link).close()
    return found


def _unseen(settings: Settings, rules: AlertRules) -> list[str]:
    """Entities that the store does not know, where there is one; none is made, and none is waited for."""
    try:
        if settings.database.url:
            with connect(settings) as connection:
                return unseen_entities(connection, rules)
        if EmbeddedPostgres(settings.embedded.directory).data.is_dir():
            with database(settings) as found, connect(found) as connection:
                return unseen_entities(connection, rules)
    except psycopg.Error as error:
        reason = str(error).strip().split("\n")[0]
        return [f"the store could not be asked which entities it knows: {reason}"]
    return []


def _when(rule: Rule) -> str:
    schedule = rule.schedule
    if rule.severity == "critical" or not (schedule.quiet or schedule.digests):
        return "at once"
    zone = getattr(schedule.zone, "key", str(schedule.zone))
    if schedule.digests:
        return f"at {', '.join(map(_clock, schedule.digests))} {zone}"
    spans = ", ".join(f"{_clock(begins)}-{_clock(ends)}" for begins, ends in schedule.quiet)
    return f"at once, but not {spans} {zone}"


def _clock(at: time) -> str:
    return f"{at:%H:%M}"


def _matched(settings: Settings, watch: Watch) -> list[str]:
    """What the globs match: topics by name, entities as they are written, for any may come."""
    topics = [f"topic={name}" for name in load_taxonomy(settings.taxonomy).tasks.get("topic", ())]
    entities = [glob for glob in watch.series if glob.startswith("entity=")]
    outages = [glob for glob in watch.series if names_outages(glob)]
    if "*" in watch.series:
        return ["everything", *outages]
    return [*(["all"] if watch.matches("all") else []), *filter(watch.matches, topics), *entities, *outages]


def _rule_table(settings: Settings, rules: AlertRules) -> Table:
    table = Table("rule", "series", "signals", "severity", "weight", "goes to", "when", box=None)
    for rule in rules.rules or (Rule("(default)", Watch()),):
        table.add_row(
            rule.name + (", goes on" if rule.continues else ""),
            ", ".join(_matched(settings, rule.watch)),
            ", ".join(rule.watch.signals),
            rule.severity,
            f"{rule.watch.weight:g}",
            ", ".join(rule.receivers) or "-",
            _when(rule),
        )
    return table


def _receiver_table(settings: Settings, rules: AlertRules) -> Table:
    table = Table("receiver", "type", "address from", "least severity", box=None)
    for receiver in rules.receivers:
        table.add_row(receiver.name, receiver.type, receiver.url.origin, receiver.min_severity)
    if settings.alerting.webhook_url:
        table.add_row("webhook", "webhook", "alerting.webhook_url", "every incident")
    if settings.kafka.bootstrap_servers:
        table.add_row("kafka", "topic", "kafka.*", "every incident")
    return table


def _document(settings: Settings, rules: AlertRules, warnings: list[str]) -> dict[str, Any]:
    return {
        "file": str(rules_file(settings)) if rules_file(settings) else None,
        "budget_per_week": rules.policy.budget_per_week,
        "tiers": dict(rules.policy.tiers),
        "rules": [
            {
                "name": rule.name,
                "series": _matched(settings, rule.watch),
                "signals": list(rule.watch.signals),
                "severity": rule.severity,
                "weight": rule.watch.weight,
                "receivers": list(rule.receivers),
                "when": _when(rule),
                "continue": rule.continues,
            }
            for rule in rules.rules
        ],
        "receivers": [
            {"name": each.name, "type": each.type, "address_from": each.url.origin, "min_severity": each.min_severity}
            for each in rules.receivers
        ],
        "warnings": warnings,
    }
