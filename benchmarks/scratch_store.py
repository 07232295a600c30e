"""The store of a benchmark: an embedded one that goes away with it, or one that is given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.settings import Settings, load_settings
from core.store.connection import open_engine
from core.store.migration import migrate
from newstide.embedded.postgres import EmbeddedPostgres


@contextmanager
def scratch_store(url: str | None) -> Iterator[Settings]:
    """Settings of the database at `url`, embedded if None, with the newest schema."""
    with ExitStack() as stack:
        if url is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="newstide-benchmark-"))
            Path(directory).chmod(0o755)  # Postgres does not run as root, and has to get there
            url = stack.enter_context(EmbeddedPostgres(Path(directory))).url
        settings = load_settings(database={"url": url})
        engine = open_engine(settings)
        migrate(engine)
        engine.dispose()
        yield settings
