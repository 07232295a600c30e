"""The desk as an ASGI application: the API under `/api/v1`, and the pages."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from core.settings import Settings
from core.taxonomy import load_taxonomy
from desk import problems
from desk.api import (
    agreement,
    audit,
    events,
    explain,
    exports,
    incidents,
    label_files,
    labels,
    models,
    mood,
    oidc,
    overview,
    promotion,
    queue,
    search,
    series,
    session,
    stories,
    tokens,
    training,
)
from desk.api import settings as settings_
from desk.context import Desk
from desk.events import Events
from desk.exports import PARQUET_TYPE
from desk.labelling.counter import LabelCounter
from desk.labelling.evaluation import Evaluation
from desk.labelling.live_models import LiveModels
from desk.labelling.queue import LabelQueue
from desk.pages import serve_pages
from desk.security.accounts import Accounts
from desk.security.addresses import proxy_networks
from desk.security.headers import SecurityHeaders
from desk.security.oidc import open_provider
from desk.security.rate_limit import RateLimit
from desk.security.sessions import Sessions

API = "/api/v1"

RESOURCES = (
    session,
    oidc,
    tokens,
    audit,
    events,
    exports,  # before what takes any name
    mood,
    overview,
    series,
    stories,
    incidents,
    search,
    queue,
    label_files,
    labels,
    agreement,
    explain,
    training,
    promotion,
    models,
    settings_,
)
_OF_ANY = (
    HTTPStatus.NOT_FOUND,  # a name in an address may hold what makes it another address
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_LOGINS_PER_SECOND, _LOGINS_AT_ONCE = 0.1, 10
_SHARED = 10  # times as many from an address that may be everybody's, and by one name from all addresses
_BURST = 10  # times the requests a second
_COMPRESSION = 5  # of 9: takes a millisecond where 9 takes several, for a few bytes more
_AS_THEY_ARE = (*DEFAULT_EXCLUDED_CONTENT_TYPES, PARQUET_TYPE)
_DESCRIPTION = """The mood of financial news as newstide sees it, its incidents, and the labels of analysts.

Log in with `POST /api/v1/session`, or send an API token as `Authorization: Bearer TOKEN`. Times are ISO 8601 in UTC.
Lists come in pages: `next` is the `cursor` of the page after. Errors are `application/problem+json` (RFC 9457)."""


def create_app(settings: Settings, engine: Engine) -> FastAPI:
    """The application on the store of `engine`, whose schema is up to date. Raises SettingsError for settings that
    can't work."""
    desk = Desk(
        settings=settings,
        engine=engine,
        taxonomy=load_taxonomy(settings.taxonomy),
        accounts=Accounts(engine),
        sessions=Sessions(engine, settings.desk.session_hours),
        requests=RateLimit(settings.desk.requests_per_second, round(_BURST * settings.desk.requests_per_second)),
        logins=RateLimit(_LOGINS_PER_SECOND, _LOGINS_AT_ONCE),
        shared_logins=RateLimit(_SHARED * _LOGINS_PER_SECOND, _SHARED * _LOGINS_AT_ONCE),
        name_logins=RateLimit(_SHARED * _LOGINS_PER_SECOND, _SHARED * _LOGINS_AT_ONCE),
        events=Events(engine),
        provider=open_provider(settings.desk),
        queue=LabelQueue(
            engine, settings.desk.lease_minutes * 60, settings.desk.evaluation_share, settings.desk.second_share
        ),
        live_models=LiveModels(settings, engine),
        label_counter=LabelCounter(engine),
        evaluation=Evaluation(engine, settings.desk.evaluation_share),
        proxies=proxy_networks(settings.desk),
    )
    app = FastAPI(
        title="newstide desk",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{API}/openapi.json",
        responses=problems.responses(*_OF_ANY),
    )
    app.state.desk = desk
    problems.install(app)
    for resource in RESOURCES:
        app.include_router(resource.router, prefix=API)
    serve_pages(app, API)
    app.add_middleware(GZipMiddleware, compresslevel=_COMPRESSION, exclude_content_types=_AS_THEY_ARE)
    app.add_middleware(SecurityHeaders, https=desk.https)
    return app
