"""Every error newstide raises on purpose. The docstring of a class says what it means and how to mend it."""

from __future__ import annotations


class NewstideError(Exception):
    """Something newstide can explain: the message names what was wrong, where, and what to do."""


class SettingsError(NewstideError):
    """A setting is unknown, misspelt or out of range. `newstide settings` lists them all."""


class InputError(NewstideError):
    """A file, feed or argument given by the user cannot be read as asked."""


class UndecodableMessage(NewstideError):
    """One message breaks the record format; it goes to the dead letters with this reason."""


class BundleError(NewstideError):
    """A model bundle is incomplete, altered or of another format version; get it again or retrain."""


class ShelfUnreachable(NewstideError):
    """The place where bundles are kept does not answer, or the local cache can't be written; see `models.*`."""


class RegistryError(NewstideError):
    """The registry of models does not allow this change; `newstide models` shows what stands in it."""


class BrokerUnreachable(NewstideError):
    """No Kafka broker answers at `kafka.bootstrap_servers`; check the address, the network and the credentials."""


class DatabaseUnreachable(NewstideError):
    """Postgres does not answer at `database.url`; check the address, the network and the credentials."""


class EmbeddedPartError(NewstideError):
    """The embedded broker or database could not be started; the message names its log."""


def describe_fault(error: OSError) -> str:
    """What the system says and of what, as `No such file or directory (/proc/nope)`."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason} ({error.filename})" if error.filename is not None else reason
