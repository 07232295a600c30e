"""Values that can't work are refused by name, with the way out, by Helm 3 and Helm 4."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.charts import CHART, HELM_4, HELMS, helm, values_of

# Arguments over the minimal example, and what the error says.
REFUSED = {
    "no brokers": (["--set", "kafka.bootstrapServers="], "`kafka.bootstrapServers` is empty"),
    "two brokers": (["--set", "strimzi.enabled=true"], "`kafka.bootstrapServers` and `strimzi.enabled` are both set"),
    "no database": (["--set", "database.existingSecret="], "`database.existingSecret` is empty"),
    "two databases": (["--set", "cloudnativepg.enabled=true"], "`database.existingSecret` and `cloudnativepg.enabled`"),
    "no password": (["--set", "kafka.securityProtocol=SASL_SSL"], "set `kafka.sasl.existingSecret`"),
    "hooks before their database": (
        ["--set", "cloudnativepg.enabled=true,database.existingSecret=,jobs.hooks=true"],
        "`jobs.hooks` runs before",
    ),
    "idle pods": (
        ["--set", "worker.replicas=5,worker.processes=2"],
        "`worker.replicas` is 5, and 8 partitions / 2 processes a pod = 4 pods that have work",
    ),
    "idle scaled pods": (
        ["--set", "worker.autoscaling.mode=lag,worker.autoscaling.maxReplicas=9"],
        "`worker.autoscaling.maxReplicas` is 9, and 8 partitions / 1 processes a pod = 8 pods that have work",
    ),
    "more processes than partitions": (
        ["--set", "worker.autoscaling.mode=cpu,worker.processes=16"],
        "`worker.autoscaling.maxReplicas` is 0",
    ),
    "least above most": (
        ["--set", "worker.autoscaling.mode=cpu,worker.autoscaling.minReplicas=9"],
        "`worker.autoscaling.minReplicas` is 9, more than the most, 8",
    ),
    "fallback": (
        ["--set", "worker.autoscaling.mode=lag,kafka.partitions=1"],
        "`worker.autoscaling.fallbackReplicas` is 2",
    ),
    "lag without offsets": (["--set", "worker.autoscaling.mode=lag,jobs.topics=false"], "needs `jobs.topics`"),
    "killed within a batch": (
        ["--set", "worker.terminationGracePeriodSeconds=30,settings.stream.retry_max_s=60"],
        "a batch and a rebalance take up to 76 s",
    ),
    "push without a token": (["--set", "push.enabled=true"], "set `push.existingSecret`"),
    "a budget that the desk does not see": (
        ["--set", "files.alerts.existingSecret=newstide-alerts"],
        "say its budget in `settings.alerting.budget`",
    ),
    "ingress without a host": (["--set", "desk.ingress.enabled=true"], "set `desk.ingress.host`"),
    "two shelves": (["--set", "models.shelf=s3://a/b,models.volume.enabled=true"], "`models.shelf` and `models.volume"),
    "models that reach nobody": (
        ["--set", "trainer.enabled=true,files.dataset.existingConfigMap=data"],
        "set `models.shelf` or `models.volume.enabled`",
    ),
    "nothing to train on": (["--set", "trainer.enabled=true,models.shelf=s3://a/b"], "say in `files.dataset`"),
    "unproven models": (["--set", "trainer.enabled=true,trainer.promote=true"], "set `files.testSet`"),
    "feeds twice": (["--set", "ingest.shards.a.content=x"], "each feed belongs to one shard"),
    "shards of unknown pace": (
        ["--set", "files.feeds.content=,ingest.shards.a.content=x"],
        "set `settings.alerting.allowed_lateness_s`",
    ),
    "an empty shard": (["--set", "ingest.shards.a.key=x"], "`ingest.shards.a` names no file"),
}
# What values.schema.json refuses, and what the error names (Helm 3 writes dots, Helm 4 slashes).
MISTYPED = {
    "worker.replica=2": r"worker.*replica\b",
    "worker.replicas=two": r"worker.replicas",
    "worker.autoscaling.mode=both": r"worker.autoscaling.mode",
    "image.tag=latest": r"image.tag",
    "image.digest=latest": r"image.digest",
    "settings.stream.batchsize=2": r"settings.stream.*batchsize",
    "settings.stream.batch_size=0": r"settings.stream.batch_size",
    "settings.metrics.worker_port=1": r"settings.metrics.*worker_port",  # the chart's own
    "settings.ingest.push_token=secret": r"settings.ingest.*push_token",  # comes from a Secret
    "desk.pod.nodeselector.a=b": r"desk.pod.*nodeselector",
    "ingest.shards.Big_News.content=x": r"Big_News",
    "pod.runAsUser=0": r"pod.runAsUser",
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_cannot_work(case: str) -> None:
    arguments, reason = REFUSED[case]
    run = helm(HELM_4, "template", "news", CHART, *values_of("minimal"), *arguments)
    assert run.returncode != 0
    assert reason in run.stderr


@pytest.mark.parametrize("package", HELMS)
def test_mistyped_values(package: str) -> None:
    arguments = [part for given in MISTYPED for part in ("--set", given)]
    run = helm(package, "template", "news", CHART, *values_of("minimal"), *arguments)
    assert run.returncode != 0
    for given, place in MISTYPED.items():
        assert re.search(place, run.stderr), f"{given} is not refused: {run.stderr}"


@pytest.mark.parametrize("package", HELMS)
def test_a_key_of_another_name_is_refused_by_naming_its_own(package: str, tmp_path: Path) -> None:
    renamed = yaml.safe_load((CHART / "files" / "renamed.yaml").read_text("utf-8"))
    values: dict[str, object] = {}
    for old in renamed:
        *parents, key = old.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})  # type: ignore[assignment]
        section[key] = {"enabled": True}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(values))
    run = helm(package, "template", "news", CHART, *values_of("minimal"), "--values", tmp_path / "old.yaml")
    assert run.returncode != 0
    for old, new in renamed.items():
        assert f"`{old}` is called `{new}` in this chart" in run.stderr
