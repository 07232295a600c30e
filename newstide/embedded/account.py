"""The user the embedded database runs as: PostgreSQL refuses to run as root.

Root starts it as `nobody`. Where `nobody` can't reach the directory or the binaries (both may lie under root's own
home, which is closed to others), the server keeps one capability: to read and search directories regardless.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.errors import EmbeddedPartError

# containers often withhold the first and grant the second, which allows more than is needed: hence the order
_CAPABILITIES = ("", "dac_read_search", "dac_override")


@dataclass(frozen=True)
class Account:
    """A user and the command prefix that turns root into it; the prefix is empty where nothing has to change."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @property
    def prefix_bound_to_parent(self) -> tuple[str, ...]:
        """The prefix for a server that shuts down, in an orderly way, when the process that started it dies."""
        return (self.prefix[0], "--pdeathsig=INT", *self.prefix[1:])

    def give(self, path: Path) -> None:
        """Make this user the owner of `path`."""
        if self.prefix:
            os.chown(path, self.uid, self.gid)


def find_account(home: Path, program: Path) -> Account:
    """The account that can run `program` and work in `home`, a directory that is made its own.

    Raises EmbeddedPartError where root has no way to run it as somebody else.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedPartError(
            "the embedded database can't run as root, and `setpriv` (package util-linux), which would start it as "
            "another user, is missing: install it, run newstide as an ordinary user, or set NEWSTIDE_DATABASE__URL"
        )
    user = pwd.getpwnam("nobody")
    os.chown(home, user.pw_uid, user.pw_gid)
    for capability in _CAPABILITIES:
        prefix = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if capability:
            prefix += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
        if _can_work(prefix, home, program):
            return Account(user.pw_uid, user.pw_gid, tuple(prefix))
    raise EmbeddedPartError(
        f"the embedded database runs as the user `nobody`, who can't reach {home} or {program}: set "
        "NEWSTIDE_EMBEDDED__DIRECTORY to a directory whose parents everybody may enter, or run as an ordinary user"
    )


def _can_work(prefix: list[str], home: Path, program: Path) -> bool:
    script = 'cd "$1" && test -w . && exec "$2" --version'
    tried = subprocess.run(
        [*prefix, "sh", "-c", script, "sh", str(home), str(program)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0
