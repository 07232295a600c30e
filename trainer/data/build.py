"""From a spec and analysts' labels to a dataset: read, merge, split by groups around a frozen test set, write."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from core.errors import InputError
from core.labelled import read_objects
from core.store.labels import Label
from core.taxonomy import Taxonomy
from core.text import word_form
from trainer.data.checks import check_classes, check_train, class_weights, labels_seen, split_warnings
from trainer.data.consensus import Verdict, agree
from trainer.data.corpora import UNKNOWN_LICENCE, read_corpus
from trainer.data.datacard import data_card
from trainer.data.dataset import (
    CARD,
    FILES,
    FORMAT_VERSION,
    HELD_OUT,
    RECORD,
    TIES,
    UNKNOWN_SOURCE,
    Dataset,
    Record,
    count_entities,
    count_labels,
    example_lines,
    fingerprint,
    is_dataset,
    load_dataset,
    read_bytes,
    read_examples,
    read_record,
)
from trainer.data.entities import Locate, nowhere
from trainer.data.examples import Example, Tie, merge
from trainer.data.freezing import Placed, place
from trainer.data.spec import Options, Spec
from trainer.data.splits import PARTS, TEST, TRAIN, VALIDATION

OWN_LICENCE = "your own feeds and analysts; the terms of the publishers apply"
TEST_FILE = FILES[TEST]


class _Pool(msgspec.Struct):
    """Merged texts on their way into the split. Sets hold story forms."""

    examples: list[Example]
    ties: list[Tie]
    removed: dict[str, int]
    analysts: set[str]
    train_only: set[str]


def build_dataset(
    spec: Spec,
    base: Path,
    out: Path,
    taxonomy: Taxonomy,
    labels: Sequence[Label] = (),
    *,
    test: Path | None = None,
    following: Sequence[Path] = (),
    drop_leaks: bool = False,
    locate: Locate = nowhere,
    report: Callable[[str], None] = lambda stage: None,
) -> Dataset:
    """Build the dataset of `spec`, paths of corpora relative to `base`, joined with analysts' `labels`, into `out`.

    A test set is frozen: that of an earlier build in `out`, or the file `test`, stays byte for byte, and no text that
    resembles one of its texts comes into train or validation. What an earlier build in `out` had in train or validation
    stays there. So does what builds in the directories `following`, the oldest first, had there, and in their test
    parts where no test set is frozen; what was ever learned stays in train. The record is written last. `locate` finds
    companies that labels know by their series. `report` is called with each stage.
    Raises InputError for whatever in the files, the classes or the directory stands in the way; with `drop_leaks`,
    texts of corpora for train alone that touch the frozen test are left out instead of refused.
    """
    frozen_bytes = _frozen_test(out, test)
    parts = (TRAIN, VALIDATION, TEST) if frozen_bytes is None else (TRAIN, VALIDATION)
    earlier: dict[str, int] = {}
    for directory in (*following, out):
        found = _earlier_parts(directory, parts, report)
        earlier |= {form: part for form, part in found.items() if earlier.get(form) != TRAIN}
    report("reading corpora")
    pool = _gather(spec, base, taxonomy, labels, locate)
    frozen = None
    if frozen_bytes is not None:
        place_of_it = out / TEST_FILE if (out / TEST_FILE).is_file() or test is None else test
        frozen = read_examples(place_of_it, taxonomy.tasks)
        if not frozen:
            raise InputError(f"{place_of_it} holds no text; a frozen test set can't be empty")
    names = labels_seen([*pool.examples, *(frozen or [])], taxonomy)
    check_classes(pool.examples, names, spec.options.least_texts)
    report("looking for near-duplicates")
    placed = place(pool.examples, frozen, pool.train_only, spec.options, drop_leaks, pool.analysts, earlier)
    check_train(placed.split.train, names)
    report("writing")
    split = placed.split
    contents = {
        TIES: b"".join(msgspec.json.encode(tie) + b"\n" for tie in pool.ties),
        HELD_OUT: example_lines(placed.held_out),
        TEST_FILE: example_lines(split.test) if frozen_bytes is None else frozen_bytes,
        FILES[TRAIN]: example_lines(split.train),
        FILES[VALIDATION]: example_lines(split.validation),
    }
    record = _record(spec, pool, placed, names, taxonomy)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    record = msgspec.structs.replace(record, files=files)
    record = msgspec.structs.replace(record, fingerprint=fingerprint(record))
    _write(out, contents, record)
    return load_dataset(out)


def _frozen_test(out: Path, test: Path | None) -> bytes | None:
    """The bytes of the test set that must not change; None for the first build of a dataset without `test`."""
    kept = out / TEST_FILE
    if is_dataset(out):
        if not _is_as_built(kept, read_record(out)):
            raise InputError(
                f"{kept} is missing or was altered since it was frozen; put the file back, "
                "or build into another directory"
            )
    elif out.exists() and (not out.is_dir() or any((out / name).exists() for name in FILES[:TEST])):
        raise InputError(f"{out} exists and holds no finished dataset; choose another directory or remove it")
    given = read_bytes(test) if test is not None else None
    if kept.is_file():
        own = read_bytes(kept)
        if given is not None and given != own:
            raise InputError(f"{out} has a frozen test set that differs from {test}; build into another directory")
        return own
    return given


def _earlier_parts(out: Path, parts: Sequence[int], report: Callable[[str], None]) -> dict[str, int]:
    """The part of each story form in these `parts` of an earlier build in `out`; none where there was none.

    What is not as that build left it, or is of another version, tells nothing and is reported: its texts are dealt
    anew.
    """
    if not is_dataset(out):
        return {}
    found: dict[str, int] = {}
    try:
        record = read_record(out)
    except InputError as error:
        report(f"{error}; its texts are dealt anew")
        return {}
    for part in parts:
        path = out / FILES[part]
        if not _is_as_built(path, record):
            report(f"{path} is missing or was altered: its texts are dealt anew")
            continue
        found |= {word_form(entry["text"]): part for _, entry in read_objects(path)}
    return found


def _is_as_built(path: Path, record: Record) -> bool:
    return path.is_file() and hashlib.sha256(read_bytes(path)).hexdigest() == record.files.get(path.name)


def _gather(spec: Spec, base: Path, taxonomy: Taxonomy, labels: Sequence[Label], locate: Locate) -> _Pool:
    examples: list[Example] = []
    removed: Counter[str] = Counter()
    train_only: set[str] = set()
    for corpus in spec.corpus:
        read = read_corpus(corpus, base, taxonomy.tasks)
        examples += read.examples
        removed["unlabelled"] += read.unlabelled
        if corpus.part == PARTS[TRAIN]:
            train_only |= {word_form(example.text) for example in read.examples}
    # The table is append-only: labels of a taxonomy of the past stay in it and must not end every build.
    current = [one for one in labels if one.label is None or one.label in taxonomy.tasks.get(one.task, ())]
    removed["labels outside the taxonomy"] = len(labels) - len(current)
    verdicts, ties = agree(current)
    of_texts = [verdict for verdict in verdicts if not verdict.entity]
    decided = {(word_form(verdict.text), verdict.task): verdict.label for verdict in of_texts}
    contested = {(word_form(tie.text), tie.task) for tie in ties if not tie.entity}
    companies = _of_companies(verdicts, ties)
    examples += [Example(verdict.text, {verdict.task: verdict.label}, verdict.source) for verdict in of_texts]
    examples += [Example(verdict.text, {}, verdict.source) for verdict in verdicts if verdict.entity]
    merged = merge(examples, decided, contested, companies, locate)
    if not merged.examples:
        raise InputError("no labelled text is left to learn from; list corpora in the spec, or label messages")
    analysts = {form for form, _ in decided} | companies.keys()
    kept = _capped(merged.examples, analysts, spec.options)
    removed["over the cap of a source"] = len(merged.examples) - len(kept)
    counts = {reason: count for reason, count in removed.items() if count}
    return _Pool(kept, [*ties, *merged.ties], merged.removed | counts, analysts, train_only)


def _of_companies(verdicts: Sequence[Verdict], ties: Sequence[Tie]) -> dict[str, dict[str, str | None]]:
    """Label by company of each story form of which analysts say anything; None where they are split."""
    found: dict[str, dict[str, str | None]] = {}
    for verdict in verdicts:
        if verdict.entity:
            found.setdefault(word_form(verdict.text), {})[verdict.entity] = verdict.label
    for tie in ties:
        if tie.entity:
            found.setdefault(word_form(tie.text), {})[tie.entity] = None
    return found


def _capped(examples: list[Example], analysts: set[str], options: Options) -> list[Example]:
    """At most `source_cap` texts of each source, chosen by a hash: more texts later change the choice little."""
    if not options.source_cap:
        return examples
    ranks: dict[str, list[bytes]] = {}
    keys = []
    for example in examples:
        form = word_form(example.text)
        key = hashlib.blake2b(f"{options.seed} {form}".encode(), digest_size=16).digest()
        keys.append(b"" if form in analysts else key)
        if keys[-1]:
            ranks.setdefault(example.source, []).append(key)
    limits = {
        source: sorted(found)[options.source_cap - 1]
        for source, found in ranks.items()
        if len(found) > options.source_cap
    }
    return [
        example
        for example, key in zip(examples, keys, strict=True)
        if example.source not in limits or key <= limits[example.source]
    ]


def _record(spec: Spec, pool: _Pool, placed: Placed, labels: dict[str, tuple[str, ...]], taxonomy: Taxonomy) -> Record:
    split = placed.split
    parts = dict(zip(PARTS, (split.train, split.validation, split.test), strict=True))
    warnings = split_warnings(split, labels, taxonomy)
    if placed.relabelled:
        warnings.append(f"{placed.relabelled} texts of the frozen test set are labelled otherwise today; it stays")
    licences = {UNKNOWN_SOURCE: UNKNOWN_LICENCE} | {corpus.name: corpus.licence for corpus in spec.corpus}
    sources = sorted({example.source for examples in parts.values() for example in examples})
    per_source = {part: Counter(example.source for example in examples) for part, examples in parts.items()}
    agreement = {corpus.name: corpus.agreement for corpus in spec.corpus if corpus.agreement}
    left_out = {"leaks": placed.leaks, "near-duplicates over the cap of a story": placed.thinned}
    return Record(
        format_version=FORMAT_VERSION,
        labels=labels,
        class_weights=class_weights(split.train, labels, spec.options.class_weights),
        licences={source: licences.get(source, OWN_LICENCE) for source in sources},
        options=spec.options,
        counts=count_labels(parts, labels),
        sources={source: {part: per_source[part][source] for part in PARTS} for source in sources},
        removed=pool.removed | {reason: count for reason, count in left_out.items() if count},
        ties=len(pool.ties),
        held_out=len(placed.held_out),
        analysts=sum(word_form(e.text) in pool.analysts for e in (*split.train, *split.validation, *split.test)),
        warnings=warnings,
        files={},
        entities=count_entities(parts) if any(e.entities for part in parts.values() for e in part) else msgspec.UNSET,
        agreement=agreement or msgspec.UNSET,
        streams=[corpus.name for corpus in spec.corpus if corpus.sample == "stream"] or msgspec.UNSET,
    )


def _write(out: Path, contents: Mapping[str, bytes], record: Record) -> None:
    """Each file appears complete or not at all, the record, which holds the others' checksums, last."""
    last = {
        CARD: data_card(record).encode(),
        RECORD: msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in (dict(contents) | last).items():
            if name == TEST_FILE and (out / name).is_file():
                continue
            partial = out / f".{name}.partial"
            partial.write_bytes(content)
            partial.replace(out / name)
    except OSError as error:
        raise InputError(f"{out} can't be written: {error.strerror}; choose another directory") from error
