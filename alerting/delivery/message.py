"""Messages for people, from documents and templates. Whatever a feed or an analyst wrote is made harmless. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
_CUT = "…"
_HELD = {"quiet": "during quiet hours", "digest": "since the last digest"}


def render(
    delivery: Delivery, receiver: Receiver, link: str, fits: Callable[[str, str], bool] = lambda title, body: True
) -> tuple[str, str]:
    """Title and body. Of what was held, a line for each incident below a title that counts them.

    What does not fit is told with fewer stories or incidents, then with fewer lines: the first one stays in any case.
    """
    for title, body in _drafts(delivery, receiver, link):
        if fits(title, body):
            return title, body
    lines = body.splitlines()
    while len(lines) > 1 and not fits(title, "\n".join([*lines, _CUT])):
        lines.pop()
    return title, "\n".join([*lines, _CUT])


def _drafts(delivery: Delivery, receiver: Receiver, link: str) -> Iterator[tuple[str, str]]:
    """Title and body, shorter each time."""
    documents = [notice.document for notice in delivery.notices]
    if delivery.held is None:
        for stories in range(_MOST_STORIES, -1, -1):
            fields = fields_of(documents[0], link, stories)
            yield _fill(receiver.title, fields), _fill(receiver.body, fields)
        return
    title = f"{len(documents)} incident{'s' if len(documents) != 1 else ''} {_HELD[delivery.held]}"
    template = "\n".join((receiver.title, "$sentence", "$link"))
    lines = [_fill(template, fields_of(document, link)) for document in documents[:_MOST_INCIDENTS]]
    for shown in range(len(lines), 0, -1):
        more = len(documents) - shown
        rest = [f"and {more} more: newstide alerts list"] if more else []
        yield title, "\n\n".join(lines[:shown] + rest)


def fields_of(document: Mapping[str, Any], link: str, stories: int = _MOST_STORIES) -> dict[str, str]:
    """What each field of a template stands for, with `stories` driving stories at most."""
    evidence = document.get("evidence") or {}
    fields = {name: plain(document.get(name, "")) for name in FIELDS}
    for name in ("observed", "expected", "score", "reach"):
        fields[name] = f"{float(document.get(name) or 0):.10g}"
    fields["opened_at"] = f"{datetime.fromisoformat(document['opened_at']):%Y-%m-%d %H:%M}"
    fields["stories"] = "\n".join(_story(each) for each in (evidence.get("stories") or [])[:stories])
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
