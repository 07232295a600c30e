"""A bag-of-words network with its tokenizer as a bundle, and messages stored the way a worker stores them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from core.bundle import Bundle, Manifest, TaskSpec, write_bundle
from core.records import Message, encode
from core.settings import Settings
from core.store.connection import connect
from core.text import word_form
from stream.batch import Batch, Record, decode_records, label, link
from stream.commit import Committer
from stream.entities import load_watchlist
from stream.ledger import TopicLedger

SENTIMENTS = ["negative", "neutral", "positive"]
TOPICS = ["Earnings", "Energy", "Macro", "Markets"]
WIDTH = 24
FOREIGN = 300  # the words w300, w301 ... are of another dialect: their vectors lie elsewhere
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def random_texts(count: int, words: range, seed: int) -> list[str]:
    """Texts of twelve words each, no two of them alike enough to be one story."""
    generator = random.Random(seed)
    return [" ".join(f"w{number}" for number in generator.choices(words, k=12)) for _ in range(count)]


def word_bundle(path: Path, texts: Sequence[str], name: str = "words", sure: float = 4.0, width: int = WIDTH) -> Bundle:
    """A bundle whose embedding of a text is the mean of its words' vectors, drawn with a seed; each head is linear.

    `sure` scales the logits: the larger, the surer the model.
    """
    words = ["[PAD]", "[UNK]", *sorted({word for text in texts for word in word_form(text).split()})]
    generator = np.random.default_rng(5)
    table = generator.normal(size=(len(words), width)).astype(np.float32)
    table[[word[0] == "w" and word[1:].isdigit() and int(word[1:]) >= FOREIGN for word in words]] += 0.5
    table[:2] = 0
    table[[len(word) < 5 and word[0] != "w" for word in words]] /= 4  # short words say less
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Unsqueeze", ["mask", "two"], ["weights"]),
        helper.make_node("Mul", ["rows", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["embedding"]),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(np.array([2]), "two"),
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", width])]
    tasks = {"sentiment": SENTIMENTS, "topic": TOPICS}
    for task, labels in tasks.items():
        head = (sure * generator.normal(size=(width, len(labels)))).astype(np.float32)
        constants.append(numpy_helper.from_array(head, f"head_{task}"))
        nodes.append(helper.make_node("MatMul", ["embedding", f"head_{task}"], [task]))
        outputs.append(helper.make_tensor_value_info(task, TensorProto.FLOAT, ["b", len(labels)]))
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "l"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["b", "l"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "words", inputs, outputs, constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    manifest = Manifest(1, name, {task: TaskSpec(labels) for task, labels in tasks.items()}, 64, "none")
    return write_bundle(path, manifest, model.SerializeToString(), tokenizer.to_str().encode(), "# words\n")


def store_messages(
    settings: Settings,
    texts: Sequence[str],
    scores: Mapping[str, NDArray[np.float32]],
    model: str,
    *,
    first: int = 0,
    minutes: float = 1.0,
    language: str = "",
) -> None:
    """Commit `texts`, one every `minutes` of event time, as a worker that gave them `scores` would; `language` is what
    their source states."""
    received = datetime.now(UTC)
    records = []
    for number, text in enumerate(texts, start=first):
        message = Message(
            id=str(number),
            source="wire",
            kind="news",
            published_at=START + timedelta(minutes=minutes * number),
            received_at=received,
            text=text,
            language=language,
        )
        records.append(Record("newstide.messages", 0, number, message.id.encode(), encode(message)))
    items, rejected = link(decode_records(records)[0], load_watchlist())
    assert len(items) == len(records)
    assert not rejected
    committer = Committer(TopicLedger("newstide.messages"), timedelta(hours=72))
    with connect(settings, autocommit=True) as connection:
        committer.commit(connection, Batch(records, label(items, scores, TOPICS, model)))
