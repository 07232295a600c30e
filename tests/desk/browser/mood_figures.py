"""The numbers of the Mood page beside those that plain SQL counts in the store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
from playwright.sync_api import Page

from desk.terms import words
from tests.desk.browser import by_hand
from tests.desk.browser.by_hand import History
from tests.desk.browser.written import duration, number, percent, points, signed

Connection = psycopg.Connection[Any]

_STORIES = "negative_stories + neutral_stories + positive_stories"
_COUNTED = (
    f"coalesce(sum({_STORIES}), 0)::int, coalesce(sum(negative_stories), 0)::int, "
    "coalesce(sum(positive_stories), 0)::int, coalesce(sum(negative + neutral + positive), 0)::int"
)
BUDGET = 1.0
"""False pages a week that are agreed on where no rules say otherwise."""
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


def wrong_figures(page: Page, store: Connection) -> list[str]:
    """What the page, as it opens, shows otherwise than `store` has it; nothing may be written meanwhile."""
    until, whole = news_end(store)
    (judged,) = row_of(store, "SELECT max(judged_until) FROM alerting_progress")
    checks = {
        "strip": _strip(page, store, until),
        "incidents": _incidents(page, store),
        "heat": _heat(page, store, whole, judged),
        "series": _series(page, store, whole),
        "movers": _movers(page, store, whole),
        "sources": _sources(page, store, whole),
        "terms": _terms(page, store, whole),
        "stories": _stories(page, store, whole),
    }
    wrong = []
    for view, pairs in checks.items():
        compared = list(pairs)
        wrong += [f"{view}: shown {shown}, stored {stored}" for shown, stored in compared if shown != stored]
        wrong += [f"{view}: there was nothing to compare"] if not compared else []
    return wrong


def news_end(store: Connection) -> tuple[datetime, datetime]:
    """Up to when there is news, and the end of that hour."""
    (until,) = row_of(
        store,
        "SELECT greatest(max(minute) + interval '1 minute', (SELECT max(judged_until) FROM alerting_progress)) "
        "FROM trend WHERE kind = 'all'",
    )
    whole = until.replace(minute=0, second=0, microsecond=0)
    return until, whole + (_HOUR if whole < until else timedelta(0))


Pairs = Iterator[tuple[Any, Any]]


def _strip(page: Page, store: Connection, until: datetime) -> Pairs:
    now = _counts(store, until - _DAY, until)
    before = _counts(store, until - 2 * _DAY, until - _DAY)
    hour = (until - _DAY).replace(minute=0, second=0, microsecond=0)
    usual = _counts(store, hour - timedelta(days=28), hour)
    pages = row_of(
        store,
        "SELECT count(*) FROM incident WHERE state <> 'withdrawn' AND opened_at > %s AND opened_at <= %s",
        until - timedelta(days=7),
        until,
    )
    (judged,) = row_of(store, "SELECT max(judged_until) FROM alerting_progress")
    figures = page.locator(".strip .figure")
    values = [text.split() for text in figures.locator(".value").all_inner_texts()]
    under = figures.locator(".under").all_inner_texts()
    mood = [_mood(*each[:3]) for each in (now, before, usual)]
    yield values[0][0], points(round(mood[0], 4))
    yield under[0].split()[0], f"{now[0]:,}"
    yield values[1][0], points(round(mood[0] - mood[1], 4))
    yield under[1].split()[0], points(round(mood[0], 4) - round(mood[2], 4))
    yield " ".join(values[2]) in _ages(store), True
    yield " ".join(values[3]), moment(page, judged)
    yield under[3], f"judged {moment(page, judged)}"
    yield f"{judged:%Y-%m-%d %H:%M} UTC" in (figures.nth(3).get_attribute("title") or ""), True
    yield values[4], [f"{pages[0]}", "of", number(BUDGET)]
    yield under[4].split()[0], percent(pages[0] / BUDGET)


def _ages(store: Connection) -> set[str]:
    """How long ago a worker stored anything, as the strip may show it: it looks at the clock every 15 s, and was read a
    few seconds ago."""
    (stored,) = row_of(
        store, "SELECT extract(epoch FROM clock_timestamp() - max(updated_at))::float FROM offset_ledger"
    )
    return {duration(max(0.0, stored - before)) for before in range(-2, 25)}


def moment(page: Page, at: datetime) -> str:
    """A time as the browser, which knows the reader's zone, writes it."""
    written = """at => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit",
        minute: "2-digit", hourCycle: "h23",
        ...(new Date(at).getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" }) })
        .format(new Date(at))"""
    return str(page.evaluate(written, at.isoformat()))


def _incidents(page: Page, store: Connection) -> Pairs:
    """The banner: open incidents, or the latest where none is."""
    columns = "name, observed, expected, window_minutes, state"
    rows = (
        store.execute(f"SELECT {columns} FROM incident WHERE state = 'open' ORDER BY opened_at DESC LIMIT 3").fetchall()
        or store.execute(f"SELECT {columns} FROM incident ORDER BY opened_at DESC LIMIT 3").fetchall()
    )
    shown = page.locator(".banners .banner").all()
    yield len(shown), len(rows)
    for banner, (name, observed, expected, minutes, _) in zip(shown, rows, strict=True):
        usual = number(expected, 1 if expected < 10 else 0)
        sentence = f"{number(observed)} negative stories in {duration(60 * minutes)} where {usual} were expected"
        yield banner.locator("a").inner_text(), name
        yield banner.locator("span:not([class])").first.inner_text(), sentence


def _heat(page: Page, store: Connection, until: datetime, judged: datetime) -> Pairs:
    stored, history = _by_hour(store, "topic", until), History(store, "topic")
    rows = table_of(page, ".heat-panel")
    yield len({row[0] for row in rows}) * 24, len(rows)
    for name, at, stories, negative, expected, surprise, share in rows:
        counted = stored.get((name, at), (0, 0, 0, 0))
        begins = _parsed(at)
        hour = history.expected(name, begins)
        found = hour and by_hand.surprise(counted[1], hour.mean, hour.alpha)
        if found is not None and begins + _HOUR > judged:
            found = max(found, 0.0)  # an hour that is not over can only gain stories
        yield (
            (name, at, stories, negative, expected, surprise, share),
            (name, at, *_shown(counted[:2]), number(hour and hour.mean, 1), signed(found, 1, 3), _share(counted)),
        )


def _series(page: Page, store: Connection, until: datetime) -> Pairs:
    stored, history = _by_hour(store, "all", until), History(store, "all")
    rows = table_of(page, ".series-panel")
    yield len(rows), 24
    for at, stories, negative, expected, low, high, share, messages in rows:
        counted = stored.get(("all", at), (0, 0, 0, 0))
        hour = history.expected("all", _parsed(at))
        limits = by_hand.band(hour.mean, hour.alpha) if hour else (None, None)
        yield (
            (at, stories, negative, expected, low, high, share, messages),
            (
                at,
                *_shown(counted[:2]),
                number(hour and hour.mean, 1),
                *(number(limit, 1, 2) for limit in limits),
                _share(counted),
                *_shown(counted[3:]),
            ),
        )
    last = rows[-1]
    sentence = f"{last[1]} stories, {last[2]} negative where {last[3]} were expected, {last[7]} messages."
    yield sentence in page.locator(".series-panel p.cell").inner_text(), True


def _movers(page: Page, store: Connection, until: datetime) -> Pairs:
    stored, history = _by_name(store, "topic", until), History(store, "topic")
    for name, stories, negative, expected, surprise, share, reach, new, _ in table_of(page, ".movers-panel"):
        counted = stored[name]
        hours = [history.expected(name, until - _DAY + each * _HOUR) for each in range(24)]
        known = [hour for hour in hours if hour]
        mean = sum(hour.mean for hour in known)
        alpha = sum(hour.alpha * hour.mean for hour in known) / max(mean, 1e-12)
        judged = len(known) == 24
        low, high = (percent(round(limit, 4)) for limit in by_hand.wilson(counted[1], counted[0]))
        yield (
            (name, stories, negative, expected, surprise, share, reach, new),
            (
                name,
                *_shown(counted[:2]),
                number(mean if judged else None, 1),
                signed(by_hand.surprise(counted[1], mean, alpha) if judged else None, 1, 3),
                f"{_share(counted)}({low}–{high})",
                *_shown(counted[3:]),
                percent(round(counted[0] / counted[3], 4)),
            ),
        )


def _sources(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = _by_name(store, "source", until)
    for name, messages, stories, negative, mood in table_of(page, ".sources-panel"):
        counted = stored[name]
        expected = points(round(_mood(*counted[:3]), 4))
        yield (name, messages, stories, negative, mood), (name, *_shown(counted[3:] + counted[:2]), expected)


def _terms(page: Page, store: Connection, until: datetime) -> Pairs:
    """How many headlines of the day, and of the day before, hold each word, and the log-odds of that."""
    counted = (
        "SELECT count(*) FROM story JOIN story_series AS series ON series.story = story.id AND series.kind = 'all' "
        "WHERE series.first_at >= %s AND series.first_at < %s "
        r"AND regexp_replace(lower(headline), '(https?://|www\.)\S+', ' ') ~ ('\m' || %s || '\M')"
    )
    headlines = (
        "SELECT headline FROM story JOIN story_series AS series ON series.story = story.id AND series.kind = 'all' "
        "WHERE series.first_at >= %s AND series.first_at < %s"
    )
    days = (until - _DAY, until), (until - 2 * _DAY, until - _DAY)
    sizes = [sum(len(words(headline)) for (headline,) in store.execute(headlines, day)) for day in days]
    for item in page.locator(".terms li").all():
        word, stories = item.locator("span").inner_text(), item.locator("small").inner_text()
        inside, before = (row_of(store, counted, *day, word)[0] for day in days)
        prior = 500 * (inside + before) / sum(sizes)
        odds = [
            math.log((count + prior) / (size + 500 - count - prior))
            for count, size in zip((inside, before), sizes, strict=True)
        ]
        help_ = f"{inside:,} stories, {before:,} before; log odds {signed(odds[0] - odds[1], 1)}"
        yield (word, stories, item.locator("a").get_attribute("title")), (word, f"{inside:,}", help_)


def _stories(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = store.execute(
        "SELECT story.id::text, story.messages, to_char(series.first_at, 'YYYY-MM-DD HH24:MI') || ' UTC', "
        "message.sentiment_scores[array_position(ARRAY['negative', 'neutral', 'positive'], series.sentiment)] "
        "FROM story JOIN story_series AS series ON series.story = story.id AND series.kind = 'all' "
        "JOIN message ON message.uid = series.uid "
        "WHERE series.first_at >= %s AND series.first_at <= %s ORDER BY series.first_at DESC, story.id DESC LIMIT 25",
        (until - _DAY, until),
    ).fetchall()
    shown = page.evaluate(
        """() => [...document.querySelectorAll(".story")].map(story => [
            story.dataset.story,
            Number(story.querySelector(".story-facts button")?.innerText.match(/\\d+/)[0] ?? 1),
            story.querySelector("time").title,
            story.innerText.match(/\\d+(?=% sure)/)?.[0]])"""
    )
    yield len(shown), 25
    for row, (story, copies, at, score) in zip(shown, stored, strict=True):
        yield tuple(row), (story, copies, at, percent(score).rstrip("%"))


def table_of(page: Page, panel: str) -> list[list[str]]:
    """Texts of the cells of a panel's table, which is asked for if it is drawn as a chart; of a time that in UTC."""
    button = page.locator(f"{panel} .panel-head").get_by_role("button", name="Table")
    if button.count() and button.get_attribute("aria-pressed") == "false":
        button.click()
    page.locator(f"{panel} tbody tr").first.wait_for()
    cells = "[...row.cells].map(cell => cell.querySelector('time')?.title ?? cell.textContent.trim())"
    rows = page.evaluate(f"panel => [...document.querySelectorAll(panel + ' tbody tr')].map(row => {cells})", panel)
    return cast(list[list[str]], rows)


def row_of(store: Connection, query: str, *values: Any) -> tuple[Any, ...]:
    found = store.execute(query, values).fetchone()
    assert found is not None
    return tuple(found)


def _counts(store: Connection, since: datetime, until: datetime) -> tuple[Any, ...]:
    """Stories, negative, positive, messages of all news."""
    query = f"SELECT {_COUNTED} FROM trend WHERE kind = 'all' AND minute >= %s AND minute < %s"
    return row_of(store, query, since, until)


def _by_hour(store: Connection, kind: str, until: datetime) -> dict[tuple[str, str], tuple[int, ...]]:
    query = (
        f"SELECT name, to_char(date_bin('1 hour', minute, 'epoch'), 'YYYY-MM-DD HH24:MI') || ' UTC', {_COUNTED} "
        "FROM trend WHERE kind = %s AND minute >= %s AND minute < %s GROUP BY 1, 2"
    )
    return {(name, at): tuple(counts) for name, at, *counts in store.execute(query, (kind, until - _DAY, until))}


def _by_name(store: Connection, kind: str, until: datetime) -> dict[str, tuple[int, ...]]:
    query = (
        f"SELECT coalesce(max(source.name), trend.name), {_COUNTED} FROM trend "
        "LEFT JOIN source ON kind = 'source' AND source.key = trend.name "
        "WHERE kind = %s AND minute >= %s AND minute < %s GROUP BY trend.name"
    )
    return {name: tuple(counts) for name, *counts in store.execute(query, (kind, until - _DAY, until))}


def _mood(stories: int, negative: int, positive: int) -> float:
    return (positive - negative) / stories


def _parsed(at: str) -> datetime:
    return datetime.strptime(at, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)


def _share(counted: tuple[int, ...]) -> str:
    return percent(round(counted[1] / counted[0], 4)) if counted[0] else "–"


def _shown(counts: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in counts)
