"""The chart inside another chart, which gives it `global` values and may turn it off."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.deploy.charts import CHART, HELMS, containers, pod_templates, rendered


@pytest.mark.parametrize("package", HELMS)
def test_as_a_subchart(package: str, tmp_path: Path) -> None:
    parent = tmp_path / "desk-suite"
    shutil.copytree(CHART, parent / "charts" / "newstide")
    dependency = {"name": "newstide", "version": "0.1.0", "condition": "newstide.enabled"}
    chart = {"apiVersion": "v2", "name": "desk-suite", "version": "1.0.0", "dependencies": [dependency]}
    values = {
        "global": {"imageRegistry": "registry.example.com", "imagePullSecrets": [{"name": "pull"}], "team": {"a": 1}},
        "newstide": {
            "enabled": True,
            "extraNotes": "mine",
            "kafka": {"bootstrapServers": "kafka:9092"},
            "database": {"existingSecret": "newstide-database"},
        },
    }
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (parent / "values.yaml").write_text(yaml.safe_dump(values))
    manifests = rendered(package, chart=parent)
    pods = [template for _, template in pod_templates(manifests)]
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in pods} >= {"worker", "alerts", "desk"}
    for pod in pods:
        assert pod["spec"]["imagePullSecrets"] == [{"name": "pull"}]
        assert {each["image"] for each in containers(pod)} == {"registry.example.com/newstide:0.1.0"}
    assert rendered(package, "--set", "newstide.enabled=false", chart=parent) == ()
