"""`newstide train --schedule`: what a run builds, learns and proves, whenever there is a reason to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.bundle import Bundle
from core.errors import InputError
from core.settings import load_settings
from newstide.commands.labelled_options import for_language, without_choice
from newstide.commands.option_conflicts import from_the_beginning
from newstide.commands.recipe_options import choose_recipe, going_on
from newstide.commands.schedule_options import show_check
from newstide.scheduled.schedule import RunPromotion, ScheduleOptions, Steps, Work, live_directory, run_schedule

if TYPE_CHECKING:
    from core.store.labels import Label
    from trainer.learn.recipe import Recipe
    from trainer.material import Material


def run_scheduled(
    recipe: Recipe,
    schedule: ScheduleOptions,
    once: bool,
    options: dict[str, Any],
    make: Callable[..., Bundle],
    log: Callable[[str], None],
) -> None:
    """Train whenever there is a reason to: dataset, fine-tuning, compression where asked for, gates, shadow.

    `make` is what makes a bundle of a material, for a run as for a command. A run goes on from the live model, unless a
    backbone is named, an option is there for trainings from one, or the model does not fit what is to be learnt. Raises
    InputError for what is wrong before the first look.
    """
    from core.taxonomy import load_taxonomy
    from newstide.scheduled.promotion import promote_run
    from stream.entities import load_watchlist
    from trainer.compress.plan import parse_budget
    from trainer.data.build import TEST_FILE, build_dataset
    from trainer.data.dataset import load_dataset
    from trainer.data.spec import load_spec
    from trainer.judge.compare import read_examples
    from trainer.material import from_dataset

    if options["compress"]:  # not hours later, at the first run that is due
        parse_budget(options["compress"])
    if options["spec"] is None:
        raise InputError("--schedule builds a dataset for each run; say of which corpora with --spec SPEC.toml")
    settings = load_settings()
    taxonomy = load_taxonomy(settings.taxonomy)
    spec = load_spec(options["spec"], taxonomy)
    base = options["base"] or options["spec"].parent
    test_set = settings.models.test_set
    if schedule.promote and test_set is None:
        raise InputError(
            "--promote needs a frozen test set to prove a model on; set `models.test_set` "
            "(NEWSTIDE_MODELS__TEST_SET), or leave out --promote"
        )
    if test_set is not None:  # here too, not hours later
        read_examples(test_set, taxonomy.tasks)
    goes_on = options["backbone"] is None and not from_the_beginning()

    def build(work: Work) -> None:
        locate = load_watchlist(work.settings.stream.watchlist).locate
        build_dataset(
            spec,
            base,
            work.dataset,
            taxonomy,
            _labels_for(work),
            test=test_set,
            following=work.following,
            drop_leaks=options["drop_leaks"],
            locate=locate,
            report=log,
        )

    def fit(work: Work) -> Path:
        material = without_choice(from_dataset(load_dataset(work.dataset)), options["leave_out"])
        material = for_language(material, options["language"])
        command = "newstide train --schedule"
        live = _live_if_fit(work, material, log) if goes_on else None
        chosen = going_on(options) | {"backbone": str(live)} if live else options
        taught = choose_recipe(chosen) if live else msgspec.structs.replace(recipe, known_labels=0.0, old_weights=0.0)
        make(material, taught, work.weights, work.bundle, work.name, command, chosen, work.backbones)
        return work.bundle

    def gate(work: Work, path: Path, go_live: bool) -> RunPromotion:
        # The file may be another by now than the one that the run held out of what it learned.
        examples = read_examples(work.dataset / TEST_FILE, taxonomy.tasks) if test_set is not None else None
        return promote_run(work, path, go_live, examples)

    steps = Steps(build, fit, gate)
    run_schedule(settings, schedule, steps, once=once, report=lambda check: show_check(check, options["as_json"]))


def _labels_for(work: Work) -> list[Label]:
    """Analysts' labels of texts that a model for the run's language learns from."""
    from core.store.connection import open_engine
    from core.store.labels import read_labels
    from core.store.training import learned_texts

    engine = open_engine(work.settings, pool_size=1)
    try:
        labels = read_labels(engine)
        learned = learned_texts(engine, [label.text for label in labels], work.language)
    finally:
        engine.dispose()
    return [label for at, label in enumerate(labels) if at in learned]


def _live_if_fit(work: Work, material: Material, log: Callable[[str], None]) -> Path | None:
    """The live model's bundle where a training on `material` can go on from it; else it is logged why not."""
    from trainer.continuing import unfit

    live = live_directory(work.settings, work.language)
    why = unfit(live, material) if live is not None else None
    if why is not None:
        log(f"the run trains anew from a backbone: {why}")
        return None
    return live
