"""Datasets: corpora of every format, analysts' labels, a frozen test set that nothing leaks from."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from core.errors import InputError
from core.mentions import Spans, occurrences
from core.settings import PROJECT, load_settings
from core.store.connection import open_engine
from core.store.labels import Label, add_labels
from core.taxonomy import Taxonomy, load_taxonomy
from core.text import word_form
from newstide.commands.datasets import dataset as dataset_command
from trainer.data.build import build_dataset
from trainer.data.checks import class_weights
from trainer.data.consensus import agree
from trainer.data.dataset import Dataset, load_dataset
from trainer.data.entities import EntityLabel
from trainer.data.examples import Example
from trainer.data.spec import PUBLIC, load_spec
from trainer.data.splits import group_near_duplicates
from trainer.data.unseen import without_sources

TAXONOMY = Taxonomy({"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks", "Energy")})
PUBLIC_CORPORA = PROJECT.parent / "shared" / "data"
WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ake", "ilo", "ount", "ez")]

Build = Callable[..., Dataset]


def lines_of(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Labelled lines, a fifth of them reworded copies of the one before."""
    generator = random.Random(seed)
    lines: list[dict[str, str]] = []
    for number in range(count):
        if number % 5 == 4:
            words = [*lines[-1]["text"].split(), "again"]
        else:
            words = generator.sample(WORDS, 9)
        line = {"text": " ".join(words), "sentiment": TAXONOMY.tasks["sentiment"][number % 3]}
        if number % 2:
            line["topic"] = TAXONOMY.tasks["topic"][number // 2 % 2]
        lines.append(line)
    return lines


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def corpus(name: str = "wire", path: str = "wire.jsonl", **more: str) -> str:
    fields = more.pop("fields", '{ text = "text", sentiment = "sentiment?", topic = "topic?" }')
    rest = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[corpus]]\nname = "{name}"\npath = "{path}"\nlicence = "MIT"\nfields = {fields}\n{rest}'


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds the dataset of a spec given as text, into `out` beside it."""

    def run(text: str, out: str = "out", labels: Sequence[Label] = (), **options: Any) -> Dataset:
        path = tmp_path / "spec.toml"
        path.write_text(text)
        return build_dataset(load_spec(path, TAXONOMY), tmp_path, tmp_path / out, TAXONOMY, labels, **options)

    return run


def texts(examples: Sequence[Example]) -> list[str]:
    return [example.text for example in examples]


def everything(made: Dataset) -> list[Example]:
    return [*made.split.train, *made.split.validation, *made.split.test]


def test_formats_and_maps_say_the_same(tmp_path: Path, build: Build) -> None:
    lines = [{**line, "language": "en", "at": "2024-05-01"} for line in lines_of(120)]
    numbers = {"negative": 0, "neutral": 1, "positive": 2}
    rows = [
        {"body": line["text"], "mood": numbers[line["sentiment"]], "lang": "en", "at": "2024-05-01"} for line in lines
    ]
    write_lines(tmp_path / "a.jsonl", [{"deep": {"body": row["body"]}, **row} for row in rows])
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["body", "mood", "lang", "at"], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist([{**row, "mood": float(row["mood"])} for row in rows]), tmp_path / "a.parquet")
    found = []
    for name, column in (("a.jsonl", "deep.body"), ("a.csv", "body"), ("a.parquet", "body")):
        fields = f'{{ text = "{column}", sentiment = "mood", language = "lang", published_at = "at" }}'
        labels = '{ 0 = "negative", 1 = "neutral", 2 = "positive" }'
        found.append(build(corpus("a", name, fields=fields) + f"labels.sentiment = {labels}\n", name.replace(".", "-")))
    assert found[0].split == found[1].split == found[2].split
    assert found[0].fingerprint == found[1].fingerprint == found[2].fingerprint
    assert {(e.language, e.published_at, e.source) for e in everything(found[0])} == {("en", "2024-05-01", "a")}
    by_text = {example.text: example.labels["sentiment"] for example in everything(found[0])}
    assert by_text == {line["text"]: line["sentiment"] for line in lines}
    assert load_dataset(tmp_path / "a-csv") == found[1]


def test_titles_rows_without_labels_and_caps(tmp_path: Path, build: Build) -> None:
    lines = [{"title": f"Title {line['text']}", "text": "Body.", "mood": line["sentiment"]} for line in lines_of(100)]
    lines[0]["mood"] = lines[1]["mood"] = "mixed"
    lines[2]["mood"] = ""
    write_lines(tmp_path / "wire.jsonl", lines)
    fields = '{ text = "text", title = "title", sentiment = "mood" }'
    labels = '{ mixed = "", negative = "negative", neutral = "neutral", positive = "positive" }'
    made = build(corpus(fields=fields, rows="90") + f"labels.sentiment = {labels}\n")
    assert len(everything(made)) == 87
    assert made.removed["unlabelled"] == 3
    assert all(text.startswith("Title ") and text.endswith(". Body.") for text in texts(everything(made)))
    capped = build(corpus(fields=fields) + f"labels.sentiment = {labels}\n[options]\nsource_cap = 40\n", "capped")
    assert len(everything(capped)) == 40
    assert capped.removed["over the cap of a source"] == 57


def test_a_second_build_is_the_first(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(300))
    first = build(corpus())
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert build(corpus()) == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept
    assert build(corpus(), "other").fingerprint == first.fingerprint
    assert build(corpus() + "[options]\nseed = 1\n", "seeded").fingerprint != first.fingerprint
    weighed = build(corpus() + '[options]\nclass_weights = "balanced"\n', "weighed")
    assert (weighed.split, weighed.fingerprint != first.fingerprint) == (first.split, True)
    sides: dict[int, set[int]] = {}
    parts = (first.split.train, first.split.validation, first.split.test)
    groups = iter(group_near_duplicates(texts(everything(first))))
    for side, part in enumerate(parts):
        for _ in part:
            sides.setdefault(next(groups), set()).add(side)
    assert all(len(side) == 1 for side in sides.values())


def test_what_resembles_the_frozen_test_is_held_out(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(300))
    first = build(corpus())
    frozen = (tmp_path / "out" / "test.jsonl").read_bytes()
    near = [{"text": f"{example.text} too", "sentiment": "neutral"} for example in first.split.test[:7]]
    same = [{"text": f"{example.text.upper()}!", **example.labels} for example in first.split.test[:5]]
    write_lines(tmp_path / "more.jsonl", [*lines_of(200, seed=1), *near, *same])
    second = build(corpus() + corpus("more", "more.jsonl"))
    assert (tmp_path / "out" / "test.jsonl").read_bytes() == frozen
    assert second.split.test == first.split.test
    learned = [*second.split.train, *second.split.validation]
    groups = group_near_duplicates(texts([*second.split.test, *learned]))
    assert not set(groups[: len(second.split.test)]) & set(groups[len(second.split.test) :])
    is_held = [json.loads(line)["text"] for line in (tmp_path / "out" / "held_out.jsonl").read_text().splitlines()]
    assert set(is_held) == {line["text"] for line in near}
    assert second.held_out == 7
    assert {word_form(e.text) for e in first.split.train} <= {word_form(e.text) for e in everything(second)}
    assert len(everything(second)) == 500
    with pytest.raises(InputError, match=r"12 texts that are for train alone .*--drop-leaks"):
        build(corpus() + corpus("more", "more.jsonl", part='"train"'))
    assert load_dataset(tmp_path / "out") == second
    assert second.record.warnings == []
    third = build(corpus() + corpus("more", "more.jsonl", part='"train"'), drop_leaks=True)
    assert third.removed["leaks"] == 12
    assert {e.source for e in third.split.validation} == {"wire"}
    assert "more" in {e.source for e in third.split.train}
    assert third.split.test == first.split.test


def test_a_text_stays_in_its_part(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(300))
    first = build(corpus())
    chosen = first.split.validation[0]
    resembling = [{"text": f"{chosen.text} too", "sentiment": "neutral"}]
    write_lines(tmp_path / "more.jsonl", [*lines_of(200, seed=1), *resembling])
    second = build(corpus("more", "more.jsonl") + corpus())
    assert set(texts(first.split.train)) <= set(texts(second.split.train))
    assert set(texts(first.split.validation)) <= set(texts(second.split.validation))
    assert resembling[0]["text"] in texts(second.split.validation)
    assert len(second.split.validation) > len(first.split.validation) + 10
    assert len(everything(second)) == 501
    third = build(corpus("more", "more.jsonl", part='"train"') + corpus())
    assert resembling[0]["text"] in texts(third.split.train)  # what is for train alone is there
    assert third.split.test == second.split.test == first.split.test


def test_texts_that_a_new_one_joins_are_learnt(tmp_path: Path, build: Build) -> None:
    shared = [[f"s{number}x{word}" for word in range(14)] for number in range(60)]
    sides = [[[*words, *(f"{side}{i}" for i in range(6))] for side in "ab"] for words in shared]
    lines = [{"text": " ".join(words), "sentiment": "positive"} for pair in sides for words in pair]
    write_lines(tmp_path / "wire.jsonl", [*lines_of(300), *lines])
    first = build(corpus())
    parts = {text: part for part in ("train", "validation") for text in texts(getattr(first.split, part))}
    apart = [pair for pair in sides if {parts.get(" ".join(words)) for words in pair} == {"train", "validation"}]
    assert apart
    bridge = " ".join([*apart[0][0][:17], *apart[0][1][14:17]])
    write_lines(tmp_path / "more.jsonl", [{"text": bridge, "sentiment": "positive"}])
    second = build(corpus() + corpus("more", "more.jsonl"))
    assert {bridge, *(" ".join(words) for words in apart[0])} <= set(texts(second.split.train))


def test_a_damaged_part_is_dealt_anew(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(300))
    first = build(corpus())
    validation = tmp_path / "out" / "validation.jsonl"
    validation.write_bytes(validation.read_bytes()[:-9])
    (tmp_path / "out" / "train.jsonl").unlink()
    said: list[str] = []
    second = build(corpus(), report=said.append)
    assert [line for line in said if "dealt anew" in line] == said[:2]
    assert second.split == first.split


def test_a_build_elsewhere_follows_the_parts_of_another(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(300))
    first = build(corpus(), "first")
    write_lines(tmp_path / "more.jsonl", lines_of(200, seed=1))
    both = corpus("more", "more.jsonl") + corpus()
    second = build(both, "second", following=[tmp_path / "first"])
    for part in ("train", "validation", "test"):
        before, after = set(texts(getattr(first.split, part))), set(texts(getattr(second.split, part)))
        assert before < after, f"{part} keeps its texts and takes new ones"
    frozen = tmp_path / "frozen.jsonl"
    frozen.write_bytes((tmp_path / "first" / "validation.jsonl").read_bytes())
    third = build(both, "third", following=[tmp_path / "first"], test=frozen)
    assert third.split.test == first.split.validation
    assert set(texts(first.split.train)) <= set(texts(third.split.train))
    assert set(texts(first.split.test)) <= {*texts(third.split.train), *texts(third.split.validation)}

    # Left out of the last build, it is still what a model has learned.
    learned = texts(first.split.train)[0]
    write_lines(tmp_path / "less.jsonl", [line for line in lines_of(300) if line["text"] != learned])
    build(corpus("wire", "less.jsonl"), "less", following=[tmp_path / "first"])
    again = build(corpus(), "again", following=[tmp_path / "first", tmp_path / "less"])
    assert learned in texts(again.split.train)

    record = tmp_path / "first" / "dataset.json"
    record.write_bytes(record.read_bytes()[:-9])
    said: list[str] = []
    assert build(both, "fourth", following=[tmp_path / "first"], report=said.append).split == build(both, "fifth").split
    assert "dealt anew" in said[0]


def test_a_story_is_told_once_where_it_is_capped(tmp_path: Path, build: Build) -> None:
    stories = [line for number, line in enumerate(lines_of(200)) if number % 5 != 4]
    reworded = [{**line, "text": f"{line['text']} again"} for line in stories[:30]]
    after = {"negative": "neutral", "neutral": "positive", "positive": "negative"}
    turned = [{**line, "text": f"{line['text']} no", "sentiment": after[line["sentiment"]]} for line in stories[:10]]
    write_lines(tmp_path / "wire.jsonl", [*stories, *reworded, *turned])
    capped = corpus() + "[options]\nstory_cap = 1\n"
    first = build(capped)
    assert {e.text for e in everything(first)} == {line["text"] for line in [*stories, *turned]}
    assert first.removed["near-duplicates over the cap of a story"] == 30
    assert build(capped) == first
    labels = [Label(line["text"], "desk", "sentiment", line["sentiment"], "ada") for line in reworded[:4]]
    with_labels = build(capped, "labelled", labels)
    assert {e.text for e in everything(with_labels)} >= {line["text"] for line in reworded[:4]}
    assert with_labels.removed["near-duplicates over the cap of a story"] == 26
    assert len(everything(build(corpus(), "all"))) == 200


def test_a_frozen_label_stays(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(200))
    first = build(corpus())
    others = {"negative": "positive", "neutral": "negative", "positive": "neutral"}
    corrected = [Label(e.text, "desk", "sentiment", others[e.labels["sentiment"]], "ada") for e in first.split.test[:3]]
    second = build(corpus(), labels=corrected)
    assert second.split == first.split
    assert second.record.warnings == ["3 texts of the frozen test set are labelled otherwise today; it stays"]


def test_a_corpus_for_train_alone_stays_there(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(200))
    write_lines(tmp_path / "more.jsonl", [*lines_of(100, seed=1), *lines_of(40)])
    spec = corpus() + corpus("more", "more.jsonl", part='"train"')
    made = build(spec)
    pinned = {word_form(line["text"]) for line in (*lines_of(100, seed=1), *lines_of(40))}
    assert not pinned & {word_form(e.text) for e in (*made.split.validation, *made.split.test)}
    assert build(spec) == made


def test_a_test_set_from_elsewhere_is_frozen(tmp_path: Path, build: Build) -> None:
    lines = lines_of(200)
    write_lines(tmp_path / "wire.jsonl", lines)
    raw = [{**line, "text": f"{line['text']} https://t.co/x{n}"} for n, line in enumerate(lines[:15])]
    given = write_lines(tmp_path / "given.jsonl", raw)
    made = build(corpus(), test=given)
    assert (tmp_path / "out" / "test.jsonl").read_bytes() == given.read_bytes()
    assert texts(made.split.test) == [line["text"] for line in raw]
    learned = {word_form(e.text) for e in (*made.split.train, *made.split.validation)}
    assert not learned & {word_form(line["text"]) for line in raw}
    assert build(corpus(), test=given) == build(corpus()) == made
    other = write_lines(tmp_path / "other.jsonl", raw[:5])
    with pytest.raises(InputError, match="differs from"):
        build(corpus(), test=other)
    with pytest.raises(InputError, match=r"holds no text"):
        build(corpus(), "empty", test=write_lines(tmp_path / "none.jsonl", []))


def test_analysts_outrank_corpora(tmp_path: Path, build: Build) -> None:
    lines = lines_of(150)
    write_lines(tmp_path / "wire.jsonl", lines)

    def say(analyst: str, text: str, label: str | None, task: str = "sentiment") -> Label:
        return Label(text, "desk", task, label, analyst)

    labels = [
        say("ada", lines[0]["text"], "negative"),
        say("ada", lines[0]["text"].upper(), "positive"),  # her latest word
        say("bob", lines[0]["text"], "positive"),
        say("cid", lines[0]["text"], "neutral"),
        say("ada", lines[1]["text"], "negative"),
        say("bob", lines[1]["text"], "positive"),
        say("ada", "a text of our own @joe", "Energy", "topic"),
        say("bob", "a text of our own @jim", "Energy", "topic"),
        say("ada", "an old one", "Tulips", "topic"),
        say("ada", "one that was a mistake", "Energy", "topic"),
        say("ada", "one that was a mistake", None, "topic"),
        replace(say("eve", lines[2]["text"], "neutral"), final=True),
        say("ada", lines[2]["text"], "negative"),
    ]
    made = build(corpus(), labels=labels)
    by_text = {example.text: example for example in everything(made)}
    assert by_text[lines[0]["text"]].labels["sentiment"] == "positive"
    assert "sentiment" not in by_text[lines[1]["text"]].labels
    assert by_text[lines[1]["text"]].labels["topic"] == lines[1]["topic"]
    assert by_text["a text of our own @user"] == Example(
        "a text of our own @user", {"topic": "Energy"}, "desk", by_analysts=True
    )
    own = {example.text for example in everything(made) if example.by_analysts}  # a correction of a corpus's text too
    assert own == {lines[0]["text"], lines[2]["text"], "a text of our own @user"}
    assert "one that was a mistake" not in by_text
    assert by_text[lines[2]["text"]].labels["sentiment"] == "neutral"
    assert (made.ties, made.record.analysts) == (1, 3)
    assert made.removed["labels outside the taxonomy"] == 1
    (tie,) = map(json.loads, (tmp_path / "out" / "ties.jsonl").read_text().splitlines())
    assert tie["votes"] == {"negative": 1, "positive": 1}
    assert tie["between"] == "analysts"
    assert made.licences["wire"] == "MIT"
    assert "publishers" in made.licences["desk"]


def test_analysts_outrank_corpora_on_companies(tmp_path: Path, build: Build) -> None:
    """By name or by series; what they are split on is lost, and what they did not speak of stays."""
    text = "Acme soars as Beta slumps and Gamma Corp waits"
    said = [("Acme", "negative"), ("Beta", "negative"), ("Gamma Corp", "neutral")]
    named = [{"name": name, "sentiment": sentiment} for name, sentiment in said]
    write_lines(tmp_path / "wire.jsonl", [{**line, "entities": []} for line in lines_of(80)] + [
        {"text": text, "sentiment": "neutral", "entities": named}
    ])  # fmt: skip
    spec = corpus(fields='{ text = "text", sentiment = "sentiment?", topic = "topic?", entities = "entities" }')

    def say(analyst: str, entity: str, label: str | None, body: str = text.upper()) -> Label:
        return Label(body, "desk", "sentiment", label, analyst, entity=entity)

    def locate(form: str, names: Collection[str]) -> dict[str, Spans]:
        return {"ACM": occurrences(form, "acme")} if "ACM" in names else {}

    def companies(*labels: Label) -> list[tuple[str, str]]:
        made = build(spec, f"out{len(list(tmp_path.iterdir()))}", labels, locate=locate)
        (one,) = (example for example in everything(made) if example.text == text)
        assert one.labels == {"sentiment": "neutral"}
        return [(text[slice(*found.spans[0])], found.label) for found in one.entities]

    assert companies() == said
    ann = [say("ann", "ACM", "positive"), say("ann", "Delta", "positive")]
    assert companies(*ann) == [("Acme", "positive"), *said[1:]]
    assert companies(*ann, say("bob", "ACM", "neutral")) == said[1:]
    verdict = replace(say("cid", "ACM", "neutral"), final=True)
    assert companies(*ann, say("bob", "ACM", "negative"), verdict) == [("Acme", "neutral"), *said[1:]]
    assert companies(say("ann", "ACM", "positive"), say("bob", "Acme", "negative")) == said[1:]
    assert companies(say("ann", "Gamma", "positive")) == [*said[:2], ("Gamma", "positive")]
    assert companies(say("ann", "Beta", "positive"), say("ann", "Beta", None)) == said

    other = say("ann", "Delta", "positive", "Delta wins")
    made = build(spec, "other", [*ann, other, say("ann", "Delta", None, "Delta loses")])
    (one,) = (example for example in everything(made) if example.text == "Delta wins")
    assert (one.labels, [found.label for found in one.entities], one.source) == ({}, ["positive"], "desk")
    assert {example.text for example in everything(made) if example.by_analysts} == {text, "Delta wins"}
    assert made.record.analysts == 2
    assert made.removed["companies that the text does not name"] == 2
    split = build(spec, "split", [*ann, say("bob", "ACM", "neutral")])
    (tie,) = map(json.loads, (tmp_path / "split" / "ties.jsonl").read_text().splitlines())
    assert (tie["entity"], tie["votes"], split.ties) == ("ACM", {"neutral": 1, "positive": 1}, 1)


def test_agreement_by_hand() -> None:
    def say(analyst: str, label: str) -> Label:
        return Label("Acme", "desk", "topic", label, analyst)

    verdicts, ties = agree([say("a", "x"), say("b", "y"), say("c", "y"), say("a", "y"), say("c", "x")])
    assert [verdict.label for verdict in verdicts] == ["y"]
    assert ties == []
    assert agree([say("a", "x"), say("b", "y")])[1][0].votes == {"x": 1, "y": 1}
    assert agree([]) == ([], [])


def test_a_word_can_be_taken_back_and_a_verdict_outranks_all() -> None:
    def say(analyst: str, label: str | None, final: bool = False) -> Label:
        return Label("Acme", "desk", "topic", label, analyst, final=final)

    split = [say("a", "x"), say("b", "y")]
    assert agree([say("a", "x"), say("a", None)]) == ([], [])
    assert [one.label for one in agree([*split, say("a", None)])[0]] == ["y"]
    assert [one.label for one in agree([*split, say("c", "z", final=True)])[0]] == ["z"]
    assert [one.label for one in agree([say("c", "z", final=True), *split, say("d", "y")])[0]] == ["z"]
    assert [one.label for one in agree([*split, say("c", "z", final=True), say("c", "x", final=True)])[0]] == ["x"]
    assert agree([*split, say("c", "z", final=True), say("c", None, final=True)])[1][0].votes == {"x": 1, "y": 1}


def test_class_weights_average_to_one() -> None:
    train = [Example(f"t{n}", {"topic": "Banks" if n < 90 else "Energy"}, "x") for n in range(100)]
    labels = {"topic": ("Banks", "Energy", "Gas")}
    assert class_weights(train, labels, "none")["topic"] == {"Banks": 1, "Energy": 1, "Gas": 1}
    balanced = class_weights(train, labels, "balanced")["topic"]
    assert balanced == pytest.approx({"Banks": 100 / 180, "Energy": 5, "Gas": 1}, abs=1e-5)
    root = class_weights(train, labels, "sqrt")["topic"]
    assert root["Energy"] / root["Banks"] == pytest.approx(3, abs=1e-4)
    assert 0.9 * root["Banks"] + 0.1 * root["Energy"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("[[corpus]", "not valid TOML"),
        ("[option]\n", "unknown field `option`"),
        (corpus(part='"test"'), "corpus\\[0\\].part"),
        (corpus("Big Wire"), "lower-case letters"),
        (corpus() + corpus(), "two corpora named 'wire'"),
        (corpus(fields='{ text = "text", sentimnet = "s" }'), "did you mean `sentiment`"),
        (corpus(fields='{ text = "text" }'), "which column holds `text`"),
        (corpus(fields='{ topic = "topic" }'), "which column holds `text`"),
        (corpus() + 'labels.topic = { a = "Bank" }\n', "did you mean `Banks`"),
        (corpus(fields='{ text = "text", topic = "t" }') + "labels.sentiment = { a = '' }\n", "`fields` does not have"),
        (corpus(rows="0"), "rows is 0"),
        (corpus() + "[options]\nfractions = [0.5, 0.2, 0.2]\n", "whose sum is 1"),
        (corpus() + "[options]\nsimilarity = 0\n", "0.3 to 1"),
        (corpus() + "[options]\nseed = -1\n", "0 or more"),
        (corpus(path="none.jsonl"), "does not exist"),
        (corpus(fields='{ text = "txt", topic = "topic?" }'), "no column `txt`.*did you mean `text`"),
        (corpus(fields='{ text = "text", topic = "tpic" }'), "no column `tpic`"),
        ("", "no labelled text is left"),
    ],
)
def test_a_spec_that_is_wrong_is_named(tmp_path: Path, build: Build, spec: str, fault: str) -> None:
    write_lines(tmp_path / "wire.jsonl", [{k: v for k, v in line.items() if k != "note"} for line in lines_of(60)])
    with pytest.raises(InputError, match=f"(?s){fault}"):
        build(spec)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": "a b", "sentiment": "glad"}', "line 61: sentiment is 'glad'"),
        ('{"text": "a b", "topic": ["Banks"]}', "line 61: topic is "),
        ('{"topic": "Banks"}', "line 61 has labels and no text"),
        ("{", "line 61: not readable as JSON"),
        ('{"text": ' + "[" * 100_000, "line 61"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, build: Build, line: str, fault: str) -> None:
    path = write_lines(tmp_path / "wire.jsonl", lines_of(60))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError) as caught:
        build(corpus())
    assert fault in str(caught.value)


def test_classes_need_texts(tmp_path: Path, build: Build) -> None:
    lines = [line for line in lines_of(100) if line["sentiment"] != "neutral"]
    write_lines(tmp_path / "wire.jsonl", lines)
    with pytest.raises(InputError, match=r"no text is labelled 'neutral' \(sentiment\)"):
        build(corpus())
    write_lines(tmp_path / "wire.jsonl", [*lines, {"text": "a few", "sentiment": "neutral"}])
    with pytest.raises(InputError, match=r"'neutral' \(sentiment\) has 1; a label needs 3"):
        build(corpus())
    near = [{"text": "one two three four five six", "sentiment": "neutral"}]
    near += [{"text": "one two three four five six " + more, "sentiment": "neutral"} for more in ("7", "8")]
    given = write_lines(tmp_path / "given.jsonl", near[:1])
    write_lines(tmp_path / "wire.jsonl", [*lines, *near])
    with pytest.raises(InputError, match=r"no text of 'neutral' \(sentiment\) is left for train"):
        build(corpus(), "frozen", test=given)
    made = build(corpus())
    assert any("test has no text of neutral" in warning for warning in made.record.warnings)


@pytest.mark.parametrize("name", ["train.jsonl", "validation.jsonl", "test.jsonl", "dataset.json"])
def test_an_altered_dataset_is_refused(tmp_path: Path, build: Build, name: str) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(100))
    build(corpus())
    path = tmp_path / "out" / name
    path.write_bytes(path.read_bytes().replace(b"neutral", b"positiv", 1))
    with pytest.raises(InputError, match="altered"):
        load_dataset(tmp_path / "out")
    if name in ("test.jsonl", "dataset.json"):
        with pytest.raises(InputError, match="altered"):
            build(corpus())
    path.unlink()
    with pytest.raises(InputError, match=r"can't be read|holds no"):
        load_dataset(tmp_path / "out")


def test_what_stands_in_the_way_is_left_alone(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(100))
    (tmp_path / "out").mkdir()
    mine = write_lines(tmp_path / "out" / "train.jsonl", [{"my": "own"}])
    with pytest.raises(InputError, match="holds no finished dataset"):
        build(corpus())
    assert json.loads(mine.read_text()) == {"my": "own"}
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="holds no finished dataset"):
        build(corpus(), "file")


def test_an_unseen_source(tmp_path: Path, build: Build) -> None:
    write_lines(tmp_path / "wire.jsonl", lines_of(200))
    other = [{"text": line["text"], "sentiment": line["sentiment"]} for line in lines_of(100, seed=1)]
    near = [{"text": f"{line['text']} too", "sentiment": line["sentiment"]} for line in lines_of(20)]
    write_lines(tmp_path / "desk.jsonl", [*other, *near])
    made = build(corpus() + corpus("desk", "desk.jsonl", fields='{ text = "text", sentiment = "sentiment" }'))
    split, is_held = without_sources(made.split, made.labels, ["desk"])
    assert {e.source for part in (split.train, split.validation, split.test) for e in part} == {"wire"}
    assert sorted(texts(is_held)) == sorted(e.text for e in everything(made) if e.source == "desk")
    groups = group_near_duplicates(texts([*is_held, *split.train, *split.validation]))
    assert not set(groups[: len(is_held)]) & set(groups[len(is_held) :])
    assert len(split.train) < sum(e.source == "wire" for e in made.split.train)
    split, is_held = without_sources(made.split, made.labels, ["wire"])
    assert {task for e in is_held for task in e.labels} == {"sentiment"}  # desk teaches no topic
    with pytest.raises(InputError, match="no source 'radio' among the texts; there are desk, wire"):
        without_sources(made.split, made.labels, ["radio"])
    alone = build(corpus(), "alone")
    with pytest.raises(InputError, match="no text is left for train"):
        without_sources(alone.split, alone.labels, ["wire"])


def test_the_command_joins_labels_from_postgres(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", database_url)
    taxonomy = tmp_path / "taxonomy.toml"
    taxonomy.write_text(
        "".join(f"[tasks.{task}]\nlabels = {json.dumps(names)}\n" for task, names in TAXONOMY.tasks.items())
    )
    monkeypatch.setenv("NEWSTIDE_TAXONOMY", str(taxonomy))
    engine = open_engine(load_settings())
    add_labels(engine, [Label("our very own text", "desk", "topic", "Banks", "ada")])
    add_labels(engine, [Label("Apple gains on rivals", "desk", "sentiment", "positive", "ada", entity="AAPL")])
    engine.dispose()
    write_lines(tmp_path / "wire.jsonl", lines_of(80))
    (tmp_path / "spec.toml").write_text(corpus())
    runner = CliRunner()
    arguments = ["build", str(tmp_path / "spec.toml"), "--out", str(tmp_path / "out")]
    record = json.loads(runner.invoke(dataset_command, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert record["analysts"] == 2
    parts = load_dataset(tmp_path / "out").split
    examples = (*parts.train, *parts.validation, *parts.test)
    assert [one.entities for one in examples if one.entities] == [(EntityLabel(((0, 5),), "positive"),)]
    assert record["fingerprint"] == load_dataset(tmp_path / "out").fingerprint
    arguments[-1] = str(tmp_path / "plain")
    shown = runner.invoke(dataset_command, [*arguments, "--no-labels"], catch_exceptions=False).stdout
    assert "0 texts carry a label of your analysts" in shown
    card = (tmp_path / "out" / "DATA_CARD.md").read_text()
    for needed in (record["fingerprint"], "| wire | MIT |", "| Energy |", "publishers"):
        assert needed in card
    assert str(tmp_path) not in card + (tmp_path / "out" / "dataset.json").read_text()


def test_the_documented_spec_is_the_one_that_ships() -> None:
    assert PUBLIC.read_text(encoding="utf-8") in (PROJECT / "docs" / "datasets.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not PUBLIC_CORPORA.is_dir(), reason="the public corpora are not beside the checkout")
def test_the_public_corpora_split_as_ever(tmp_path: Path) -> None:
    taxonomy = load_taxonomy()
    made = build_dataset(load_spec(PUBLIC, taxonomy), PUBLIC_CORPORA, tmp_path / "out", taxonomy)
    assert [len(part) for part in (made.split.train, made.split.validation, made.split.test)] == [28_293, 3_536, 3_528]
    tested = {task: sum(row.values()) for task, row in made.record.counts["test"].items()}
    assert tested == {"sentiment": 1_884, "topic": 1_523}
    assert made.record.warnings == []
    assert made.record.removed["duplicates"] > 1_500
    parts = (made.split.train, made.split.validation, made.split.test)
    groups = iter(group_near_duplicates([example.text for part in parts for example in part]))
    sides = [{next(groups) for _ in part} for part in parts]
    assert sum(map(len, sides)) == len(set().union(*sides)), "a group of near-duplicates straddles two parts"
