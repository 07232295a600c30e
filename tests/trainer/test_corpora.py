"""Labelled texts: reading, merging of copies, grouping, splitting."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.taxonomy import Taxonomy, load_taxonomy
from trainer.data.annotations import digest
from trainer.data.corpora import read_corpora, read_corpus, read_jsonl
from trainer.data.examples import Example, merge_duplicates
from trainer.data.spec import PUBLIC, CorpusSpec, load_spec
from trainer.data.splits import group_near_duplicates, split_examples


def _sentfin() -> CorpusSpec:
    return next(corpus for corpus in load_spec(PUBLIC, load_taxonomy()).corpus if corpus.name == "sentfin")


def test_sentfin_labels_companies_and_titles_with_one_sentiment(tmp_path: Path) -> None:
    folder = tmp_path / "sentfin"
    folder.mkdir()
    (folder / "SEntFiN.csv").write_text(
        "S No.,Title,Decisions,Words\n"
        "1,Alpha up,{'Alpha': 'positive'},2\n"
        "2,\"Alpha up, Beta down\",\"{'Alpha': 'positive', 'Beta': 'negative'}\",4\n"
        "3,Both flat,\"{'Dr. Reddy's': 'neutral', 'B': 'neutral'}\",2\n"
    )
    read = read_corpus(_sentfin(), tmp_path, load_taxonomy().tasks)
    assert [(e.text, e.labels.get("sentiment"), [one.label for one in e.entities]) for e in read.examples] == [
        ("Alpha up", "positive", ["positive"]),
        ("Alpha up, Beta down", None, ["positive", "negative"]),
        ("Both flat", "neutral", []),
    ]
    assert read.unlabelled == 0


def test_a_missing_corpus_or_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sent_train\.csv does not exist"):
        read_corpora(tmp_path)
    (tmp_path / "sentfin").mkdir()
    (tmp_path / "sentfin" / "SEntFiN.csv").write_text("Title\nAlpha\n")
    with pytest.raises(InputError, match="no column `Decisions`"):
        read_corpus(_sentfin(), tmp_path, load_taxonomy().tasks)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": "a", "sentiment": "glad"}', "glad"),
        ('{"text": "a"}', "has no label"),
        ('{"sentiment": "neutral"}', "expected some text"),
        ('["a"]', "no JSON object"),
        ("not json", "no JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "fine", "sentiment": "neutral"}\n\n' + line + "\n")
    with pytest.raises(InputError, match="line 3") as caught:
        read_jsonl(path, load_taxonomy())
    assert fault in str(caught.value)


def test_copies_are_merged_and_ties_left_out() -> None:
    examples = [
        Example("Alpha rises!", {"sentiment": "positive"}, "x"),
        Example("alpha RISES", {"topic": "Markets"}, "y"),
        Example("Beta", {"sentiment": "positive"}, "x"),
        Example("beta", {"sentiment": "negative"}, "x"),
        Example("Gamma", {"sentiment": "neutral"}, "x"),
        Example("gamma.", {"sentiment": "neutral"}, "x"),
        Example("gamma!", {"sentiment": "positive"}, "x"),
        Example("...", {"sentiment": "neutral"}, "x"),
    ]
    merged, counts = merge_duplicates(examples)
    assert [(e.text, e.labels) for e in merged] == [
        ("Alpha rises!", {"sentiment": "positive", "topic": "Markets"}),
        ("Gamma", {"sentiment": "neutral"}),
    ]
    assert counts == {"duplicates": 4, "conflicts": 1, "empty": 1}


def test_grouping_finds_every_similar_pair() -> None:
    words = [f"w{n}" for n in range(30)]
    texts = [" ".join(words[start : start + 10]) for start in range(0, 20, 1)]
    texts += ["x y z", "x y z q", "", "x"]
    groups = group_near_duplicates(texts)
    sets = [set(text.split()) for text in texts]
    for i, one in enumerate(sets):
        for j, other in enumerate(sets):
            if one and other and len(one & other) / len(one | other) >= 0.7:
                assert groups[i] == groups[j]
    assert groups[texts.index("x y z")] == groups[texts.index("x y z q")]
    assert groups[-1] not in groups[:-1]


def test_split_is_the_same_each_time() -> None:
    examples = [Example(f"text number{n} word{n * 7 % 31}", {"topic": "AB"[n % 2]}, "x") for n in range(200)]
    one, two = split_examples(examples, 5), split_examples(examples, 5)
    assert one == two
    assert Taxonomy({"topic": ("A", "B")}).labels("topic") == ("A", "B")


def test_labels_that_lie_apart_join_their_texts(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"t": "Profit  rose"}\n{"t": "Nobody labelled this"}\n{"t": 7}\n')
    apart = tmp_path / "labels.jsonl"
    corpus = CorpusSpec("theirs", "texts.jsonl", {"text": "t", "sentiment": "mood"}, "MIT", annotations="labels.jsonl")
    tasks = load_taxonomy().tasks
    key = digest("Profit rose")  # one space between words, whatever the file has
    apart.write_text(f'{{"text_sha256": "{key}", "mood": "positive"}}\n')
    found = read_corpus(corpus, tmp_path, tasks)
    assert [(one.text, one.labels) for one in found.examples] == [("Profit rose", {"sentiment": "positive"})]
    assert found.unlabelled == 2
    for line, fault in (
        (
            '{"text_sha256": "9f86", "mood": "positive"}',
            "line 2: text_sha256 is '9f86'; expected 64 hexadecimal digits",
        ),
        (apart.read_text(), "line 2: .* was annotated before"),
        ('{"mood": "positive"}', "text_sha256 is None"),
        ('{"text_sha256": "' + "0" * 64 + '", "mood": "glad"}', None),
    ):
        apart.write_text(f'{{"text_sha256": "{key}", "mood": "positive"}}\n{line}\n')
        if fault is None:  # of a text that is not there
            assert read_corpus(corpus, tmp_path, tasks) == found
        else:
            with pytest.raises(InputError, match=fault):
                read_corpus(corpus, tmp_path, tasks)
