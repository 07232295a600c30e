"""Options about a file mean the same in `ingest replay` and `up --replay`, which hands them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from core.errors import InputError
from newstide.commands.file_options import as_arguments, file_options, replay_options
from newstide.commands.replay_notes import noted
from newstide.commands.up import up

SEEN: list[dict[str, Any]] = []


@click.command()
@file_options
def record(**given: Any) -> None:
    SEEN.append(given)


def given(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(record, arguments)
    assert done.exit_code == 0, done.output
    return SEEN.pop()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--map", "text=t", "--map", "id=i", "--source", "Desk", "--kind", "comment"],
        ["--encoding", "gbk", "--delimiter", ";", "--quoting", "none", "--day-first", "--time-zone", "Asia/Shanghai"],
        ["--month-first", "--delimiter", "\t"],
    ],
)
def test_options_survive_being_handed_on(arguments: list[str]) -> None:
    first = given(*arguments)
    assert given(*as_arguments(first)) == first


def test_options_say_how_a_file_is_read() -> None:
    options = replay_options(given("--encoding", "gbk", "--month-first", "--time-zone", "+02:00", "--quoting", "csv"))
    assert (options.read.encoding, options.read.quoting) == ("gbk", "csv")
    assert (options.times.day_first, options.times.stated, str(options.times.zone)) == (False, True, "UTC+02:00")
    assert replay_options(given()).times.day_first is None
    for wrong in (["--encoding", "klingon"], ["--time-zone", "Mars/Olympus"]):
        with pytest.raises(InputError):
            replay_options(given(*wrong))


def test_up_refuses_a_file_before_it_starts_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text('{\n "items": [\n  {"id": 1}\n ]\n}')
    done = CliRunner().invoke(up, ["--replay", "x.json", "--until-drained"])
    assert isinstance(done.exception, InputError)
    assert "jq -c '.items[]'" in str(done.exception)
    assert not (tmp_path / ".newstide").exists()


def test_notes_name_only_what_there_is() -> None:
    assert noted({"duplicates": 0, "marks": {}}) == ""
    said = noted({"duplicates": 2, "changed_duplicates": 1, "marks": {"time-assumed": 3, "novel": 1}})
    assert said == (
        ", 2 duplicates, 1 with the id of an earlier one but other content, "
        "3 times not read (the time of receipt stands in), 1 marked novel"
    )
