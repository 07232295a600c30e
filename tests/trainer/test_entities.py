"""Sentiment towards each company: read, learnt, cut, quantized and judged."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from core.bundle import Bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError
from core.mentions import Spans, occurrences
from core.taxonomy import Taxonomy
from tests.trainer.conftest import BAD, GOOD, NAMES, PLAIN
from trainer.compress.distil import Mixture
from trainer.compress.prune import only_layers
from trainer.compress.student import distil_student, prepare_distillation
from trainer.data.build import build_dataset
from trainer.data.corpora import read_jsonl
from trainer.data.entities import EntityLabel, decisions, located
from trainer.data.examples import Example, merge
from trainer.data.spec import load_spec
from trainer.export import Origin, make_bundle
from trainer.learn.averaging import judge_all
from trainer.learn.batches import encode
from trainer.learn.network import load_network, save_network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import mask_number
from trainer.material import Material, from_dataset
from trainer.runs import Trained, Training, train

WORDS = {"negative": BAD, "neutral": PLAIN, "positive": GOOD}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory, tiny_taxonomy: Taxonomy) -> Material:
    """400 texts such as "acme1 plunge the acme7 wins". Names take their word in, so that the smallest network tells
    them apart by the tokens of the mention, and by nothing else."""
    generator = random.Random(5)
    folder = tmp_path_factory.mktemp("entities")
    lines = []
    for number in range(400):
        names = generator.sample(NAMES, 2)
        labels = [generator.choice(list(WORDS)) for _ in names]
        words = [generator.choice(WORDS[label]) for label in labels]
        text = f"{names[0]} {words[0]} the {generator.choice('abcdefghijk')} {names[1]} {words[1]}"
        line = {"text": text, "topic": generator.choice(["Banks", "Energy"]) if number % 3 == 0 else None}
        line["sentiment"] = labels[0] if labels[0] == labels[1] else None
        line["entities"] = [
            {"name": f"{name} {word}", "sentiment": label}
            for name, word, label in zip(names, words, labels, strict=True)
        ]
        lines.append(json.dumps(line))
    (folder / "lines.jsonl").write_text("\n".join(lines))
    (folder / "spec.toml").write_text(
        '[[corpus]]\nname = "wire"\npath = "lines.jsonl"\nlicence = "MIT"\n'
        'fields = { text = "text", sentiment = "sentiment", topic = "topic", entities = "entities" }\n'
    )
    made = build_dataset(load_spec(folder / "spec.toml", tiny_taxonomy), folder, folder / "built", tiny_taxonomy)
    card = (folder / "built" / "DATA_CARD.md").read_text()
    assert "companies that a text names" in card
    assert isinstance(made.record.entities, dict)
    assert sum(made.record.entities["train"].values()) == sum(len(e.entities) for e in made.split.train)
    assert any(not example.labels for example in made.split.train)
    return from_dataset(made)


@pytest.fixture(scope="module")
def trained(material: Material, tiny_backbone: Path) -> Trained:
    recipe = Recipe(epochs=5, encoder_rate=2e-3, head_rate=1e-2, masked_words=0, max_length=16)
    return train(material, Training(recipe, tiny_backbone, quiet=True))


@pytest.fixture(scope="module")
def bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    learned, material = trained.learned[0], trained.material
    origin = Origin("companies", "tiny", "test", "{}")
    return make_bundle(learned.network, learned.tokenizer, material, tmp_path_factory.mktemp("b") / "made", origin)


def test_it_learns_what_the_label_of_a_text_can_not_say(bundle: Bundle) -> None:
    assert bundle.manifest.entity is not None
    for variant in ("fp32", "int8"):
        score = bundle.manifest.entity.evaluation[variant]
        assert score.mentions.accuracy > 0.9, variant
        assert score.opposite.texts > 5
        assert score.opposite.accuracy > score.opposite.by_text + 0.2
        assert score.several.mentions == score.mentions.support
    assert bundle.path is not None
    assert "opposite (" in (bundle.path / "MODEL_CARD.md").read_text()


def test_a_company_gets_the_same_scores_whatever_surrounds_it(bundle: Bundle, material: Material) -> None:
    texts = [example.text for example in material.split.train[:150]]
    texts += [text + " the" * extra for extra, text in enumerate(texts[:9])]  # other lengths
    mentions: list[list[Spans]] = [[occurrences(text, name) for name in (text.split()[0], "acme")] for text in texts]
    mentions = [[spans for spans in one if spans] for one in mentions]
    classifier = Classifier(bundle, cache_texts=0)
    together = classifier.read(texts, mentions)
    plain = classifier.predict(texts)
    for row, text in enumerate(texts):
        alone = classifier.read([text], [mentions[row]])
        pair = classifier.read([text, "the"], [[*mentions[row], ((0, 1),)], []])
        for other in (alone.mentions[0][0], pair.mentions[0][0]):
            assert np.array_equal(together.mentions[row][0], other)
        assert np.array_equal(plain["sentiment"][row], alone.scores["sentiment"][0])
    cached = Classifier(bundle, threads=2)
    for _ in range(2):
        again = cached.read(texts, mentions)
        assert all(np.array_equal(one[0], two[0]) for one, two in zip(together.mentions, again.mentions, strict=True))


def test_what_is_behind_the_last_token_has_no_scores(bundle: Bundle) -> None:
    text = "the " * 200 + "acme1 plunge"
    read = Classifier(bundle).read([text, "acme1 plunge"], [[occurrences(text, "acme1")], [((0, 5),)]])
    assert read.mentions[0] == [None]
    assert read.mentions[1][0] is not None
    assert read.mentions[1][0].sum() == pytest.approx(1, abs=1e-5)


def test_a_head_that_does_not_fit_is_refused(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.entity is not None
    for change, fault in (
        ({"entity": msgspec.structs.replace(manifest.entity, labels=["good", "bad"])}, "asks for"),
        ({"entity": None}, None),
    ):
        tests = [msgspec.structs.replace(test, mention=None, entity=[]) for test in manifest.self_test]
        changed = Bundle(msgspec.structs.replace(manifest, self_test=tests, **change), bundle.model, bundle.tokenizer)
        if fault is not None:
            with pytest.raises(BundleError, match=fault):
                Classifier(changed)
            continue
        plain = Classifier(changed)  # a bundle without the head goes on
        plain.self_test()
        assert plain.entity_labels == ()
        assert plain.read(["acme1 plunge"], [[((0, 5),)]]).mentions == [[None]]
    wrong = [msgspec.structs.replace(test, entity=test.entity[::-1]) for test in manifest.self_test]
    with pytest.raises(BundleError, match="self-test"):
        Classifier(
            Bundle(msgspec.structs.replace(manifest, self_test=wrong), bundle.model, bundle.tokenizer)
        ).self_test()


def test_students_learn_companies_from_what_the_teachers_say(trained: Trained, tmp_path: Path) -> None:
    learned, material = trained.learned[0], trained.material
    save_network(learned, tmp_path / "kept.safetensors")
    teacher = msgspec.structs.replace(learned, network=load_network(tmp_path / "kept.safetensors").network)
    (start, end), *_ = material.split.train[0].entities[0].spans
    name = material.split.train[0].text[start:end]
    texts = [f"the {name} with $XYZ", "the " * 16 + f"{name} the"]
    first, again = (
        prepare_distillation([teacher], material, texts, Mixture(), 16, keep=tmp_path, quiet=True) for _ in range(2)
    )
    assert [[(one.spans[0], one.label) for one in text.entities] for text in first.unlabelled] == [
        [((4, 4 + len(name)), ""), ((10 + len(name), 14 + len(name)), "")],
        [((64, 64 + len(name)), "")],
    ]
    soft = first.soft["entity"]
    labelled = [one.label for example in material.split.train for one in example.entities]
    assert soft.shape == (len(labelled) + 3, 3)
    assert np.array_equal(soft, again.soft["entity"], equal_nan=True)
    assert soft[:-1].sum(1).numpy() == pytest.approx(1, abs=1e-5)
    assert soft[-1].isnan().all()  # it stands behind the last token read
    said = [teacher.network.entity_labels[number] for number in soft[: len(labelled)].argmax(1)]
    assert np.mean([one == other for one, other in zip(said, labelled, strict=True)]) > 0.9
    assert first.ensemble["entity"].weights == [1.0]

    student = only_layers(teacher.network, [0])
    assert student.entity is not None
    torch.nn.init.zeros_(student.entity.weight)
    recipe = Recipe(epochs=2, encoder_rate=2e-3, head_rate=1e-2, masked_words=0, max_length=16)
    tokenizer, mixture = teacher.tokenizer, Mixture(labels=0.0)
    distil_student(student, tokenizer, material, first, recipe, mixture, mask_number(tokenizer, "it"), quiet=True)
    validation = encode(material.split.validation, tokenizer, student.labels, 16, student.entity_labels)
    assert judge_all(student, validation)["entity"].accuracy > 0.9


def test_entities_are_read_as_corpora_write_them() -> None:
    cell = "{'Dr. Reddy's': 'neutral', \"Tata's\": 'positive', 'MMTC': 'negative'}"
    assert decisions(cell) == [("Dr. Reddy's", "neutral"), ("Tata's", "positive"), ("MMTC", "negative")]
    text = "Tata Motors up, Tata down, Beta flat, BETA"
    found = located(
        text, [("Tata", "negative"), ("Tata  Motors", "positive"), ("Beta", "neutral"), ("Gamma", "neutral")]
    )
    assert [(text[slice(*one.spans[0])], one.label) for one in found] == [
        ("Tata Motors", "positive"),
        ("Tata", "negative"),
        ("Beta", "neutral"),
    ]
    assert located("Beta flat", [("Beta", "neutral"), ("Beta", "positive")]) == ()
    copies = [
        Example("Alpha up, beta down", {}, "x", entities=located("Alpha up, beta down", [("Alpha", "positive")])),
        Example(
            "ALPHA up: Beta down!",
            {"sentiment": "positive"},
            "y",
            entities=located("ALPHA up: Beta down!", [("ALPHA", "negative"), ("Beta", "negative")]),
        ),
    ]
    (one,) = merge(copies).examples
    assert one.text == "Alpha up, beta down"
    assert one.entities == ()  # they disagree about Alpha
    assert merge([copies[0]]).examples[0].entities == (EntityLabel(((0, 5),), "positive"),)


@pytest.mark.parametrize(
    "entities", [[{"name": "a", "sentiment": "great"}], ["a"], 3, "[", [{"sentiment": "positive"}], [{"name": "a"}]]
)
def test_entities_that_are_none_are_named(tmp_path: Path, tiny_taxonomy: Taxonomy, entities: object) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"text": "a b", "entities": entities}))
    with pytest.raises(InputError, match=r"own\.jsonl line 1: .*entit"):
        read_jsonl(path, tiny_taxonomy)
