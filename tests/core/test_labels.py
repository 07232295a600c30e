"""Labels of analysts, in a real Postgres: append-only, imported whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from core.errors import InputError
from core.settings import load_settings
from core.store.connection import open_engine
from core.store.labels import Label, add_labels, import_labels, read_labels
from core.taxonomy import Taxonomy
from newstide.commands.datasets import labels_

TAXONOMY = Taxonomy({"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks", "Energy")})
KNOWN = UUID("00000000-0000-0000-0000-0000000000aa")


@pytest.fixture
def engine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    opened = open_engine(load_settings())
    yield opened
    opened.dispose()


def add_message(engine: Engine, uid: UUID, title: str, body: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE message_20240101 PARTITION OF message FOR VALUES FROM ('2024-01-01') TO ('2024-01-02')")
        )
        connection.execute(
            text(
                "INSERT INTO message VALUES (:uid, '2024-01-01', 'wire', 'm1', 'news', '2024-01-01T10:00Z', "
                "'2024-01-01T10:01Z', :title, :body, '', '', 'en', '{}', '{}', '{}', :uid, 'neutral', '{}', 'Banks', "
                "'{}', 'tiny')"
            ),
            {"uid": uid, "title": title, "body": body},
        )


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def rows(engine: Engine) -> list[tuple[str, str, str, str, str]]:
    return [(label.text, label.source, label.task, label.label, label.analyst) for label in read_labels(engine)]


def test_a_file_is_imported_and_a_second_time_adds_nothing(engine: Engine, tmp_path: Path) -> None:
    add_message(engine, KNOWN, "Acme cuts outlook", "Shares fall.")
    path = write(
        tmp_path / "labels.jsonl",
        {"text": " Acme\u0000 <b>wins</b> ", "sentiment": "positive", "topic": "Banks", "source": "desk", "note": 1},
        {"uid": str(KNOWN), "sentiment": "negative"},
        {"text": "Oil holds", "topic": "Energy"},
        {"text": "Oil holds", "topic": "Energy"},
    )
    assert import_labels(engine, path, "ada", TAXONOMY) == (4, 0)
    assert rows(engine) == [
        ("Acme wins", "desk", "sentiment", "positive", "ada"),
        ("Acme wins", "desk", "topic", "Banks", "ada"),
        ("Acme cuts outlook. Shares fall.", "wire", "sentiment", "negative", "ada"),
        ("Oil holds", "analysts", "topic", "Energy", "ada"),
    ]
    assert [label.uid for label in read_labels(engine)] == [None, None, KNOWN, None]
    assert all(label.labelled_at for label in read_labels(engine))
    assert import_labels(engine, path, "ada", TAXONOMY) == (0, 4)
    assert import_labels(engine, path, "bob", TAXONOMY) == (4, 0)


def test_a_change_of_mind_is_a_new_row(engine: Engine) -> None:
    first, second = (Label("Oil holds", "desk", "sentiment", label, "ada") for label in ("neutral", "positive"))
    assert [add_labels(engine, [label]) for label in (first, second, first)] == [1, 1, 1]
    assert [row[3] for row in rows(engine)] == ["neutral", "positive", "neutral"]
    assert [label.label for label in read_labels(engine, newest=2)] == ["positive", "neutral"]
    assert read_labels(engine, analyst="bob") == []
    assert add_labels(engine, []) == 0
    for statement in ("UPDATE label SET label = 'x'", "DELETE FROM label"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ({"text": "a b", "sentiment": "glad"}, "line 2: sentiment is 'glad'"),
        ({"text": "a b", "sentiment": ["neutral"]}, "line 2: sentiment is"),
        ({"text": "a b"}, "line 2 has no label"),
        ({"text": "a b", "entities": []}, "line 2 has no label"),
        ({"text": "a b", "entities": {"ACME": "positive"}}, "line 2: entities is"),
        ({"text": "a b", "entities": [{"name": " ", "sentiment": "positive"}]}, "line 2: company ' '"),
        ({"text": "a b", "entities": [{"name": "ACME"}]}, "line 2: the sentiment of 'ACME' is 'None'; expected one of"),
        (
            {
                "text": "a b",
                "entities": [{"name": "A", "sentiment": "neutral"}, {"name": "A", "sentiment": "positive"}],
            },
            "line 2: 'A' has two labels",
        ),
        ({"sentiment": "neutral"}, "line 2: expected one of the fields"),
        ({"text": "a b", "uid": str(KNOWN), "final": 1.5, "sentiment": "neutral"}, "line 2: final is '1.5'"),
        ({"text": "a b", "story": "x", "sentiment": "neutral"}, "line 2: story is 'x'"),
        ({"text": "a b", "analyst": 5, "sentiment": "neutral"}, "line 2: analyst '5'"),
        ({"text": "...", "sentiment": "neutral"}, "line 2: text is '...'; expected some words"),
        ({"text": 5, "sentiment": "neutral"}, "line 2: text is '5'"),
        ({"text": "x" * 30_000, "sentiment": "neutral"}, "line 2: text has 30000 characters"),
        ({"uid": "17", "sentiment": "neutral"}, "line 2: uid is '17'"),
        ({"uid": 17, "sentiment": "neutral"}, "line 2: uid is '17'"),
        ({"uid": str(KNOWN), "sentiment": "neutral"}, "not in the store: line 2"),
        ({"text": "a b", "source": " ", "sentiment": "neutral"}, "line 2: source is ' '"),
        ({"text": "Fine text", "sentiment": "neutral"}, "line 2: sentiment is 'neutral', but line 1"),
        ("[1]", "line 2 is no JSON object"),
        ("{", "line 2 is no JSON object"),
    ],
)
def test_one_bad_line_and_nothing_is_added(engine: Engine, tmp_path: Path, line: object, fault: str) -> None:
    path = write(tmp_path / "labels.jsonl", {"text": "Fine text", "sentiment": "positive"}, line)
    with pytest.raises(InputError) as caught:
        import_labels(engine, path, "ada", TAXONOMY)
    assert fault in str(caught.value)
    assert read_labels(engine) == []


@pytest.mark.parametrize("name", ["", "  \u200b", "x" * 101])
def test_an_analyst_has_a_name(engine: Engine, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "labels.jsonl", {"text": "Fine text", "sentiment": "positive"})
    with pytest.raises(InputError, match="1 to 100 characters"):
        import_labels(engine, path, name, TAXONOMY)


def test_the_commands(engine: Engine, tmp_path: Path) -> None:
    runner = CliRunner()
    for analyst, label in (("ada", "positive"), ("bob", "negative")):
        path = write(tmp_path / f"{analyst}.jsonl", {"text": "Acme [wins] @joe", "sentiment": label})
        done = runner.invoke(labels_, ["import", str(path), "--analyst", analyst, "--json"], catch_exceptions=False)
        assert json.loads(done.stdout) == {"added": 1, "already_given": 0}
    listed = json.loads(runner.invoke(labels_, ["list", "--json"], catch_exceptions=False).stdout)
    assert [(row["analyst"], row["label"], row["uid"]) for row in listed] == [
        ("bob", "negative", None),
        ("ada", "positive", None),
    ]
    ties = json.loads(runner.invoke(labels_, ["list", "--ties", "--json"], catch_exceptions=False).stdout)
    assert [(tie["text"], tie["votes"]) for tie in ties] == [("Acme [wins] @user", {"negative": 1, "positive": 1})]
    with pytest.raises(InputError, match="--ties has no use for --analyst"):
        runner.invoke(labels_, ["list", "--ties", "--analyst", "ada"], catch_exceptions=False)
    shown = runner.invoke(labels_, ["list", "--analyst", "ada"], catch_exceptions=False).stdout
    assert "ada" in shown
    assert "bob" not in shown
