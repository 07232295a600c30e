"""docs/reference/api.md: the desk's API, from its OpenAPI document."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import create_engine

from core.settings import Settings
from desk.app import create_app
from newstide.reference.markdown import code, paragraphs, plain, table

HEAD = """# API

The desk serves this API beside its pages, and describes it as OpenAPI at `/api/v1/openapi.json`."""


def openapi_document() -> dict[str, Any]:
    """What the desk serves at `/api/v1/openapi.json`; no database is asked."""
    app = create_app(Settings.model_construct(), create_engine("postgresql+psycopg://"))
    document: dict[str, Any] = app.openapi()
    return document


def api_page(document: dict[str, Any] | None = None) -> str:
    """The page."""
    document = document or openapi_document()
    lines = HEAD.splitlines() + paragraphs(document["info"]["description"])
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag[operation["tags"][0]].append((method.upper(), path, operation))
    for tag, found in by_tag.items():
        lines += ["", f"## {tag.capitalize()}"]
        for method, path, operation in found:
            lines += _operation(method, path, operation)
    lines += ["", "## Objects"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _object(name, schema)
    return "\n".join(lines) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    lines = ["", f"### {method} {path}", *paragraphs(operation.get("description") or operation["summary"])]
    rows = []
    for each in operation.get("parameters", ()):
        schema = each["schema"]
        default = code(json.dumps(schema["default"])) if schema.get("default") is not None else ""
        kind = "required" if each.get("required") else default
        rows.append((code(each["name"]), each["in"], type_of(schema), kind, plain(each.get("description", ""))))
    if rows:
        lines += ["", *table(("parameter", "in", "type", "default", "meaning"), rows)]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        lines += ["", f"Takes `{media}`: {type_of(content.get('schema', {}))}."]
    answers = []
    for status, answer in operation["responses"].items():
        if int(status) < 400:
            answers += [
                f"{status} with `{media}`: {type_of(content.get('schema', {}))}"
                for media, content in answer.get("content", {}).items()
            ] or [status]
    return [*lines, "", f"Answers {'; '.join(answers)}."]


def _object(name: str, schema: dict[str, Any]) -> list[str]:
    lines = ["", f"### {name}", *paragraphs(schema.get("description", ""))]
    required = set(schema.get("required", ()))
    rows = [
        (code(field), type_of(inner), "" if field in required else "optional", plain(inner.get("description", "")))
        for field, inner in schema.get("properties", {}).items()
    ]
    return [*lines, "", *table(("field", "type", "", "meaning"), rows)] if rows else lines


def type_of(schema: dict[str, Any]) -> str:
    """A JSON schema in words: objects that have a name link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(type_of(each) for each in schema[word])
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    kind = schema.get("type", "anything")
    if kind == "array":
        inner = schema.get("items") or {}
        return f"list of {type_of(inner)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)
