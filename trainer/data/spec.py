"""What a dataset is made of: a TOML file that lists corpora, how to read them, and the options of the split."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Literal

import msgspec

from core.columns import closest_hint
from core.errors import InputError
from core.labelled import ENTITIES, SENTIMENT
from core.taxonomy import Taxonomy
from core.toml_file import read_toml

TEXT_FIELDS = ("text", "title", "language", "published_at")
BY_ANALYSTS = "by_analysts"  # of a line whose labels analysts decided
# Fields of a line of a dataset, so no names for tasks.
RESERVED = (*TEXT_FIELDS, ENTITIES, BY_ANALYSTS, "source", "month")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PUBLIC = Path(__file__).with_name("public.toml")


class CorpusSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A corpus: a file, which column fills which field, and what its labels are called here.

    `fields` maps `text` (needed), `title`, `language`, `published_at` and names of tasks to columns, written as in
    `core.columns`, and `entities` to a column with names of companies and the sentiment towards each. `labels` maps,
    per task, a cell to a label; "" leaves the row without one. Without a map, cells are labels. `rows`: read this many
    rows at most. `part`: `train` keeps every text out of validation and test.
    `agreement`: share of labels that a second annotator gave as well, by task, where it was measured. A `path` that
    begins with "./" is relative to the spec, any other to the directory of the corpora. `annotations`, a path likewise:
    lines {"text_sha256", "<task>": "<label>"} whose fields join the row of that text (`trainer.data.annotations`).
    `sample`: `stream` where its texts are a sample of those that a stream has, and not written or chosen to teach.
    """

    name: str
    path: str
    fields: dict[str, str]
    licence: str
    format: Literal["", "jsonl", "csv", "parquet", "sentfin"] = ""
    labels: dict[str, dict[str, str]] = {}
    rows: int | None = None
    part: Literal["any", "train"] = "any"
    agreement: dict[str, float] = {}
    annotations: str = ""
    sample: Literal["", "stream"] = ""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to split and weigh.

    `fractions` of train, validation and test; `similarity`: Jaccard index of words from which two texts are
    near-duplicates; `story_cap`: most texts of a group of near-duplicates with the same labels, and `source_cap`: most
    texts of one source, both 0 for no limit, texts that an analyst labelled not counted; `least_texts`: fewer texts of
    a label are an error.
    """

    seed: int = 0
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    similarity: float = 0.7
    class_weights: Literal["none", "balanced", "sqrt"] = "none"
    source_cap: int = 0
    least_texts: int = 3
    story_cap: int | msgspec.UnsetType = msgspec.UNSET  # datasets from before it keep their fingerprint


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dataset's corpora, in the order that decides whose copy of a text is kept, and its options.

    `include` names specs, relative to this one, whose corpora come before its own; their options do not count.
    """

    include: list[str] = []
    corpus: list[CorpusSpec] = []
    options: Options = Options()


def load_spec(path: Path, taxonomy: Taxonomy) -> Spec:
    """The spec in the TOML file `path` with the corpora of those it includes, checked against `taxonomy`.

    Raises InputError naming the file, the corpus and the fault.
    """
    spec = _read(path)
    included = [corpus for name in spec.include for corpus in _read_included(path, name)]
    spec = msgspec.structs.replace(spec, include=[], corpus=[*included, *_placed(spec, path)])
    _check_options(spec.options, path)
    taken = sorted(set(taxonomy.tasks) & set(RESERVED))
    if taken:
        raise InputError(f"the taxonomy names a task {taken[0]!r}, which is a field of every line; rename the task")
    for corpus in spec.corpus:
        _check_corpus(corpus, taxonomy, f"{path}, corpus {corpus.name[:80]!r}")
    names = [corpus.name for corpus in spec.corpus]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{path} has two corpora named {repeated[0]!r}; give each a name of its own")
    return spec


def _read(path: Path) -> Spec:
    try:
        return msgspec.convert(read_toml(path), Spec)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}; docs/datasets.md describes the file") from error


def _read_included(path: Path, name: str) -> list[CorpusSpec]:
    """The corpora of the spec that `path` includes as `name`."""
    other = path.parent / name
    spec = _read(other)
    if spec.include:
        raise InputError(f"{path} includes {name}, which includes others itself; name them all in {path.name}")
    return _placed(spec, other)


def _placed(spec: Spec, path: Path) -> list[CorpusSpec]:
    """The corpora of the spec in `path`; what lies beside it with absolute paths."""

    def placed(name: str) -> str:
        return str((path.parent / name).resolve()) if name.startswith("./") else name

    return [
        msgspec.structs.replace(corpus, path=placed(corpus.path), annotations=placed(corpus.annotations))
        for corpus in spec.corpus
    ]


def _check_options(options: Options, path: Path) -> None:
    if not all(math.isfinite(f) and f > 0 for f in options.fractions) or abs(sum(options.fractions) - 1) > 1e-6:
        raise InputError(f"{path}: fractions are {list(options.fractions)}; expected three above 0 whose sum is 1")
    if not 0.3 <= options.similarity <= 1:
        raise InputError(f"{path}: similarity is {options.similarity}; 0.3 to 1 are accepted")
    if min(options.source_cap, options.story_cap or 0, options.seed) < 0 or options.least_texts < 1:
        raise InputError(f"{path}: seed, source_cap and story_cap must be 0 or more, least_texts 1 or more")


def _check_corpus(corpus: CorpusSpec, taxonomy: Taxonomy, where: str) -> None:
    if not _NAME.fullmatch(corpus.name):
        raise InputError(f"{where}: a name is made of lower-case letters, digits, '.', '_' and '-', at most 64")
    if not corpus.licence.strip():
        raise InputError(f"{where} names no licence; say what its texts may be used for")
    if corpus.rows is not None and corpus.rows < 1:
        raise InputError(f"{where}: rows is {corpus.rows}; expected 1 or more, or no such line")
    tasks = [name for name in corpus.fields if name not in TEXT_FIELDS]
    # What is said of companies carries the labels of sentiment.
    allowed = {**taxonomy.tasks, **({ENTITIES: taxonomy.tasks[SENTIMENT]} if SENTIMENT in taxonomy.tasks else {})}
    known = (*TEXT_FIELDS, *allowed)
    for name in tasks:
        if name not in allowed:
            raise InputError(
                f"{where}: fields names {name!r}{closest_hint(name, known)}; expected one of {', '.join(known)}"
            )
    if "text" not in corpus.fields or not tasks:
        raise InputError(f"{where}: fields must say which column holds `text`, and which the labels of a task")
    if any(not origin.strip() for origin in corpus.fields.values()):
        raise InputError(f"{where}: fields has an empty column name")
    for task, share in corpus.agreement.items():
        if task not in tasks or not 0 < share <= 1:
            raise InputError(f"{where}: agreement.{task} is {share}; expected a task of `fields`, and above 0 to 1")
    for task, names in corpus.labels.items():
        if task not in tasks:
            raise InputError(f"{where}: labels are given for {task!r}, which `fields` does not have")
        for label in names.values():
            if label and label not in allowed[task]:
                raise InputError(
                    f"{where}: labels.{task} names {label!r}{closest_hint(label, allowed[task])}; "
                    f"the taxonomy has {', '.join(allowed[task])}"
                )
