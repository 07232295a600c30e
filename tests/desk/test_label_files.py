"""Files of labels: what is written is read again without loss, by the desk and by the commands."""

from __future__ import annotations

import json
import os
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from core.errors import InputError
from core.fitting import SENTIMENTS
from core.label_lines import LabelLine
from core.store.labels import Label, read_labels
from core.taxonomy import Taxonomy
from core.text import clean, word_form
from desk.labelling import files
from desk.labelling.files import LAYOUTS, Layout
from newstide.cli import newstide
from tests.desk.people import Login
from tests.desk.stored import LABELS, add_story, label, story_of

TAXONOMY = Taxonomy({"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks | Funds", "能源")})
PATHS = {layout: f"{LABELS}/import?format={layout}" for layout in LAYOUTS}

texts = st.text(max_size=60).map(clean).filter(word_form)
deeds = st.builds(
    lambda body, source, uid, story, analyst, final, at, words, towards: [
        Label(body, source, task, word, analyst, uid, at, final, story, entity)
        for (task, entity), word in (
            words | {("sentiment", company): word for company, word in towards.items()}
        ).items()
    ],
    texts,
    st.sampled_from(["wire", "börse", "a.example"]),
    st.none() | st.uuids(),
    st.none() | st.uuids(),
    st.sampled_from(["ann", "bob@example.com", "label-studio:7"]),
    st.booleans(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.fixed_dictionaries(
        {},
        optional={
            ("sentiment", ""): st.sampled_from(TAXONOMY.tasks["sentiment"]),
            ("topic", ""): st.sampled_from(["能源"]),
        },
    ),
    st.dictionaries(
        st.sampled_from(["AAPL", "0700.HK", 'Tata\'s "Sons"', "腾讯"]), st.sampled_from(SENTIMENTS), max_size=3
    ),
)


def said(line: LabelLine) -> list[tuple[Any, ...]]:
    return [
        (line.text, line.source, *subject, word, line.analyst, line.uid, line.final, line.story)
        for subject, word in line.words.items()
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@given(found=st.lists(deeds, max_size=8))
def test_a_round_trip_loses_nothing(layout: Layout, found: list[list[Label]]) -> None:
    # What counts in a store: one word of an analyst for a text and task.
    labels = {_word(one): one for deed in found for one in deed}
    content = b"".join(files.write_labels(labels.values(), layout))
    read = files.read_labels(content, layout, "the file", TAXONOMY)
    assert {word for line in read for word in said(line)} == {_without_time(one) for one in labels.values()}
    assert sum(len(line.words) for line in read) == len(labels)


@given(content=st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["data", "annotations", "result", "value", "choices", "from_name", "type", "text", "topic",
                         "taxonomy", "entities"]),
        inner, max_size=5,
    ),
    max_leaves=20,
).map(lambda value: json.dumps([value]).encode()))  # fmt: skip
def test_any_other_content_is_refused_in_words(content: bytes) -> None:
    for layout in LAYOUTS:
        fault = fault_of(content, layout)
        assert fault is None or fault.startswith("the file")


def fault_of(content: bytes, layout: Layout) -> str | None:
    """What is wrong with `content`."""
    try:
        files.read_labels(content, layout, "the file", TAXONOMY)
    except InputError as error:
        return str(error)
    return None


def test_what_label_studio_itself_exports_is_read() -> None:
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["positive"]}}
    other = {"from_name": "rating", "to_name": "text", "type": "rating", "value": {"rating": 3}}
    task = {
        "id": 1,
        "data": {"text": "Acme wins"},
        "annotations": [
            {"id": 1, "completed_by": 7, "was_cancelled": False, "ground_truth": True, "result": [region, other]},
            {"id": 2, "completed_by": {"id": 8, "email": "eve@example.com"}, "result": [region]},
            {"id": 3, "completed_by": 9, "was_cancelled": True, "result": [region]},
            {"id": 4, "completed_by": 9, "result": []},
        ],
        "drafts": [],
        "predictions": [],
    }
    read = files.read_labels(json.dumps([task]).encode(), "label-studio", "the file", TAXONOMY)
    assert [(line.analyst, line.labels, line.final) for line in read] == [
        ("label-studio:7", {"sentiment": "positive"}, True),
        ("eve@example.com", {"sentiment": "positive"}, False),
    ]
    region["value"] = {"choices": ["positive", "negative"]}
    with pytest.raises(InputError, match="task 1: sentiment has the choices"):
        files.read_labels(json.dumps([task]).encode(), "label-studio", "the file", TAXONOMY)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_emptied_store_gets_its_labels_back(login: Login, engine: Engine, layout: Layout) -> None:
    ann, bob, boss = login("ann"), login("bob"), login("boss", "admin")
    for number in range(3):
        add_story(engine, number, title=f"<b>Acme</b> & {number} <script>", towards={"ACME": None})
        label(ann, number, sentiment="negative", topic="Macro", entities={"ACME": "positive"})
    label(bob, 0, sentiment="positive")
    boss.post(f"/api/v1/adjudications/{story_of(0)}", json={"task": "sentiment", "label": "neutral"})
    label(ann, 1, sentiment=None)
    exported = ann.get(f"{LABELS}/export", params={"format": layout})
    assert exported.headers["content-disposition"] == f'attachment; filename="{files.FILE_NAMES[layout]}"'
    before = set(map(_without_time, read_labels(engine))) - {None}
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE label, label_step"))
    done = boss.post(PATHS[layout] + "&keep_analysts=true", content=exported.content)
    assert done.json() == {"added": 10, "already_given": 0}
    counting = {_without_time(one) for one in read_labels(engine)}
    assert counting < before
    assert len(counting) == 10


def test_an_import_is_ones_own_unless_an_admin_says_otherwise(login: Login, engine: Engine) -> None:
    ann = login("ann")
    line = {"text": "Acme wins", "sentiment": "positive", "analyst": "bob"}
    assert ann.post(PATHS["jsonl"], content=json.dumps(line)).json() == {"added": 1, "already_given": 0}
    assert [one.analyst for one in read_labels(engine)] == ["ann"]
    assert ann.post(PATHS["jsonl"] + "&keep_analysts=true", content=json.dumps(line)).status_code == 403
    assert ann.post(PATHS["jsonl"], content=json.dumps({**line, "final": True})).status_code == 403
    assert login("vic", "viewer").post(PATHS["jsonl"], content=json.dumps(line)).status_code == 403
    assert ann.post(PATHS["jsonl"], content=b" \n").status_code == 422
    bad = ann.post(PATHS["jsonl"], content=json.dumps({**line, "sentiment": "glad"}))
    assert (bad.status_code, bad.json()["detail"][:45]) == (422, "the file line 1: sentiment is 'glad'; expecte")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_commands_export_what_they_import(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    lines = [
        {
            "text": "Acme wins",
            "sentiment": "positive",
            "topic": "Macro",
            "analyst": "ann",
            "uid": str(uuid4()),
            "entities": [{"name": "Acme", "sentiment": "positive"}],
        },
        {"text": "Acme wins", "sentiment": "negative", "analyst": "bob", "final": True},
    ]
    (tmp_path / "in").write_text("\n".join(map(json.dumps, lines)))
    for source, kind, target in (("in", "jsonl", "once"), ("once", layout, "twice")):
        arguments = ["labels", "import", str(tmp_path / source), "--format", kind, "--json"]
        done = CliRunner().invoke(newstide, arguments, catch_exceptions=False)
        assert json.loads(done.stdout)["added"] == (4 if source == "in" else 0)
        arguments = ["labels", "export", str(tmp_path / target), "--format", layout]
        CliRunner().invoke(newstide, arguments, catch_exceptions=False)
    assert (tmp_path / "once").read_text() == (tmp_path / "twice").read_text()
    assert (tmp_path / "once").read_text().count("Acme wins") == 2


def test_labels_are_exported_through_links_and_into_pipes(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    (tmp_path / "in").write_text('{"text": "Acme wins", "sentiment": "positive", "analyst": "ann"}\n')
    CliRunner().invoke(newstide, ["labels", "import", str(tmp_path / "in")], catch_exceptions=False)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    for target in ("link", "pipe"):
        CliRunner().invoke(newstide, ["labels", "export", str(tmp_path / target)], catch_exceptions=False)
    piped = os.read(pipe, 65_536)
    os.close(pipe)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
    assert piped == (tmp_path / "file").read_bytes()
    assert b"Acme wins" in piped
    assert {entry.name for entry in tmp_path.iterdir()} == {"in", "link", "file", "pipe"}


def _word(one: Label) -> tuple[Any, ...]:
    return one.story, one.text, one.task, one.entity, one.final, one.analyst


def _without_time(one: Label) -> tuple[Any, ...]:
    return one.text, one.source, one.task, one.entity, one.label, one.analyst, one.uid, one.final, one.story
