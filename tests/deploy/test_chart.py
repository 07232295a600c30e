"""What the chart makes of its examples, by real Helm 3 and Helm 4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

import kubernetes_validate.utils
import pytest

from tests.deploy.charts import (
    CHART,
    EXAMPLES,
    HELM_3,
    HELM_4,
    HELMS,
    Manifest,
    containers,
    example,
    helm,
    pod_templates,
    references,
    values_of,
)
from tests.deploy.command_line import parse, settings_from

CUSTOM = {
    "ScaledObject",
    "TriggerAuthentication",
    "ServiceMonitor",
    "PrometheusRule",
    "Kafka",
    "KafkaNodePool",
    "KafkaUser",
    "Cluster",
}
PORTS = {"ingest": 9860, "push": 9860, "alerts": 9861, "desk": 9862, "worker-0": 9870, "worker-1": 9871}


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    """The validator reads a megabyte of definitions for every object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
        patch.setattr(kubernetes_validate.utils, "all_versions", cache(kubernetes_validate.utils.all_versions))
        yield


every_example = pytest.mark.parametrize("name", EXAMPLES)


@pytest.mark.parametrize("package", HELMS)
def test_lint_finds_nothing(package: str) -> None:
    for name in EXAMPLES:
        run = helm(package, "lint", "--strict", CHART, *values_of(name))
        assert run.returncode == 0, run.stdout + run.stderr
        assert "1 chart(s) linted, 0 chart(s) failed" in run.stdout


@every_example
def test_helm_3_and_helm_4_make_the_same(name: str) -> None:
    def by_name(manifests: tuple[Manifest, ...]) -> dict[tuple[str, str], Manifest]:
        return {(each["kind"], each["metadata"]["name"]): each for each in manifests}

    assert by_name(example(name, HELM_3)) == by_name(example(name, HELM_4))


@every_example
def test_every_manifest_is_valid_in_the_oldest_and_the_newest_kubernetes(name: str) -> None:
    manifests = example(name)
    identities = Counter((each["kind"], each["metadata"]["name"]) for each in manifests)
    assert max(identities.values()) == 1
    for manifest in manifests:
        assert manifest["metadata"]["namespace"] == "markets"
        assert len(manifest["metadata"]["name"]) <= 63
        if manifest["kind"] in CUSTOM:
            continue
        for version in ("1.25", "1.37"):
            kubernetes_validate.validate(manifest, version, strict=True)


@every_example
def test_pods_are_not_root_can_write_nothing_and_have_limits(name: str) -> None:
    for owner, template in pod_templates(example(name)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in containers(template):
            where = f"{owner['metadata']['name']}/{container['name']}"
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, where
            assert context["readOnlyRootFilesystem"] is True, where
            assert context["capabilities"] == {"drop": ["ALL"]}, where
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), where
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), where
            image = container["image"]
            assert "@sha256:" in image or image.rpartition(":")[2] == "0.1.0", where
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {"/tmp", "/var/lib/newstide"} <= mounts, where
            volumes = {volume["name"] for volume in spec["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, where


@every_example
def test_commands_and_settings_are_those_of_newstide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, template in pod_templates(example(name)):
        files = {
            f"/etc/newstide/files/{item['path']}"
            for volume in template["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            for item in next(iter(source.values()))["items"]
        }
        for container in containers(template):
            where = f"{owner['metadata']['name']}/{container['name']}"
            assert parse(container["args"]), where
            names = [each["name"] for each in container["env"]]
            assert len(names) == len(set(names)), where
            given = {each["name"]: each.get("value", "postgresql://secret/secret") for each in container["env"]}
            settings = settings_from(given, monkeypatch)
            assert {value for value in given.values() if value.startswith("/etc/newstide/files/")} <= files, where
            assert str(settings.embedded.directory) == "/var/lib/newstide", where
            assert settings.database.start_timeout_s > 300 or settings.kafka.start_timeout_s > 300, where
            if container["name"] in PORTS:
                [probe] = {
                    container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")
                }
                own = {
                    "ingest": settings.metrics.ingest_port,
                    "push": settings.metrics.ingest_port,
                    "alerts": settings.metrics.alerting_port,
                    "desk": settings.metrics.desk_port,
                    "worker-0": settings.metrics.worker_port,
                    "worker-1": settings.metrics.worker_port + 1,
                }
                assert probe == PORTS[container["name"]] == own[container["name"]], where


@every_example
def test_probes_look_at_progress_and_outlast_an_outage_of_the_database(name: str) -> None:
    found = set()
    for owner, template in pod_templates(example(name)):
        if owner["kind"] != "Deployment":
            continue
        if owner["spec"]["strategy"]["type"] == "RollingUpdate":
            assert owner["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        for container in template["spec"]["containers"]:
            found.add(container["name"])
            startup, live = container["startupProbe"], container["livenessProbe"]
            assert startup["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"] == "/readyz"
            assert live["httpGet"]["path"] == "/healthz"
            given = {each["name"]: each.get("value") for each in container["env"]}
            timeout = given.get("NEWSTIDE_DATABASE__START_TIMEOUT_S") or given["NEWSTIDE_KAFKA__START_TIMEOUT_S"]
            # A process that gives up says why, before the probe ends it without a word.
            assert startup["periodSeconds"] * startup["failureThreshold"] > float(timeout) > 300
    assert {"worker-0", "alerts", "desk"} <= found


@every_example
def test_every_reference_leads_somewhere(name: str) -> None:
    manifests = example(name)
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    own = [each for each in manifests if each["kind"] not in CUSTOM]
    for kind in ("ConfigMap", "PersistentVolumeClaim", "ServiceAccount"):
        for reference in references(own, kind):
            if reference.startswith("news-"):
                assert (kind, reference) in made
    # Passwords are never in the chart: each Secret is the user's or an operator's.
    assert not [kind for kind, _ in made if kind == "Secret"]
    pods = [template for _, template in pod_templates(manifests)]
    for manifest in manifests:
        where = manifest["metadata"]["name"]
        if manifest["kind"] == "Service":
            matching = [
                pod for pod in pods if manifest["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
            ]
            assert matching, where
            ports = {port["name"] for pod in matching for each in containers(pod) for port in each.get("ports", ())}
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= ports, where
        if manifest["kind"] == "PodDisruptionBudget":
            selector = manifest["spec"]["selector"]["matchLabels"]
            assert any(selector.items() <= pod["metadata"]["labels"].items() for pod in pods), where
        if manifest["kind"] == "ServiceMonitor":
            [service] = [
                each
                for each in manifests
                if each["kind"] == "Service"
                and manifest["spec"]["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
            ]
            ports = {port["name"] for port in service["spec"]["ports"]}
            assert {endpoint["port"] for endpoint in manifest["spec"]["endpoints"]} == ports, where
        if manifest["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            assert ("Deployment", manifest["spec"]["scaleTargetRef"]["name"]) in made
