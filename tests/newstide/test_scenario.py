"""The demo feed: plausible, repeatable, and with its surge where the demo needs it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.text import story_form
from newstide.scenario import BANK, FORTNIGHT, IPO, SURGE_AFTER, generate_feed
from newstide.scenario.feed import START
from newstide.scenario.rhythm import activity, burst

DEMO_SECONDS = 75


@pytest.fixture(scope="module")
def feed() -> list[dict[str, Any]]:
    return list(generate_feed())


def times(messages: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(message["published_at"]) for message in messages]


def about(feed: list[dict[str, Any]], ticker: str) -> list[dict[str, Any]]:
    return [message for message in feed if ticker in message["entities"]]


def test_the_same_seed_gives_the_same_feed_and_another_a_different_one(feed: list[dict[str, Any]]) -> None:
    assert list(generate_feed()) == feed
    assert [message["text"] for message in generate_feed(seed=8)] != [message["text"] for message in feed]


def test_messages_are_complete_in_order_and_within_the_fortnight(feed: list[dict[str, Any]]) -> None:
    assert 10_000 <= len(feed) <= 12_500
    assert len({message["id"] for message in feed}) == len(feed)
    moments = times(feed)
    assert moments == sorted(moments)
    assert moments[0] >= START
    assert moments[-1] < START + FORTNIGHT
    for message in feed:
        assert message["kind"] in ("news", "comment")
        assert ("title" in message) == (message["kind"] == "news")
        assert ("author" in message) == (message["kind"] == "comment")
        assert message["text"].startswith(message.get("title", ""))
        assert message["text"].strip() == message["text"] != ""
        assert not set(message["text"]) & set("{}@") or message["text"].startswith("RT @")


def test_the_start_can_be_chosen() -> None:
    start = START - timedelta(days=700)
    first = next(iter(generate_feed(start)))
    assert timedelta(0) <= datetime.fromisoformat(first["published_at"]) - start < timedelta(hours=2)


def test_texts_vary_and_copies_do_not(feed: list[dict[str, Any]]) -> None:
    forms = Counter(story_form(message["text"]) for message in feed)
    assert len(forms) > 0.75 * len(feed)
    [(promotion, copies), (_, others), *_] = forms.most_common(2)
    assert copies == 300, "the retweets of a promotion and the promotion itself are one story"
    assert "free room" in promotion
    assert others == 140
    copied = sum(count for form, count in forms.items() if 2 <= count <= 8)
    assert copied > 500, "wire stories are syndicated, comments retweeted"


def test_the_feed_breathes_with_the_day_and_the_week(feed: list[dict[str, Any]]) -> None:
    plain = [
        moment for message, moment in zip(feed, times(feed), strict=True) if "promo_" not in message.get("author", "")
    ]
    by_hour = Counter(moment.hour for moment in plain)
    assert by_hour[14] > 2.5 * by_hour[2]
    by_day = Counter(moment.date() for moment in plain)
    sunday, tuesday = START.date(), (START + timedelta(days=2)).date()
    assert by_day[tuesday] > 1.5 * by_day[sunday]
    assert 0 < activity(START) < 1


def test_the_bank_gets_into_trouble_when_the_demo_has_run_for_half_a_minute(feed: list[dict[str, Any]]) -> None:
    surge = START + SURGE_AFTER
    assert 25 <= DEMO_SECONDS * (SURGE_AFTER / FORTNIGHT) <= 30
    moments = times(about(feed, BANK.ticker))
    before = sum(surge - timedelta(days=4) <= moment < surge for moment in moments) / 96
    during = sum(surge <= moment < surge + timedelta(hours=8) for moment in moments) / 8
    assert 8 <= during / before <= 20
    texts = {
        story_form(message["text"])
        for message, moment in zip(about(feed, BANK.ticker), moments, strict=True)
        if surge <= moment < surge + timedelta(hours=3)
    }
    assert len(texts) >= 30, "a crisis told in many ways, not one story repeated"


def test_the_flotation_is_about_as_loud_as_the_crisis(feed: list[dict[str, Any]]) -> None:
    loudest = [
        max(sum(first <= moment < first + timedelta(hours=6) for moment in moments) for first in moments)
        for moments in (times(about(feed, BANK.ticker)), times(about(feed, IPO.ticker)))
    ]
    assert loudest[1] > 0.5 * loudest[0]


def test_a_replay_in_the_time_of_the_demo_stays_below_what_one_worker_takes(feed: list[dict[str, Any]]) -> None:
    scale = DEMO_SECONDS / FORTNIGHT.total_seconds()
    per_second = Counter(int((moment - START).total_seconds() * scale) for moment in times(feed))
    assert max(per_second.values()) < 350


def test_a_burst_rises_and_falls() -> None:
    level = burst(START, timedelta(hours=1), timedelta(hours=2))
    hours = (-1, 0, 0.5, 1, 3, 5)
    assert [level(START + timedelta(hours=hour)) for hour in hours] == [0, 0, 0.5, 1, 0.5, 0.25]
