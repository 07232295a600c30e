"""The pages that ship are those that their sources make, and no larger than was promised."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from core.settings import Settings
from desk.app import create_app

DESK = Path(__file__).resolve().parents[2] / "desk"
FRONTEND, WEB = DESK / "frontend", DESK / "web"
INSTALLED = DESK.parent / "build" / "node" / "bin"
MOST_BYTES = 100_000
_NODE = 20  # the oldest that builds them

Sources = tuple[Path, dict[str, str]]


def _environment() -> dict[str, str]:
    """One whose path has a Node.js that can build the pages: the machine's, or what `.ci/install-packages` made."""
    for path in (os.environ["PATH"], f"{INSTALLED}{os.pathsep}{os.environ['PATH']}"):
        node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
        if node and npm:
            version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
            if int(version.removeprefix("v").split(".")[0]) >= _NODE:
                return {**os.environ, "PATH": path}
    pytest.skip(
        f"Node.js {_NODE} or later is not installed, so the pages can't be built again; see .ci/install-packages"
    )


def _run(sources: Sources, *command: str) -> None:
    folder, environment = sources
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """A copy of the sources with the packages of the lock file, and an environment that has the tools."""
    found = tmp_path_factory.mktemp("frontend") / "frontend", _environment()
    shutil.copytree(FRONTEND, found[0], ignore=shutil.ignore_patterns("node_modules"))
    try:
        _run(found, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    except AssertionError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the packages of the lock file can't be installed: {str(error).strip().splitlines()[-1:]}")
    return found


def test_the_pages_are_built_from_their_sources(sources: Sources, tmp_path: Path) -> None:
    _run(sources, "node", "build.mjs", str(tmp_path))
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(WEB): path.read_bytes() for path in WEB.rglob("*") if path.is_file()}
    assert set(made) == set(kept)
    different = [str(path) for path in made if made[path] != kept[path]]
    assert not different, f"{different} differ; run `npm ci && npm run build` in desk/frontend and commit desk/web"


def test_the_sources_fit_the_api(sources: Sources) -> None:
    """The compiler checks the pages against types that are made from the server's own description of its API."""
    app = create_app(Settings(), create_engine("postgresql+psycopg://"))
    (sources[0] / "openapi.json").write_text(json.dumps(app.openapi()))
    for command in ("types", "check"):
        _run(sources, "npm", "run", "--silent", command)


def test_the_pages_are_small() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in WEB.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_the_pages_load_nothing_from_elsewhere() -> None:
    page = (WEB / "index.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert "style=" not in page
    assert "<script>" not in page
