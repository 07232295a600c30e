"""What commands refuse before they read anything: options without effect, and places a bundle can't go to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from core.errors import BundleError, InputError
from newstide.cli import newstide
from newstide.commands.train import train

Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command, which must end before it reads a text or looks at a schedule."""

    def too_far(*arguments: Any, **named: Any) -> None:
        raise AssertionError("it went on")

    monkeypatch.setattr("newstide.commands.train.load_material", too_far)
    monkeypatch.setattr("newstide.commands.scheduled_training.run_schedule", too_far)

    def invoke(*words: Any) -> None:
        CliRunner().invoke(train, [str(word) for word in words], catch_exceptions=False)

    return invoke


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        *(
            (f"--schedule --spec s.toml {other}", "--schedule", other.split()[0])
            for other in (
                "--data d.jsonl",
                "--dataset d",
                "--corpora d",
                "--out o",
                "--name newstide-minilm",  # the default, but given
                "--weights w",
                "--unseen wire",
                "--seeds 2",
            )
        ),
        ("--seeds 2 --compress size<=1MB", "--seeds", "--compress"),
        ("--unseen wire --compress size<=1MB", "--unseen", "--compress"),
        ("--unseen wire --out o", "--unseen", "--out"),
        ("--unseen wire --name n", "--unseen", "--name"),
        ("--seeds 2 --name n", "--seeds", "--name"),
        ("--unseen --search 3", "--unseen", "--search"),
        ("--out o --unlabelled u.jsonl", "--unlabelled", "--compress"),
        ("--out o --variants 1", "--variants", "--compress or --teacher"),
        ("--out o --students 2", "--students", "--compress"),
        ("--out o --adapt-epochs 2", "--adapt-epochs", "--adapt"),
        ("--out o --adapt-most 9", "--adapt-most", "--adapt"),
        ("--out o --lora-rate 1e-3", "--lora-rate", "--lora"),
        ("--out o --spec s.toml", "--spec", "--schedule"),
        ("--out o --base b", "--base", "--schedule"),
        ("--out o --min-labels 5", "--min-labels", "--schedule"),
        ("--out o --max-age-days 5", "--max-age-days", "--schedule"),
        ("--out o --drift-window 500", "--drift-window", "--schedule"),
        ("--out o --every 5", "--every", "--schedule"),
        ("--out o --runs-in r", "--runs-in", "--schedule"),
    ],
)
def test_an_option_without_effect_is_an_error(run: Run, words: str, first: str, second: str) -> None:
    with pytest.raises(InputError, match=f"{first} (has no use for|belongs to) {second}[:;].* leave out "):
        run(*words.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trends --bucket day", "--bucket belongs to --series;"),
        ("up --map text=body", "--map belongs to --replay;"),
        ("up --feeds feeds.toml --time-zone UTC", "--time-zone belongs to --replay;"),
        ("up --speed 60", "--speed belongs to --replay;"),
        ("evaluate --data d.jsonl --base b", "--base belongs to --corpora;"),
        ("discover --bundle b --language zh", "--bundle has no use for --language:"),
        ("drift --bundle b --language zh", "--bundle has no use for --language:"),
        ("compress --teacher t --out o --most 5", "--most belongs to --unlabelled;"),
        ("compress --teacher t --out o --heads 6 --probes 2", "--heads has no use for --probes:"),
        ("worker --index 0 --workers 2", "--index has no use for --workers:"),
        ("dead-letters replay a/b/1 --all", "leave it or the names out"),
        ("promote b --check --reason better", "--check changes nothing;"),
        ("models --json sign b --key k.pem", "--json is of `newstide models` alone: `sign` has no use for it"),
        ("desk --port 80 link ada", "--port is of `newstide desk` alone: `link` has no use for it"),
    ],
)
def test_other_commands_pass_over_none_either(words: str, said: str, tmp_path: Path) -> None:
    own = {"NEWSTIDE_EMBEDDED__DIRECTORY": str(tmp_path / "newstide")}
    refused = CliRunner().invoke(newstide, words.split(), env=own).exception
    assert isinstance(refused, InputError), refused
    assert said in str(refused)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", ["train --schedule --every 1e300", "train --max-age-days 1e300", "demo --seconds 1e10"]
)
def test_spans_that_no_clock_counts_are_refused(words: str) -> None:
    assert "is not in the range" in CliRunner().invoke(newstide, words.split()).stderr


def test_options_that_go_together_are_let_through(run: Run, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.touch()
    words = f"--compress size<=1MB --unlabelled u.jsonl --variants 1 --students 2 --backbone {tmp_path}"
    for others in (
        f"--dataset d --out {tmp_path / 'o'} --weights w",
        f"--schedule --once --spec {spec} --base {tmp_path} --runs-in r --min-labels 5 --every 5",
    ):
        with pytest.raises(AssertionError, match="it went on"):
            run(*words.split(), *others.split())


def test_where_a_bundle_can_not_be_written_is_said_first(run: Run, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes.txt").touch()
    with pytest.raises(BundleError, match="taken exists and holds no bundle"):
        run("--dataset", "d", "--out", taken)
    for name in ("a b", "-x", "", "x" * 101):
        with pytest.raises(BundleError, match="is not made of letters"):
            run("--dataset", "d", "--out", tmp_path / "new", f"--name={name}")


def test_going_live_needs_a_test_set(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "spec.toml"
    spec.touch()
    with pytest.raises(InputError, match=r"--promote needs a frozen test set.*`models.test_set`"):
        run("--schedule", "--once", "--promote", "--spec", spec)
    frozen = tmp_path / "frozen.jsonl"
    frozen.write_text('{"text": "Acme warns", "sentiment": "negative"}\n')
    monkeypatch.setenv("NEWSTIDE_MODELS__TEST_SET", str(frozen))
    with pytest.raises(AssertionError, match="it went on"):
        run("--schedule", "--once", "--promote", "--spec", spec)


def test_a_schedule_reads_its_budget_before_the_first_run(run: Run) -> None:
    with pytest.raises(InputError, match="budget part 'size<=12'"):
        run("--schedule", "--spec", "s.toml", "--compress", "size<=12")
