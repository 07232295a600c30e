"""Entities that rules name and no message has named yet."""

from __future__ import annotations

from typing import Any

import psycopg

from alerting.rules.alert_rules import AlertRules
from core.store.sql import fetch_rows

_UNSEEN = """
SELECT wanted.name FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, place)
WHERE NOT EXISTS (SELECT FROM trend WHERE trend.kind = 'entity' AND trend.name = wanted.name)
ORDER BY place
"""


def unseen_entities(connection: psycopg.Connection[Any], rules: AlertRules) -> list[str]:
    """A warning for each rule and entity, named in full, that the trends do not know: it may be misspelt, or new."""
    wanted = {
        glob.removeprefix("entity="): rule.name
        for rule in rules.rules
        for glob in rule.watch.series
        if glob.startswith("entity=") and not set(glob) & set("*?[")
    }
    unseen = fetch_rows(connection, _UNSEEN, {"names": list(wanted)})
    return [
        f"rule `{wanted[row.name]}`: no message has named the entity `{row.name}` so far; "
        "`newstide trends` lists those that were"
        for row in unseen
    ]
