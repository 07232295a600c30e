"""Sentiment towards each company: what a linear head reads from the token vectors of frozen networks, on SEntFiN.

    python benchmarks/bench_entities.py [--bundle models/default] [--folds 5] [--seed 0] [--finentity] [--json]

For the bundle's network and the packaged backbone, both as they are: the head of `trainer.learn.network` (mean vector
of a mention beside that of its text) and, as a control, one that sees the text's vector alone, both by logistic
regression in a cross-validation whose folds are groups of near-duplicates; each mention is judged by a head that saw
nothing like its headline. `bundle's label` is the label that the bundle gives the text; it learned from the headlines
whose companies all share one sentiment, but from none of the opposite ones. With --finentity, its paragraphs are learnt
from too, never judged on. The networks learn nothing here: what a fine-tuned head reaches is in a bundle's model card.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer

from core.bundle import load_bundle
from core.classifier import EMBEDDING, Classifier
from core.fitting import SENTIMENTS
from core.mentions import tokens_of
from core.settings import PROJECT
from trainer.data.corpora import read_corpus
from trainer.data.examples import Example, merge_duplicates
from trainer.data.spec import CorpusSpec
from trainer.data.splits import group_near_duplicates
from trainer.learn.backbone import load_encoder, packaged_backbone
from trainer.learn.tokenizer import load_tokenizer

SENTFIN = CorpusSpec(
    "sentfin",
    "sentfin/SEntFiN.csv",
    {"text": "Title", "sentiment": "Decisions", "entities": "Decisions"},
    "MIT",
    "sentfin",
)
FINENTITY = CorpusSpec(
    "finentity",
    "finentity/finentity.csv",
    {"text": "text", "entities": "extra"},
    "ODC-By 1.0",
    labels={"entities": {"Negative": "negative", "Neutral": "neutral", "Positive": "positive"}},
)
LENGTH = 128
BATCH = 32

Floats = NDArray[np.float32]
States = Iterator[tuple[list[int], Floats]]  # rows of a batch, hidden states (batch, length, width)


def bundle_states(model: bytes, tokens: Sequence[list[int]]) -> States:
    """Hidden states of a bundle's network: what its pooling averages."""
    proto = onnx.load_from_string(model)
    producers = {name: node for node in proto.graph.node for name in node.output}
    pooling = producers[producers[EMBEDDING].input[0]]
    hidden = pooling.input[1]
    proto.graph.output.append(helper.make_tensor_value_info(hidden, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for rows, ids, mask in _batches(tokens):
        yield rows, session.run([hidden], {"ids": ids, "mask": mask})[0]


@torch.no_grad()
def backbone_states(tokens: Sequence[list[int]]) -> States:
    """Hidden states of the packaged backbone."""
    encoder = load_encoder(packaged_backbone()).eval()
    for rows, ids, mask in _batches(tokens):
        yield rows, encoder(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


def _batches(tokens: Sequence[list[int]]) -> Iterator[tuple[list[int], NDArray[np.int64], Floats]]:
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        length = max(len(tokens[row]) for row in rows)
        ids, mask = np.zeros((len(rows), length), np.int64), np.zeros((len(rows), length), np.float32)
        for place, row in enumerate(rows):
            ids[place, : len(tokens[row])], mask[place, : len(tokens[row])] = tokens[row], 1
        yield rows, ids, mask


def features(examples: Sequence[Example], tokenizer: Tokenizer, network: bytes | None) -> tuple[Floats, NDArray[Any]]:
    """Vectors (mentions, 2 * width) of each mention and its text, and the row and label of each, (mentions, 2)."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    encodings = tokenizer.encode_batch([example.text for example in examples])
    tokens = [encoding.ids for encoding in encodings]
    found: list[tuple[int, int, Floats]] = []
    for rows, hidden in bundle_states(network, tokens) if network is not None else backbone_states(tokens):
        for place, row in enumerate(rows):
            pooled = hidden[place, : len(tokens[row])].mean(axis=0)
            for one in examples[row].entities:
                places = tokens_of(encodings[row].offsets, one.spans)
                if places:
                    vector = np.concatenate([hidden[place, places].mean(axis=0), pooled])
                    found.append((row, SENTIMENTS.index(one.label), vector))
    found.sort(key=lambda entry: entry[0])
    return np.stack([entry[2] for entry in found]), np.array([entry[:2] for entry in found])


def cross_validated(vectors: Floats, truth: NDArray[Any], folds: NDArray[Any]) -> NDArray[Any]:
    """Labels by heads that did not see the fold; fold -1 is learnt from alone, and its labels mean nothing."""
    predicted = np.full(len(truth), -1)
    for fold in sorted(set(folds.tolist()) - {-1}):
        learnt, judged = folds != fold, folds == fold
        centre, scale = vectors[learnt].mean(axis=0), vectors[learnt].std(axis=0) + 1e-6
        head = LogisticRegression(C=0.01, max_iter=300).fit((vectors[learnt] - centre) / scale, truth[learnt])
        predicted[judged] = head.predict((vectors[judged] - centre) / scale)
    return predicted


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Accuracy per network and head on all mentions, in headlines of several companies, and of opposite sentiments."""
    tasks = {"sentiment": SENTIMENTS}
    read = [read_corpus(SENTFIN, arguments.corpora, tasks).examples]
    if arguments.finentity:
        read.append(read_corpus(FINENTITY, arguments.corpora, tasks).examples)
    examples = [example for example in merge_duplicates(e for part in read for e in part)[0] if example.entities]
    groups = np.array(group_near_duplicates([example.text for example in examples]))
    places = np.random.default_rng(arguments.seed).integers(arguments.folds, size=groups.max() + 1)
    judged = np.array([example.source == SENTFIN.name for example in examples])
    folds = np.where(judged, places[groups], -1)
    bundle = load_bundle(arguments.bundle)
    classifier = Classifier(bundle, cache_texts=0)
    of_text = classifier.predict([example.text for example in examples])["sentiment"].argmax(axis=1)
    several = np.array([len(example.entities) > 1 for example in examples])
    opposite = np.array([{"negative", "positive"} <= {one.label for one in e.entities} for e in examples])
    networks = {bundle.name: bundle.model, "backbone": None}
    found: dict[str, Any] = {"headlines": int(judged.sum()), "seed": arguments.seed, "accuracy": {}}
    for name, network in networks.items():
        begun = time.perf_counter()
        tokenizer = Tokenizer.from_buffer(bundle.tokenizer) if network else load_tokenizer(packaged_backbone())
        vectors, mentions = features(examples, tokenizer, network)
        rows, truth = mentions.T
        width = vectors.shape[1] // 2
        heads = {
            "mention and text": cross_validated(vectors, truth, folds[rows]),
            "text alone": cross_validated(vectors[:, width:], truth, folds[rows]),
        }
        if network is not None:
            heads["bundle's label"] = of_text[rows]
        kinds = {"all": judged[rows], "several": several[rows], "opposite": opposite[rows]}
        for head, predicted in heads.items():
            for kind, chosen in kinds.items():
                chosen = chosen & judged[rows]
                accuracy = round(float((predicted[chosen] == truth[chosen]).mean()), 4)
                found["accuracy"].setdefault(name, {}).setdefault(head, {})[kind] = accuracy
                found[kind] = {"mentions": int(chosen.sum()), "texts": len(set(rows[chosen].tolist()))}
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finentity", action="store_true", help="Learn from FinEntity too.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['headlines']} headlines, seed {found['seed']}")
    for kind in ("all", "several", "opposite"):
        print(f"{kind}: {found[kind]['mentions']} mentions in {found[kind]['texts']} headlines")
    for name, heads in found["accuracy"].items():
        for head, figures in heads.items():
            print(f"{name}, {head}: " + ", ".join(f"{kind} {value:.4f}" for kind, value in figures.items()))


if __name__ == "__main__":
    main()
