"""The model card of a bundle, in Markdown, from its manifest."""

from __future__ import annotations

from collections.abc import Mapping

from core.bundle import SERVED, Manifest
from core.labelled import SENTIMENT
from core.scoring import PRECISION, TaskScore
from core.unseen import MeanScore, SourceScore, mean_scores
from trainer.data.spec import Options

_TEXT = """# Model card: {name}

A text classifier for financial news headlines, short news items and comments in {languages}. One forward pass answers
{count}: {tasks}.
It reads at most {length} tokens of a text, after URLs and user names are removed.

| | |
|---|---|
| Backbone | {backbone}; {network}; mean pooling, one linear head per task{heads} |
| Format | ONNX; encoder products and word vectors in eight bits, fixed activation scales; the rest in 32-bit floats |
| Licence of the weights | Apache-2.0 |
| Made with | `{command}` |
| Recipe | `{recipe}` |
| Versions | {versions} |

## Data

Texts are cleaned and copies merged (left out: {removed}). Near-duplicates, with a Jaccard index of their words of at
least {similarity:g}, are kept on one side of the split, and each source, task and label is dealt {fractions} into
train, validation and test, but for parts that were frozen before. The weights are the mean of those after several
epochs; which ones was chosen on {choice}. Temperatures and thresholds {fitted}. The figures below are from test, which
nothing was chosen on.

| corpus | licence | train | validation | test |
|---|---|---|---|---|
{data}
{own}
Financial PhraseBank (CC BY-NC-SA) was not used in any form.

## Figures on the test split

{summary}

## Samples of streams

{streams}

## Thresholds

{uses}

## Sources that were left out

{unseen}

## Figures by label

{details}
## Limits

- Texts in {languages} only. Trained on tweets, headlines and short news items; long articles are cut off, and other
  registers (filings, transcripts, chat) are untested.
{several}
- Sentiment is what the annotators saw for the company or market named, at the time. It is no forecast.
- Rare topics rest on a handful of test texts; their figures are uncertain by tens of points.
- Scores are calibrated on texts like those above. On other sources they tend to be overconfident.
- On a CPU without VNNI instructions, eight-bit products may saturate and scores shift slightly.

## Bias

The public corpora over-represent large US and Indian companies, English-language outlets and the years 2014 to 2022;
what was written for this project has invented companies, labels in balance and the style of few writers. Company names,
tickers, people and countries occur together with particular labels there, and the model has learned such associations:
the same event may be scored differently for another name. Check it on your own sources before you act on differences
between companies, sectors or regions.

Nothing this model says is investment advice.
"""

_OWN = "own-"  # before the names of the files of newstide's own corpus
_WRITTEN = (
    "\nThe sources whose names begin with `own-` were written, or read, and labelled by a language model by a guide; "
    "so were labels of others' texts where the licence names labels apart. `data/own` has the guide, and how far a "
    "second, blind labelling agreed.\n"
)
_NAMES = {"en": "English", "zh": "Chinese"}
_ONE_LABEL = "- One label per text: a text about two companies with opposite fortunes has no right answer here."
_LABEL_EACH = (
    "- A company gets a label of its own where the text names it. One that a source gives and the text does not name "
    "gets the label of the text."
)
_VARIANT_NAMES = {"teacher": "teacher, 32-bit floats", "fp32": "32-bit floats", "int8": "eight bits (this bundle)"}


def model_card(manifest: Manifest, removed: Mapping[str, int], summary: str, options: Options, begun: str = "") -> str:
    """The card of the bundle described by `manifest`; `removed` counts what was taken out of its data, `summary` says
    in a few words how the network came from its backbone, `options` are those of its split, `begun` is the name of the
    bundle that it went on from, if of any."""
    tasks = [f"`{task}` ({len(spec.labels)} labels)" for task, spec in manifest.tasks.items()]
    versions = {name: value for name, value in manifest.code.items() if name not in ("command", "recipe")}
    return _TEXT.format(
        name=manifest.name,
        count="one question" if len(tasks) == 1 else f"{len(tasks)} questions",
        tasks=" and ".join(tasks),
        languages=" and ".join(_NAMES.get(code, code) for code in manifest.languages) or "English",
        own=_WRITTEN if any(source.name.startswith(_OWN) for source in manifest.data) else "",
        length=manifest.max_length,
        backbone=manifest.backbone,
        network=summary,
        command=manifest.code.get("command", "unknown"),
        recipe=manifest.code.get("recipe", "unknown"),
        versions=", ".join(f"{name} {value}" for name, value in versions.items()),
        removed=", ".join(f"{count} {reason}" for reason, count in removed.items()),
        data="\n".join(f"| {s.name} | {s.licence} | {s.train} | {s.validation} | {s.test} |" for s in manifest.data),
        similarity=options.similarity,
        fractions="/".join(f"{100 * share:g}" for share in options.fractions),
        choice="the sources that were left out" if _chose_by_unseen(manifest) else "validation",
        fitted=f"are those of {begun}, chosen on the validation part it had" if begun else "were chosen on validation",
        summary=_summary(manifest),
        heads="" if manifest.entity is None else ", and one on the tokens that name a company",
        several=_ONE_LABEL if manifest.entity is None else _LABEL_EACH,
        streams=_streams(manifest),
        uses=_uses(manifest, begun),
        unseen=_unseen(manifest),
        details=_entities(manifest)
        + "\n".join(_details(variant, score) for variant, scores in manifest.evaluation.items() for score in scores),
    )


def _summary(manifest: Manifest) -> str:
    lines = ["| task | variant | accuracy | macro-F1 | ECE | temperature | texts |", "|---|---|---|---|---|---|---|"]
    for task, spec in manifest.tasks.items():
        for variant, scores in manifest.evaluation.items():
            for s in scores:
                if s.task == task:
                    temperature = f"{spec.temperature:.3f}" if variant == "int8" else ""
                    lines.append(
                        f"| {task} | {_VARIANT_NAMES.get(variant, variant)} | {s.accuracy:.4f} | {s.macro_f1:.4f} "
                        f"| {s.ece:.4f} | {temperature} | {s.support} |"
                    )
    return "\n".join(lines)


def _entities(manifest: Manifest) -> str:
    """The labels of companies beside those of their texts, as a table; nothing without that head."""
    if manifest.entity is None:
        return ""
    lines = [
        "### Sentiment towards each company\n",
        "`Opposite` are texts that are good for one company and bad for another; `by the text` is what the label of "
        "the text gets right.\n",
        "| texts | variant | companies | accuracy | by the text |\n|---|---|---|---|---|",
    ]
    for variant, score in manifest.entity.evaluation.items():
        name, mentions = _VARIANT_NAMES.get(variant, variant), score.mentions
        lines.append(f"| all | {name} | {mentions.support} | {mentions.accuracy:.4f} | |")
        for kind, share in (("with several companies", score.several), ("opposite", score.opposite)):
            lines.append(
                f"| {kind} ({share.texts}) | {name} | {share.mentions} | {share.accuracy:.4f} | {share.by_text:.4f} |"
            )
    return (
        "\n".join(lines)
        + "\n\n"
        + "\n".join(_details(variant, score.mentions) for variant, score in manifest.entity.evaluation.items())
        + "\n"
    )


def _streams(manifest: Manifest) -> str:
    """What is made of samples of streams, a row for each source and true label."""
    if not manifest.streams:
        return "None: no source of this model was said to be one. Counts are corrected by the whole test part."
    labels = manifest.tasks[SENTIMENT].labels
    lines = [
        "Test texts of sources that are samples of a stream, or the nearest to one that there was: corrected counts "
        "follow from them.",
        "",
        f"| source | true sentiment | {' | '.join(f'labelled {label}' for label in labels)} |",
        f"|---|---|{'---|' * len(labels)}",
    ]
    for score in manifest.streams:
        for true in labels:
            row = score.confusion.get(true, {})
            lines.append(f"| {score.source} | {true} | {' | '.join(str(row.get(found, 0)) for found in labels)} |")
    return "\n".join(lines)


def _uses(manifest: Manifest, begun: str) -> str:
    """What the thresholds of the manifest come to, or why there are none. Where they are those of the bundle `begun`,
    validation is no part to judge them by: in it are texts which that one learnt from."""
    if begun:
        found = [(score.task, score.uses) for score in manifest.evaluation[SERVED]]
    else:
        found = [(task, spec.uses) for task, spec in manifest.tasks.items()]
    points = [(task, use, point) for task, uses in found for use, point in uses.items()]
    if not points:
        return "None: no task of this model tells bad news, or it was made before they were chosen."
    where = f"On the validation part of {begun}" if begun else "On the validation part"
    lines = [
        f"The likeliest label counts, unless a use asks for more. {where}: for alerts, as much bad news "
        f"as can be had with a precision of {PRECISION:g}; for dashboards, the most labels right. The label is said "
        "from its threshold on, and below it the likeliest of the others."
        + (" The figures are what this model makes of the test part with them." if begun else ""),
        "",
        "| task | use | label | threshold | precision | recall | accuracy of all labels |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {task} | {use} | {point.label} | {point.threshold:.4f} | {point.precision:.3f} | {point.recall:.3f} "
        f"| {point.accuracy:.4f} |"
        for task, use, point in points
    ]
    if not any(use == "alerts" for _, use, _ in points):
        lines += ["", f"None for alerts: no threshold has a precision of {PRECISION:g} on the validation part."]
    return "\n".join(lines)


def _unseen(manifest: Manifest) -> str:
    """Figures on sources that were left out, each and their mean."""
    if manifest.unseen is None or not manifest.unseen.scores:
        return (
            "Not measured. `newstide train --unseen` trains without each source in turn, and "
            "`newstide evaluate --corpora` judges a model on sources that it never learned from."
        )
    scores = manifest.unseen.scores
    how = (
        "This model learned without these sources; which epochs and students were kept was chosen by them."
        if _chose_by_unseen(manifest)
        else "Each source was judged by a training of the same recipe that left it out; this model has learned from it."
    )
    lines = [
        f"{how} Recall is that of bad news where a threshold on its score is chosen on these texts for a precision of "
        f"{PRECISION:g}; 0 where none has it. The mean counts each source in English once.",
        "",
        "| task | source | language | accuracy | macro-F1 | ECE | negative recall | texts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {one.task} | {one.source} | {one.language} | {_figures(one)} | {one.support} |" for one in scores]
    lines += [f"| {mean.task} | **mean of {mean.sources}** | | {_figures(mean)} | |" for mean in mean_scores(scores)]
    return "\n".join(lines)


def _figures(one: SourceScore | MeanScore) -> str:
    recall = "" if one.negative_recall is None else f"{one.negative_recall:.3f}"
    return f"{one.accuracy:.4f} | {one.macro_f1:.4f} | {one.ece:.4f} | {recall}"


def _chose_by_unseen(manifest: Manifest) -> bool:
    return manifest.unseen is not None and manifest.unseen.of == "model"


def _details(variant: str, score: TaskScore) -> str:
    rows = "\n".join(
        f"| {s.label.replace('|', '&#124;')} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {s.support} |"
        for s in score.labels
    )
    name = _VARIANT_NAMES.get(variant, variant)
    return f"### {score.task}, {name}\n\n| label | precision | recall | F1 | texts |\n|---|---|---|---|---|\n{rows}\n"
