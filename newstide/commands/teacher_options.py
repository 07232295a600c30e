"""Networks that teach: those that training kept, and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.errors import InputError
from newstide.commands.options import Command, with_options

if TYPE_CHECKING:
    from trainer.learn.network import Learned
    from trainer.teachers import Teachers

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--teacher",
        type=_PATH,
        multiple=True,
        help="Going on from a bundle: network kept by --weights, their directory, or a bundle, that answers beside it.",
    ),
    click.option("--teaches", metavar="SOURCES", help="With --teacher: sources that it answers, a,b; all by default."),
)


def teacher_options(command: Command) -> Command:
    """Give `command` --teacher and --teaches; `choose_teachers` reads them, and --variants."""
    return with_options(command, _OPTIONS)


def choose_teachers(options: dict[str, Any]) -> Teachers:
    """Whom the options name. Raises InputError as `read_teachers` does."""
    from trainer.teachers import Teachers

    sources = [name.strip() for name in (options["teaches"] or "").split(",")]
    learned = [one for _, one in read_teachers(options["teacher"])]
    return Teachers(learned, [name for name in sources if name], options["variants"])


def teacher_words(options: dict[str, Any]) -> list[str]:
    """The same options as words of a command line, paths shortened to their names."""
    words = [word for path in options["teacher"] for word in ("--teacher", path.name)]
    words += ["--teaches", options["teaches"]] if options["teaches"] else []
    return words + (["--variants", str(options["variants"])] if words and options["variants"] else [])


def read_teachers(paths: tuple[Path, ...]) -> list[tuple[Path, Learned]]:
    """The networks in `paths`, each with the file it was kept in: files, all files of a directory, or a bundle.

    Raises InputError for a directory without one and a file that can't be read, BundleError for a bundle.
    """
    from trainer.continuing import is_bundle
    from trainer.learn.network import load_network

    found: list[tuple[Path, Learned]] = []
    for path in paths:
        if is_bundle(path):
            found.append((path, _of_bundle(path)))
            continue
        files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
        if not files:
            raise InputError(
                f"{path} holds no *.safetensors and is no bundle; `newstide train --weights DIR` writes them"
            )
        found += [(file, load_network(file)) for file in files]
    return found


def _of_bundle(path: Path) -> Learned:
    from core.bundle import load_bundle
    from trainer.compress.read_graph import read_network
    from trainer.learn.network import Learned
    from trainer.learn.recipe import Recipe
    from trainer.learn.tokenizer import read_tokenizer

    bundle = load_bundle(path)
    return Learned(read_network(bundle), read_tokenizer(bundle.tokenizer, path), bundle.name, Recipe())
