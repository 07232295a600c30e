"""The model bundle: a directory with the network, its tokenizer, a card, and a manifest with their checksums.

Reading a bundle executes nothing: ONNX and JSON only, every byte checked against the manifest before it is used, and
the manifest against its signature where keys are trusted.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.errors import BundleError, SettingsError
from core.language import ENGLISH
from core.reference import Reference, check_reference
from core.scoring import EntityScore, OperatingPoint, StreamScore, TaskScore
from core.signatures import ANYBODY, Trust, sign_manifest
from core.taxonomy import check_task
from core.unseen import Unseen

FORMAT_VERSION = 1
SERVED = "int8"  # of the variants in a manifest's evaluation, the one that the bundle holds
MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CARD = "MODEL_CARD.md"
ENTITY = "entity"  # what the sentiment towards a mentioned company is called among outputs and figures
SIGNATURE = "manifest.sig"

MAX_BYTES = {MANIFEST: 4_000_000, MODEL: 2_000_000_000, TOKENIZER: 100_000_000, CARD: 4_000_000, SIGNATURE: 1_000}
MAX_LENGTH_RANGE = (4, 8192)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
# How a protobuf spells the key `location` of a tensor kept in another file: a tag and a length, each of which may be
# written with more bytes than it needs (a fifth may hold bits beyond the 32nd, which are dropped), and the word.
_LONGER = rb"\x80*[\x00\x10\x20\x30\x40\x50\x60\x70]"
_EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a" + _LONGER + rb")(?:\x08|\x88" + _LONGER + rb")location")


class TaskSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels of a task in the order of its scores, and the temperature that its logits are divided by.

    `uses`: for `alerts` (all bad news that can be had at a precision of 0.8) and `dashboards` (accuracy) the threshold
    on the score of one label, with what it came to on the validation part that it was chosen on. Without one, the
    likeliest label counts.
    """

    labels: list[str]
    temperature: float = 1.0
    uses: dict[str, OperatingPoint] = {}


class EntitySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentiment towards a company that a text mentions: the network's output `entity` (batch, length, labels) has
    logits per token; their mean over the tokens of a mention, divided by the temperature, gives its scores.

    `evaluation` is per variant, as that of the tasks.
    """

    labels: list[str]
    temperature: float = 1.0
    evaluation: dict[str, EntityScore] = {}


class DataSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A corpus the model learned from: its licence and its rows in each part of the split."""

    name: str
    licence: str
    train: int
    validation: int
    test: int


class SelfTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A text, and the scores per task that this bundle gave for it when it was made; of a company that it mentions,
    where (`mention`: first character and the one behind the last) and the scores."""

    text: str
    scores: dict[str, list[float]]
    mention: tuple[int, int] | None = None
    entity: list[float] = []


def named_languages(content: Mapping[str, Any]) -> list[str]:
    """The languages that a manifest's `content` names, the one it is for first. One that names none is of a bundle made
    before it had to; all of those read English."""
    return content.get("languages") or [ENGLISH]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `manifest.json` holds. `files` maps each file name to its SHA-256 in hex; `evaluation` is per variant;
    `reference` is what drift is measured against; `entity` is there where the network has that head; `languages` are
    those that it reads, as ISO 639-1 codes, and `named_languages` where it names none; `unseen`: figures on sources
    that were left out; `streams`: what it makes of the test texts of sources that are samples of a stream."""

    format_version: int
    name: str
    tasks: dict[str, TaskSpec]
    max_length: int
    backbone: str
    files: dict[str, str] = {}
    evaluation: dict[str, list[TaskScore]] = {}
    data: list[DataSource] = []
    code: dict[str, str] = {}
    self_test: list[SelfTest] = []
    reference: Reference | None = None
    entity: EntitySpec | None = None
    languages: list[str] = msgspec.field(default_factory=lambda: named_languages({}))
    unseen: Unseen | None = None
    streams: list[StreamScore] = []


class Bundle(msgspec.Struct, frozen=True):
    """A verified bundle, in memory: nothing is read from disk after the checks."""

    manifest: Manifest
    model: bytes
    tokenizer: bytes
    path: Path | None = None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def languages(self) -> list[str]:
        """Codes of the languages that it reads, the one it is for first."""
        return self.manifest.languages


class _Version(msgspec.Struct):
    format_version: int


def load_bundle(path: Path, trust: Trust = ANYBODY) -> Bundle:
    """The bundle in directory `path`, every file verified.

    Raises BundleError naming the file and the fault: a missing, extra, altered or oversized file, a name that leaves
    the directory, another format version, a malformed manifest, tensors kept outside `model.onnx`, no signature of
    whom `trust` asks for.
    """
    if not path.is_dir():
        raise BundleError(f"{path} is no directory; pass the directory that holds {MANIFEST}")
    content = _read(path, MANIFEST)
    trust.check(content, _read(path, SIGNATURE) if (path / SIGNATURE).exists() else None, str(path))
    manifest = _parse_manifest(content, path / MANIFEST)
    _check_listing(path, manifest)
    contents = {name: _read(path, name) for name in manifest.files}
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        if digest != manifest.files[name]:
            raise BundleError(
                f"{path / name} has SHA-256 {digest[:16]}… but the manifest says {manifest.files[name][:16]}…; "
                "the file was altered or cut short: get the bundle again"
            )
    bundle = Bundle(manifest, contents[MODEL], contents[TOKENIZER], path)
    check_model(bundle)
    return bundle


def check_model(bundle: Bundle) -> None:
    """Raise BundleError if the manifest of `bundle` is inconsistent or its network refers to other files."""
    where = str(bundle.path or "the bundle")
    _check_manifest(bundle.manifest, where)
    if _EXTERNAL_DATA.search(bundle.model):
        raise BundleError(f"{where}: {MODEL} keeps tensors in another file; export it again as a single file")


def check_target(path: Path, name: str) -> None:
    """Raise BundleError where `write_bundle` would refuse directory `path` or a bundle's `name`.

    Long work asks this first, rather than lose its model at the end.
    """
    if path.exists() and not (path / MANIFEST).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(f"{path} exists and holds no bundle; choose another directory or remove it")
    _check_name(name, str(path))


def write_bundle(path: Path, manifest: Manifest, model: bytes, tokenizer: bytes, card: str) -> Bundle:
    """Write a bundle to directory `path`, checksums filled in, and return it as read back.

    The directory appears complete or not at all. A bundle that stood there is replaced; anything else is left alone
    and refused with BundleError.
    """
    check_target(path, manifest.name)
    contents = {MODEL: model, TOKENIZER: tokenizer, CARD: card.encode()}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = msgspec.structs.replace(manifest, format_version=FORMAT_VERSION, files=files)
    check_model(Bundle(manifest, model, tokenizer, path))
    contents[MANIFEST] = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        for name, content in contents.items():
            (fresh / name).write_bytes(content)
        if path.exists():
            path.replace(Path(scratch) / "previous")
        fresh.replace(path)
        shutil.rmtree(Path(scratch) / "previous", ignore_errors=True)
    return load_bundle(path)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the bundle in directory `path`, the other files unread. Raises BundleError as `load_bundle`."""
    return _parse_manifest(_read(path, MANIFEST), path / MANIFEST)


def sign_bundle(path: Path, key: Path) -> Bundle:
    """Sign the bundle in directory `path`, whole and verified, with the private key in the PEM file `key`.

    Raises BundleError for one that is broken, InputError for a file that holds no key.
    """
    bundle = load_bundle(path)
    fresh = path.parent / f".{path.name}.{SIGNATURE}"  # a bundle holds no other files, not even for a moment
    fresh.write_bytes(sign_manifest(_read(path, MANIFEST), key))
    fresh.replace(path / SIGNATURE)
    return bundle


def _parse_manifest(content: bytes, where: Path) -> Manifest:
    try:
        version = msgspec.json.decode(content, type=_Version).format_version
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{where} has format version {version}; this newstide reads version {FORMAT_VERSION}: "
                "retrain the bundle, or use the newstide it was made with"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{where} is no valid manifest: {error}; get the bundle again or retrain") from error
    _check_manifest(manifest, str(where))
    return manifest


def _check_manifest(manifest: Manifest, where: str) -> None:
    _check_name(manifest.name, where)
    if not manifest.tasks:
        raise BundleError(f"{where} names no task; a bundle needs at least one")
    if manifest.entity is not None and ENTITY in manifest.tasks:
        raise BundleError(
            f"{where} has a task `{ENTITY}`, which is what sentiment towards companies is called; rename it"
        )
    heads: dict[str, TaskSpec | EntitySpec] = {**manifest.tasks}
    if manifest.entity is not None:
        heads[ENTITY] = manifest.entity
    for task, spec in heads.items():
        try:
            check_task(task, spec.labels, where)
        except SettingsError as error:
            raise BundleError(str(error)) from error
        if not (math.isfinite(spec.temperature) and spec.temperature > 0):
            raise BundleError(f"{where}: the temperature of `{task}` is {spec.temperature}; it must be above 0")
    if not manifest.languages or not all(_LANGUAGE.fullmatch(code) for code in manifest.languages):
        raise BundleError(f"{where}: languages are {manifest.languages[:9]}; expected ISO 639 codes such as en or zh")
    for task, judged in manifest.tasks.items():
        for use, point in judged.uses.items():
            if point.label not in judged.labels or not 0 <= point.threshold < math.inf:
                raise BundleError(
                    f"{where}: the threshold of `{task}` for {use[:80]!r} fits no label; retrain the bundle"
                )
    low, high = MAX_LENGTH_RANGE
    if not low <= manifest.max_length <= high:
        raise BundleError(f"{where}: max_length is {manifest.max_length}; {low} to {high} are accepted")
    for test in manifest.self_test:
        scores = test.scores if test.mention is None else {**test.scores, ENTITY: test.entity}
        expected = manifest.tasks if test.mention is None else heads
        if {task: len(row) for task, row in scores.items()} != {t: len(spec.labels) for t, spec in expected.items()}:
            raise BundleError(f"{where}: the self-test {test.text[:60]!r} does not fit the tasks; retrain the bundle")
    if manifest.reference is not None:
        check_reference(manifest.reference, {task: spec.labels for task, spec in manifest.tasks.items()}, where)


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise BundleError(
            f"{where}: name {name[:120]!r} is not made of letters, digits, '.', '_' and '-', at most 100, "
            "a letter or digit first"
        )


def _check_listing(path: Path, manifest: Manifest) -> None:
    known = {MODEL, TOKENIZER, CARD}
    foreign = sorted(set(manifest.files) - known)
    if foreign:
        raise BundleError(
            f"{path / MANIFEST} lists {foreign[0][:120]!r}, which is no file of a bundle; "
            f"only {', '.join(sorted(known))} are accepted"
        )
    unlisted = sorted({MODEL, TOKENIZER} - set(manifest.files))
    if unlisted:
        raise BundleError(f"{path / MANIFEST} gives no checksum for {unlisted[0]}; get the bundle again or retrain")
    extra = sorted(entry.name for entry in path.iterdir() if entry.name not in {*manifest.files, MANIFEST, SIGNATURE})
    if extra:
        raise BundleError(f"{path / extra[0]} is not listed in the manifest; remove it")


def _read(path: Path, name: str) -> bytes:
    file = path / name
    strange = BundleError(f"{file} is missing or no regular file; get the bundle again or retrain")
    if file.is_symlink() or not file.is_file():
        raise strange
    try:
        # What was a file a moment ago may be a link or a pipe now.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise strange
            content = stream.read(MAX_BYTES[name] + 1)
    except OSError as error:
        raise BundleError(f"{file} can't be read: {error.strerror}; check its permissions") from error
    if len(content) > MAX_BYTES[name]:
        raise BundleError(f"{file} is larger than {MAX_BYTES[name]} bytes; that is no file of a bundle")
    return content
