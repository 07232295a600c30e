"""`.ci/install-packages` leaves a machine alone where nothing is missing or nothing may be installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "install-packages"


def run(folder: Path, **programs: str) -> str:
    """What the script says beside `programs`, shell scripts that stand in for those of the system."""
    for name, body in programs.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    ended = subprocess.run([SCRIPT], env={"PATH": path}, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout + ended.stderr


def test_nothing_is_done_where_all_is_there(tmp_path: Path) -> None:
    assert run(tmp_path, dpkg_query="echo installed", apt_get="echo apt-get ran; exit 1") == ""


@pytest.mark.parametrize("missing", ["exit 1", "echo deinstall"])
def test_without_root_it_says_what_is_missing(tmp_path: Path, missing: str) -> None:
    said = run(tmp_path, dpkg_query=missing, id="echo 1000", apt_get="echo apt-get ran; exit 1")
    assert said.startswith("not installed: prometheus prometheus-alertmanager chromium")
    assert "skipped" in said
    assert "apt-get ran" not in said
