"""Writes a software bill of materials (CycloneDX 1.6, JSON) of what a lock file pins: `sbom.py LOCK [PYPROJECT]`.

The same lock file gives the same bytes. Licences and descriptions are those of the installed packages.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pinned(lock: Path) -> Iterator[tuple[str, str]]:
    """Name and version of each line of `lock`. Raises ValueError for one that pins no single version."""
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement = Requirement(line.partition(" --hash=")[0])
        versions = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(versions) != 1 or "*" in versions[0] or requirement.url:
            raise ValueError(f"{lock}: {line!r} pins no version; run `make lock`")
        yield canonicalize_name(requirement.name), versions[0]


def bill(lock: Path, project: Path) -> Bom:
    """The bill of the project in the `pyproject.toml` at `project`, with all of `lock`."""
    described = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    root = Component(
        name=described["name"],
        version=described["version"],
        type=ComponentType.APPLICATION,
        bom_ref=described["name"],
        licenses=[LicenseFactory().make_from_string(described["license"])],
    )
    parts = {name: _part(name, version) for name, version in pinned(lock)}
    bom = Bom(components=parts.values(), serial_number=uuid5(NAMESPACE_URL, lock.read_text(encoding="utf-8")))
    bom.metadata.timestamp = None  # the same lock, the same bytes
    bom.metadata.component = root
    wanted = {canonicalize_name(Requirement(text).name) for text in described["dependencies"]}
    bom.dependencies.add(Dependency(root.bom_ref, (Dependency(parts[name].bom_ref) for name in wanted & parts.keys())))
    for name, part in parts.items():
        needed = _needs(name) & parts.keys()
        bom.dependencies.add(Dependency(part.bom_ref, (Dependency(parts[each].bom_ref) for each in needed)))
    return bom


def _part(name: str, version: str) -> Component:
    purl = PackageURL("pypi", name=name, version=version)
    known = _metadata(name)
    licence = known and (known.get("License-Expression") or known.get("License"))
    short = licence is not None and len(licence) < 100  # some put the whole text there
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        description=known.get("Summary") if known else None,
        licenses=[LicenseFactory().make_from_string(licence)] if licence and short else (),
    )


def _needs(name: str) -> set[str]:
    known = _metadata(name)
    lines = (known.get_all("Requires-Dist") or []) if known else []
    needed = (Requirement(line) for line in lines)
    return {canonicalize_name(each.name) for each in needed if each.marker is None or each.marker.evaluate()}


def _metadata(name: str) -> PackageMetadata | None:
    try:
        return metadata(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    lock, project = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "pyproject.toml")
    print(JsonV1Dot6(bill(lock, project)).output_as_string(indent=1))
