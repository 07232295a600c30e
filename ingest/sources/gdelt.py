"""Articles that GDELT has seen: its Global Knowledge Graph 2.1, a packed table every fifteen minutes."""

from __future__ import annotations

import asyncio
import html
import io
import math
import re
import zipfile
import zlib
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, ClassVar

from pydantic import Field

from ingest.fetching import FetchFailed
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Source, Unreadable, WebAddress
from ingest.sources.session import Session

_STEP = timedelta(minutes=15)
_STEPS_AN_HOUR = 4
_STAMP = "%Y%m%d%H%M%S"
_BATCH = 500
_MOST_UNPACKED = 400_000_000
_MOST_LINE = 2_000_000
_MOST_NAMES = 20
_COLUMNS = 27
_TITLE = re.compile(r"<PAGE_TITLE>(.*?)</PAGE_TITLE>", re.DOTALL)
_AUTHORS = re.compile(r"<PAGE_AUTHORS>(.*?)</PAGE_AUTHORS>", re.DOTALL)
_TIME = re.compile(r"<PAGE_PRECISEPUBTIMESTAMP>(\d{14})</PAGE_PRECISEPUBTIMESTAMP>")


class Gdelt(Source):
    """Headlines of articles all over the world, as GDELT's Global Knowledge Graph lists them every 15 minutes."""

    documentation: ClassVar[str] = "https://blog.gdeltproject.org/gdelt-2-0-our-global-world-in-realtime/"

    themes: list[str] = Field(["ECON_"])
    """Only articles with a theme that begins so (`ECON_STOCKMARKET`, `WB_1104_`); empty: all."""
    translated: bool = False
    """Articles in other languages than English, from the file of what GDELT translates; titles are in the original."""
    most_hours: float = Field(24.0, gt=0, le=24 * 30)
    """How far back files are fetched after an absence, in whole quarters of an hour."""
    url: WebAddress = "http://data.gdeltproject.org/gdeltv2/"
    """Folder of the files."""
    max_bytes: int = Field(60_000_000, ge=1_000)
    """Largest packed file that is read."""
    interval_s: float = Field(300.0, ge=1, le=86_400)
    """Seconds between two looks for a new file."""

    @property
    def place(self) -> str:
        return f"{super().place} {self.translated}"

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        folder = self.url.rstrip("/") + "/"
        latest = await self._latest(session, folder)
        behind = _moment(str(cursor["file"])) if "file" in cursor else latest - _STEP
        # In whole steps from the newest: between two files there is none.
        missed = math.ceil((latest - behind) / _STEP)
        stamp = latest - (min(missed, math.ceil(self.most_hours * _STEPS_AN_HOUR)) - 1) * _STEP
        if stamp > latest:
            yield Batch()
        while stamp <= latest:
            name = stamp.strftime(_STAMP)
            try:
                document = await session.get(folder + name + self._suffix, max_bytes=self.max_bytes)
            except FetchFailed as error:
                if not (error.status == 404 and stamp < latest):
                    raise
                document = None  # GDELT leaves a file out now and then, and never adds it
            articles = self._articles(document.content if document else b"", name)
            ended = False
            while not ended:
                items = await asyncio.to_thread(_taken, articles)
                ended = len(items) < _BATCH
                yield Batch(items, {"file": name} if ended else None)
            stamp += _STEP

    @property
    def _suffix(self) -> str:
        return ".translation.gkg.csv.zip" if self.translated else ".gkg.csv.zip"

    async def _latest(self, session: Session, folder: str) -> datetime:
        """The newest file's time. Only its name is believed: the address in the list is the server's word."""
        address = folder + ("lastupdate-translation.txt" if self.translated else "lastupdate.txt")
        document = await session.get(address, max_bytes=100_000)
        text = document.content.decode(errors="replace") if document is not None else ""
        found = re.search(rf"/(\d{{14}}){re.escape(self._suffix)}\s*$", text, re.MULTILINE)
        moment = _moment(found.group(1)) if found else None
        if moment is None or moment > datetime.now(UTC) + timedelta(days=1):
            raise FetchFailed(f"{shown(address)} names no file ...{self._suffix}: {text[:100]!r}", "unreadable")
        return moment

    def _articles(self, packed: bytes, name: str) -> Iterator[Fields | Unreadable]:
        if not packed:
            return
        try:
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                members = archive.infolist()
                if len(members) != 1 or members[0].file_size > _MOST_UNPACKED:
                    raise FetchFailed(f"the file {name} of GDELT holds not one table of usual size", "too-large")
                with archive.open(members[0]) as table:
                    yield from self._rows(table)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise FetchFailed(f"the file {name} of GDELT can't be unpacked: {error}", "unreadable") from error

    def _rows(self, table: IO[bytes]) -> Iterator[Fields | Unreadable]:
        size = 0
        while line := table.readline(_MOST_LINE):
            size += len(line)
            if size > _MOST_UNPACKED:
                raise FetchFailed(f"a file of GDELT unpacks to more than {_MOST_UNPACKED} bytes", "too-large")
            columns = line.decode(errors="replace").rstrip("\r\n").split("\t")
            if len(columns) != _COLUMNS:
                yield Unreadable(line[:10_000], f"the row has {len(columns)} columns; {_COLUMNS} make a record")
                continue
            found = self._article(columns)
            if found is not None:
                yield found

    def _article(self, columns: list[str]) -> Fields | None:
        """The article in a row; None where it is not asked for, or has no title."""
        themes = columns[7].split(";")
        if self.themes and not any(theme.startswith(tuple(self.themes)) for theme in themes):
            return None
        title = _TITLE.search(columns[26])
        if title is None or not title.group(1).strip():
            return None
        authors, precise = _AUTHORS.search(columns[26]), _TIME.search(columns[26])
        names = list(dict.fromkeys(part.partition(",")[0] for part in columns[14].split(";") if part))
        return {
            "id": columns[0],
            "title": html.unescape(title.group(1)),
            "published_at": precise.group(1) if precise else columns[1],
            "url": columns[4],
            "author": html.unescape(authors.group(1)).replace(";", ", ") if authors else None,
            "language": None if self.translated else "en",
            "extra": {"publisher": columns[3], "organizations": names[:_MOST_NAMES], "themes": themes[:_MOST_NAMES]},
        }


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)


def _taken(articles: Iterator[Fields | Unreadable]) -> list[Fields | Unreadable]:
    return list(islice(articles, _BATCH))
