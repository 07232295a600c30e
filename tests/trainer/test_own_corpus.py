"""newstide's own corpus as it ships: nobody else's texts, every file a source, splits by story."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from core.errors import InputError
from core.settings import PROJECT
from core.taxonomy import load_taxonomy
from trainer.data.annotations import read_annotations
from trainer.data.build import build_dataset
from trainer.data.spec import load_spec
from trainer.data.splits import group_near_duplicates

OWN = PROJECT / "data" / "own"
_ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def test_the_corpus_that_ships_is_built_by_story_and_is_what_its_card_says(tmp_path: Path) -> None:
    taxonomy = load_taxonomy()
    made = build_dataset(load_spec(OWN / "corpora.toml", taxonomy), tmp_path, tmp_path / "out", taxonomy)
    parts = (made.split.train, made.split.validation, made.split.test)
    everything = [example for part in parts for example in part]
    card = (OWN / "README.md").read_text(encoding="utf-8")
    told = {name: tuple(map(int, counts)) for name, *counts in _ROW.findall(card)}
    # Only what was written for this corpus: texts of others that were labelled for it stay outside.
    files = {path.stem for path in OWN.glob("*.jsonl")}
    assert files == set(told)
    assert not files & {"en_uci", "en_tweets"}
    moods = Counter((e.source, e.labels["sentiment"]) for e in everything)
    for name, counts in told.items():
        source = f"own-{name.replace('_', '-')}"
        found = [moods[source, mood] for mood in ("positive", "negative", "neutral")]
        assert (sum(found), *found) == counts
        assert {e.language for e in everything if e.source == source} == {name[:2]}
        assert all(any(e.source == source for e in part) for part in parts)
    assert len(everything) == sum(counts[0] for counts in told.values()) == 56_317
    assert set(made.record.licences.values()) == {"CC BY 4.0 (newstide's own corpus)"}
    assert made.record.agreement["own-zh-news"] == {"sentiment": 0.986, "topic": 0.927}  # type: ignore[index]
    numbers = iter(group_near_duplicates([example.text for example in everything]))
    groups = [{next(numbers) for _ in part} for part in parts]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_english_texts_of_all_corpora_have_one_spec() -> None:
    names = [corpus.name for corpus in load_spec(PROJECT / "data" / "english.toml", load_taxonomy()).corpus]
    assert len([name for name in names if name.startswith("own-en-")]) == 86
    assert {"sentfin", "twitter-fin-topic", "finentity", "uci-headlines"} < set(names)
    assert not [name for name in names if "-zh-" in name]


def test_chinese_texts_and_those_of_both_languages_have_specs_too() -> None:
    taxonomy = load_taxonomy()
    names = {
        name: [corpus.name for corpus in load_spec(PROJECT / "data" / f"{name}.toml", taxonomy).corpus]
        for name in ("english", "chinese", "bilingual")
    }
    assert len([name for name in names["chinese"] if name.startswith("own-zh-")]) == 11
    assert names["bilingual"] == [*names["english"], *names["chinese"]]
    apart = [corpus.name for corpus in load_spec(PROJECT / "data" / "twitter_headlines.toml", taxonomy).corpus]
    assert apart == ["twitter-headlines", "twitter-headlines9"]
    assert not set(apart) & set(names["bilingual"]), "their border to neutral is not the public corpora's"


def test_labels_that_ship_without_their_texts_hold_none_of_them() -> None:
    tasks = load_taxonomy().tasks
    files = sorted((PROJECT / "data" / "annotations").glob("*.jsonl"))
    card = (PROJECT / "data" / "annotations" / "README.md").read_text(encoding="utf-8")
    for path in files:
        found = read_annotations(path)
        moods = Counter(fields["sentiment"] for fields in found.values())
        told = [f"{count:,}" for count in (len(found), *(moods[mood] for mood in ("positive", "negative", "neutral")))]
        assert f"| {' | '.join(told)} |" in card, path
        for fields in found.values():
            assert {"sentiment"} <= set(fields) <= {"sentiment", "topic"}
            assert all(fields[task] in tasks[task] for task in fields)
    assert len(files) == 14


def test_chinese_stories_are_told_by_their_characters() -> None:
    texts = [
        "澜岳科技预计全年净利润同比增长62%至85%",
        "澜岳科技：预计全年净利润同比增长62%至85%",
        "恒矩精工中标某地铁集团设备采购项目",
    ]
    assert group_near_duplicates(texts) == [0, 0, 1]


def test_specs_include_others_and_files_beside_them(tmp_path: Path) -> None:
    corpus = '[[corpus]]\nname = "{}"\npath = "{}"\nlicence = "MIT"\nfields = {{ text = "t", topic = "l" }}\n'
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "inner.toml").write_text(corpus.format("near", "./near.jsonl"))
    spec = tmp_path / "spec.toml"
    spec.write_text('include = ["other/inner.toml"]\n' + corpus.format("far", "far.jsonl"))
    taxonomy = load_taxonomy()
    found = load_spec(spec, taxonomy)
    assert [(one.name, one.path) for one in found.corpus] == [
        ("near", str(tmp_path / "other" / "near.jsonl")),
        ("far", "far.jsonl"),
    ]
    (tmp_path / "other" / "inner.toml").write_text('include = ["spec.toml"]')
    with pytest.raises(InputError, match=r"includes other/inner.toml, which includes others"):
        load_spec(spec, taxonomy)
    for agreement in ("{ topic = 1.2 }", "{ sentiment = 0.9 }"):
        spec.write_text(corpus.format("far", "far.jsonl") + f"agreement = {agreement}\n")
        with pytest.raises(InputError, match="agreement"):
            load_spec(spec, taxonomy)
