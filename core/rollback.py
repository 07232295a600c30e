"""Going back to what was live before, once its bundles have proved to be whole."""

from __future__ import annotations

from sqlalchemy import Engine

from core.bundle import Bundle
from core.classifier import Classifier
from core.settings import Settings
from core.shelf import open_shelf
from core.store.models import Deed, ModelRow, StateChange, find_rollback, nothing_more, roll_back


def go_back(
    settings: Settings,
    engine: Engine,
    *,
    language: str | None = None,
    actor: str,
    reason: str,
    also: Deed = nothing_more,
) -> StateChange:
    """Roll back to what read `language` before (see `roll_back`); `also` is done in the same transaction.

    Raises RegistryError where there is none, BundleError or ShelfUnreachable where its bundle can't be used: then
    promote another by its name.
    """
    for row in find_rollback(engine, language):
        prove(settings, row)
    return roll_back(engine, language=language, actor=actor, reason=reason, also=also)


def prove(settings: Settings, row: ModelRow) -> Bundle:
    """The bundle of a registered model, every file verified and its self-test passed.

    Raises BundleError or ShelfUnreachable where it can't be used.
    """
    bundle = open_shelf(settings).fetch(row.location, row.checksum)
    Classifier(bundle, cache_texts=0).self_test()
    return bundle
