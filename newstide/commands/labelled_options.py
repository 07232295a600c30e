"""The labelled texts a command of the trainer works with: options, and what they stand for."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from core.errors import InputError
from core.language import language_code
from core.settings import PROJECT, load_settings
from core.taxonomy import load_taxonomy
from newstide.commands.options import Command, with_options

if TYPE_CHECKING:
    from trainer.material import Material

CORPORA = PROJECT.parent / "shared" / "data"
_TRAINER_PARTS = ("torch", "transformers", "onnx", "safetensors", "sklearn", "matplotlib", "optuna", "peft")
_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_OPTIONS = (
    click.option("--data", type=_FILE, multiple=True, help='Lines {"text", "<task>": "<label>"}; may be repeated.'),
    click.option("--dataset", type=_DIRECTORY, help="A dataset made by `newstide dataset build`."),
    click.option("--corpora", type=_DIRECTORY, help="Directory of the public corpora, the last resort."),
)


def labelled_options(command: Command) -> Command:
    """Give `command` --data, --dataset and --corpora."""
    return with_options(command, _OPTIONS)


def need_trainer() -> None:
    """Raise InputError, with the command that mends it, where the trainer's libraries are not installed."""
    missing = [part for part in _TRAINER_PARTS if importlib.util.find_spec(part) is None]
    if missing:
        raise InputError(f"training needs {', '.join(missing)}; run `pip install newstide[trainer]`")


def leave_out_option(command: Command) -> Command:
    """Give `command` --leave-out."""
    option = click.option(
        "--leave-out",
        multiple=True,
        metavar="SOURCE",
        help="Learn without this source, and choose epochs, recipes and students by it; may be repeated.",
    )
    return option(command)


def language_option(command: Command) -> Command:
    """Give `command` --language."""
    option = click.option(
        "--language",
        metavar="CODE",
        callback=_checked_language,
        help="What the model is for, and all that it labels, whatever else it learns from; by its texts if not given, "
        "and English with --schedule, which then leaves out labels of other texts.",
    )
    return option(command)


def _checked_language(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and language_code(value) != value:
        raise InputError(f"--language {value!r:.20} is no ISO 639-1 code; en and zh are some")
    return value


def without_choice(material: Material, sources: Sequence[str]) -> Material:
    """`material` without the `sources` of --leave-out, which are there to choose by. Raises InputError for one that is
    unknown, or that the others can't stand in for."""
    from trainer.unseen import leave_out

    return leave_out(material, sources) if sources else material


def for_language(material: Material, language: str | None) -> Material:
    """`material` for a model of `language`, if one is given."""
    return msgspec.structs.replace(material, language=language) if language else material


def load_material(
    data: tuple[Path, ...],
    dataset: Path | None,
    corpora: Path | None,
    left_out: Sequence[str] = (),
    language: str | None = None,
) -> Material:
    """What the options name: a built dataset as it is, or files and corpora, cleaned and split; sources `left_out` are
    in no part, and are there to choose by. `language`: what its model is for, if the texts don't tell.

    Raises InputError where nothing is named and the public corpora are not at hand, or both kinds are named.
    """
    from trainer.data.dataset import load_dataset
    from trainer.material import from_dataset, prepare
    from trainer.pipeline import gather

    if dataset is not None:
        if data or corpora is not None:
            raise InputError("--dataset holds all texts; leave out --data and --corpora, or build a dataset with them")
        return for_language(without_choice(from_dataset(load_dataset(dataset)), left_out), language)
    if corpora is None and not data:
        if not CORPORA.is_dir():
            raise InputError(
                "no labelled texts given; pass --data FILE.jsonl, --dataset DIR, "
                "or --corpora DIR with the public corpora"
            )
        corpora = CORPORA
    taxonomy = load_taxonomy(load_settings().taxonomy)
    return for_language(without_choice(prepare(gather(data, corpora, taxonomy), taxonomy), left_out), language)


def labelled_words(data: tuple[Path, ...], dataset: Path | None, corpora: Path | None) -> list[str]:
    """The same options as they belong in a model card: paths shortened to names, which mean something elsewhere too."""
    words = [word for file in data for word in ("--data", file.name)]
    words += [] if dataset is None else ["--dataset", dataset.name]
    return words + ([] if corpora is None else ["--corpora", corpora.name])
