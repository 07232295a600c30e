"""Templates of messages: plain text with `$field`s, checked when they are read. Pure."""

from __future__ import annotations

from collections.abc import Collection
from string import Template

from core.columns import closest_hint

FIELDS: dict[str, str] = {
    "sentence": "what happened, in one sentence",
    "series": "all, topic=NAME, entity=NAME or outage=ingest",
    "kind": "all, topic, entity or outage",
    "name": "name of the company or topic",
    "signal": "negative, share, positive or volume",
    "severity": "info, warning or critical",
    "state": "open, closed or withdrawn",
    "change": "opened, updated, resolved or withdrawn",
    "opened_at": "event time at which it began (UTC)",
    "observed": "stories in the window",
    "expected": "stories expected there",
    "score": "anomaly score",
    "window_minutes": "length of the window",
    "reach": "messages, copies included",
    "stories": "a line for each driving story, with its link",
    "words": "words that surged",
    "incident": "identity of the incident",
    "link": "address of the page about it",
}
"""What a template may name, and what it stands for."""
LINK_FIELDS = ("incident", "series", "kind", "name", "signal")


def template_fault(text: str, known: Collection[str] = tuple(FIELDS)) -> str:
    """What is wrong with the template `text`, or ""."""
    template = Template(text)
    if not template.is_valid():
        return "a `$` stands alone; write `$$` for the character itself"
    for name in template.get_identifiers():
        if name not in known:
            fields = ", ".join(known)
            return f"there is no field `${name}`{closest_hint(name, known) or f'; fields: {fields}'}"
    return ""
