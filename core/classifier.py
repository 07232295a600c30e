"""All tasks of a bundle in one forward pass on the CPU, with scores that depend on the text alone.

Three things make a text's scores the same to the last bit whatever surrounds it: activation scales are constants of
the graph, a text is padded to a length that follows from its own tokens, and only texts of equal padded length share a
batch.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

# One classifier is one thread's work; tokenizers would otherwise start a pool over all cores and warn after forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Encoding, Tokenizer

from core.bundle import ENTITY, Bundle
from core.errors import BundleError
from core.mentions import Spans, tokens_of
from core.scoring import OperatingPoint, softmax
from core.text import model_input
from core.tokenizer import parse_tokenizer
from core.unseen import Unseen

EMBEDDING = "embedding"  # name of the network's output of pooled vectors
PAD_MULTIPLE = 4
BATCH_TOKENS = 384  # activations of more do not stay in a core's L2 cache
CACHE_TEXTS = 50_000  # about 20 MB with 23 scores a text
# Far more than any accepted max_length can hold of real prose; tokenizing the rest would be wasted.
MAX_CHARACTERS = 4_000
# Without VNNI, eight-bit products saturate and scores shift by some hundredths; a wrong model is off by far more.
SELF_TEST_TOLERANCE = 0.2
# Both fuse Add and LayerNormalization into a kernel three times as slow as the two.
_SLOW_FUSIONS = ["SkipLayerNormFusion", "BiasSkipLayerNormFusion"]


class Reading(NamedTuple):
    """What a network says of n texts: probabilities (n, labels) per task, and of each text, for each of its mentions
    that were asked about, (labels,), or None where it says nothing of that one."""

    scores: dict[str, NDArray[np.float32]]
    mentions: list[list[NDArray[np.float32] | None]]

    def by_company(self, places: Sequence[Mapping[str, Spans]]) -> list[dict[str, NDArray[np.float32]]]:
        """For each text the scores of its companies, whose spans at `places` were asked about in this order; without
        those that the network says nothing of."""
        return [
            {company: scores for company, scores in zip(found, rows, strict=True) if scores is not None}
            for found, rows in zip(places, self.mentions, strict=True)
        ]


def text_form(text: str) -> str:
    """`text` as a classifier reads it: what the spans of its mentions count characters of."""
    return model_input(text)[:MAX_CHARACTERS]


class Classifier:
    """Scores texts for every task of `bundle`. Safe to share between threads.

    Raises BundleError if the network or the tokenizer can't be loaded or does not fit the manifest; each method that
    scores texts does where one of the two fails on them.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, cache_texts: int = CACHE_TEXTS) -> None:
        self._manifest = bundle.manifest
        self._where = str(bundle.path or bundle.name)
        self._tasks = tuple(bundle.manifest.tasks)
        self._temperatures = [spec.temperature for spec in bundle.manifest.tasks.values()]
        self._widths = [len(spec.labels) for spec in bundle.manifest.tasks.values()]
        self._entity = bundle.manifest.entity
        self._tokenizer = self._load_tokenizer(bundle)
        self._session = self._load_session(bundle, threads)
        self._cache: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._cache_texts = cache_texts
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the model, as stored beside each classified message."""
        return self._manifest.name

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it reads, the one it is for first."""
        return tuple(self._manifest.languages)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the manifest's order."""
        return self._tasks

    def labels(self, task: str) -> tuple[str, ...]:
        """Labels of `task` in the order of its scores. Raises KeyError for a task the bundle does not have."""
        return tuple(self._manifest.tasks[task].labels)

    @property
    def entity_labels(self) -> tuple[str, ...]:
        """Labels of the sentiment towards a mentioned company, in the order of its scores; none without that head."""
        return tuple(self._entity.labels) if self._entity is not None else ()

    @property
    def learnt(self) -> tuple[str, ...]:
        """Names of the sources that the model learned from, as far as its manifest tells."""
        return tuple(source.name for source in self._manifest.data if source.train)

    @property
    def unseen(self) -> Unseen | None:
        """Figures on sources that were left out, where its manifest has any."""
        return self._manifest.unseen

    def uses(self, task: str) -> dict[str, OperatingPoint]:
        """Thresholds of `task` by use, as its manifest has them; none in bundles made before they were chosen."""
        return self._manifest.tasks[task].uses

    def predict(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Probabilities (n, labels) per task for n texts, in their order; each row sums to 1.

        Texts may be raw: `core.text.model_input` is applied here.
        """
        return self.read([text_form(text) for text in texts]).scores

    def read(self, forms: Sequence[str], mentions: Sequence[Sequence[Spans]] = ()) -> Reading:
        """The same for n texts that are `text_form`s already, and, in the same pass, scores of what they mention.

        `mentions`, if any, has for each text the spans of each company in it. A company gets the mean over all tokens
        of its spans; none (None) where its spans lie behind the last token read, or the network has no such head.
        """
        asked = list(mentions) if mentions else [()] * len(forms)
        if self._entity is None:
            asked = [()] * len(forms)
        keys = [_key(form, spans) for form, spans in zip(forms, asked, strict=True)]
        rows: dict[bytes, NDArray[np.float32]] = {}
        with self._lock:
            for key in keys:
                if key in self._cache:
                    self._cache.move_to_end(key)
                    rows[key] = self._cache[key]
        unknown = {key: (f, spans) for key, f, spans in zip(keys, forms, asked, strict=True) if key not in rows}
        if unknown:
            fresh = dict(zip(unknown, self._score(list(unknown.values())), strict=True))
            rows.update(fresh)
            self._remember(fresh)
        width = sum(self._widths)
        table = np.empty((len(keys), width), dtype=np.float32)
        for index, key in enumerate(keys):
            table[index] = rows[key][:width]
        columns = np.split(table, np.cumsum(self._widths)[:-1], axis=1)
        scores = dict(zip(self._tasks, map(np.ascontiguousarray, columns), strict=True))
        if not mentions or self._entity is None:
            return Reading(scores, [[None] * len(spans) for spans in mentions or asked])
        found = (rows[key][width:].reshape(-1, len(self._entity.labels)) for key in keys)
        return Reading(scores, [[None if np.isnan(row[0]) else row for row in part] for part in found])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Mean-pooled vectors (n, width) of n texts, in their order: what the heads see. Not cached.

        Raises BundleError for a bundle whose network does not give them.
        """
        if EMBEDDING not in {output.name for output in self._session.get_outputs()}:
            raise BundleError(f"{self._where}: the network has no output `{EMBEDDING}`; retrain the bundle")
        rows: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(texts)
        tokens = self._tokenize([text_form(text) for text in texts])
        for members, (vectors,) in self._run(tokens, [EMBEDDING]):
            for member, vector in zip(members, vectors, strict=True):
                rows[member] = vector
        return np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)

    def self_test(self) -> None:
        """Read the last token of the vocabulary and as many tokens as the manifest allows, then score the manifest's
        own texts afresh. Raises BundleError naming what the network can't do or the text that comes out wrong."""
        self._run_farthest()
        tests = self._manifest.self_test
        table = self._score([(text_form(test.text), [(test.mention,)] if test.mention else []) for test in tests])
        for test, row in zip(tests, table, strict=True):
            known = [*(test.scores[task] for task in self._tasks), test.entity]
            expected = np.concatenate([np.asarray(scores, dtype=np.float32) for scores in known])
            worst = float(np.abs(row - expected).max())
            if not worst <= SELF_TEST_TOLERANCE:
                raise BundleError(
                    f"{self._where} fails its self-test: {test.text[:60]!r} is scored {worst:.2f} off; "
                    f"at most {SELF_TEST_TOLERANCE} is accepted: get the bundle again or retrain"
                )

    def _remember(self, fresh: dict[bytes, NDArray[np.float32]]) -> None:
        with self._lock:
            for key, row in fresh.items():
                self._cache[key] = row
                self._cache.move_to_end(key)
            while len(self._cache) > self._cache_texts:
                self._cache.popitem(last=False)

    def _score(self, texts: list[tuple[str, Sequence[Spans]]]) -> list[NDArray[np.float32]]:
        """One row of scores per text: all tasks side by side, then its mentions; those that were not read are NaN."""
        forms = [form for form, _ in texts]
        outputs = list(self._tasks)
        placed = any(spans for _, spans in texts)
        if placed:
            outputs.append(ENTITY)
        tokens = self._tokenize(forms, placed)
        rows: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(forms)
        for members, logits in self._run(tokens, outputs):
            scores = [softmax(part, t) for part, t in zip(logits, self._temperatures, strict=False)]
            for position, member in enumerate(members):
                rows[member] = np.concatenate([part[position] for part in scores])
            if placed:
                self._append_mentions(rows, members, logits[-1], [(tokens[m].offsets, texts[m][1]) for m in members])
        return rows

    def _append_mentions(
        self,
        rows: list[NDArray[np.float32]],
        members: list[int],
        logits: NDArray[np.float32],
        asked: list[tuple[list[tuple[int, int]], Sequence[Spans]]],
    ) -> None:
        """Put the scores of what each text of a batch is `asked` about behind its others in `rows`.

        `logits` (batch, length, labels); `asked`, for each member: where its tokens stand, the spans of its mentions.
        """
        assert self._entity is not None
        flat = [(place, offsets, one) for place, (offsets, mentions) in enumerate(asked) for one in mentions]
        means = np.full((len(flat), logits.shape[2]), np.nan, dtype=np.float32)
        for number, (place, offsets, spans) in enumerate(flat):
            found = tokens_of(offsets, spans)
            if found:
                # Added up in the order of the tokens, whatever else is in the batch.
                np.divide(np.add.reduce(logits[place, found], axis=0), len(found), out=means[number])
        scores = softmax(means, self._entity.temperature)
        begin = 0
        for member, (_, mentions) in zip(members, asked, strict=True):
            if mentions:
                end = begin + len(mentions)
                rows[member] = np.concatenate([rows[member], scores[begin:end].ravel()])
                begin = end

    def _run(
        self, tokens: Sequence[Encoding], outputs: list[str]
    ) -> Iterator[tuple[list[int], list[NDArray[np.float32]]]]:
        """The network's `outputs` for batches of texts as `tokens`, each with the positions of its members."""
        numbers = [encoding.ids for encoding in tokens]
        for members, length in _batches([len(ids) for ids in numbers], self._manifest.max_length):
            ids = np.zeros((len(members), length), dtype=np.int64)
            mask = np.zeros((len(members), length), dtype=np.float32)
            for position, member in enumerate(members):
                ids[position, : len(numbers[member])] = numbers[member]
                # A tokenizer without special tokens gives an empty text none at all; one stands in.
                mask[position, : max(len(numbers[member]), 1)] = 1
            with self._explained("the network fails on a text"):
                found = self._session.run(outputs, {"ids": ids, "mask": mask})
            yield members, found

    def _run_farthest(self) -> None:
        """Raise BundleError where the network has too few vectors for its tokenizer's tokens, or too few positions."""
        with self._explained("the tokenizer has no vocabulary"):
            last = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        longest = self._manifest.max_length
        for number, length, fault in (
            (last, PAD_MULTIPLE, f"the tokenizer does not fit its word vectors, which have none for token {last}"),
            (0, longest, f"the network fails on a text of {longest} tokens (`max_length`)"),
        ):
            ids = np.full((1, length), number, dtype=np.int64)
            with self._explained(fault):
                self._session.run(list(self._tasks), {"ids": ids, "mask": np.ones((1, length), dtype=np.float32)})

    def _tokenize(self, forms: Sequence[str], placed: bool = False) -> list[Encoding]:
        """The tokens of each of `forms`; `placed`: with their offsets."""
        with self._explained("the tokenizer fails on a text"):
            encode = self._tokenizer.encode_batch if placed else self._tokenizer.encode_batch_fast
            tokens: list[Encoding] = encode(forms)
        return tokens

    @contextmanager
    def _explained(self, fault: str) -> Iterator[None]:
        """Whatever the tokenizer (Rust) or the network (C++) raises as BundleError: plain Exception, a dozen unrelated
        classes, and for a panic one that is no Exception at all and would end the process."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise BundleError(f"{self._where}: {fault}: {error}; get the bundle again or retrain") from error

    def _load_tokenizer(self, bundle: Bundle) -> Tokenizer:
        with self._explained("the tokenizer can't be loaded"):
            tokenizer = parse_tokenizer(bundle.tokenizer)
            tokenizer.no_padding()
            tokenizer.enable_truncation(bundle.manifest.max_length)
        return tokenizer

    def _load_session(self, bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Else bytes that look like ONNX Runtime's own format are read as such, whatever was checked of the ONNX file.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Waiting threads that spin would take the core from the other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        # Batches have many shapes. The arena keeps their buffers apart from the heap, where whatever outlives a batch
        # would pin the freed ones: without it a worker grew by 25 kB a message.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = False
        with self._explained("the network can't be loaded"):
            session = onnxruntime.InferenceSession(
                bundle.model, options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOW_FUSIONS
            )
        inputs = sorted(value.name for value in session.get_inputs())
        outputs = {value.name: value.shape[-1] for value in session.get_outputs()}
        expected = dict(zip(self._tasks, self._widths, strict=True))
        if self._entity is not None:
            expected[ENTITY] = len(self._entity.labels)
        if inputs != ["ids", "mask"] or {name: outputs.get(name) for name in expected} != expected:
            raise BundleError(
                f"{self._where}: the network has inputs {inputs} and outputs {outputs}, "
                f"but the manifest asks for ids, mask and {expected}; retrain the bundle"
            )
        return session


def _key(form: str, mentions: Sequence[Spans]) -> bytes:
    """What tells a text, with what is asked about it, from every other."""
    content = form.encode(errors="surrogatepass")
    if mentions:
        content += b"\0" + repr(mentions).encode()  # no text as a classifier reads it holds a zero
    return hashlib.blake2b(content, digest_size=16).digest()


def _batches(lengths: Sequence[int], longest: int) -> Iterator[tuple[list[int], int]]:
    """Batches of indices with one padded length each, of about BATCH_TOKENS tokens."""
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        padded = min(-(-max(length, 1) // PAD_MULTIPLE) * PAD_MULTIPLE, longest)
        by_length.setdefault(padded, []).append(index)
    for length, members in by_length.items():
        size = max(1, BATCH_TOKENS // length)
        for start in range(0, len(members), size):
            yield members[start : start + size], length
