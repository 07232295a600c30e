"""Rules hold by promtool's own checks, name metrics that exist, and lead to a runbook that says what can be done."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from prometheus_client import generate_latest

from core.metrics import PROCESSES, Process
from core.settings import MetricsSettings, field_names
from newstide.cli import newstide
from tests.alerting.promql import metrics_in

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "alerting" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
BASE = "{{ $externalLabels.newstide_docs }}/runbooks/"

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here (Debian: prometheus)")


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


RULES = [rule for group in load("rules.yml")["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DESCRIBED = {metric.name: metric.kind for process in PROCESSES for metric in process.described}
PARTS = {"histogram": ("_bucket", "_sum", "_count")}
EXPOSED = {name + part for name, kind in DESCRIBED.items() for part in PARTS.get(kind, ("",))}


@promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "rules.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "rules.test.yml")],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    ended = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_process_is_scraped_at_its_default_port() -> None:
    jobs = load("prometheus.yml")["scrape_configs"]
    targets = {target for job in jobs for group in job["static_configs"] for target in group["targets"]}
    ports = {value for name, value in MetricsSettings().model_dump().items() if name.endswith("_port")}
    assert targets >= {f"127.0.0.1:{port}" for port in ports}


@promtool
@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_metrics_are_named_as_prometheus_likes_it(process: Process) -> None:
    shown = generate_latest(process.registry)
    ended = subprocess.run(["promtool", "check", "metrics"], input=shown, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, b"")


def test_each_alert_is_seen_to_fire_and_to_rest() -> None:
    cases = [case for test in load("rules.test.yml")["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(ALERTS)
    # Those that always have a second series in their case which must not fire.
    rests = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert set(ALERTS) - rests <= {"NewstideShadowDisagrees"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", rule.get("record")))
def test_each_metric_of_a_rule_is_one_that_a_process_shows(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"]) - RECORDED - {"up"} <= EXPOSED


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_what_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{BASE}{name}.html"


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == set(ALERTS)
    listed = re.findall(r"\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(ALERTS)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_names_what_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.stem != "README":
        assert re.findall(r"^#+ .*", text, re.M) == [f"# {page.stem}", "## What to look at", "## What to do"]
    assert [link for link in re.findall(r"\]\(([^)#]+)", text) if not (page.parent / link).is_file()] == []
    assert set(re.findall(r"`(newstide_\w+)", text)) - set(DESCRIBED) == set()
    sections = "|".join({name.split(".")[0] for name in field_names() if "." in name})
    assert set(re.findall(rf"`((?:{sections})\.\w+)`", text)) - set(field_names()) == set()
    for command in re.findall(r"`newstide ([^`]+)`", text):
        assert_command(command.split())


def assert_command(words: list[str]) -> None:
    """The words are a command, or a group of some, with options that it has."""
    assert words
    command: click.Command = newstide
    while words and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known
