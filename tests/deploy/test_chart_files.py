"""Files and settings reach every pod that reads them, as newstide itself reads what the chart mounts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from alerting.rules.alerts_file import load_rules
from core.budget import stated_budget
from core.settings import Settings
from core.taxonomy import load_taxonomy
from stream.entities import load_watchlist
from tests.deploy.charts import HELM_4, ROOT, Manifest, named, pod_templates, rendered, values_of
from tests.deploy.command_line import settings_from
from trainer.data.spec import load_spec

MOUNTED = "/etc/newstide/files/"
TAXONOMY = ROOT / "examples" / "customer-service" / "taxonomy.toml"
ALERTS = """
budget = "1 per week"
[[rule]]
name = "Refunds"
series = ["topic=Returns"]
"""
WATCHLIST = '[companies]\nACME = ["Acme Bank"]\n'
ROOMS = ("core", "ingest", "stream", "alerting", "trainer", "desk")
READERS = {
    "taxonomy": {"stream": "worker", "alerting": "alerts", "desk": "desk", "trainer": "trainer"},
    "stream.watchlist": {"stream": "worker"},
}
"""Rooms that read a setting, and the pod that runs them. The trainer reads both: `newstide train --schedule` does."""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {"taxonomy": TAXONOMY}
    for name, text in {"alerts": ALERTS, "watchlist": WATCHLIST, "dataset": "[[corpus]]\n"}.items():
        found[name] = tmp_path / f"given-{name}.toml"
        found[name].write_text(text)
    return found


@pytest.fixture
def manifests(files: dict[str, Path]) -> tuple[Manifest, ...]:
    given = [part for name, path in files.items() for part in ("--set-file", f"files.{name}.content={path}")]
    more = "trainer.enabled=true,models.volume.enabled=true,settings.alerting.budget=2 per day"
    return rendered(HELM_4, *values_of("minimal"), *given, "--set", more)


def settings_of(
    component: str, manifests: tuple[Manifest, ...], folder: Path, patch: pytest.MonkeyPatch
) -> tuple[Settings, str]:
    """The settings of that pod's last container, its files laid into `folder`; and all that those files say."""
    [template] = [
        template
        for owner, template in pod_templates(manifests)
        if owner["metadata"]["name"] == f"news-newstide-{component}"
    ]
    texts = named(manifests, "ConfigMap", "news-newstide-files")["data"]
    home = folder / component
    home.mkdir()
    [volume] = [each for each in template["spec"]["volumes"] if each["name"] == "files"]
    for source in volume["projected"]["sources"]:
        [item] = source["configMap"]["items"]
        (home / item["path"]).write_text(texts[item["key"]])
    given = {
        each["name"]: each.get("value", "postgresql://secret/secret").replace(MOUNTED, f"{home}/")
        for each in template["spec"]["containers"][-1]["env"]
    }
    return settings_from(given, patch), "".join(path.read_text() for path in home.iterdir())


def test_own_taxonomy_and_companies_reach_every_pod_that_reads_them(
    manifests: tuple[Manifest, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting, readers in READERS.items():
        modules = [(room, path.read_text("utf-8")) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
        assert {room for room, text in modules if f"settings.{setting}" in text} == readers.keys()
        scheduled = ROOT / "newstide" / "commands" / "scheduled_training.py"
        assert f"settings.{setting}" in scheduled.read_text("utf-8")
    topics = load_taxonomy(TAXONOMY).tasks["topic"]
    for component in READERS["taxonomy"].values():
        settings, _ = settings_of(component, manifests, tmp_path, monkeypatch)
        assert load_taxonomy(settings.taxonomy).tasks["topic"] == topics, component
        if component == "alerts":
            assert [rule.name for rule in load_rules(settings).rules] == ["Refunds"]
        if component in ("worker", "trainer"):
            assert load_watchlist(settings.stream.watchlist).link("Acme Bank falls", ()) == ["ACME"]


def test_the_dataset_of_an_example_can_be_read(tmp_path: Path) -> None:
    example = yaml.safe_load((ROOT / "helm" / "examples" / "production.yaml").read_text("utf-8"))
    spec = tmp_path / "data.toml"
    spec.write_text(example["files"]["dataset"]["content"])
    assert [corpus.name for corpus in load_spec(spec, load_taxonomy(None)).corpus] == ["headlines"]


def test_alerting_and_the_desk_have_one_budget_and_receivers_stay_with_alerting(
    manifests: tuple[Manifest, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerting, rules = settings_of("alerts", manifests, tmp_path, monkeypatch)
    desk, shown = settings_of("desk", manifests, tmp_path, monkeypatch)
    assert load_rules(alerting).policy.budget_per_week == stated_budget(desk) == 14
    assert "[[rule]]" in rules
    assert "[[rule]]" not in shown
