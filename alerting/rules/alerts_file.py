"""Reads `alerts.toml`. Whatever is wrong in it is named at once, each fault with its table and key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from alerting.rules.alert_rules import AlertRules, Receiver, Rule
from alerting.rules.fields import Fields
from alerting.rules.policy import KINDS, TIERS, Policy, Watch, names_outages
from alerting.rules.tables import RECEIVER_KEYS, RULE_KEYS, read_receiver, read_rule
from alerting.rules.templates import LINK_FIELDS, template_fault
from core.budget import DEFAULT, budget_per_week, rules_file
from core.columns import closest_hint
from core.errors import InputError
from core.settings import Settings
from core.taxonomy import load_taxonomy
from core.toml_file import read_toml
from core.web import is_web_address

RESERVED = ("kafka", "webhook")
"""Names of the receivers that the settings ask for, which get every change."""


def load_rules(settings: Settings) -> AlertRules:
    """The rules in force; without a file, all series are judged within the default budget, and no receiver is
    notified but those of the settings. Raises InputError naming each fault."""
    written = settings.alerting.budget
    budget = budget_per_week(written, "alerting.budget") if written else None
    path = rules_file(settings)
    if path is None:
        return AlertRules() if budget is None else AlertRules(Policy(budget))
    return read_rules(path, load_taxonomy(settings.taxonomy).tasks.get("topic", ()), budget)


def read_rules(path: Path, topics: Sequence[str], budget: float | None = None) -> AlertRules:
    """The rules in the file at `path`, `topics` being those of the taxonomy. `budget` of the settings, false pages a
    week, is in force in the place of the file's. Raises InputError naming each fault."""
    document = read_toml(
        path, "rules file", "write one (alerts.example.toml shows how), or mend or leave out alerting.rules"
    )
    faults: list[str] = []
    fields = Fields(document, ("budget", "tiers", "link", "rule", "receiver"), faults)
    rules = [read_rule(table) for table in fields.tables("rule", RULE_KEYS)]
    receivers = [read_receiver(table, path.parent) for table in fields.tables("receiver", RECEIVER_KEYS)]
    faults += _doubles("rule", [rule.name for rule in rules])
    faults += _doubles("receiver", [receiver.name for receiver in receivers])
    faults += [
        f"receiver `{receiver.name}`: the name is taken by the receiver of the settings; choose another"
        for receiver in receivers
        if receiver.name in RESERVED
    ]
    faults += _unknown_receivers(rules, receivers)
    faults += _unknown_topics(rules, topics)
    link = fields.text("link", "")
    if fault := template_fault(link, LINK_FIELDS):
        faults.append(f"`link`: {fault}")
    elif link and not is_web_address(link):
        faults.append(f"`link` is {link!r:.80}; expected http://... or https://..., with $incident where it stands")
    policy = _policy(fields, rules)
    if faults:
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults))
    warnings = _warnings(rules, receivers)
    if budget is not None:
        if "budget" in fields and policy.budget_per_week != budget:
            warnings.append(
                f"`budget` is {fields.given('budget')!r:.60} in {path}, and is passed over: alerting.budget of the "
                f"settings is in force, {budget:.4g} false pages a week"
            )
        policy = replace(policy, budget_per_week=budget)
    return AlertRules(policy, tuple(rules), tuple(receivers), link, tuple(warnings))


def _policy(fields: Fields, rules: Sequence[Rule]) -> Policy:
    """Each rule watches what it names, but for outages, which are always found and cost no budget; tiers that no rule
    reaches leave their share to the others."""
    budget = 1.0
    try:
        budget = budget_per_week(fields.given("budget", DEFAULT))
    except InputError as error:
        fields.fault(str(error))
    table = fields.table("tiers", KINDS)
    tiers = {kind: table.number(kind, share) for kind, share in TIERS.items()}
    named = [(rule.watch, [glob for glob in rule.watch.series if not names_outages(glob)]) for rule in rules]
    watches = tuple(replace(watch, series=tuple(series)) for watch, series in named if series) or (Watch(),)
    reached = {kind for kind in KINDS for watch in watches for glob in watch.series if _may_be(glob, kind)}
    tiers = {kind: share if kind in reached else 0.0 for kind, share in tiers.items()}
    if rules and not any(share > 0 for share in tiers.values()):
        fields.fault("`tiers` leaves no budget to any series that a rule names; give one of their kinds a share")
    return Policy(budget, tiers, watches)


def _may_be(glob: str, kind: str) -> bool:
    return glob == "*" or glob.partition("=")[0] == kind


def _doubles(what: str, names: Sequence[str]) -> list[str]:
    return [
        f"two tables [[{what}]] have the name `{name}`; each needs its own"
        for name in dict.fromkeys(names)
        if name and names.count(name) > 1
    ]


def _unknown_receivers(rules: Iterable[Rule], receivers: Iterable[Receiver]) -> list[str]:
    known = [receiver.name for receiver in receivers]
    advice = f"receivers: {', '.join(known)}" if known else "there is no [[receiver]] in the file"
    return [
        f"rule `{rule.name}`: there is no receiver `{name}`{closest_hint(name, known) or f'; {advice}'}"
        for rule in rules
        for name in rule.receivers
        if name not in known
    ]


def _unknown_topics(rules: Iterable[Rule], topics: Sequence[str]) -> list[str]:
    faults = []
    for rule in rules:
        for glob in rule.watch.series:
            kind, _, name = glob.partition("=")
            if kind == "topic" and not any(replace(rule.watch, series=(glob,)).matches(f"topic={t}") for t in topics):
                advice = closest_hint(name, topics) or f"; topics: {', '.join(topics)}"
                faults.append(f"rule `{rule.name}`: `{glob}` matches no topic of the taxonomy{advice}")
    return faults


def _warnings(rules: Sequence[Rule], receivers: Iterable[Receiver]) -> list[str]:
    used = {name for rule in rules for name in rule.receivers}
    ruled = any(names_outages(glob) for rule in rules for glob in rule.watch.series)
    told = "nothing is sent to it" if ruled else "it is told of outages alone"
    idle = [f"receiver `{each.name}` is named by no rule; {told}" for each in receivers]
    return [text for text, each in zip(idle, receivers, strict=True) if each.name not in used]
