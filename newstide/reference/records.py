"""docs/reference/topics.md: the topics in Kafka and what their records hold, from the code that encodes them."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from types import ModuleType
from typing import Any

import msgspec

from alerting.delivery.webhook import DEDUPE_HEADER
from alerting.incidents.document import VERSION
from core import dead_letters
from core.records import SCHEMA_HEADER, SCHEMA_VERSION, Message
from core.settings import Settings
from newstide.reference.api import type_of
from newstide.reference.markdown import code, plain, table
from stream.publication import ClassifiedRecord, CompanySentiment


def topics_page() -> str:
    """The page."""
    kafka = Settings.model_construct().kafka
    schema = f"Header `{SCHEMA_HEADER}`: `{SCHEMA_VERSION.decode()}`. "
    lines = [
        "# Topics",
        "",
        f"Every name has the prefix `kafka.topic_prefix`, `{kafka.topic_prefix}` by default. A process that needs a",
        "topic creates it where it is missing, and leaves existing ones alone: `messages` and `classified` with",
        f"`kafka.partitions` partitions ({kafka.partitions}), `alerts` and `dead-letters` with one, all with",
        f"`kafka.retention_hours` ({kafka.retention_hours}) and without compaction. Values are JSON in UTF-8 where",
        "nothing else is said; times are ISO 8601.",
        "",
        "## messages",
        "",
        f"What ingest has read, one message a record; the key is its `id`. {schema}A record that holds",
        "another field, or no valid message, becomes a dead letter.",
        "",
        *struct_table(Message),
        "",
        "## classified",
        "",
        f"What the workers have committed; the key is the `id`. {schema}A record comes at least once, and may",
        "come again after a crash or when its partition moves between workers: `source` and `id` tell.",
        "",
        *struct_table(ClassifiedRecord),
        "",
        "### CompanySentiment",
        "",
        "What a message says of one company that it names.",
        "",
        *struct_table(CompanySentiment),
        "",
        "## alerts",
        "",
        "Changes of incidents; the key is the series, such as `entity=KO`, so that those of one series keep their",
        f"order. Version {VERSION} of [the document](../alerting.md#what-an-incident-tells) that webhooks get too.",
        f"Header `{DEDUPE_HEADER.lower()}`: as the field `dedupe`; drop what you have seen.",
        "",
        "## dead-letters",
        "",
        "What could not be processed: key and value are the bytes as they came, and the headers say the rest.",
        "",
        *table(("header", "meaning"), _letter_headers()),
    ]
    return "\n".join(lines) + "\n"


def struct_table(struct: type[msgspec.Struct]) -> list[str]:
    """Fields of a record: type and default from the schema that decodes it, meaning from the docstrings below them."""
    schema = msgspec.json.schema(struct)["$defs"][struct.__name__]
    meanings = field_docstrings(struct)
    rows = []
    for name, field in schema["properties"].items():
        needed = "required" if name in schema["required"] else _default(field)
        rows.append((code(name), type_of(field), needed, plain(meanings[name])))
    return table(("field", "type", "default", "meaning"), rows)


def field_docstrings(owner: type[Any] | ModuleType) -> dict[str, str]:
    """Names assigned in a class or a module -> the string that stands below each. Those without one
    are left out."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(owner)))
    body = (
        tree.body if isinstance(owner, ModuleType) else next(n for n in tree.body if isinstance(n, ast.ClassDef)).body
    )
    found = {}
    for statement, below in pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[target.id] = str(below.value.value)
    return found


def _letter_headers() -> list[tuple[str, str]]:
    meanings = field_docstrings(dead_letters)
    return [(code(getattr(dead_letters, name)), plain(meaning)) for name, meaning in meanings.items()]


def _default(field: dict[str, Any]) -> str:
    return code(msgspec.json.encode(field["default"]).decode()) if "default" in field else "optional"
