"""The numbers of the Mood page beside those that plain SQL counts in the store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
from playwright.sync_api import Page

Connection = psycopg.Connection[Any]

_STORIES = "negative_stories + neutral_stories + positive_stories"
_COUNTED = (
    f"coalesce(sum({_STORIES}), 0)::int, coalesce(sum(negative_stories), 0)::int, "
    "coalesce(sum(positive_stories), 0)::int, coalesce(sum(negative + neutral + positive), 0)::int"
)
_DAY = timedelta(days=1)


def wrong_figures(page: Page, store: Connection) -> list[str]:
    """What the page, as it opens, shows otherwise than `store` has it; nothing may be written meanwhile."""
    (until,) = _row(
        store,
        "SELECT greatest(max(minute) + interval '1 minute', (SELECT max(judged_until) FROM alerting_progress)) "
        "FROM trend WHERE kind = 'all'",
    )
    whole = until.replace(minute=0, second=0, microsecond=0)
    whole += timedelta(hours=1) if whole < until else timedelta(0)
    checks = {
        "strip": _strip(page, store, until),
        "heat": _heat(page, store, whole),
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


Pairs = Iterator[tuple[Any, Any]]


def _strip(page: Page, store: Connection, until: datetime) -> Pairs:
    now = _counts(store, until - _DAY, until)
    before = _counts(store, until - 2 * _DAY, until - _DAY)
    hour = (until - _DAY).replace(minute=0, second=0, microsecond=0)
    usual = _counts(store, hour - timedelta(days=28), hour)
    pages = _row(
        store,
        "SELECT count(*) FROM incident WHERE state <> 'withdrawn' AND opened_at > %s AND opened_at <= %s",
        until - timedelta(days=7),
        until,
    )
    judged = _row(store, "SELECT to_char(max(judged_until), 'YYYY-MM-DD HH24:MI') FROM alerting_progress")
    figures = page.locator(".strip .figure")
    values = [text.split() for text in figures.locator(".value").all_inner_texts()]
    under = figures.locator(".under").all_inner_texts()
    mood = [_mood(*each[:3]) for each in (now, before, usual)]
    yield values[0][0], _signed(100 * mood[0])
    yield under[0].split()[0], f"{now[0]:,}"
    yield values[1][0], _signed(100 * (mood[0] - mood[1]))
    yield under[1].split()[0], _signed(100 * (mood[0] - mood[2]))
    yield f"{judged[0]} UTC" in (figures.nth(3).get_attribute("title") or ""), True
    yield values[4][0], f"{pages[0]}"
    yield under[4].split()[0], _percent(pages[0] / float(values[4][2]))


def _heat(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = _by_hour(store, "topic", until)
    rows = _table(page, ".heat-panel")
    yield len({row[0] for row in rows}) * 24, len(rows)
    for name, at, stories, negative, _, _, share in rows:
        counted = stored.get((name, at), (0, 0, 0, 0))
        yield (name, at, stories, negative, share), (name, at, *_shown(counted[:2]), _share(counted))
    yield from _why(page, [(row[0], row[1], row[4], row[5]) for row in rows if row[4] != "–"][-3:])


def _why(page: Page, cells: list[tuple[str, str, str, str]]) -> Pairs:
    """Expected and surprise, which are worked out step by step elsewhere."""
    for name, at, expected, surprise in cells:
        query = {"at": at.replace(" UTC", "Z").replace(" ", "T"), "bucket": "1h"}
        found = page.request.get(f"/api/v1/series/topic/{name}/arithmetic", params=query).json()
        yield (name, at, expected), (name, at, f"{_half_up(10 * found['expected']) / 10:.1f}")
        yield float(surprise.replace("−", "-")), _half_up(10 * found["surprise"]) / 10


def _series(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = _by_hour(store, "all", until)
    for at, stories, negative, _, _, _, share, messages in _table(page, ".series-panel"):
        counted = stored.get(("all", at), (0, 0, 0, 0))
        yield (
            (at, stories, negative, share, messages),
            (at, *_shown(counted[:2]), _share(counted), *_shown(counted[3:])),
        )


def _movers(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = _by_name(store, "topic", until)
    for name, stories, negative, _, _, share, reach, new, _ in _table(page, ".movers-panel"):
        counted = stored[name]
        found = (name, stories, negative, share.split("%")[0] + "%", reach, new)
        of_messages = _percent(round(counted[0] / counted[3], 4))
        yield found, (name, *_shown(counted[:2]), _share(counted), *_shown(counted[3:]), of_messages)


def _sources(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = _by_name(store, "source", until)
    for name, messages, stories, negative, mood in _table(page, ".sources-panel"):
        counted = stored[name]
        expected = _signed(100 * round(_mood(*counted[:3]), 4))
        yield (name, messages, stories, negative, mood), (name, *_shown(counted[3:] + counted[:2]), expected)


def _terms(page: Page, store: Connection, until: datetime) -> Pairs:
    counted = (
        "SELECT count(*) FROM story JOIN story_series AS series ON series.story = story.id AND series.kind = 'all' "
        "WHERE series.first_at >= %s AND series.first_at < %s "
        r"AND regexp_replace(lower(headline), '(https?://|www\.)\S+', ' ') ~ ('\m' || %s || '\M')"
    )
    for item in page.locator(".terms li").all():
        word, stories = item.locator("span").inner_text(), item.locator("small").inner_text()
        yield (word, stories), (word, f"{_row(store, counted, until - _DAY, until, word)[0]}")


def _stories(page: Page, store: Connection, until: datetime) -> Pairs:
    stored = store.execute(
        "SELECT story.id::text, story.messages, to_char(series.first_at, 'YYYY-MM-DD HH24:MI') || ' UTC' "
        "FROM story JOIN story_series AS series ON series.story = story.id AND series.kind = 'all' "
        "WHERE series.first_at >= %s AND series.first_at <= %s ORDER BY series.first_at DESC, story.id DESC LIMIT 25",
        (until - _DAY, until),
    ).fetchall()
    shown = page.evaluate(
        """() => [...document.querySelectorAll(".story")].map(story => [
            story.dataset.story,
            Number(story.querySelector(".story-facts button")?.innerText.match(/\\d+/)[0] ?? 1),
            story.querySelector("time").title])"""
    )
    yield len(shown), 25
    yield from zip(map(tuple, shown), stored, strict=True)


def _table(page: Page, panel: str) -> list[list[str]]:
    """Texts of the cells of a panel's table, which is asked for if it is drawn as a chart; of a time that in UTC."""
    button = page.locator(f"{panel} .panel-head").get_by_role("button", name="Table")
    if button.count() and button.get_attribute("aria-pressed") == "false":
        button.click()
    page.locator(f"{panel} tbody tr").first.wait_for()
    cells = "[...row.cells].map(cell => cell.querySelector('time')?.title ?? cell.textContent.trim())"
    rows = page.evaluate(f"panel => [...document.querySelectorAll(panel + ' tbody tr')].map(row => {cells})", panel)
    return cast(list[list[str]], rows)


def _row(store: Connection, query: str, *values: Any) -> tuple[Any, ...]:
    found = store.execute(query, values).fetchone()
    assert found is not None
    return tuple(found)


def _counts(store: Connection, since: datetime, until: datetime) -> tuple[Any, ...]:
    """Stories, negative, positive, messages of all news."""
    query = f"SELECT {_COUNTED} FROM trend WHERE kind = 'all' AND minute >= %s AND minute < %s"
    return _row(store, query, since, until)


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


def _share(counted: tuple[int, ...]) -> str:
    return _percent(round(counted[1] / counted[0], 4)) if counted[0] else "–"


def _half_up(value: float) -> int:
    """As browsers round: halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _percent(share: float) -> str:
    return f"{_half_up(100 * share)}%"


def _signed(value: float) -> str:
    rounded = _half_up(value)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else ''}{abs(rounded)}"


def _shown(counts: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in counts)
