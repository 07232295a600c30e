"""Whether newstide's own command line and settings take what a container gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
import pytest

from core.settings import PREFIX, Settings, describe, load_settings, variable
from newstide.cli import newstide


def parse(arguments: Sequence[str]) -> str:
    """The command that `arguments` name, once click took them all. Raises click.ClickException where it does not."""
    command: click.Command = newstide
    context: click.Context | None = None
    name, rest = "newstide", list(arguments)
    path = []
    while True:
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, click.Group):
            return " ".join(path)
        rest = [*context._protected_args, *context.args]
        if not rest:
            if not command.invoke_without_command:
                raise click.UsageError(f"{name} needs a command", context)
            return " ".join(path)
        found, command, rest = command.resolve_command(context, rest)
        assert found is not None
        assert command is not None
        name = found
        path.append(found)


def settings_from(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What newstide makes of the `NEWSTIDE_*` of `environment`. Raises SettingsError for one that is no setting."""
    known = {variable(name) for name, _ in describe()}
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            if name.startswith(PREFIX):
                assert name in known
                patch.setenv(name, value)
        return load_settings()
