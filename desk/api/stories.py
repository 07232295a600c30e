"""Stories, folded: one item for all its copies; and what they are made of, their words and sources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from core.fitting import UNREAD
from core.sources import source_key
from core.store.trends import parse_series
from desk.api.parameters import (
    Cursor,
    From,
    Sentiment,
    SentimentGiven,
    SeriesName,
    SourceName,
    Span,
    To,
    key_cursor,
    key_of,
    span,
    sum_grid,
)
from desk.context import Desk, desk_of
from desk.problems import Problem, responses
from desk.security.identity import Viewer
from desk.store.counts import read_source_names, read_sums
from desk.store.messages import read_messages_of
from desk.store.progress import Progress, read_progress
from desk.store.stories import (
    Placed,
    Story,
    StoryFilter,
    StoryKey,
    describe_stories,
    find_story,
    list_stories,
    read_headlines,
)
from desk.terms import surging_terms

router = APIRouter(
    responses=responses(HTTPStatus.UNAUTHORIZED),
)

A_DAY = timedelta(days=1)
_MOST_HEADLINES = 500  # of each sentiment, inside the span and before it
_MOST_BEFORE = timedelta(days=7)


class StoryBody(BaseModel):
    """A story with all its copies. What retention has dropped of its first message is null."""

    id: UUID
    headline: str
    url: str | None = Field(description="Of its first message; it comes from a feed, so do not trust it.")
    first_at: datetime = Field(description="Its first message, in the series asked for.")
    last_at: datetime = Field(description="Its last message anywhere.")
    copies: int = Field(description="Messages that tell it.", examples=[12])
    sources: list[str] = Field(description="Who published it, as they are written.")
    entities: list[str] = Field(description="Tickers it is about.")
    entity_sentiments: list[Sentiment | None] = Field(
        description="Towards each of `entities`, as it is counted there; null where no model reads it."
    )
    topic: str | None
    sentiment: Sentiment | None = Field(description="As it is counted in the series; null where no model reads it.")
    message_sentiment: str | None = Field(description="Of its first message, whatever it says of a company.")
    scores: list[float] | None = Field(description="Probabilities of negative, neutral and positive.")
    uid: UUID | None = Field(description="Its first message, to be labelled.")
    language: str | None
    model: str | None = Field(description="What labelled it.")


class StoryPage(BaseModel):
    items: list[StoryBody]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class MessageBody(BaseModel):
    """One message of a story."""

    uid: UUID
    source: str
    kind: str = Field(examples=["news"])
    published_at: datetime
    received_at: datetime
    title: str
    text: str
    url: str
    author: str
    language: str
    entities: list[str]
    topic: str | None = Field(description="Null, as all that a model says, where none reads the language.")
    topic_scores: list[float] | None
    sentiment: str | None
    sentiment_scores: list[float] | None
    model: str | None
    entity_sentiments: list[str | None] | None = Field(
        description="Towards each of `entities`; null where the message's own sentiment stands for it."
    )


class StoryDetail(BaseModel):
    """A story and its messages, the first one first."""

    story: StoryBody
    items: list[MessageBody]
    next: str | None = Field(description="The cursor of the next messages; null on the last page.")


class TermBody(BaseModel):
    """A word that surges."""

    word: str
    stories: int = Field(description="Stories of the span whose headlines hold it.")
    before: int = Field(description="Stories before the span whose headlines hold it.")
    log_odds: float = Field(description="Log-odds ratio with an informative Dirichlet prior.")
    strength: float = Field(description="Its z-score: 2 and more is hardly chance.")


class Terms(BaseModel):
    """Words of headlines in a span, against as long before it (seven days at most)."""

    items: list[TermBody] = Field(description="The strongest first.")
    stories: int = Field(description="Stories looked at in the span.")
    before: int = Field(description="Stories looked at before it.")


class SourceBody(BaseModel):
    """What a source published in a span."""

    name: str = Field(description="Its key, as in `source=NAME`.")
    label: str = Field(description="As it is written.")
    messages: int
    stories: int = Field(description="Stories it told.")
    negative: int
    neutral: int
    positive: int
    mood: float | None = Field(description="Net sentiment of its stories, -1 to 1.")


class Sources(BaseModel):
    items: list[SourceBody] = Field(description="Those with the most negative stories first.")


@router.get("/stories", tags=["stories"], summary="Stories of a series, the last first")
def read_stories(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    series: SeriesName = "all",
    sentiment: SentimentGiven = None,
    since: From = None,
    until: To = None,
    source: SourceName = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most items.")] = 50,
) -> StoryPage:
    """Folded: copies of a story are one item. A story belongs to a span by its first message in the series."""
    with desk.engine.connect() as connection:
        chosen = span(since, until, read_progress(connection).present, A_DAY)
        return stories_of(connection, story_filter(series, chosen, sentiment, source), key_of(cursor), limit)


def story_filter(series: str, chosen: Span, sentiment: str | None, source: str | None) -> StoryFilter:
    """Raises InputError for a series in another form."""
    kind, name = parse_series(series)
    return StoryFilter(kind, name, chosen.since, chosen.until, sentiment, source_key(source) if source else None)


def stories_of(connection: Connection, wanted: StoryFilter, before: StoryKey | None, limit: int) -> StoryPage:
    """A page of at most `limit` stories after the one `before`."""
    placed = list_stories(connection, wanted, before, limit + 1)
    shown = placed[:limit]
    items = stories_as_json(connection, describe_stories(connection, shown), shown)
    after = key_cursor(shown[-1].first_at, shown[-1].story) if len(placed) > limit else None
    return StoryPage(items=items, next=after)


@router.get(
    "/stories/{story}",
    tags=["stories"],
    summary="A story and its messages",
    responses=responses(HTTPStatus.NOT_FOUND),
)
def read_story(
    story: Annotated[UUID, Path(description="Id of the story.")],
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most items.")] = 50,
) -> StoryDetail:
    """Messages in the order of event time."""
    with desk.engine.connect() as connection:
        found = find_story(connection, story)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such story, or retention has dropped it")
        messages = read_messages_of(connection, found.id, found.first_at, key_of(cursor), limit + 1)
        labels = read_source_names(connection, sorted({message.source for message in messages}))
        (body,) = stories_as_json(connection, [found])
    shown = messages[:limit]
    items = []
    for message in shown:
        item = MessageBody.model_validate(message, from_attributes=True)
        items.append(item.model_copy(update={"source": labels.get(message.source, message.source)}))
    after = key_cursor(shown[-1].published_at, shown[-1].uid) if len(messages) > limit else None
    return StoryDetail(story=body, items=items, next=after)


@router.get("/terms", tags=["stories"], summary="Words that surge in headlines")
def read_terms(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    series: SeriesName = "all",
    sentiment: Annotated[Sentiment | None, Query(description="Of stories of this sentiment; all if empty.")] = None,
    since: From = None,
    until: To = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most items.")] = 20,
) -> Terms:
    """Against the same series before. Of a busy span the last 500 stories of each sentiment are read."""
    with desk.engine.connect() as connection:
        chosen = span(since, until, read_progress(connection).present, A_DAY)
        return terms_of(connection, series, chosen, sentiment, limit)


def terms_of(connection: Connection, series: str, chosen: Span, sentiment: str | None, limit: int) -> Terms:
    """Raises InputError for a series in another form."""
    before = Span(chosen.since - min(chosen.until - chosen.since, _MOST_BEFORE), chosen.since)
    inside, background = (
        read_headlines(connection, story_filter(series, each, sentiment, None), _MOST_HEADLINES)
        for each in (chosen, before)
    )
    items = [
        TermBody(
            word=term.word,
            stories=term.inside,
            before=term.background,
            log_odds=round(term.log_odds, 4),
            strength=round(term.strength, 4),
        )
        for term in surging_terms(inside, background, limit)
    ]
    return Terms(items=items, stories=len(inside), before=len(background))


@router.get("/sources", tags=["stories"], summary="What each source published")
def read_sources(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    since: From = None,
    until: To = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Most items.")] = 100,
) -> Sources:
    """Spans of up to two days are taken by five minutes, longer ones by whole hours."""
    with desk.engine.connect() as connection:
        progress = read_progress(connection)
        return sources_of(connection, span(since, until, progress.present, A_DAY), progress, limit)


def sources_of(connection: Connection, chosen: Span, progress: Progress, limit: int) -> Sources:
    """The `limit` sources with the most negative stories."""
    found = read_sums(connection, "source", sum_grid(chosen, progress.merged_until), limit)
    labels = read_source_names(connection, [each.name for each in found])
    items = [
        SourceBody(
            name=each.name,
            label=labels.get(each.name, each.name),
            messages=each.messages,
            stories=each.stories,
            negative=each.negative,
            neutral=each.neutral,
            positive=each.positive,
            mood=round((each.positive - each.negative) / each.stories, 4) if each.stories else None,
        )
        for each in found
    ]
    return Sources(items=items)


def stories_as_json(connection: Connection, stories: Sequence[Story], placed: Sequence[Placed] = ()) -> list[StoryBody]:
    """Bodies of `stories`; first time and sentiment as they were `placed` in a series."""
    labels = read_source_names(connection, sorted({source for story in stories for source in story.sources}))
    places = {place.story: place for place in placed}
    bodies = []
    for story in stories:
        place = places.get(story.id)
        bodies.append(
            StoryBody(
                id=story.id,
                headline=story.headline,
                url=story.url,
                first_at=place.first_at if place else story.first_at,
                last_at=story.last_at,
                copies=story.copies,
                sources=[labels.get(source, source) for source in story.sources],
                entities=story.entities,
                entity_sentiments=[_sentiment(counted) for counted in story.entity_sentiments],
                topic=story.topic,
                sentiment=_sentiment(place.sentiment) if place else story.sentiment,
                message_sentiment=story.sentiment,
                scores=story.sentiment_scores,
                uid=story.uid,
                language=story.language,
                model=story.model,
            )
        )
    return bodies


def _sentiment(counted: str) -> str | None:
    return None if counted == UNREAD else counted
