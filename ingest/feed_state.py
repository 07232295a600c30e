"""The memory of a feed on disk: a small JSON file beside the checkpoints of replays.

It only serves to know messages again. It is written for what Kafka has acknowledged, and it suppresses nothing: what a
feed still lists after a restart is sent once more under the same ids.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from core.settings import Settings
from core.sources import source_slug
from ingest.identity import MOST_KNOWN, FeedMemory, Known

log = logging.getLogger(__name__)

_MOST_BYTES = 20_000_000


class _State(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    known: list[Known]


def state_path(settings: Settings, source: str) -> Path:
    """Where the memory of the feed of `source` lives."""
    return settings.embedded.directory / "feeds" / f"{source_slug(source)}.json"


def load_memory(path: Path) -> FeedMemory:
    """The memory stored at `path`; an empty one if there is none, or, with a warning, if it can't be read."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        return FeedMemory(msgspec.json.decode(path.read_bytes(), type=_State).known[-MOST_KNOWN:])
    except FileNotFoundError:
        return FeedMemory()
    except (OSError, ValueError, msgspec.DecodeError) as error:
        log.warning("%s can't be read (%s); items whose guids change may be counted once more", path, error)
        return FeedMemory()


def save_memory(path: Path, source: str, known: list[Known]) -> None:
    """Write what is `known` of the feed of `source`, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.write_bytes(msgspec.json.encode(_State(source, known)))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
