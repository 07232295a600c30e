"""Boards fit Grafana's own types, by the TypeScript compiler: no server of Grafana can be had to load them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from alerting.grafana import boards
from alerting.grafana.asked import panels

SCHEMA = Path(__file__).with_name("grafana_schema")
HEAD = "import type { AnyPanel, Board, Fields, Options } from './plain.js';\n"

Compile = Callable[[str], str]


@pytest.fixture(scope="module")
def compile_types(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a program that may import `./plain.js`; returns the compiler's complaints."""
    if shutil.which("npm") is None:
        pytest.skip("node and npm are not here")
    folder = tmp_path_factory.mktemp("schema")
    shutil.copytree(SCHEMA, folder, dirs_exist_ok=True)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    try:
        fetched = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not reach its registry")
    if fetched.returncode:
        pytest.skip("npm can't fetch @grafana/schema")

    def compile_types(program: str) -> str:
        (folder / "boards.ts").write_text(HEAD + program, encoding="utf-8")
        options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"]
        command = ["node_modules/.bin/tsc", *options, "boards.ts"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        return ended.stdout + ended.stderr

    return compile_types


def test_boards_and_panels_fit_the_schema(compile_types: Compile) -> None:
    statements = []
    for number, body in enumerate(boards.files().values()):
        statements.append(f"export const board{number}: Board = {body};")
        for panel in panels(json.loads(body)):
            place = f"{number}_{panel['id']}"
            kind = json.dumps(panel["type"])
            statements.append(f"export const panel{place}: AnyPanel = {json.dumps(panel)};")
            statements.append(f"export const options{place}: Options[{kind}] = {json.dumps(panel.get('options', {}))};")
            fields = panel["fieldConfig"]["defaults"].get("custom", {})
            statements.append(f"export const fields{place}: Fields[{kind}] = {json.dumps(fields)};")
    assert compile_types("\n".join(statements)) == ""


@pytest.mark.parametrize(
    "program",
    [
        "export const board: Board = { title: 'T', schemaVersion: 42, pannels: [] };",
        "export const panel: AnyPanel = { type: 'stat', gridPos: { w: 'wide', h: 4, x: 0, y: 0 } };",
        "export const options: Options['heatmap'] = { color: { mode: 'colour' } };",
        "export const fields: Fields['timeseries'] = { drawStyle: 'columns' };",
    ],
)
def test_the_compiler_sees_what_does_not_fit(compile_types: Compile, program: str) -> None:
    assert "error TS" in compile_types(program)
