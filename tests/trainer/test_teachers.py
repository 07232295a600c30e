"""Networks that answer beside a bundle: for texts of which sources, how loudly, and what a training makes of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from core.bundle import ENTITY, load_bundle
from core.errors import InputError
from core.scoring import softmax
from core.text import word_form
from newstide.commands.train import train as train_command
from trainer.compress.ensemble import Answers, ask
from trainer.continuing import continued
from trainer.data.dataset import load_dataset
from trainer.data.entities import EntityLabel
from trainer.data.examples import Example
from trainer.data.splits import Split
from trainer.learn.backbone import load_encoder
from trainer.learn.network import Learned, Network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer
from trainer.material import Material, from_dataset
from trainer.pipeline import train_bundle
from trainer.runs import Training, train
from trainer.teachers import Teachers, answers_of

LENGTH = 32
GOOD = Recipe(epochs=10, encoder_rate=3e-3, head_rate=1e-2, label_smoothing=0.0, patience=10)


@pytest.fixture(scope="module")
def material(tiny_dataset: Path) -> Material:
    """The tiny texts, those of every other line from a source of their own."""
    whole = from_dataset(load_dataset(tiny_dataset))

    def parted(part: list[Example]) -> list[Example]:
        return [msgspec.structs.replace(e, source="desk") if row % 2 else e for row, e in enumerate(part)]

    split = whole.split
    parts = Split(parted(split.train), parted(split.validation), parted(split.test))
    return msgspec.structs.replace(whole, split=parts, licences=whole.licences | {"desk": "MIT"})


@pytest.fixture(scope="module")
def good(tiny_backbone: Path, material: Material) -> Learned:
    (learned,) = train(material, Training(GOOD, tiny_backbone, quiet=True)).learned
    return learned


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, material: Material) -> Path:
    """A bundle that has learnt next to nothing of the tiny texts."""
    out = tmp_path_factory.mktemp("bundles") / "live"
    recipe = Recipe(epochs=1, encoder_rate=1e-6, head_rate=1e-6)
    bundle = train_bundle(material, Training(recipe, tiny_backbone, quiet=True), out, name="live")
    assert bundle.path is not None
    return bundle.path


def untaught(backbone: Path, material: Material, seed: int = 0, entity: tuple[str, ...] = ()) -> Learned:
    torch.manual_seed(seed)
    network = Network(load_encoder(backbone), material.labels, entity_labels=entity)
    return Learned(network, load_tokenizer(backbone), f"untaught {seed}", Recipe())


def test_a_teacher_is_heard_where_it_is_right_and_asked_of_its_sources_alone(
    tiny_backbone: Path, material: Material, good: Learned
) -> None:
    begun, lines = untaught(tiny_backbone, material), list[str]()
    texts = material.split.train
    found = answers_of(
        begun,
        Teachers([good], ["desk"]),
        texts,
        material.split.validation,
        LENGTH,
        keep=None,
        log=lines.append,
        quiet=True,
    )
    alone, taught = ask(begun, texts, LENGTH, quiet=True), ask(good, texts, LENGTH, quiet=True)
    desk = np.array([example.source == "desk" for example in texts])
    assert 0 < desk.sum() < len(texts)
    for task in material.labels:
        assert np.allclose(found[task][~desk], softmax(alone[task])[~desk], atol=1e-6)
        assert np.allclose(found[task][desk], softmax(taught[task])[desk], atol=0.15)
        right = [row for row, e in enumerate(texts) if task in e.labels and desk[row]]
        truth = [material.labels[task].index(texts[row].labels[task]) for row in right]
        assert (found[task][right].argmax(1) == truth).mean() > 0.8
        assert (softmax(alone[task])[right].argmax(1) == truth).mean() < 0.7
    assert [line.split(" is taught by ")[0] for line in lines] == list(material.labels)


def test_companies_of_texts_that_others_answer_are_found_by_their_place(
    tiny_backbone: Path, material: Material
) -> None:
    """They stand text by text, and texts name none, one or two."""
    labels = material.labels["sentiment"]

    def naming(example: Example, count: int) -> Example:
        words = [word for word in example.text.split() if word.startswith("acme")][:count]
        places = [(example.text.rindex(word), example.text.rindex(word) + len(word)) for word in words]
        return msgspec.structs.replace(example, entities=tuple(EntityLabel((place,), labels[0]) for place in places))

    texts = [naming(example, row % 3) for row, example in enumerate(material.split.train[:40])]
    begun, other = (untaught(tiny_backbone, material, seed, labels) for seed in (0, 1))

    def answers(learned: list[Learned]) -> Answers:
        teachers = Teachers(learned, ["desk"])
        return answers_of(begun, teachers, texts, [], LENGTH, keep=None, log=lambda line: None, quiet=True)

    found = answers([other])[ENTITY]
    alone, both = (softmax(ask(one, texts, LENGTH, quiet=True)[ENTITY]) for one in (begun, other))
    desk = np.array([example.source == "desk" for example in texts for _ in example.entities])
    assert 0 < desk.sum() < len(found)
    assert np.allclose(found[~desk], alone[~desk], atol=1e-6)
    assert np.allclose(found[desk], (alone[desk] + both[desk]) / 2, atol=1e-6)  # nobody is judged: equal weights
    assert not np.allclose(alone[desk], both[desk], atol=1e-3)
    silent = untaught(tiny_backbone, material, seed=2)  # on companies; on texts as a whole it has its say
    assert np.allclose(answers([other, silent])[ENTITY], alone, atol=1e-6)


def test_all_texts_that_teachers_answer_are_rehearsed(live: Path, material: Material, good: Learned) -> None:
    desk = sum(example.source == "desk" for example in material.split.train)
    course = continued(live, material, Recipe(rehearsed=10), Teachers([good], ["desk"]))
    assert len(course.train.ids) == desk + 10
    assert [course.train.names[number] for number in course.train.sources].count("desk") == desk
    alone = continued(live, material, Recipe(rehearsed=10))
    assert len(alone.train.ids) == 10
    assert not alone.taught


def test_variants_of_texts_that_teachers_answer_are_learnt_too(
    live: Path, material: Material, good: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, of the same source, with the teachers' answers alone, and none of a text that judges."""
    recipe = Recipe(known_labels=0.9, rehearsed=10)
    asked = list[Example]()

    def remembered(learned: Learned, examples: list[Example], *rest: object, **named: object) -> Answers:
        asked[:] = examples
        return ask(learned, examples, LENGTH, quiet=True)

    monkeypatch.setattr("trainer.teachers.ask", remembered)
    plain = continued(live, material, recipe, Teachers([good], ["desk"]))
    course = continued(live, material, recipe, Teachers([good], ["desk"], 2))
    texts = len(plain.train.ids)
    assert course.train.ids[:texts] == plain.train.ids
    variants = asked[-(len(course.train.ids) - texts) :]
    assert texts - 10 < len(variants) <= 2 * (texts - 10)
    assert {(one.source, len(one.labels)) for one in variants} == {("desk", 0)}
    forms = [word_form(one.text) for one in variants]
    assert len(forms) == len(set(forms))
    assert not set(forms) & {word_form(example.text) for example in material.examples()}
    taught = ask(good, variants, LENGTH, quiet=True)
    for task, targets in course.taught.items():
        assert torch.equal(targets[:texts], plain.taught[task])
        assert np.allclose(targets[texts:], softmax(taught[task]), atol=0.15)


def test_what_a_bundle_lacks_it_learns_of_a_teacher(
    tmp_path: Path, live: Path, material: Material, good: Learned
) -> None:
    def accuracy(teachers: Teachers) -> float:
        # By this recipe the true labels have no weight: all that is learnt is of teachers.
        training = Training(GOOD, live, tmp_path / "kept", teachers, quiet=True)
        bundle = train_bundle(material, training, tmp_path / "next", name="next")
        return {score.task: score.accuracy for score in bundle.manifest.evaluation["int8"]}["sentiment"]

    assert accuracy(Teachers()) < 0.6
    assert accuracy(Teachers([good])) > 0.8
    card = (tmp_path / "next" / "MODEL_CARD.md").read_text()
    assert "gone on from live, which taught it beside the labels; tiny-bert answered texts of all sources" in card
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 2, "a run that is kept is of its teachers"
    assert len(list((tmp_path / "kept" / "answers").glob("*.safetensors"))) == 2, "and what both said is kept"


def test_teachers_that_cannot_answer_are_explained(live: Path, material: Material, good: Learned) -> None:
    with pytest.raises(InputError, match=r"there is no source 'deks' among the texts for teachers to answer"):
        continued(live, material, Recipe(), Teachers([good], ["deks", "desk"]))
    other = Network(good.network.encoder, {"sentiment": ("bad", "good"), "topic": ("Banks", "Energy")})
    with pytest.raises(InputError, match="a teacher made of tiny-bert knows other labels than live"):
        continued(live, material, Recipe(), Teachers([msgspec.structs.replace(good, network=other)]))


def test_teachers_of_the_command(
    tmp_path: Path, tiny_backbone: Path, tiny_dataset: Path, live: Path, material: Material
) -> None:
    def run(*words: object) -> Result:
        arguments = ["--dataset", tiny_dataset, "--out", tmp_path / "out", "--json", *words]
        return CliRunner().invoke(train_command, [str(word) for word in arguments], catch_exceptions=False)

    kept = tmp_path / "kept"
    train(from_dataset(load_dataset(tiny_dataset)), Training(GOOD, tiny_backbone, kept, quiet=True))
    done = run("--backbone", live, "--teacher", kept, "--teacher", live, "--teaches", "wire", "--variants", 2)
    assert "sentiment is taught by live, seed 0: " in done.stderr
    assert "tiny-bert, seed 0: " in done.stderr
    command = load_bundle(tmp_path / "out").manifest.code["command"]
    assert "--backbone live --teacher kept --teacher live --teaches wire --variants 2 " in command
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "answered texts of wire, and up to 2 variants of each, beside it" in card
    (tmp_path / "empty").mkdir()
    for words, reason in (
        (("--teacher", kept), "--teacher belongs to a training that goes on from a bundle"),
        (("--backbone", live, "--teaches", "wire"), "--teaches belongs to --teacher"),
        (("--backbone", live, "--variants", 2), "--variants belongs to --compress or --teacher; add --compress or"),
        (("--backbone", live, "--teacher", tmp_path / "empty"), "empty holds no .*safetensors and is no bundle"),
        (("--schedule", "--teacher", kept), "--schedule has no use for --"),
    ):
        with pytest.raises(InputError, match=reason):
            run(*words)


def test_teachers_of_one_backbone_are_counted_on_the_card(good: Learned) -> None:
    assert Teachers([good, good], ["wire"]).in_words() == "2 of tiny-bert answered texts of wire beside it"
