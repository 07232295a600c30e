"""The fortnight itself: who publishes what, when. The same seed and start give the same feed, to the byte."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from newstide.scenario.rhythm import activity, burst, draw_times
from newstide.scenario.writer import Company, Mood, Writer

FORTNIGHT = timedelta(days=14)
SURGE_AFTER = timedelta(days=5, hours=11)  # a Friday's late morning, where the fortnight begins on a Sunday
START = datetime(2025, 3, 2, tzinfo=UTC)

BANK = Company("NMRB", "Northmere Bancorp")
IPO = Company("LUMO", "Lumora Robotics")

COMPANIES = (
    Company("AAPL", "Apple", 3.0),
    Company("TSLA", "Tesla", 3.0),
    Company("NVDA", "Nvidia", 2.6),
    Company("MSFT", "Microsoft", 2.2),
    Company("AMZN", "Amazon", 2.2),
    Company("META", "Meta", 1.9),
    Company("GOOGL", "Alphabet", 1.9),
    Company("NFLX", "Netflix", 1.4),
    Company("AMD", "AMD", 1.3),
    Company("JPM", "JPMorgan", 1.2),
    Company("DIS", "Disney", 1.2),
    Company("BA", "Boeing", 1.1),
    Company("WMT", "Walmart", 1.0),
    Company("XOM", "Exxon", 0.9),
    Company("PFE", "Pfizer", 0.9),
    Company("F", "Ford", 0.9),
    Company("INTC", "Intel", 0.9),
    Company("NKE", "Nike", 0.8),
    Company("SBUX", "Starbucks", 0.8),
    Company("COST", "Costco", 0.7),
    Company("UBER", "Uber", 0.7),
    Company("CAT", "Caterpillar", 0.6),
    Company("SAP", "SAP", 0.6),
    Company("TM", "Toyota", 0.6),
    Company("KO", "Coca-Cola", 0.6),
)

_WIRES = ("globalwire", "marketdesk", "tickertape", "bourse-daily", "open-ledger")
_FORUMS = ("chirper", "stockchat")
_HANDLES = (
    "longview",
    "tapereader",
    "deltahedge",
    "coffeeandcandles",
    "valuehound",
    "macro_mia",
    "pitboss",
    "quietalpha",
)
_EVERYDAY: dict[Mood, float] = {"negative": 0.17, "neutral": 0.6, "positive": 0.23}

_EVERYDAY_PER_HOUR = 51.0  # at the busiest hour of the week, before copies


@dataclass(frozen=True)
class _Item:
    published_at: datetime
    source: str
    kind: str
    text: str
    company: Company | None = None
    title: str = ""
    author: str = ""


def generate_feed(start: datetime = START, seed: int = 7) -> Iterator[dict[str, Any]]:
    """About 11,000 messages over a fortnight from `start` (aware UTC), in the order of their times.

    Each has `id`, `source`, `kind`, `published_at` (ISO 8601), `title` (news only), `text`, `url`, `entities` and
    `author` (comments only). From `start + SURGE_AFTER` the BANK is in trouble for days; the IPO is celebrated.
    """
    streams = [
        _everyday(Random(f"{seed} everyday"), start),
        _earnings_days(Random(f"{seed} earnings"), start),
        _bank(Random(f"{seed} bank"), start),
        _ipo(Random(f"{seed} ipo"), start),
        _spam(Random(f"{seed} spam"), start, number=0, after=timedelta(days=2), copies=300),
        _spam(Random(f"{seed} more spam"), start, number=1, after=timedelta(days=9, hours=2), copies=140),
    ]
    urls = Writer(Random(f"{seed} urls"))
    merged = heapq.merge(*(sorted(stream, key=_by_time) for stream in streams), key=_by_time)
    for number, item in enumerate(item for item in merged if item.published_at < start + FORTNIGHT):
        message: dict[str, Any] = {
            "id": f"demo-{seed}-{number:06d}",
            "source": item.source,
            "kind": item.kind,
            "published_at": item.published_at.isoformat(timespec="milliseconds"),
            "text": item.text,
            "url": urls.write_url(),
            "entities": [item.company.ticker] if item.company is not None else [],
        }
        if item.title:
            message["title"] = item.title
        if item.author:
            message["author"] = item.author
        yield message


def _by_time(item: _Item) -> datetime:
    return item.published_at


def _everyday(random: Random, start: datetime) -> Iterator[_Item]:
    writer = Writer(random)
    weights = [company.weight for company in COMPANIES]
    for moment in draw_times(random, start, start + FORTNIGHT, _EVERYDAY_PER_HOUR, activity):
        topic = writer.choose_topic()
        company = random.choices(COMPANIES, weights)[0] if writer.is_about_company(topic) else None
        yield from _publish(random, moment, company, _EVERYDAY, _on_topic(writer, topic), writer)


def _earnings_days(random: Random, start: datetime) -> Iterator[_Item]:
    """Companies that report: a burst each, more good than bad."""
    writer = Writer(random)
    moods: dict[Mood, float] = {"negative": 0.05, "neutral": 0.4, "positive": 0.55}
    for company, day in ((COMPANIES[19], 3), (COMPANIES[22], 4), (COMPANIES[17], 9), (COMPANIES[7], 11)):
        opening = start + timedelta(days=day, hours=20, minutes=5)
        level = burst(opening, timedelta(minutes=15), timedelta(hours=1.5))
        for moment in draw_times(random, opening, opening + timedelta(hours=12), 16, level):
            yield from _publish(random, moment, company, moods, _on_topic(writer, "earnings"), writer)


def _bank(random: Random, start: datetime) -> Iterator[_Item]:
    """A small bank, hardly written about; then a run on it, a weekend of fear, and a rescue on Monday."""
    writer = Writer(random)
    surge = start + SURGE_AFTER

    def everyday_topic() -> Callable[[Mood, str, Company | None], str]:
        return _on_topic(
            writer, random.choice(("earnings", "analysts", "products", "people", "dividends", "commentary"))
        )

    for moment in draw_times(random, start, surge, 1.4, activity):
        yield from _publish(random, moment, BANK, _EVERYDAY, everyday_topic(), writer)
    trouble: dict[Mood, float] = {"negative": 0.88, "neutral": 0.09, "positive": 0.03}
    run = burst(surge, timedelta(minutes=50), timedelta(hours=9))
    aftermath = burst(surge + timedelta(days=2, hours=20), timedelta(hours=2), timedelta(hours=16))
    for level, per_hour in ((run, 15.0), (aftermath, 5.0)):
        for moment in draw_times(random, surge, start + FORTNIGHT, per_hour, level):
            yield from _publish(random, moment, BANK, trouble, _on_story(writer, "bank"), writer)


def _ipo(random: Random, start: datetime) -> Iterator[_Item]:
    """A flotation: whispers before, a flood of joy on the day and after."""
    writer = Writer(random)
    opening = start + timedelta(days=8, hours=13, minutes=30)
    before: dict[Mood, float] = {"negative": 0.0, "neutral": 1.0, "positive": 0.0}
    joy: dict[Mood, float] = {"negative": 0.01, "neutral": 0.14, "positive": 0.85}
    for moment in draw_times(random, start + timedelta(days=4), opening, 0.6, activity):
        yield from _publish(random, moment, IPO, before, _on_story(writer, "ipo"), writer)
    for moment in draw_times(
        random, opening, start + FORTNIGHT, 14, burst(opening, timedelta(minutes=30), timedelta(hours=7))
    ):
        yield from _publish(random, moment, IPO, joy, _on_story(writer, "ipo"), writer)


def _spam(random: Random, start: datetime, number: int, after: timedelta, copies: int) -> Iterator[_Item]:
    """One promotion, repeated by many accounts within a few hours of the night."""
    text = Writer(random).write_promotion(number)
    for _ in range(copies):
        moment = start + after + timedelta(hours=random.triangular(0, 11, 4))
        shouted = f"RT @{random.choice(_HANDLES)}: {text}" if random.random() < 0.7 else text
        yield _Item(moment, "chirper", "comment", shouted, author=f"promo_{random.randrange(900)}")


def _on_topic(writer: Writer, topic: str) -> Callable[[Mood, str, Company | None], str]:
    return lambda mood, kind, company: writer.write_topic(topic, mood, kind, company)


def _on_story(writer: Writer, story: str) -> Callable[[Mood, str, Company | None], str]:
    return lambda mood, kind, company: writer.write_story(story, mood, kind, company or BANK)


def _publish(
    random: Random,
    moment: datetime,
    company: Company | None,
    moods: dict[Mood, float],
    write: Callable[[Mood, str, Company | None], str],
    writer: Writer,
) -> Iterator[_Item]:
    """One message and the copies that others make of it."""
    mood = random.choices(list(moods), list(moods.values()))[0]
    if random.random() < 0.4:
        text = write(mood, "comment", company)
        handle = f"{random.choice(_HANDLES)}{random.randrange(40)}"
        item = _Item(moment, random.choice(_FORUMS), "comment", text, company, author=handle)
        if random.random() < 0.06:
            yield from _retweets(random, item)
    else:
        headline = write(mood, "news", company)
        detail = ". " + writer.write_detail(mood, company) if random.random() < 0.35 else ""
        item = _Item(moment, random.choice(_WIRES), "news", headline + detail, company, title=headline)
        if random.random() < 0.11:
            yield from _syndicated(random, item)
    yield item


def _retweets(random: Random, item: _Item) -> Iterator[_Item]:
    for _ in range(random.randint(1, 4)):
        yield replace(
            item,
            published_at=item.published_at + timedelta(minutes=random.uniform(1, 90)),
            text=f"RT @{item.author}: {item.text}",
            author=f"{random.choice(_HANDLES)}{random.randrange(40, 90)}",
        )


def _syndicated(random: Random, item: _Item) -> Iterator[_Item]:
    """The same wire story from others: word for word, in capitals, or with their name at the end."""
    for source in random.sample([wire for wire in _WIRES if wire != item.source], random.randint(1, 3)):
        edit = random.choice(("none", "none", "signed", "capitals"))
        title = item.title.upper() if edit == "capitals" else item.title
        text = f"{item.text} - {source}" if edit == "signed" else item.text
        yield replace(
            item,
            published_at=item.published_at + timedelta(minutes=random.uniform(1, 45)),
            source=source,
            title=title,
            text=title + text[len(item.title) :],
        )
