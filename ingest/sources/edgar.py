"""Filings with the SEC as they are accepted: EDGAR's list of current filings, an Atom feed in pages, newest first."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from core.errors import InputError
from ingest.entries import Entry, read_entries
from ingest.fetching import AGENT, FetchFailed
from ingest.redirects import shown
from ingest.sources.interface import Batch, Cursor, Fields, Source, WebAddress
from ingest.sources.session import Session

_PAGE = 100
_MOST_PAGES = 50
_OVERLAP = timedelta(minutes=10)
_ACCESSION = re.compile(r"\b\d{10}-\d{2}-\d{6}\b")
_FILER = re.compile(r"\((\d{1,10})\)\s*\(([^()]{1,40})\)\s*$")

Form = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ./-]{1,20}$")]


class Edgar(Source):
    """Filings with the SEC as they are accepted."""

    documentation: ClassVar[str] = "https://www.sec.gov/os/accessing-edgar-data"
    apart_s: ClassVar[float] = 0.12  # ten requests a second are allowed, over all that one address runs

    contact: Annotated[str, StringConstraints(pattern=r"^[ -~]*\S@\S+\.\S[ -~]*$")]
    """Who asks, with an address of mail, such as `Example Research contact@example.com`: the SEC turns others away."""
    forms: list[Form] = Field(["8-K"], min_length=1, max_length=20)
    """Which forms, by how their names begin; one request each."""
    url: WebAddress = "https://www.sec.gov/cgi-bin/browse-edgar"
    """Address of the list."""
    interval_s: float = Field(120.0, ge=1, le=86_400)
    """Seconds between two rounds."""

    @property
    def request_headers(self) -> dict[str, str]:
        return self.headers | {"User-Agent": f"{AGENT} {self.contact}"}

    async def batches(self, session: Session, cursor: Cursor) -> AsyncGenerator[Batch, None]:
        stand = dict(cursor)
        for form in self.forms:
            since = datetime.fromisoformat(cursor[form]) if form in cursor else None
            newest = since
            for number in range(_MOST_PAGES):
                entries = await self._page(session, form, number * _PAGE)
                times = [at for entry in entries if isinstance(at := entry.fields.get("published_at"), datetime)]
                newest = max(
                    [at for at in times if at <= datetime.now(UTC)] + ([newest] if newest else []), default=None
                )
                ended = since is None or len(entries) < _PAGE // 2 or min(times, default=since) < since - _OVERLAP
                if ended and newest is not None:
                    stand[form] = newest.isoformat()
                yield Batch([_filing(entry) for entry in entries], dict(stand) if ended else None)
                if ended:
                    break
            else:
                raise FetchFailed(f"{shown(self.url)} has more than {_MOST_PAGES} pages of {form}", "http-error")

    async def _page(self, session: Session, form: str, start: int) -> list[Entry]:
        asked: dict[str, str | int] = {
            "action": "getcurrent",
            "type": form,
            "owner": "include",
            "start": start,
            "count": _PAGE,
            "output": "atom",
        }
        document = await session.get(self.url, asked)
        try:
            return read_entries(document.content, document.content_type, address=document.address) if document else []
        except InputError as error:
            raise FetchFailed(f"{shown(self.url)}: {error}", "unreadable") from error


def _filing(entry: Entry) -> Fields:
    """A filing as one of its companies has it: co-registrants share an accession number, and each is a message."""
    title = str(entry.fields.get("title") or "")
    accession = _ACCESSION.search(f"{entry.fields.get('url') or ''} {entry.guid}")
    filer = _FILER.search(title)
    fields = {name: value for name, value in entry.fields.items() if name != "id"}
    if accession is not None:
        parts = (accession.group(), *(filer.groups() if filer else ()))
        fields["id"] = "/".join(parts)
        fields["extra"] = {"accession": accession.group()} | ({"cik": filer.group(1)} if filer else {})
    return fields
