"""What a log, a pipe and a terminal get to see."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer
from tokenizers.models import BPE

from core.classifier import Classifier
from core.offline import classify_file, evaluate_file
from core.scoring import TaskScore
from newstide.commands import compress as compressing
from newstide.commands.classify import classify
from newstide.commands.output import counted_lines, open_console
from tests.tiny_bundles import write_tiny
from trainer.compress.measure import Variant
from trainer.compress.plan import Plan
from trainer.compress.search import Compressed
from trainer.judge.spread import spread
from trainer.learn.encoder import Architecture, Encoder
from trainer.learn.network import Network


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_every_column_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(*(f"column {number}" for number in range(12)))
    table.add_row(*(f"figure {number}" for number in range(12)))
    for stream, whole in ((io.StringIO(), True), (_Terminal(), False)):
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "stdout", stream)
        open_console().print(table)
        assert all(f"figure {number}" in stream.getvalue() for number in range(12)) is whole


def test_a_bar_counts_lines_on_a_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("{}\n" * 7)
    for stream, shown in ((_Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with counted_lines(path, "judging") as report:
            report(5)
        assert ("judging" in stream.getvalue() and "5/7" in stream.getvalue()) is shown
    with counted_lines(tmp_path / "none.jsonl", "judging") as report:
        report(5)


def test_whoever_waits_for_a_file_hears_of_it(tmp_path: Path) -> None:
    classifier = Classifier(write_tiny(tmp_path / "tiny", "tiny", seed=1))
    source = tmp_path / "in.jsonl"
    lines = [{"id": number, "text": f"profit {number}", "sentiment": "positive"} for number in range(1_100)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    heard: list[int] = []
    classify_file([classifier], source, tmp_path / "out.jsonl", heard.append)
    assert heard == [512, 1024]
    heard.clear()
    evaluate_file(classifier, source, heard.append)
    assert heard == [512, 1024, 1100]


def test_the_command_says_how_many_it_labelled(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny", "tiny", seed=1)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text": "profit"}\n')
    paths = [str(tmp_path / name) for name in ("in.jsonl", "out.jsonl", "tiny")]
    ended = CliRunner().invoke(classify, [*paths[:2], "--bundle", paths[2]], catch_exceptions=False)
    assert ended.stderr == f"1 texts classified into {paths[1]}\n"
    write_tiny(tmp_path / "big", "big", seed=1, languages=("de",))
    unread = ["某公司股价大跌", "监管部门处罚某银行，股价下跌", "決算は増益でした"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in unread))
    for bundles, nobody in ((["tiny"], "tiny does not read"), (["tiny", "big"], "neither tiny nor big reads")):
        options = [option for name in bundles for option in ("--bundle", str(tmp_path / name))]
        ended = CliRunner().invoke(classify, [*paths[:2], *options], catch_exceptions=False)
        assert ended.stderr.endswith(f"3 of them have no labels, since {nobody} their languages: 2 in zh, 1 in ja\n"), (
            ended.stderr
        )


def test_a_narrow_terminal_gets_the_figures_that_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = TaskScore("mood", 0.8765, 0.4321, 0.0123, 9, [])
    variant = Variant("6 heads, 512 inner, 16000 words, 8 bits (percentile)", 10_950_000, 10_000_000, 1337, [], [score])
    plan, network = Plan(heads=6, inner=512), Network(Encoder(Architecture(8, 8, 8, 4, [])), {"mood": ("up", "down")})
    found = Compressed(network, Tokenizer(BPE()), plan, "mse", [variant], variant, spread([[score]]), {})
    for width, whole in ((80, False), (240, True)):
        out = io.StringIO()
        monkeypatch.setattr(compressing, "open_console", lambda out=out, width=width: Console(file=out, width=width))
        compressing.show(found, tmp_path, tmp_path, as_json=False)
        assert all(figure in out.getvalue() for figure in ("10.95", "1337", "0.8765"))
        assert ("0.4321" in out.getvalue()) is whole
        assert "…" not in out.getvalue()


def test_what_strangers_wrote_is_shown_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    written = "[/x] [red]up[/red] :smile: \x1b]0;title\x07\x9b31m\u202edesrever"
    console = open_console()
    table = Table(written, title=written)
    table.add_row(written)
    console.print(table)
    console.print(written)
    shown = capsys.readouterr().out
    assert shown.count("[/x] [red]up[/red] :smile:") == 4
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}


SHOWS_AN_ALERT = """
import os
from contextlib import suppress
from datetime import UTC, datetime
from core.terminal import PlainConsole
from newstide.cli import main
from newstide.stack.screen import AlertLine, Snapshot, open_view

with suppress(SystemExit):
    main(["settings"])
headline = os.environ["NEWSTIDE_EMBEDDED__DIRECTORY"]
alert = AlertLine("1", "ACME", datetime.now(UTC), "9 of 2", [headline])
open_view(PlainConsole(), "newstide").show(Snapshot(alerts=[alert]))
"""


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "the “boss” of café 中 📈"),
        ("iso-8859-1", r"the \u201cboss\u201d of café \u4e2d \U0001f4c8"),
        ("gbk", r"the “boss” of café 中 \U0001f4c8"),
    ],
)
def test_what_the_encoding_lacks_is_escaped(encoding: str, shown: str) -> None:
    surroundings = {"PYTHONIOENCODING": encoding, "NEWSTIDE_EMBEDDED__DIRECTORY": "the “boss” of café 中 📈"}
    ended = subprocess.run(
        [sys.executable, "-c", SHOWS_AN_ALERT], env={**os.environ, **surroundings}, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")
    lines = ended.stdout.decode(encoding).splitlines()
    assert f"embedded.directory = {shown}" in lines
    assert any(line.startswith("ALERT ") and line.endswith(f"ACME 9 of 2: {shown}") for line in lines)
