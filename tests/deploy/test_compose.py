"""compose.yaml, checked without running it: what its commands, settings, files, images and networks are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import load_settings
from newstide.embedded.postgres import _SETTINGS as EMBEDDED
from tests.deploy.charts import ROOT
from tests.deploy.command_line import parse, settings_from
from tests.stream.harness import needs_kafka

COMPOSE: dict[str, Any] = yaml.load((ROOT / "compose.yaml").read_text("utf-8"), yaml.CSafeLoader)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("newstide:")]
COPIED_BY_THE_USER = {"./feeds.toml": "feeds.example.toml", "./.env": "deploy/compose/env.example"}
METRICS_PORTS = {"ingest": "ingest_port", "worker": "worker_port", "alerts": "alerting_port", "desk": "desk_port"}


def test_what_runs() -> None:
    assert OURS == ["migrate", "topics", "ingest", "worker", "alerts", "retention", "desk"]
    assert SERVICES.keys() - set(OURS) == {"kafka", "postgres", "prometheus", "alertmanager", "grafana"}


@pytest.mark.parametrize("name", OURS)
def test_commands_and_settings_are_those_of_newstide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = SERVICES[name]
    assert parse(service["command"]) if name != "retention" else service["restart"] == "unless-stopped"
    settings = settings_from(service["environment"], monkeypatch)
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert str(settings.database.url).endswith("@postgres:5432/newstide")
    if name in METRICS_PORTS:
        port = getattr(settings.metrics, METRICS_PORTS[name])
        assert service["healthcheck"]["test"] == ["CMD", "python", "/opt/newstide/healthcheck.py", str(port)]
    else:
        assert name == "retention" or service["restart"] == "on-failure"
        assert service["healthcheck"] == {"disable": True}


def test_retention_runs_daily_and_again_soon_where_it_failed(tmp_path: Path) -> None:
    """The loop as the shell runs it, between a newstide that fails once and a sleep that ends it after three."""
    log = tmp_path / "log"
    for name, text in {
        "newstide": f'echo "$0 $*" >> {log}; test $(grep -c newstide {log}) -gt 1',
        "sleep": f'echo "$0 $*" >> {log}; test $(grep -c sleep {log}) -lt 3 || kill $PPID',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    command = [*SERVICES["retention"]["entrypoint"], *SERVICES["retention"]["command"]]
    subprocess.run(command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=60, check=False)
    ran = [line.removeprefix(f"{tmp_path}/") for line in log.read_text().splitlines()]
    assert ran == [
        "newstide retention",
        "sleep 60",
        "newstide retention",
        "sleep 86400",
        "newstide retention",
        "sleep 86400",
    ]
    assert parse(ran[0].split()[1:]) == "retention"


def test_postgres_has_the_locks_of_the_embedded_one() -> None:
    program, *options = SERVICES["postgres"]["command"]
    assert program == "postgres"
    assert set(options[::2]) == {"-c"}
    given = dict(setting.split("=") for setting in options[1::2])
    assert given["max_locks_per_transaction"] == EMBEDDED["max_locks_per_transaction"]


def test_every_image_is_pinned_and_nothing_listens_to_the_world() -> None:
    for name, service in SERVICES.items():
        image = service["image"].replace("${NEWSTIDE_VERSION:-0.1.0}", "0.1.0")
        assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+(-[\w.]+)?(@sha256:[0-9a-f]{64})?", image), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
            assert "outside" in service["networks"], name
        assert "container_name" not in service, name  # a service may be scaled
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"desk", "prometheus", "alertmanager", "grafana"}


def test_no_password_has_a_default() -> None:
    asked = [
        line.partition("=") for line in (ROOT / "deploy/compose/env.example").read_text().splitlines() if "=" in line
    ]
    names = {name for name, _, value in asked if not name.startswith("#")}
    assert all(not value for name, _, value in asked if name in names)
    used = set()
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            for variable, rest in re.findall(r"\$\{(\w+)([^}]*)\}", str(value)):
                assert rest.startswith(":?"), name  # compose stops where it is not set
                used.add(variable)
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name
    assert used == names


def test_our_containers_can_write_nothing_but_their_volumes() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_is_mounted_is_there_and_what_is_waited_for_can_be_healthy() -> None:
    volumes = set(COMPOSE["volumes"])
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source, target, *mode = mount.split(":")
            if source.startswith("."):
                assert (ROOT / COPIED_BY_THE_USER.get(source, source)).exists(), name
                assert mode == ["ro"], name
            else:
                assert source in volumes, name
            assert target.startswith("/"), name
        for other, wait in service.get("depends_on", {}).items():
            condition = wait["condition"]
            if condition == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"
            else:
                assert condition == "service_completed_successfully"
                assert SERVICES[other]["restart"] == "on-failure", f"{name} waits for {other}"


def test_prometheus_scrapes_every_process(tmp_path: Path) -> None:
    scraped = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"]
    metrics = load_settings().metrics
    found = {}
    for job in scraped:
        [target] = job["dns_sd_configs"]
        assert job["job_name"].startswith("newstide-")  # the rules look for jobs of this name
        found[target["names"][0]] = target["port"]
    assert found == {name: getattr(metrics, port) for name, port in METRICS_PORTS.items()}


@pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("amtool") is None,
    reason="no Debian packages prometheus and prometheus-alertmanager here",
)
def test_prometheus_and_alertmanager_accept_their_files(tmp_path: Path) -> None:
    for source in ("deploy/compose/prometheus.yml", "alerting/prometheus/rules.yml"):
        shutil.copy(ROOT / source, tmp_path)
    checks = (
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        ["amtool", "check-config", ROOT / "deploy/compose/alertmanager.yml"],
    )
    for check in checks:
        run = subprocess.run(check, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.kafka
@needs_kafka
def test_kafka_accepts_its_configuration(tmp_path: Path) -> None:
    environment = dict(SERVICES["kafka"]["environment"])
    cluster = environment.pop("CLUSTER_ID")
    properties = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in environment.items()}
    properties["log.dirs"] = str(tmp_path / "data")
    configuration = tmp_path / "server.properties"
    configuration.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    libraries = Path(os.environ["KAFKA_HOME"], "libs", "*")
    tool = ["java", "-cp", str(libraries), "kafka.tools.StorageTool", "format"]
    run = subprocess.run(
        [*tool, "--cluster-id", cluster, "--config", configuration], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"cluster.id={cluster}" in (tmp_path / "data" / "meta.properties").read_text()


def test_alerting_reads_its_rules_and_grafana_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    from alerting.rules.alerts_file import load_rules

    settings = load_settings(alerting={"rules": ROOT / "deploy/compose/alerts.toml"})
    rules = load_rules(settings)
    assert [receiver.name for receiver in rules.receivers] == ["alertmanager"]
    for name in ("alerts", "desk"):
        assert settings_from(SERVICES[name]["environment"], monkeypatch).alerting.budget == "1 per week"
    assert not any("alerts.toml" in mount for mount in SERVICES["desk"]["volumes"])
    assert not rules.warnings
    wanted = (ROOT / "alerting/grafana/provisioning/datasources/newstide.yml").read_text("utf-8")
    assert set(re.findall(r"\$(NEWSTIDE_\w+)", wanted)) <= SERVICES["grafana"]["environment"].keys()
