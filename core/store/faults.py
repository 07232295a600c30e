"""What a Postgres error means for the one who wrote: wait and try again, or never."""

from __future__ import annotations

import psycopg

# Classes of SQLSTATE (PostgreSQL manual, appendix A) that pass: connection, transaction rollback (deadlock,
# serialization), insufficient resources (a full disk, too many connections), operator intervention (shutdown, start-up,
# cancelled), system error (I/O).
_PASSING_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_LOCK_NOT_AVAILABLE = "55P03"
_READ_ONLY = "25006"  # a standby answers while another server takes over

# Data exception and program limit exceeded (an index row of more than 2,704 bytes): what was written is at fault.
_CONTENT_CLASSES = frozenset({"22", "54"})


def is_outage(error: psycopg.Error) -> bool:
    """True if the same statement may succeed later: the server is away, busy or changing over."""
    if error.sqlstate is None:
        # No answer of a server: the connection broke or was never made.
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return error.sqlstate[:2] in _PASSING_CLASSES or error.sqlstate in (_LOCK_NOT_AVAILABLE, _READ_ONLY)


def is_content_refused(error: Exception) -> bool:
    """True if the error lies in the values written, so that a smaller batch without them would succeed."""
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        return isinstance(error, psycopg.DataError) if state is None else state[:2] in _CONTENT_CLASSES
    # psycopg and the array literals fail on these before anything is sent: lone surrogates, numbers out of range.
    return isinstance(error, (ValueError, OverflowError))
