"""Finding messages by their words, series, sentiment, source and time."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from core.sources import source_key
from core.store.trends import parse_series
from desk.api.parameters import (
    EARLIEST,
    LATEST,
    Cursor,
    Moment,
    SentimentGiven,
    SeriesName,
    SourceName,
    Words,
    key_cursor,
    key_of,
)
from desk.context import Desk, desk_of
from desk.problems import responses
from desk.security.identity import Viewer
from desk.store.counts import read_source_names
from desk.store.search import Search, search_page

router = APIRouter(
    prefix="/search",
    tags=["search"],
    responses=responses(HTTPStatus.UNAUTHORIZED),
)


Query_ = Annotated[
    Words,
    Query(
        description='Words of title or text, "phrases", `or`, and `-` for not; any text of scripts without spaces.',
        examples=['bank "profit warning" -rumour'],
    ),
]
From = Annotated[Moment | None, Query(alias="from", description="Published from this time on.")]
To = Annotated[Moment | None, Query(alias="to", description="Published before this time.")]


class FoundBody(BaseModel):
    """A message that was found."""

    uid: UUID
    story: UUID
    source: str
    kind: str = Field(examples=["news"])
    published_at: datetime
    title: str
    text: str = Field(description="Its beginning.")
    url: str
    author: str
    language: str
    entities: list[str]
    entity_sentiments: list[str | None] | None = Field(
        description="Towards each of `entities`; null where the message's own sentiment stands for it."
    )
    topic: str | None = Field(description="Null, as sentiment, scores and model, where no model reads the language.")
    sentiment: str | None
    scores: list[float] | None = Field(description="Probabilities of negative, neutral and positive.")
    model: str | None


class FoundPage(BaseModel):
    items: list[FoundBody]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


_SHOWN = 500  # characters of a text


def chosen_search(
    q: Query_ = None,
    series: SeriesName = "all",
    sentiment: SentimentGiven = None,
    source: SourceName = None,
    since: From = None,
    until: To = None,
) -> Search:
    """What the address asks for. Raises InputError for a series of another form."""
    wanted = [parse_series(series)]
    if source:
        wanted.append(("source", source_key(source)))
    return Search(q or "", tuple(wanted), since or EARLIEST, until or LATEST, sentiment)


@router.get("", summary="Find messages, the newest first")
def search(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    wanted: Annotated[Search, Depends(chosen_search)],
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most items.")] = 50,
) -> FoundPage:
    """English words are found in all their forms, words of other languages as they are written. A page may hold fewer
    items than were asked for, or none, and go on at `next`: what takes long to look up comes a part at a time."""
    with desk.engine.connect() as connection:
        shown, after = search_page(connection, wanted, key_of(cursor), limit)
        labels = read_source_names(connection, sorted({message.source for message in shown}))
    items = [
        FoundBody(
            uid=message.uid,
            story=message.story,
            source=labels.get(message.source, message.source),
            kind=message.kind,
            published_at=message.published_at,
            title=message.title,
            text=message.text[:_SHOWN],
            url=message.url,
            author=message.author,
            language=message.language,
            entities=message.entities,
            entity_sentiments=message.entity_sentiments,
            topic=message.topic,
            sentiment=message.sentiment,
            scores=message.sentiment_scores,
            model=message.model,
        )
        for message in shown
    ]
    return FoundPage(items=items, next=key_cursor(*after) if after else None)
