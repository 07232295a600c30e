"""Makes what is derived in the chart: README and schema from values.yaml, rules and boards from alerting/.

`python helm/generate.py` writes; `--check` writes nothing and exits with 1, naming the files that differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "newstide"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from values_document import Value, read_values, schema_of, walk  # noqa: E402

from core.settings import Settings, describe, is_secret  # noqa: E402

# Settings that the chart has values for, or that mean nothing in a pod.
_OWNED_SECTIONS = {"kafka", "embedded"}
_OWNED = {
    "taxonomy",
    "database.url",
    "database.sslmode",
    "database.sslrootcert",
    "database.sslcert",
    "database.sslkey",
    "database.start_timeout_s",
    "ingest.feeds",
    "ingest.push_host",
    "ingest.push_port",
    "stream.workers",
    "stream.watchlist",
    "models.shelf",
    "models.cache",
    "models.test_set",
    "models.trusted_keys",
    "models.signing_key",
    "alerting.rules",
    "metrics.host",
    "metrics.worker_port",
    "metrics.ingest_port",
    "metrics.alerting_port",
    "metrics.desk_port",
    "desk.host",
    "desk.port",
    "desk.public_url",
}


def generated() -> dict[Path, str]:
    """Every derived file of the chart with its text."""
    values = read_values((CHART / "values.yaml").read_text("utf-8"))
    provisioned = ROOT / "alerting" / "grafana" / "provisioning" / "boards"
    return {
        CHART / "values.schema.json": json.dumps(values_schema(values), indent=2, ensure_ascii=False) + "\n",
        CHART / "README.md": readme(values),
        CHART / "files" / "rules.yml": (ROOT / "alerting" / "prometheus" / "rules.yml").read_text("utf-8"),
        **{CHART / "files" / "boards" / board.name: board.read_text("utf-8") for board in provisioned.glob("*.json")},
    }


def values_schema(values: Value) -> dict[str, Any]:
    """JSON Schema, draft 7: unknown keys are refused but for `global`, `enabled`, those that begin with `extra`, and
    old names, which the templates refuse by naming the new one."""
    found = schema_of(values)
    properties = found["properties"]
    properties["settings"] |= settings_schema()
    properties |= {"global": {"type": "object"}, "enabled": {"type": ["boolean", "null"]}}
    for old in yaml.safe_load((CHART / "files" / "renamed.yaml").read_text("utf-8")):
        *parents, key = old.split(".")
        section = found
        for parent in parents:
            section = section["properties"][parent]
        section["properties"].setdefault(key, {})
    pod = schema_of(values.children["pod"])
    file = schema_of(values.children["files"].children["feeds"])
    pod.pop("description", None)
    file.pop("description", None)
    properties["files"]["properties"]["feeds"] = {
        "description": values.children["files"].children["feeds"].description,
        "$ref": "#/definitions/file",
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the newstide chart",
        **found,
        "definitions": {"pod": pod, "file": file},
    }


def settings_schema() -> dict[str, Any]:
    """Sections and settings of newstide itself, without those that the chart or a Secret gives."""
    document = Settings.model_json_schema()
    properties: dict[str, Any] = {}
    for name, field in describe():
        section, _, leaf = name.rpartition(".")
        if section in _OWNED_SECTIONS or name in _OWNED or is_secret(field):
            continue
        if not section:
            properties[leaf] = _plain(document["properties"][leaf])
            continue
        inner = document["properties"][section].get("$ref", "").rpartition("/")[2] or type_name(section)
        home = properties.setdefault(section, {"type": "object", "properties": {}, "additionalProperties": False})
        home["properties"][leaf] = _plain(document["$defs"][inner]["properties"][leaf])
    return {"properties": properties, "additionalProperties": False}


def type_name(section: str) -> str:
    """The class that holds `section` of the settings."""
    annotation = Settings.model_fields[section].annotation
    assert isinstance(annotation, type)
    return annotation.__name__


def readme(values: Value) -> str:
    """The chart's README: how to begin, and a table of each section."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    lines = [
        "# newstide",
        "",
        chart["description"],
        "",
        "```",
        "kubectl create secret generic newstide-database --from-literal=url=postgresql://USER:PASSWORD@HOST/newstide",
        "helm install newstide helm/newstide --set image.registry=registry.example.com \\",
        "    --set database.existingSecret=newstide-database \\",
        "    --set kafka.bootstrapServers=kafka:9092 --set-file files.feeds.content=feeds.toml",
        "```",
        "",
        "How it behaves, and examples: docs/kubernetes.md of the project and `helm/examples`. The chart holds no",
        "passwords: each comes from a Secret of yours. `global.imageRegistry` and `global.imagePullSecrets` are",
        "honoured. Made by `python helm/generate.py` from values.yaml.",
    ]
    loose = [child for child in values.children.values() if not child.children]
    lines += ["", "## General", "", *_table(loose)]
    for name, section in values.children.items():
        if section.children:
            lines += ["", f"## {name}", ""]
            if section.description:
                lines += [section.description, ""]
            within = [value for value in walk(section) if value is not section]
            lines += _table([value for value in within if value.description or not value.children])
    return "\n".join(lines) + "\n"


def _table(values: list[Value]) -> list[str]:
    rows = []
    for value in values:
        choices = value.schema.get("enum")
        text = value.description + (f" One of {', '.join(f'`{c}`' for c in choices)}." if choices else "")
        default = "" if value.children else f"`{json.dumps(value.default, ensure_ascii=False)}`"
        rows.append(f"| `{'.'.join(value.path)}` | {default} | {text.strip().replace('|', chr(92) + '|')} |")
    return ["| value | default | meaning |", "|---|---|---|", *rows]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """What a validator needs of pydantic's schema."""
    return {key: value for key, value in schema.items() if key not in ("title", "default", "format")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if anything differs")
    check = parser.parse_args().check
    files = generated()
    kept = {CHART / "files" / "renamed.yaml", *files}
    stale = [path for path in (CHART / "files").rglob("*") if path.is_file() and path not in kept]
    different = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in [*different, *stale]:
        print(f"{path.relative_to(ROOT)} {'differs' if check else 'is brought up to date'}", file=sys.stderr)
    if check:
        return 1 if different or stale else 0
    for path in different:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], "utf-8")
    for path in stale:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
