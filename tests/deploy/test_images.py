"""The Dockerfile, checked without building it, and its health check, run against real answers."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.health import Health, serve_health
from core.settings import MetricsSettings
from tests.deploy.charts import CHART, ROOT
from tests.deploy.command_line import settings_from

LINES = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text("utf-8")).splitlines()
STEPS = [line.split(maxsplit=1) for line in LINES if line and not line.startswith("#")]
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").split("\n")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage; those before the first stand under the empty name."""
    found: dict[str, list[tuple[str, str]]] = {"": []}
    current = ""
    for instruction, rest in STEPS:
        if instruction == "FROM":
            base, _, current = rest.partition(" AS ")
            found[current] = [("FROM", base)]
        else:
            found[current].append((instruction, rest))
    return found


def inherited(stage: str) -> list[tuple[str, str]]:
    """Instructions of a stage and of those that it is built from."""
    steps = stages()
    base = steps[stage][0][1]
    return [*(inherited(base) if base in steps else []), *steps[stage]]


def test_stages_are_built_from_what_is_pinned() -> None:
    steps = stages()
    [image] = [rest for instruction, rest in steps[""] if instruction == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", image)
    assert list(steps)[-1] == "runtime"  # what `docker build` makes
    for stage in list(steps)[1:]:
        assert steps[stage][0][1] in {"${PYTHON_IMAGE}", *steps}


@pytest.mark.parametrize("stage", ["runtime", "trainer"])
def test_images_run_as_a_numbered_user_and_start_newstide(stage: str) -> None:
    steps = inherited(stage)
    [user] = [rest for instruction, rest in steps if instruction == "USER"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    values = (CHART / "values.yaml").read_text("utf-8")
    assert f"runAsUser: {user.partition(':')[0]}\n" in values
    assert ("ENTRYPOINT", '["newstide"]') in steps
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["newstide"]


def test_only_the_trainer_has_torch() -> None:
    def installs(stage: str) -> str:
        copied = [re.match(r"--from=(\S+)", rest) for name, rest in stages()[stage] if name == "COPY"]
        builders = [match[1] for match in copied if match]
        return " ".join(rest for each in builders for name, rest in inherited(each) if name == "RUN")

    assert "[trainer]" in installs("trainer")
    assert "[trainer]" not in installs("runtime")
    assert "requirements.lock" in installs("runtime")
    assert "torch" not in (ROOT / "requirements.lock").read_text()


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    copied = {
        source
        for instruction, rest in STEPS
        if instruction == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert copied >= {"core", "newstide", "models", "requirements.lock"}
    for source in copied:
        assert (ROOT / source).exists()
        assert source in allowed
    for stage, steps in stages().items():
        for instruction, rest in steps:
            if instruction == "COPY" and rest.startswith("--from="):
                assert rest.split()[0].removeprefix("--from=") in stages(), stage


def test_what_the_image_sets_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(re.findall(r"(NEWSTIDE_\w+)=(\S+)", " ".join(rest for name, rest in STEPS if name == "ENV")))
    settings = settings_from(given, monkeypatch)
    assert str(settings.embedded.directory) == "/var/lib/newstide"
    destinations = {rest.split()[-1] for name, rest in STEPS if name == "COPY"}
    assert str(settings.bundle_directory) in destinations


def test_packages_that_are_built_are_all_packages_of_the_project() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {rest.split()[-1] for name, rest in stages()["build"] if name == "COPY"}
    assert {name.rstrip("*") for name in found} <= copied


def test_the_health_check_says_what_the_process_says() -> None:
    script = ROOT / "deploy" / "healthcheck.py"

    def check(*ports: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", script, *map(str, ports)], capture_output=True, text=True, check=False
        )

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    health = Health("worker-0")
    reason: list[str | None] = ["40 records behind"]
    health.ready("commits", lambda: reason[0])
    nobody = check(port)
    assert (nobody.returncode, nobody.stderr.strip()) == (1, "nothing answers")
    serve_health(MetricsSettings(), port, health, CollectorRegistry())
    behind = check(port)
    assert behind.returncode == 1
    assert "40 records behind" in behind.stderr
    reason[0] = None
    assert check(port).returncode == 0
    assert Path(script).read_text().startswith('"""')
