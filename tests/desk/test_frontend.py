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
MOST_BYTES = 100_000
_NODE = 20  # the oldest that builds them


def _tools() -> dict[str, str]:
    found = {name: shutil.which(name) for name in ("node", "npm")}
    if None in found.values():
        pytest.skip("Node.js and npm are not installed, so the pages can't be built again")
    tools = {name: path for name, path in found.items() if path}
    version = subprocess.run([tools["node"], "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < _NODE:
        pytest.skip(f"Node.js {version.strip()} is too old to build the pages; they need {_NODE} or later")
    return tools


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A copy of the sources with the packages of the lock file, and the tools."""
    tools = _tools()
    folder = tmp_path_factory.mktemp("frontend") / "frontend"
    shutil.copytree(FRONTEND, folder, ignore=shutil.ignore_patterns("node_modules"))
    installing = [tools["npm"], "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(installing, cwd=folder, capture_output=True, text=True, timeout=240)
    if done.returncode != 0 and not os.environ.get("CI"):
        pytest.skip(f"the packages of the lock file can't be installed: {done.stderr.strip().splitlines()[-1:]}")
    assert done.returncode == 0, done.stderr
    return folder, tools


def test_the_pages_are_built_from_their_sources(sources: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, tools = sources
    subprocess.run([tools["node"], "build.mjs", str(tmp_path)], cwd=folder, check=True, timeout=120)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(WEB): path.read_bytes() for path in WEB.rglob("*") if path.is_file()}
    assert set(made) == set(kept)
    different = [str(path) for path in made if made[path] != kept[path]]
    assert not different, f"{different} differ; run `npm ci && npm run build` in desk/frontend and commit desk/web"


def test_the_sources_fit_the_api(sources: tuple[Path, dict[str, str]]) -> None:
    """The compiler checks the pages against types that are made from the server's own description of its API."""
    folder, tools = sources
    app = create_app(Settings(), create_engine("postgresql+psycopg://"))
    (folder / "openapi.json").write_text(json.dumps(app.openapi()))
    for command in ("types", "check"):
        done = subprocess.run([tools["npm"], "run", "--silent", command], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_are_small() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in WEB.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_the_pages_load_nothing_from_elsewhere() -> None:
    page = (WEB / "index.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert "style=" not in page
    assert "<script>" not in page
