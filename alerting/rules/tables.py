"""One `[[rule]]` and one `[[receiver]]` of `alerts.toml`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, tzinfo
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from alerting.detection.detector import OUTAGE, Signal
from alerting.rules.alert_rules import (
    DEFAULT_BODY,
    DEFAULT_TITLE,
    RECEIVER_TYPES,
    SEVERITIES,
    Receiver,
    Rule,
)
from alerting.rules.fields import Fields
from alerting.rules.policy import DEFAULT_SIGNALS, KINDS, Watch, names_outages
from alerting.rules.schedule import Schedule
from alerting.rules.secret import ENVIRONMENT, Secret
from alerting.rules.templates import template_fault
from core.columns import closest_hint
from core.web import is_header, is_web_address

RULE_KEYS = (
    "name",
    "series",
    "signals",
    "severity",
    "weight",
    "receivers",
    "quiet_hours",
    "digest",
    "time_zone",
    "continue",
)
RECEIVER_KEYS = ("name", "type", "url", "url_file", "headers", "min_severity", "timeout_s", "resend_s", "title", "body")
SIGNALS: tuple[Signal, ...] = get_args(Signal)
_SPAN = re.compile(r"\s*(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})\s*")
_CLOCK = re.compile(r"\s*(\d{1,2}):(\d{2})\s*")
_A_SUMMER_DAY = datetime(2026, 7, 1, tzinfo=UTC)


def read_rule(fields: Fields) -> Rule:
    """The rule; what is faulty in it is noted in `fields` and reads as the default."""
    series = fields.texts("series", ("*",))
    for glob in series:
        if fault := _glob_fault(glob):
            fields.fault(f"`series` names {glob!r:.80}; {fault}")
    if not series:
        fields.fault('`series` is empty; leave it out for all series, or name some, for example "entity=*"')
    signals = fields.choices("signals", SIGNALS, DEFAULT_SIGNALS)
    return Rule(
        name=fields.name(),
        watch=Watch(series, signals, fields.number("weight", 1.0, above=True)),
        severity=fields.choice("severity", SEVERITIES, "warning"),
        receivers=fields.texts("receivers", ()),
        schedule=_schedule(fields),
        continues=fields.flag("continue"),
    )


def read_receiver(fields: Fields, directory: Path) -> Receiver:
    """The receiver, with the same treatment of faults. `url_file` is taken from `directory` where it is relative."""
    receiver_type = fields.choice("type", RECEIVER_TYPES, "webhook")
    if "type" not in fields:
        fields.fault(f"`type` is missing; expected {', '.join(f'`{each}`' for each in RECEIVER_TYPES)}")
    if "resend_s" in fields and receiver_type != "alertmanager":
        fields.fault(f"`resend_s` is of no use to `{receiver_type}`; it belongs to `alertmanager`")
    if ("title" in fields or "body" in fields) and receiver_type != "apprise":
        gets = "the whole document as JSON" if receiver_type == "webhook" else "annotations for templates of its own"
        fields.fault(f"`title` and `body` are of no use to `{receiver_type}`, which gets {gets}; leave them out")
    receiver = Receiver(
        name=fields.name(),
        type=receiver_type,
        url=_address(fields, receiver_type, directory),
        min_severity=fields.choice("min_severity", SEVERITIES, "info"),
        timeout_s=fields.number("timeout_s", Receiver.timeout_s, above=True),
        title=fields.text("title", DEFAULT_TITLE),
        body=fields.text("body", DEFAULT_BODY),
        resend_s=fields.number("resend_s", Receiver.resend_s, least=1.0),
        headers=_headers(fields, receiver_type),
    )
    for key, template in (("title", receiver.title), ("body", receiver.body)):
        if fault := template_fault(template):
            fields.fault(f"`{key}`: {fault}")
    return receiver


def _address(fields: Fields, receiver_type: str, directory: Path) -> Secret:
    """Where the receiver is. Its text never stands in a fault: it may be a secret."""
    if ("url" in fields) == ("url_file" in fields):
        fields.fault('give either `url`, as text or as "env:VARIABLE", or `url_file`, the file that holds it')
        return Secret("nowhere", "")
    if "url_file" in fields:
        return Secret.in_file(directory / fields.text("url_file", ""))
    url = fields.given("url")
    if not isinstance(url, str) or not url.strip():
        fields.fault("`url` is no text; write the address, or the variable that holds it as env:VARIABLE")
        return Secret("nowhere", "")
    if url.startswith(ENVIRONMENT):
        if not url.removeprefix(ENVIRONMENT).isidentifier():
            fields.fault("`url` names no environment variable after `env:`; expected for example env:SLACK_URL")
    elif receiver_type != "apprise" and not is_web_address(url):
        fields.fault("`url` is no web address; expected http://... or https://...")
    return Secret.written(url)


def _headers(fields: Fields, receiver_type: str) -> dict[str, Secret]:
    """Headers of requests; their values may be secrets too."""
    given = fields.given("headers", {})
    if given and receiver_type == "apprise":
        fields.fault("`headers` are of no use to `apprise`; its addresses say what a service needs")
    if not isinstance(given, dict) or not all(
        is_header(name, value) and value and name.replace("-", "").isalnum() for name, value in given.items()
    ):
        fields.fault('`headers` is no table of plain texts, for example headers = { Authorization = "env:DESK_TOKEN" }')
        return {}
    return {name: Secret.written(value) for name, value in given.items()}


def _glob_fault(glob: str) -> str:
    kind, equals, name = glob.partition("=")
    if glob.count("[") > glob.count("]"):
        return "a `[` of the glob is not closed; write [[] for the character itself"
    if glob in ("*", "all"):
        return ""
    if names_outages(glob):
        return "" if fnmatchcase(str(OUTAGE), glob) else f"the only series of its kind is `{OUTAGE}`"
    if not equals:
        known = f"`all`, `topic=NAME`, `entity=NAME`, `{OUTAGE}` or `*`"
        return f"expected {known}, where * ? and [] match parts of a name"
    if kind not in KINDS or kind == "all":
        hint = closest_hint(kind, (*KINDS, OUTAGE.kind))
        return f"there is no kind of series `{kind}`; expected `all`, `topic=NAME`, `entity=NAME` or `{OUTAGE}`{hint}"
    return "" if name else f"the name after `{kind}=` is empty; write {kind}=* for all of them"


def _schedule(fields: Fields) -> Schedule:
    zone: tzinfo = UTC
    name = fields.text("time_zone", "UTC")
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        fields.fault(f"`time_zone` is {name!r:.60}; expected a name such as Europe/Berlin or America/New_York")
    if "time_zone" in fields and "quiet_hours" not in fields and "digest" not in fields:
        fields.fault("`time_zone` is of no use without `quiet_hours` or `digest`; leave it out")
    spans = []
    for text in fields.texts("quiet_hours", ()):
        match = _SPAN.fullmatch(text)
        begins, ends = (_clock(match[1]), _clock(match[2])) if match else (None, None)
        if begins is None or ends is None or begins == ends:
            fields.fault(f'`quiet_hours` is {text!r:.60}; expected two different times such as "22:00-07:00"')
        else:
            spans.append((begins, ends))
    digests = []
    for text in fields.texts("digest", ()):
        at = _clock(text)
        if at is None:
            fields.fault(f'`digest` is {text!r:.60}; expected times such as ["08:00", "17:30"]')
        else:
            digests.append(at)
    schedule = Schedule(tuple(spans), tuple(sorted(digests)), zone)
    until = schedule.quiet_until(_A_SUMMER_DAY)
    if until is not None and (until - _A_SUMMER_DAY).days >= 1:
        fields.fault("`quiet_hours` cover the whole day, so that nothing would ever be sent; leave some hours")
    return schedule


def _clock(text: str) -> time | None:
    match = _CLOCK.fullmatch(text)
    if match is None or int(match[2]) > 59 or int(match[1]) > 24 or (int(match[1]) == 24 and int(match[2])):
        return None
    return time(int(match[1]) % 24, int(match[2]))
