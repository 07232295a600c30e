"""Views as files: heat map, movers, a series and stories as CSV, what a search found as CSV or Parquet.

An export is read while it is sent, in one snapshot, and needs no more memory for more rows.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from desk.api.mood import Heat, Movers, read_heat, read_movers
from desk.api.parameters import From, SentimentGiven, SeriesName, SourceName, To, span
from desk.api.search import chosen_search
from desk.api.series import Course, read_course
from desk.api.stories import A_DAY, stories_as_json, story_filter
from desk.context import Desk, desk_of
from desk.exports import CSV_TYPE, PARQUET_TYPE, Row, csv_file, parquet_file
from desk.problems import Problem, responses
from desk.security.identity import Viewer
from desk.store.counts import read_source_names
from desk.store.progress import read_progress
from desk.store.search import Search, search_all
from desk.store.stories import describe_stories, list_stories

_BATCH = 2000
_AT_ONCE = 3  # each holds a connection to the database for as long as it is read
_PATIENCE_S = 1.0
_slots = threading.BoundedSemaphore(_AT_ONCE)

CsvOnly = Literal["csv"]
Format = Literal["csv", "parquet"]
CsvGiven = Annotated[CsvOnly, Query(description="Form of the file.")]
FormatGiven = Annotated[Format, Query(description="Form of the file.")]


def _file(media: str, *statuses: HTTPStatus) -> dict[str, Any]:
    """What a route that answers with files says of itself."""
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "The file.", "content": {each: {} for each in media.split()}}
    }
    found.update(responses(HTTPStatus.UNAUTHORIZED, *statuses))
    return {"response_class": StreamingResponse, "responses": found, "tags": ["exports"]}


router = APIRouter()


@router.get("/mood/heat/export", summary="The heat map as CSV", **_file("text/csv"))
def export_heat(heat: Annotated[Heat, Depends(read_heat)], format: CsvGiven = "csv") -> StreamingResponse:
    """One line for each series and step."""
    columns = ("kind", "name", "time", "stories", "negative", "expected", "surprise", "share")
    rows = [
        (row.kind, row.label, *cells)
        for row in heat.rows
        for cells in zip(heat.times, row.stories, row.negative, row.expected, row.surprise, row.share, strict=True)
    ]
    return _csv("heat", columns, iter([rows]))


@router.get("/mood/movers/export", summary="Movers as CSV", **_file("text/csv"))
def export_movers(movers: Annotated[Movers, Depends(read_movers)], format: CsvGiven = "csv") -> StreamingResponse:
    columns = (
        "kind", "label", "stories", "negative", "neutral", "positive", "expected", "surprise", "share", "share_low",
        "share_high", "reach", "novelty",
    )  # fmt: skip
    return _csv("movers", columns, iter([[[getattr(each, name) for name in columns] for each in movers.items]]))


@router.get("/series/{kind}/{name:path}/export", summary="A series as CSV", **_file("text/csv", HTTPStatus.NOT_FOUND))
def export_course(course: Annotated[Course, Depends(read_course)], format: CsvGiven = "csv") -> StreamingResponse:
    """One line for each step."""
    columns = ("times", "negative", "neutral", "positive", "messages", "expected", "low", "high", "surprise")
    rows = zip(*(getattr(course, name) for name in columns), strict=True)
    return _csv("series", ("time", *columns[1:]), iter([rows]))


@router.get("/stories/export", summary="Stories of a series as CSV", **_file("text/csv"))
def export_stories(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    series: SeriesName = "all",
    sentiment: SentimentGiven = None,
    since: From = None,
    until: To = None,
    source: SourceName = None,
    format: CsvGiven = "csv",
) -> StreamingResponse:
    """All of the span, the last first; one line a story."""
    columns = (
        "id", "headline", "url", "first_at", "last_at", "copies", "sources", "entities", "entity_sentiments", "topic",
        "sentiment",
    )  # fmt: skip
    with desk.engine.connect() as connection:
        chosen = span(since, until, read_progress(connection).present, A_DAY)
    wanted = story_filter(series, chosen, sentiment, source)

    def batches() -> Iterator[list[Row]]:
        before = None
        with desk.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            while placed := list_stories(connection, wanted, before, _BATCH):
                bodies = stories_as_json(connection, describe_stories(connection, placed), placed)
                yield [[getattr(body, column) for column in columns] for body in bodies]
                before = (placed[-1].first_at, placed[-1].story)

    return _csv("stories", columns, _limited(batches))


_MESSAGES = pa.schema(
    [
        ("uid", pa.string()),
        ("story", pa.string()),
        ("source", pa.string()),
        ("kind", pa.string()),
        ("published_at", pa.timestamp("us", "UTC")),
        ("title", pa.string()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("author", pa.string()),
        ("language", pa.string()),
        ("entities", pa.list_(pa.string())),
        ("entity_sentiments", pa.list_(pa.string())),
        ("topic", pa.string()),
        ("sentiment", pa.string()),
        ("sentiment_scores", pa.list_(pa.float32())),
        ("model", pa.string()),
    ]
)


@router.get(
    "/search/export",
    summary="What a search finds, as CSV or Parquet",
    **_file(f"text/csv {PARQUET_TYPE}"),
)
def export_search(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    wanted: Annotated[Search, Depends(chosen_search)],
    format: FormatGiven = "csv",
) -> StreamingResponse:
    """All of it, the newest first; one line a message."""

    def batches() -> Iterator[list[Row]]:
        with desk.engine.connect() as names, desk.engine.connect() as connection:
            for found in search_all(connection, wanted, _BATCH):
                labels = read_source_names(names, sorted({message.source for message in found}))
                yield [
                    [
                        labels.get(message.source, message.source) if column == "source" else getattr(message, column)
                        for column in _MESSAGES.names
                    ]
                    for message in found
                ]

    if format == "csv":
        return _csv("messages", _MESSAGES.names, _limited(batches))
    return _attached("messages.parquet", PARQUET_TYPE, parquet_file(_MESSAGES, _limited(batches)))


def _limited(batches: Callable[[], Iterator[list[Row]]]) -> Iterator[list[Row]]:
    """The batches. The first is read at once, so that what goes wrong with it can still be said with a status.

    Raises Problem 503 while too many exports are under way.
    """

    def run() -> Iterator[list[Row]]:
        if not _slots.acquire(timeout=_PATIENCE_S):
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{_AT_ONCE} exports are under way already; try again soon",
                {"Retry-After": "10"},
            )
        try:
            yield from batches()
        finally:
            _slots.release()

    running = run()
    first = next(running, None)
    return itertools.chain([] if first is None else [first], running)


def _csv(name: str, columns: Any, batches: Iterator[Any]) -> StreamingResponse:
    return _attached(f"{name}.csv", CSV_TYPE, csv_file(columns, batches))


def _attached(file: str, media: str, pieces: Iterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        pieces, media_type=media, headers={"Content-Disposition": f'attachment; filename="{file}"'}
    )
