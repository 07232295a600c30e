"""`newstide sources`: which kinds of sources there are, and the settings of each."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click
from pydantic.fields import FieldInfo

from core.errors import InputError
from core.terminal import printable
from ingest.sources.interface import Source
from ingest.sources.registry import provider, source_type, type_names


@click.command()
@click.argument("types", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object a type.")
def sources(types: tuple[str, ...], as_json: bool) -> None:
    """List the types of sources for `[[source]]` in feeds.toml, or those of TYPES, with their settings.

    Those of installed packages are among them. Feeds in RSS, Atom and JSON Feed stand as `[[feed]]`.
    """
    described = [description(name) for name in types or type_names()]
    if as_json:
        click.echo(json.dumps(described, ensure_ascii=False, indent=1))
        return
    for number, one in enumerate(described):
        click.echo(("\n" if number else "") + printable(f"{one['type']} ({one['package']}): {one['summary']}"))
        if one["documentation"]:
            click.echo(f"  {printable(one['documentation'])}")
        for setting in one["settings"]:
            click.echo(printable(f"  {setting['name']} = {setting['default']}: {setting['meaning']}"))


def description(name: str) -> dict[str, Any]:
    """What there is to know of the type `name`, as JSON has it. One that can't be loaded says so in its summary."""
    try:
        kind = source_type(name)
    except InputError as error:
        if name not in type_names():
            raise
        return {"type": name, "package": provider(name), "summary": str(error), "documentation": "", "settings": []}
    first = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    fields = sorted(
        kind.model_fields.items(), key=lambda pair: (pair[0] in Source.model_fields, not pair[1].is_required())
    )
    return {
        "type": name,
        "package": provider(name),
        "summary": " ".join(first.split()),
        "documentation": kind.documentation,
        "settings": [
            {"name": key, "default": _default(field), "meaning": " ".join((field.description or "").split())}
            for key, field in fields
        ],
    }


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    return json.dumps(field.get_default(call_default_factory=True), ensure_ascii=False, default=str)


COMMANDS = [sources]
