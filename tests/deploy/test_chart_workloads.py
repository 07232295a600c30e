"""What single workloads of the chart are made of, as the examples show."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import yaml

from core.settings import load_settings
from newstide.embedded.postgres import _SETTINGS as EMBEDDED
from tests.deploy.charts import (
    EXAMPLES,
    HELM_3,
    HELM_4,
    ROOT,
    Manifest,
    containers,
    deployment,
    example,
    named,
    pod_templates,
    references,
    rendered,
    values_of,
)

UNITS = {"Mi": 2**20, "Gi": 2**30}


def size(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def test_hooks_refer_to_nothing_that_the_chart_makes() -> None:
    manifests = example("hooks")
    made = {
        each["metadata"]["name"] for each in manifests if "helm.sh/hook" not in each["metadata"].get("annotations", {})
    }
    hooks = [each for each in manifests if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in hooks} == {"migrate", "topics"}
    for hook in hooks:
        assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        for kind in ("Secret", "ConfigMap", "PersistentVolumeClaim", "ServiceAccount"):
            assert not references(hook, kind) & made


def test_jobs_are_new_with_each_revision_and_each_image_and_go_by_themselves() -> None:
    def jobs(*arguments: str) -> dict[str, Manifest]:
        found = [each for each in rendered(HELM_4, *values_of("minimal"), *arguments) if each["kind"] == "Job"]
        assert all("helm.sh/hook" not in each["metadata"].get("annotations", {}) for each in found)
        return {each["metadata"]["name"]: each for each in found}

    first, again, upgraded = (
        jobs(),
        jobs("--set", "monitoring.dashboards.enabled=true"),
        jobs("--set", "image.tag=0.2.0"),
    )
    revised = jobs("--is-upgrade")
    assert len(first) == 2
    assert first.keys() == again.keys() == revised.keys()  # `helm template` knows no revision but the first
    assert not first.keys() & upgraded.keys()
    for name, job in first.items():
        assert "-1-" in name
        assert job["spec"]["ttlSecondsAfterFinished"] > 0


def test_each_pod_has_the_passwords_that_it_needs_and_no_others() -> None:
    secrets = {
        owner["metadata"]["name"].removeprefix("news-newstide-"): references(
            [each.get("env") for each in containers(template)], "Secret"
        )
        for owner, template in pod_templates(example("production"))
    }
    database, kafka = "newstide-database", "newstide-kafka"
    assert secrets["ingest-blogs"] == {kafka}
    assert secrets["push"] == {kafka, "newstide-push"}
    assert secrets["worker"] == {database, kafka}
    assert secrets["alerts"] == {database, kafka, "newstide-webhook"}
    assert secrets["desk"] == {database, "newstide-oidc"}
    assert secrets["trainer"] == secrets["retention"] == {database}


def test_ingest_asks_the_database_where_a_commit_is_to_confirm() -> None:
    wanted = ("--set", "push.enabled=true,push.existingSecret=newstide-push,settings.ingest.push_confirms=commit")
    for example_of, names in (("minimal", {"ingest", "push"}), ("production", {"ingest-blogs", "push"})):
        templates = {
            owner["metadata"]["name"].removeprefix("news-newstide-"): template
            for owner, template in pod_templates(rendered(HELM_4, *values_of(example_of), *wanted))
        }
        for name in names:
            waiting = [each["name"] for each in templates[name]["spec"]["initContainers"]]
            assert waiting == ["await-topics", "await-migrate"]
            [container] = templates[name]["spec"]["containers"]
            assert "newstide-database" in references(container["env"], "Secret")


def test_datasets_of_earlier_runs_outlive_the_trainers_pod() -> None:
    def claimed(manifests: tuple[Manifest, ...]) -> str:
        spec = named(manifests, "CronJob", "news-newstide-trainer")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        [state] = [each for each in spec["volumes"] if each["name"] == "state"]
        [container] = spec["containers"]
        [mount] = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "state"]
        assert container["args"][container["args"].index("--runs-in") + 1].startswith(f"{mount}/")
        name: str = state["persistentVolumeClaim"]["claimName"]
        return name

    assert claimed(example("production")) == "newstide-training"  # the user's
    own = rendered(HELM_4, *values_of("production"), "--set", "trainer.workClaim=,trainer.workStorageClass=fast")
    claim = named(own, "PersistentVolumeClaim", claimed(own))
    kubernetes_validate.validate(claim, "1.25", strict=True)
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_requests_fit_what_was_measured() -> None:
    def memory(component: str) -> tuple[int, int]:
        [container] = deployment("minimal", component)["spec"]["template"]["spec"]["containers"]
        return size(container["resources"]["requests"]["memory"]), size(container["resources"]["limits"]["memory"])

    measured = {"worker": (211e6, 2 * 211e6), "alerts": (263e6, 480e6), "desk": (400e6, 400e6)}
    for component, (usual, most) in measured.items():
        request, limit = memory(component)
        assert usual < request < 2.2 * usual
        assert most < limit
    [worker] = deployment("minimal", "worker")["spec"]["template"]["spec"]["containers"]
    assert worker["resources"]["requests"]["cpu"] == "1"
    trainer = named(example("production"), "CronJob", "news-newstide-trainer")
    [container] = trainer["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert size(container["resources"]["requests"]["memory"]) > 3.1e9
    [threads] = [each for each in container["env"] if each["name"] == "OMP_NUM_THREADS"]
    assert threads["valueFrom"] == {"resourceFieldRef": {"resource": "limits.cpu"}}


def test_feeds_are_polled_and_trends_judged_by_one_process_each() -> None:
    assert deployment("minimal", "ingest")["spec"]["replicas"] == 1
    assert deployment("minimal", "ingest")["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment("minimal", "alerts")["spec"]["replicas"] == 1
    shards = [deployment("production", f"ingest-{shard}") for shard in ("agencies", "blogs")]
    selectors = [shard["spec"]["selector"]["matchLabels"] for shard in shards]
    assert [each["newstide/shard"] for each in selectors] == ["agencies", "blogs"]
    assert [shard["spec"]["replicas"] for shard in shards] == [1, 1]


def test_workers_are_scaled_in_one_way_and_never_past_the_partitions() -> None:
    scalers = ("HorizontalPodAutoscaler", "ScaledObject")
    found = {name: [each for each in example(name) if each["kind"] in scalers] for name in EXAMPLES}
    assert {name: [each["kind"] for each in scaling] for name, scaling in found.items()} == {
        "minimal": [],
        "hooks": [],
        "production": ["HorizontalPodAutoscaler"],
        "keda": ["ScaledObject"],
        "operators": ["ScaledObject"],
    }
    assert deployment("hooks", "worker")["spec"]["replicas"] == 4
    for name in ("production", "keda", "operators"):
        assert "replicas" not in deployment(name, "worker")["spec"]  # an upgrade leaves what the scaler has set
    [horizontal] = found["production"]
    assert horizontal["spec"]["maxReplicas"] == 8  # of two processes each, over 16 partitions
    assert horizontal["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 600
    settings = load_settings()
    for name, prefix in (("keda", "markets."), ("operators", settings.kafka.topic_prefix)):
        [scaled] = found[name]
        [trigger] = scaled["spec"]["triggers"]
        chosen = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"topic_prefix": prefix})})
        assert trigger["metadata"]["topic"] == chosen.topic("messages")
        assert trigger["metadata"]["consumerGroup"] == chosen.worker_group
        assert trigger["metadata"]["offsetResetPolicy"] == "earliest"
        behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]
        named(example(name), "TriggerAuthentication", trigger["authenticationRef"]["name"])
    secrets = named(example("keda"), "TriggerAuthentication", "news-newstide-worker")["spec"]["secretTargetRef"]
    assert {each["parameter"]: (each["name"], each["key"]) for each in secrets} == {
        "ca": ("kafka-ca", "ca.crt"),
        "cert": ("kafka-client", "tls.crt"),
        "key": ("kafka-client", "tls.key"),
        "keyPassword": ("kafka-client", "password"),
    }
    [operators] = found["operators"]
    assert operators["spec"]["maxReplicaCount"] == 8  # as many as fit


def test_rules_and_boards_are_those_of_the_project() -> None:
    manifests = example("production")
    [rule] = [each for each in manifests if each["kind"] == "PrometheusRule"]
    text = (ROOT / "alerting" / "prometheus" / "rules.yml").read_text("utf-8")
    linked = text.replace("{{ $externalLabels.newstide_docs }}", "https://docs.example.com/newstide")
    assert rule["spec"] == yaml.safe_load(linked)
    boards = {key: text for each in manifests if each["kind"] == "ConfigMap" for key, text in each["data"].items()}
    provisioned = list((ROOT / "alerting" / "grafana" / "provisioning" / "boards").glob("*.json"))
    assert len(provisioned) >= 4
    for board in provisioned:
        assert boards[board.name].strip() == board.read_text("utf-8").strip()
    jobs = {
        endpoint["relabelings"][0]["replacement"]
        for each in manifests
        if each["kind"] == "ServiceMonitor"
        for endpoint in each["spec"]["endpoints"]
    }
    assert jobs == {f"newstide-{component}" for component in ("ingest", "push", "worker", "alerts", "desk")}


def test_a_network_policy_for_every_pod() -> None:
    manifests = example("production")
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    for owner, template in pod_templates(manifests):
        labels = template["metadata"]["labels"]
        [policy] = [each for each in policies if each["spec"]["podSelector"]["matchLabels"].items() <= labels.items()]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"], owner["metadata"]["name"]
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert {53, 9096, 5432} <= ports


def test_settings_of_newstide_come_as_they_are_written() -> None:
    def environment(component: str) -> dict[str, Any]:
        [container, *_] = deployment("production", component)["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each.get("value") for each in container["env"]}

    found = environment("worker")
    assert found["NEWSTIDE_INGEST__PUSH_MAX_BYTES"] == "16000000"  # Helm's own would be 1.6e+07
    assert found["NEWSTIDE_ALERTING__WINDOWS_MINUTES"] == "[5,15,60,1440]"
    assert found["NEWSTIDE_LOG_FORMAT"] == "json"
    assert environment("desk")["NEWSTIDE_DESK__PUBLIC_URL"] == "https://news.example.com"


def test_models_are_signed_by_the_trainer_and_checked_by_whoever_uses_them() -> None:
    volumes = {
        owner["metadata"]["name"].removeprefix("news-newstide-"): {each["name"] for each in template["spec"]["volumes"]}
        for owner, template in pod_templates(example("production"))
    }
    assert {name for name, found in volumes.items() if "trusted-keys" in found} == {"worker", "desk", "trainer"}
    assert {name for name, found in volumes.items() if "signing-key" in found} == {"trainer"}
    [worker, *_] = deployment("production", "worker")["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each.get("value") for each in worker["env"]}
    assert given["NEWSTIDE_MODELS__TRUSTED_KEYS"] == '["/etc/newstide/trusted-keys/public.pem"]'


def test_a_cluster_may_choose_the_users_itself() -> None:
    openshift = ("--set", "pod.runAsUser=null", "--set", "pod.fsGroup=null")
    for package in (HELM_3, HELM_4):
        for _, template in pod_templates(rendered(package, *values_of("minimal"), *openshift)):
            assert template["spec"]["securityContext"].keys() == {"runAsNonRoot", "seccompProfile"}


def test_operators_make_what_newstide_connects_to() -> None:
    manifests = example("operators")
    [container] = deployment("operators", "worker")["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each for each in container["env"]}
    kafka, user = named(manifests, "Kafka", "news-newstide"), named(manifests, "KafkaUser", "news-newstide-user")
    [listener] = kafka["spec"]["kafka"]["listeners"]
    servers = f"{kafka['metadata']['name']}-kafka-bootstrap:{listener['port']}"
    assert given["NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS"]["value"] == servers
    assert given["NEWSTIDE_KAFKA__SASL_USERNAME"]["value"] == user["metadata"]["name"]
    password = given["NEWSTIDE_KAFKA__SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert password == {"name": user["metadata"]["name"], "key": "password"}
    database = named(manifests, "Cluster", "news-newstide-db")
    locks = database["spec"]["postgresql"]["parameters"]["max_locks_per_transaction"]
    assert locks == EMBEDDED["max_locks_per_transaction"]
    address = given["NEWSTIDE_DATABASE__URL"]["valueFrom"]["secretKeyRef"]
    assert address == {"name": f"{database['metadata']['name']}-app", "key": "uri"}
    for kind in ("Kafka", "KafkaNodePool", "Cluster"):
        [owner] = [each for each in manifests if each["kind"] == kind]
        assert owner["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
