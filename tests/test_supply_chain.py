"""What is installed is what the lock files pin, and the bill of materials says so in the standard's own terms."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")


def pinned(lock: str) -> dict[str, str]:
    """Versions by name. Every line is `name==version`: no range, no address, no option that changes the index. Lines of
    what runs have hashes."""
    pins: dict[str, str] = {}
    for line in (PROJECT / lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        written, *hashes = line.split(" --hash=")
        assert bool(hashes) == (lock == LOCKS[0]), f"{line}: run `make hashes`"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", each) for each in hashes), line
        requirement = Requirement(written)
        (specifier,) = requirement.specifier
        assert (specifier.operator, requirement.url, requirement.marker) == ("==", None, None), line
        assert "*" not in specifier.version, line
        name = canonicalize_name(requirement.name)
        assert name not in pins, f"{name} twice in {lock}"
        pins[name] = specifier.version
    return pins


def test_locks_pin_each_package_once_and_alike() -> None:
    run, dev = map(pinned, LOCKS)
    assert run.items() <= dev.items(), "what runs is what is tested"


def test_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for lock, wanted in zip(
        LOCKS, (project["dependencies"], [*project["dependencies"], *extras["dev"], *extras["trainer"]]), strict=True
    ):
        pins = pinned(lock)
        for text in wanted:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate():
                version = pins.get(canonicalize_name(requirement.name), "none")
                assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}: {text}"


def test_what_is_installed_is_what_is_locked() -> None:
    # Of versions of this machine's own (2.13.0+cpu) the public part; `v1.0` is 1.0.
    installed = {canonicalize_name(each.metadata["Name"]): Version(each.version).public for each in distributions()}
    pins = pinned("requirements.lock")
    assert {name: installed.get(name) for name in pins} == {name: Version(pins[name]).public for name in pins}
    here = {
        name: Version(version).public for name, version in pinned("requirements-dev.lock").items() if name in installed
    }
    assert {name: installed[name] for name in here} == here


def written(lock: str) -> str:
    script = [sys.executable, ".ci/sbom.py", lock]
    return subprocess.run(script, cwd=PROJECT, capture_output=True, text=True, check=True).stdout


bill = functools.cache(written)


@pytest.mark.parametrize("lock", LOCKS)
def test_the_bill_of_materials_is_one(lock: str) -> None:
    """CycloneDX 1.6, by the schema that its library ships."""
    found: Any = json.loads(bill(lock))
    assert {one["name"]: one["version"] for one in found["components"]} == pinned(lock)
    schemas = files("cyclonedx.schema") / "_res"
    schema = json.loads((schemas / "bom-1.6.SNAPSHOT.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema_rs.validator_for(
        schema,
        retriever=lambda address: json.loads((schemas / address.rpartition("/")[2]).read_text(encoding="utf-8")),
        validate_formats=True,
    )
    assert [error.message for error in validator.iter_errors(found)] == []
    assert not validator.is_valid(found | {"serialNumber": "none"})
    assert not validator.is_valid(found | {"components": [{"type": "library"}]})
    depends = {one["ref"]: one.get("dependsOn", []) for one in found["dependencies"]}
    purls = {one["purl"] for one in found["components"]}
    assert set(depends) == purls | {"newstide"}
    assert {"pkg:pypi/aiokafka@" in ref for ref in depends["newstide"]} == {True, False}
    assert all(ref in purls for refs in depends.values() for ref in refs)


def test_the_bill_of_materials_is_reproducible() -> None:
    assert written(LOCKS[0]) == bill(LOCKS[0])
