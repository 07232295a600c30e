"""The pages as tests read them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_BLOCK_TIMEOUT_S = 240


def blocks(page: str, language: str) -> list[str]:
    """The contents of a page's blocks that are marked with `language`, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        "".join(line.removeprefix(indent) for line in content.splitlines(keepends=True))
        for indent, marked, content in _BLOCK.findall(text)
        if marked == language
    ]


def run_blocks(
    page: str,
    directory: Path,
    settings: Mapping[str, str],
    *,
    path: tuple[Path, ...] = (),
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Run the page's `sh` blocks one after the other in `directory`: block -> what it printed. The first that fails
    ends the test.

    `path`: where programs are looked for first. `more`: option -> options that are put behind it.
    """
    commands = [str(Path(sys.executable).parent), *map(str, path), os.environ["PATH"]]
    environment = {**os.environ, **settings, "PATH": os.pathsep.join(commands), "PYTHONPATH": str(REPOSITORY)}
    printed = {}
    for block in blocks(page, "sh"):
        command = block
        for option, others in (more or {}).items():
            command = command.replace(option, f"{option} {others}")
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BLOCK_TIMEOUT_S,
            check=False,
        )
        assert ended.returncode == 0, f"{page}:\n{block}\nended with {ended.returncode}\n{ended.stdout}{ended.stderr}"
        printed[block] = ended.stdout
    return printed
