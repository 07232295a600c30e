"""The board Market mood: what the news says now, set against what it usually says. All of it in event time.

Surprise is the Anscombe residual 2 (sqrt(n + 3/8) - sqrt(e + 3/8)) of n negative stories where e are usual (Anscombe,
Biometrika 35, 1948): about standard deviations, if stories come independently. Usual is the mean of the same hour of
the week in the four weeks before the range of the board, or in as many of them as there are, at least one.
"""

from __future__ import annotations

from alerting.grafana.board import Board
from alerting.grafana.choices import names_of
from alerting.grafana.mood_queries import (
    NEWEST,
    SHOWN,
    by_topic,
    incidents,
    movers,
    shares,
    stories,
    surges,
    surprise,
    total,
)
from alerting.grafana.panels import About, Built, Column, Limits, figure, heat, lines, listing, rows, series

_ABOUT = "grafana.md#market-mood"


def board() -> Board:
    made = Board(
        uid="newstide-market-mood",
        title="Market mood",
        description="Sentiment of news and comments by topic and company, in the time of their publication.",
        refresh="1m",
        since="now-24h",
        variables=[names_of("topic", "topic", "Topic"), names_of("entity", "company", "Company")],
        annotations=[surges()],
    )
    made.row("Now", *_now())
    made.row("Surprise", *_surprises())
    made.row("Shares and volume", *_shares_and_volume())
    made.row("What moves", *_movements())
    return made


def _now() -> list[Built]:
    return [
        figure(
            About("Messages", "Messages published in the range, copies included.", "short", _ABOUT, 4, 4),
            rows(total("sum(negative + neutral + positive)")),
        ),
        figure(
            About("Stories", "Distinct stories: copies of one text count once.", "short", _ABOUT, 4, 4),
            rows(total("sum(negative_stories + neutral_stories + positive_stories)")),
        ),
        figure(
            About("Negative share", "Negative messages of all messages.", "percentunit", _ABOUT, 4, 4),
            rows(total("sum(negative)::float8 / nullif(sum(negative + neutral + positive), 0)")),
            limits=Limits(0.3, 0.5),
        ),
        figure(
            About("Positive share", "Positive messages of all messages.", "percentunit", _ABOUT, 4, 4),
            rows(total("sum(positive)::float8 / nullif(sum(negative + neutral + positive), 0)")),
        ),
        figure(
            About(
                "Copies of a story",
                "Messages for each distinct story: how widely news is repeated.",
                "short",
                _ABOUT,
                4,
                4,
            ),
            rows(
                total(
                    "sum(negative + neutral + positive)::float8 "
                    "/ nullif(sum(negative_stories + neutral_stories + positive_stories), 0)"
                )
            ),
        ),
        figure(
            About("Open incidents", "Surges of any series that have not ended.", "short", "alerting.md", 4, 4),
            rows("SELECT count(*) AS incidents FROM incident WHERE state = 'open'"),
            limits=Limits(1, 5),
        ),
    ]


def _surprises() -> list[Built]:
    return [
        _surprise(
            "Surprise by topic",
            "Negative stories against the same hour of the week in the four weeks before the range: 0 is as usual, "
            "3 and more is rare. Empty while there is less than a week of history.",
            surprise("topic", "topic"),
        ),
        _surprise(
            "Surprise by company",
            f"The same for the {SHOWN} companies chosen that have most negative stories in the range.",
            surprise("entity", "company"),
        ),
    ]


def _surprise(title: str, description: str, sql: str) -> Built:
    about = About(title, description, "none", _ABOUT, 24, 12, "5m", points=360)
    return heat(about, series(sql), least=-4, most=4)


def _shares_and_volume() -> list[Built]:
    return [
        lines(
            About("Shares of sentiment", "Messages of the chosen topics by sentiment.", "percentunit", _ABOUT),
            series(shares()),
            stacked=True,
            most=1,
        ),
        lines(
            About("Negative share by topic", "Negative messages of all messages of the topic.", "percentunit", _ABOUT),
            series(by_topic("sum(negative)::float8 / nullif(sum(negative + neutral + positive), 0)")),
            most=1,
        ),
        lines(
            About("Messages by topic", "Messages in each bucket of time.", "short", _ABOUT),
            series(by_topic("sum(negative + neutral + positive)")),
            bars=True,
            stacked=True,
        ),
        lines(
            About("Negative stories by topic", "Distinct negative stories in each bucket of time.", "short", _ABOUT),
            series(by_topic("sum(negative_stories)")),
            bars=True,
            stacked=True,
        ),
    ]


def _movements() -> list[Built]:
    return [
        listing(
            About(
                "Movers",
                "Series whose negative stories changed most against the time of the same length before. `change` is an "
                "Anscombe residual, as surprise is.",
                "short",
                _ABOUT,
                12,
                10,
            ),
            rows(movers()),
            columns=[Column("share", "percentunit"), Column("share before", "percentunit")],
        ),
        listing(
            About("Surges", "Incidents that were open in the range.", "short", "alerting.md", 12, 10),
            rows(incidents()),
            columns=[Column("opened", "dateTimeAsIso", 160), Column("score", "none", 70)],
        ),
        listing(
            About(
                "Stories of bad news",
                f"Of the newest {NEWEST} negative stories those with most copies; the link is that of the first one.",
                "short",
                _ABOUT,
                24,
                12,
            ),
            rows(stories()),
            columns=[
                Column("first", "dateTimeAsIso", 160),
                Column("messages", "short", 90),
                Column("topic or all", None, 160),
                Column("url", "string", 300, link="url"),
            ],
        ),
    ]
