"""README, schema, rules and boards of the chart are what `python helm/generate.py` makes of the rest."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
import yaml

from tests.deploy.charts import CHART, ROOT


def test_nothing_has_drifted() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "helm" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{run.stderr}run: python helm/generate.py"


def test_a_comment_says_what_a_value_means_and_takes() -> None:
    sys.path.insert(0, str(ROOT / "helm"))
    try:
        from values_document import read_values, schema_of, walk
    finally:
        sys.path.pop(0)
    text = '# Of all.\ntop:\n  # How many.\n  # @schema {"minimum": 1}\n  count: 2\n\n  free: {}\n  text: ""\n'
    values = read_values(text)
    assert [".".join(value.path) for value in walk(values)] == ["top", "top.count", "top.free", "top.text"]
    top = schema_of(values)["properties"]["top"]
    assert top["additionalProperties"] is False
    assert top["properties"]["count"] == {"description": "How many.", "type": "integer", "minimum": 1}
    assert top["properties"]["free"] == {"type": "object"}
    with pytest.raises(ValueError, match="above line 2"):
        read_values("# @schema {\nkey: 1\n")


def test_artifact_hub_is_told_what_the_chart_runs() -> None:
    """Annotations are texts, some with YAML in them: https://artifacthub.io/docs/topics/annotations/helm/"""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert chart["appVersion"] == project["version"]
    said = {name.removeprefix("artifacthub.io/"): text for name, text in chart["annotations"].items()}
    assert all(isinstance(text, str) for text in said.values())
    repositories = (values["image"]["repository"], values["trainer"]["image"]["repository"])
    images = [f"{repository}:{chart['appVersion']}" for repository in repositories]
    assert [each["image"] for each in yaml.safe_load(said["images"])] == images
    kinds = {each["kind"] for each in yaml.safe_load(said["changes"])}
    assert kinds <= {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert said["license"] == project["license"]
    assert {"category", "operator", "prerelease", "containsSecurityUpdates", "recommendations"} <= set(said)
