"""A bundle is read whole and verified, or refused with the reason."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from core.bundle import MAX_BYTES, Bundle, Manifest, SelfTest, TaskSpec, check_model, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import BundleError

WORDS = ["[PAD]", "[UNK]", "bad", "good", "dull"]


def tiny_model(task: str = "mood", width: int = 2, positions: int = 1_000) -> bytes:
    """Logits are the summed columns of a 5 x width table, one row per word; of more than `positions` words there are
    none."""
    table = np.arange(len(WORDS) * width, dtype=np.float32).reshape(len(WORDS), width) % 3
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("Shape", ["ids"], ["length"], start=1),
        helper.make_node("Slice", ["places", "zero", "length"], ["placed"]),
        helper.make_node("Add", ["words", "placed"], ["rows"]),
        helper.make_node("Unsqueeze", ["mask", "two"], ["weights"]),
        helper.make_node("Mul", ["rows", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], [task], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.zeros((positions, 1), dtype=np.float32), "places"),
        numpy_helper.from_array(np.array([0]), "zero"),
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(np.array([2]), "two"),
    ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "l"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["b", "l"]),
    ]
    outputs = [helper.make_tensor_value_info(task, TensorProto.FLOAT, ["b", width])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()


def tiny_tokenizer() -> bytes:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer.to_str().encode()


POINT = {"label": "low", "threshold": 0.4, "precision": 0.8, "recall": 0.7, "accuracy": 0.9}
MANIFEST = Manifest(1, "tiny", {"mood": TaskSpec(["low", "high"], 2.0)}, 16, "none")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", MANIFEST, tiny_model(), tiny_tokenizer(), "# card\n")
    return tmp_path / "bundle"


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_what_was_written_is_read_back(path: Path) -> None:
    bundle = load_bundle(path)
    assert bundle.name == "tiny"
    assert bundle.model == tiny_model()
    assert sorted(bundle.manifest.files) == ["MODEL_CARD.md", "model.onnx", "tokenizer.json"]
    assert sorted(entry.name for entry in path.iterdir()) == [
        "MODEL_CARD.md",
        "manifest.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert [entry.name for entry in path.parent.iterdir()] == ["bundle"]


def test_a_bundle_replaces_a_bundle_and_nothing_else(path: Path) -> None:
    write_bundle(path, msgspec.structs.replace(MANIFEST, name="second"), tiny_model(), tiny_tokenizer(), "# card\n")
    assert load_bundle(path).name == "second"
    other = path.parent / "documents"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(BundleError, match="holds no bundle"):
        write_bundle(other, MANIFEST, tiny_model(), tiny_tokenizer(), "")
    assert (other / "letter.txt").read_text() == "dear"


def test_an_inconsistent_manifest_is_not_written(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(MANIFEST, self_test=[SelfTest("a", {"mood": [0.1, 0.2, 0.7]})])
    with pytest.raises(BundleError, match="self-test 'a' does not fit"):
        write_bundle(tmp_path / "bundle", odd, tiny_model(), tiny_tokenizer(), "")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "MODEL_CARD.md", "manifest.json"])
def test_a_missing_file(path: Path, name: str) -> None:
    (path / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "MODEL_CARD.md"])
def test_an_altered_file(path: Path, name: str) -> None:
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name} has SHA-256"):
        load_bundle(path)


def test_an_extra_file(path: Path) -> None:
    (path / "weights.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"weights\.pkl is not listed"):
        load_bundle(path)


def test_a_link_is_no_file_of_a_bundle(path: Path) -> None:
    (path / "model.onnx").rename(path.parent / "elsewhere.onnx")
    (path / "model.onnx").symlink_to(path.parent / "elsewhere.onnx")
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/model.onnx", "manifest.json", "run.py"])
def test_a_listed_name_that_is_no_file_of_a_bundle(path: Path, name: str) -> None:
    edit(path, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match="is no file of a bundle"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_without_checksum(path: Path, name: str) -> None:
    edit(path, lambda manifest: manifest["files"].pop(name))
    with pytest.raises(BundleError, match=f"no checksum for {name}"):
        load_bundle(path)


def test_an_oversized_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MAX_BYTES, "tokenizer.json", 10)
    with pytest.raises(BundleError, match="larger than 10 bytes"):
        load_bundle(path)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("format_version", 2, "format version 2; this newstide reads version 1"),
        ("format_version", "one", "no valid manifest"),
        ("name", "../../x", "is not made of letters"),
        ("tasks", {}, "names no task"),
        ("tasks", {"mood": {"labels": ["one"]}}, "has 1 labels"),
        ("tasks", {"mood": {"labels": ["low", "high"], "temperature": 0}}, "temperature of `mood` is 0"),
        ("tasks", {"mood": {"labels": "low"}}, "no valid manifest"),
        (
            "tasks",
            {"mood": {"labels": ["low", "high"], "uses": {"alerts": {**POINT, "label": "awful"}}}},
            "fits no label",
        ),
        (
            "tasks",
            {"mood": {"labels": ["low", "high"], "uses": {"alerts": {**POINT, "threshold": -1}}}},
            "fits no label",
        ),
        ("unseen", {"of": "somebody", "scores": []}, "no valid manifest"),
        ("max_length", 1, "max_length is 1"),
        ("max_length", 10**9, "max_length is 1000000000"),
        ("surprise", True, "surprise"),
    ],
)
def test_a_manifest_at_fault(path: Path, field: str, value: object, fault: str) -> None:
    edit(path, lambda manifest: manifest.update({field: value}))
    with pytest.raises(BundleError, match=fault) as caught:
        load_bundle(path)
    assert "manifest.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"null"])
def test_a_manifest_that_is_no_json_object(path: Path, content: bytes) -> None:
    (path / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match="no valid manifest"):
        load_bundle(path)


def test_tensors_in_another_file(path: Path, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(tiny_model())
    onnx.save_model(
        model, tmp_path / "external.onnx", save_as_external_data=True, size_threshold=0, location="weights.bin"
    )
    content = (tmp_path / "external.onnx").read_bytes()
    (path / "model.onnx").write_bytes(content)
    edit(path, lambda manifest: manifest["files"].update({"model.onnx": hashlib.sha256(content).hexdigest()}))
    with pytest.raises(BundleError, match="tensors in another file"):
        load_bundle(path)


def field(number: int, content: bytes, extra: bytes = b"") -> bytes:
    """A length-delimited protobuf field; `extra` makes its length longer to write than it needs to be."""
    length = bytes([len(content) | 0x80]) + extra if extra else bytes([len(content)])
    return bytes([number << 3 | 2]) + length + content


def with_external_tensor(key: bytes) -> bytes:
    """A network with one tensor more, whose data is `/etc/passwd`: protobuf merges a message that comes twice."""
    place = field(13, key + field(2, b"../../../../../../etc/passwd"))
    tensor = b"\x08\x01\x10\x01" + field(8, b"extra") + place + b"\x70\x01"
    return tiny_model() + field(7, field(5, tensor))


@pytest.mark.parametrize(
    "key",
    [
        field(1, b"location"),
        field(1, b"location", extra=b"\x00"),
        field(1, b"location", extra=b"\x80\x80\x00"),
        b"\x8a\x00" + field(1, b"location")[1:],
        b"\x8a\x80\x00" + field(1, b"location", extra=b"\x00")[1:],
    ],
    ids=["plain", "long length", "longer length", "long tag", "both"],
)
def test_no_spelling_of_another_file_is_overlooked(key: bytes) -> None:
    """All of these are read as the same by ONNX Runtime."""
    model = with_external_tensor(key)
    (tensor,) = [t for t in onnx.load_model_from_string(model).graph.initializer if t.name == "extra"]
    assert (tensor.external_data[0].key, tensor.data_location) == ("location", TensorProto.EXTERNAL)
    with pytest.raises(BundleError, match="tensors in another file"):
        check_model(Bundle(MANIFEST, model, tiny_tokenizer()))


@pytest.mark.parametrize("last", [b"\x10", b"\x40", b"\x70"])
def test_bits_of_a_tag_that_are_dropped_hide_no_other_file(last: bytes) -> None:
    """The runtime reads on where a tag overflows; others call such a file corrupt."""
    model = with_external_tensor(b"\x8a\x80\x80\x80" + last + field(1, b"location")[1:])
    onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with pytest.raises(BundleError, match="tensors in another file"):
        check_model(Bundle(MANIFEST, model, tiny_tokenizer()))


def test_a_network_in_another_format_is_no_network(tmp_path: Path) -> None:
    """What the check reads is what is run: bytes in the runtime's own format, which it would recognise, are refused."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(tiny_model(), options, providers=["CPUExecutionProvider"])
    model = (tmp_path / "model.ort").read_bytes()
    onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])  # it is one
    with pytest.raises(BundleError, match="can't be loaded"):
        Classifier(Bundle(MANIFEST, model, tiny_tokenizer()))


def test_a_pipe_in_a_bundle_blocks_nobody(path: Path) -> None:
    (path / "tokenizer.json").unlink()
    os.mkfifo(path / "tokenizer.json")
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(path)


def test_a_path_that_is_no_directory(path: Path) -> None:
    for wrong in (path / "nowhere", path / "model.onnx"):
        with pytest.raises(BundleError, match="is no directory"):
            load_bundle(wrong)


def test_a_network_or_tokenizer_that_can_not_be_loaded() -> None:
    with pytest.raises(BundleError, match="network can't be loaded"):
        Classifier(Bundle(MANIFEST, b"not onnx", tiny_tokenizer()))
    with pytest.raises(BundleError, match="tokenizer can't be loaded"):
        Classifier(Bundle(MANIFEST, tiny_model(), b"{}"))


WORD_LEVEL = {"type": "WordLevel", "vocab": {"[UNK]": 1}, "unk_token": "[UNK]"}
TEMPLATE = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]


def with_tokenizer(**parts: Any) -> Bundle:
    return Bundle(MANIFEST, tiny_model(), json.dumps({"version": "1.0", "model": WORD_LEVEL, **parts}).encode())


def test_a_tokenizer_that_makes_its_library_panic() -> None:
    """What Rust raises then is no Exception, and would end the process."""
    with pytest.raises(BundleError, match="tokenizer can't be loaded"):
        Classifier(with_tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}))
    template = {"type": "TemplateProcessing", "single": TEMPLATE, "pair": TEMPLATE, "special_tokens": {}}
    with pytest.raises(BundleError, match="tokenizer fails on a text"):
        Classifier(with_tokenizer(post_processor=template)).predict(["good"])


@pytest.mark.parametrize("merge", [["a", "b"], "a b"])
def test_merges_that_would_abort_the_process(merge: object) -> None:
    words = {"a": 0, "b": 1, "##b": 2, "ab": 3}
    model = {"type": "BPE", "vocab": words, "merges": [["a", "##b"]], "continuing_subword_prefix": "##"}
    assert Classifier(with_tokenizer(model=model)).predict(["ab"])["mood"].shape == (1, 2)
    with pytest.raises(BundleError, match="'b' in `merges` lacks the prefix '##'"):
        Classifier(with_tokenizer(model={**model, "merges": [merge]}))


def tokenizer_of(words: dict[str, int]) -> bytes:
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer.to_str().encode()


def test_a_text_that_the_network_or_the_tokenizer_fails_on() -> None:
    beyond = Classifier(Bundle(MANIFEST, tiny_model(), tokenizer_of({"[UNK]": 1, "bad": 2, "rare": 9})))
    assert beyond.predict(["bad"])["mood"].shape == (1, 2)
    with pytest.raises(BundleError, match="the network fails on a text"):
        beyond.predict(["bad", "rare"])
    without = Classifier(Bundle(MANIFEST, tiny_model(), tokenizer_of({"bad": 2})))
    assert without.predict(["bad"])["mood"].shape == (1, 2)
    with pytest.raises(BundleError, match="the tokenizer fails on a text"):
        without.predict(["unheard"])


def test_the_self_test_finds_tokens_and_positions_that_the_network_lacks() -> None:
    """No text of the manifest is so long, or has that word."""
    beyond = Bundle(MANIFEST, tiny_model(), tokenizer_of({"[UNK]": 1, "bad": 2, "rare": 9}))
    with pytest.raises(BundleError, match="does not fit its word vectors, which have none for token 9"):
        Classifier(beyond).self_test()
    Classifier(Bundle(MANIFEST, tiny_model(positions=16), tiny_tokenizer())).self_test()
    short = Classifier(Bundle(MANIFEST, tiny_model(positions=12), tiny_tokenizer()))
    assert short.predict(["good"])["mood"].shape == (1, 2)
    with pytest.raises(BundleError, match=r"fails on a text of 16 tokens \(`max_length`\)"):
        short.self_test()


@pytest.mark.parametrize("model", [tiny_model("temper"), tiny_model(width=3)])
def test_a_network_that_does_not_fit_its_manifest(model: bytes) -> None:
    with pytest.raises(BundleError, match="but the manifest asks for"):
        Classifier(Bundle(MANIFEST, model, tiny_tokenizer()))


def test_the_self_test_tells_another_model(path: Path) -> None:
    scores = Classifier(load_bundle(path)).predict(["good"])["mood"][0]
    honest = msgspec.structs.replace(MANIFEST, self_test=[SelfTest("good", {"mood": [float(s) for s in scores]})])
    Classifier(write_bundle(path, honest, tiny_model(), tiny_tokenizer(), "")).self_test()
    swapped = msgspec.structs.replace(
        MANIFEST, self_test=[SelfTest("good", {"mood": [float(s) for s in scores[::-1]]})]
    )
    with pytest.raises(BundleError, match="'good' is scored"):
        Classifier(write_bundle(path, swapped, tiny_model(), tiny_tokenizer(), "")).self_test()


def test_a_softmax_over_logits_divided_by_the_temperature(path: Path) -> None:
    classifier = Classifier(load_bundle(path))
    scores = classifier.predict(["bad", "good good", "nonsense", ""])["mood"]
    # Rows of the table: bad (1, 2), good (0, 1), unknown words (2, 0), padding, which stands in for no word, (0, 1).
    logits = np.array([[1, 2], [0, 2], [2, 0], [0, 1]]) / 2
    assert scores == pytest.approx(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), abs=1e-6)
