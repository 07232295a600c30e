"""Messages for people, from documents and templates. Whatever a feed or an analyst wrote is made harmless. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from string import Template
from typing import Any
from urllib.parse import quote

from alerting.delivery.channel import Delivery
from alerting.delivery.plain_text import address, plain
from alerting.rules.alert_rules import Receiver
from alerting.rules.templates import FIELDS

_MOST_STORIES = 5
_MOST_WORDS = 10
_MOST_INCIDENTS = 50
_HELD = {"quiet": "during quiet hours", "digest": "since the last digest"}


def render(delivery: Delivery, receiver: Receiver, link: str) -> tuple[str, str]:
    """Title and body. Of what was held, a line for each incident below a title that counts them."""
    documents = [notice.document for notice in delivery.notices]
    if delivery.held is None:
        fields = fields_of(documents[0], link)
        return _fill(receiver.title, fields), _fill(receiver.body, fields)
    lines = []
    for document in documents[:_MOST_INCIDENTS]:
        fields = fields_of(document, link)
        lines.append(_fill("\n".join((receiver.title, "$sentence", "$link")), fields))
    if more := len(documents) - len(lines):
        lines.append(f"and {more} more: newstide alerts list")
    number = f"{len(documents)} incident{'s' if len(documents) != 1 else ''}"
    return f"{number} {_HELD[delivery.held]}", "\n\n".join(lines)


def fields_of(document: Mapping[str, Any], link: str) -> dict[str, str]:
    """What each field of a template stands for."""
    evidence = document.get("evidence") or {}
    fields = {name: plain(document.get(name, "")) for name in FIELDS}
    for name in ("observed", "expected", "score", "reach"):
        fields[name] = f"{float(document.get(name) or 0):.10g}"
    fields["opened_at"] = f"{datetime.fromisoformat(document['opened_at']):%Y-%m-%d %H:%M}"
    fields["stories"] = "\n".join(_story(each) for each in (evidence.get("stories") or [])[:_MOST_STORIES])
    fields["words"] = ", ".join(plain(_word(each), 40) for each in (evidence.get("words") or [])[:_MOST_WORDS])
    fields["link"] = link_of(document, link)
    return fields


def link_of(document: Mapping[str, Any], link: str) -> str:
    """The page about the incident: as the template `link` says, else its first story; "" if there is neither."""
    if link:
        values = {name: quote(str(document.get(name, "")), safe="") for name in FIELDS}
        return Template(link).safe_substitute(values)
    stories = (document.get("evidence") or {}).get("stories") or [{}]
    return address(stories[0].get("url") or "")


def _story(story: Mapping[str, Any]) -> str:
    sources = [plain(source, 64) for source in (story.get("sources") or [])[:3]]
    line = f"- {plain(story.get('headline', ''), 200)}" + (f" ({', '.join(sources)})" if sources else "")
    where = address(story.get("url") or "")
    return f"{line}\n  {where}" if where else line


def _word(word: Any) -> Any:
    return word.get("word", "") if isinstance(word, Mapping) else word


def _fill(template: str, fields: Mapping[str, str]) -> str:
    """The template with its fields, without the lines that empty fields leave."""
    return "\n".join(line for line in Template(template).safe_substitute(fields).splitlines() if line.strip())
