"""Faults of the machine and of the database that are none of newstide's, in words."""

from __future__ import annotations

import psycopg
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from core.errors import describe_fault
from core.store.faults import is_outage


def explain(error: Exception) -> str | None:
    """One line on what ended a command and what to do; None where newstide itself may be at fault."""
    if isinstance(error, NoConnectionLeft):
        return "the database at `database.url` has no connection left; try again when it is less busy"
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
        return _explain_database(error.orig)
    if isinstance(error, psycopg.Error):
        return _explain_database(error)
    if isinstance(error, OSError) and error.strerror:
        return f"the system refused what this command needs: {describe_fault(error)}; mend that and try again"
    return None


def _explain_database(error: psycopg.Error) -> str | None:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, InsufficientPrivilege):
        return f"the user in `database.url` may not do this: {reason}; see `newstide roles` for who may what"
    if is_outage(error):
        return f"the database at `database.url` ended, or can't be used: {reason}; try again once it answers"
    return None
