"""One worker process, assembled: settings in, a running pump out."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import sqlalchemy

from core.classifier import Classifier
from core.epochs import Reconciler
from core.health import Health, serve_health
from core.kafka import ensure_topics, wait_for_broker
from core.metrics import WORKER
from core.settings import Settings
from core.store.connection import connect, open_engine, wait_for_database
from core.store.migration import migrate_store
from core.store.shadows import store_shadow_rows
from core.topics import TopicReader
from stream.archive import Archive
from stream.commit import Committer
from stream.engine import Engine
from stream.entities import load_watchlist
from stream.faust_app import use_uvloop
from stream.ledger import TopicLedger
from stream.model_watch import ModelWatch
from stream.models import ModelLoader
from stream.pipeline import Pipeline, TextClassifier
from stream.progress import Connect, EndOffsets, LedgerWatch
from stream.readiness import CommitProgress
from stream.shadow import Shadow

log = logging.getLogger(__name__)


def run_worker(settings: Settings, index: int = 0, wrap: Callable[[Classifier], TextClassifier] | None = None) -> None:
    """Run worker number `index` until SIGTERM or SIGINT. Raises SystemExit when stopped.

    It starts with the live models of the registry, and bundles of the settings for languages that these do not read,
    and follows the registry from then on. `wrap` may put something around each classifier. Raises NewstideError for a
    broken bundle or watch-list, and where the brokers or the database do not answer within their start timeouts.
    """
    health = Health(f"worker-{index}")
    # The watchdog ends a stalled worker first; the probe is for one whose watchdog does not get to it.
    progress = CommitProgress(settings.metrics.ready_within_s, 2 * settings.stream.watchdog_s)
    health.ready("commits", progress)
    health.alive("progress", progress.stalled)
    port = settings.metrics.worker_port and settings.metrics.worker_port + index
    serve_health(settings.metrics, port, health, WORKER.registry)
    watchlist = load_watchlist(settings.stream.watchlist)
    loader = ModelLoader(settings, wrap)
    wait_for_broker(settings)
    ensure_topics(settings)
    wait_for_database(settings)
    migrate_store(settings)

    def open_connection() -> psycopg.Connection[Any]:
        return connect(settings, autocommit=True, application_name=f"newstide worker {index}")

    registry = open_engine(settings, pool_size=4)
    shadow = Shadow(partial(store_shadow_rows, registry), settings.models.shadow_share)
    name = f"{socket.gethostname()}/{index}"
    watch = ModelWatch(registry, open_connection, loader, shadow, name, settings.models.poll_s)
    classifiers = watch.begin()
    use_uvloop()
    engine = _create_engine(settings, registry, open_connection, progress)
    topic = settings.topic("messages")
    committer = Committer(
        TopicLedger(topic, partial(TopicReader(settings).offsets, topic)),
        window=timedelta(hours=settings.stream.story_window_hours),
    )
    pipeline = Pipeline(
        classifiers,
        watchlist,
        committer,
        open_connection,
        engine.send_dead_letters_blocking,
        settings.stream.retry_max_s,
        shadow.offer,
    )
    names = " and ".join(classifier.name for classifier in classifiers)
    log.info("worker %d reads %s with the model %s", index, topic, names)
    health.alive("event loop", engine.loop_beat)
    health.essential(["models", "shadow", "watchdog"])
    health.watch()
    shadow.start()
    watch.follow(pipeline.use)
    # Threads that are inside the network while the interpreter ends would crash it.
    with closing(shadow), closing(watch), closing(health):
        engine.run(pipeline, on_stop=health.close)


def _create_engine(
    settings: Settings, registry: sqlalchemy.Engine, open_connection: Connect, progress: CommitProgress
) -> Engine:
    """The engine, with a reader of topics for each thread that asks."""
    letters = settings.topic("dead-letters")
    archive = Archive(
        TopicLedger(letters, partial(TopicReader(settings).offsets, letters)),
        open_connection,
        settings.stream.retry_max_s,
    )
    return Engine(
        settings,
        archive,
        EndOffsets(settings.topic("messages"), open_connection),
        Reconciler(registry, TopicReader(settings), settings),
        LedgerWatch(Reconciler(registry, TopicReader(settings), settings)),
        progress,
    )
