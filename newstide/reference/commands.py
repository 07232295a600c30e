"""docs/reference/commands.md: every command with its arguments and options, from click."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from newstide.cli import newstide
from newstide.reference.markdown import code, paragraphs, plain, table

HEAD = """# Commands

`newstide COMMAND --help` prints the same. Errors go to standard error, with exit status 1; `--json` prints for
programs."""


def commands_page() -> str:
    """The page."""
    lines = HEAD.splitlines()
    for context in walk():
        lines += _section(context)
    return "\n".join(lines) + "\n"


def walk(parent: click.Context | None = None) -> Iterator[click.Context]:
    """A context for each command that is not hidden, groups before what is in them."""
    parent = parent or click.Context(newstide, info_name="newstide")
    group = parent.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=parent)
        yield context
        if isinstance(command, click.Group):
            yield from walk(context)


def undescribed() -> list[str]:
    """Commands and options that say nothing of themselves."""
    found = []
    for context in walk():
        if not context.command.help:
            found.append(context.command_path)
        found += [f"{context.command_path} {option.opts[0]}" for option in _options(context) if not option.help]
    return found


def _options(context: click.Context) -> list[click.Option]:
    return [param for param in context.command.params if isinstance(param, click.Option) and not param.hidden]


def _section(context: click.Context) -> list[str]:
    command = context.command
    lines = ["", f"## {context.command_path}", *paragraphs(inspect.cleandoc(command.help or ""))]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines += ["", "```text", usage, "```"]
    rows = []
    for option in _options(context):
        names, meaning = option.get_help_record(context) or ("", "")
        rows.append((code(names), plain(meaning)))
    if rows:
        lines += ["", *table(("option", "meaning"), rows)]
    return lines
