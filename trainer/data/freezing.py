"""A split around a frozen test set: it never changes, and nothing that resembles it is learned from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from core.errors import InputError
from core.text import model_input, word_form
from trainer.data.examples import Example
from trainer.data.spec import Options
from trainer.data.splits import TEST, TRAIN, Split, group_near_duplicates, split_groups

_MOST_SHOWN = 5


class Placed(msgspec.Struct, frozen=True):
    """A split, and what a frozen test set did to it.

    `held_out`: texts in no part because they resemble a frozen text; `leaks`: those of them from a corpus for train
    alone; `relabelled`: frozen texts that are labelled otherwise today; `thinned`: near-duplicates left out.
    """

    split: Split
    held_out: list[Example]
    leaks: int
    relabelled: int
    thinned: int


def place(
    examples: Sequence[Example],
    frozen: Sequence[Example] | None,
    train_only: Collection[str],
    options: Options,
    drop_leaks: bool = False,
    spared: Collection[str] = (),
    earlier: Mapping[str, int] | None = None,
) -> Placed:
    """Split merged `examples` by groups of near-duplicates; groups with a story form in `train_only` go to train.

    Of a group, at most `options.story_cap` texts with the same labels are kept; frozen texts, and those with a story
    form in `spared`, are never left out.

    With `frozen`, the test part is `frozen` as it stands, and a group that touches it is in no other part. Story forms
    in `earlier` stay in the part they are in there, with all that resembles them: what a model learned is not what the
    next one is chosen by. Where a new text joins both parts, all of the group is train.
    Raises InputError when a part comes out empty, or (unless `drop_leaks`) when a text of `train_only` is in a group
    that touches `frozen`.
    """
    earlier = earlier or {}
    by_form = _forms_of(frozen or (), {word_form(example.text) for example in examples})
    current = {word_form(example.text): example for example in examples}
    pool = {form: by_form.get(form, example) for form, example in current.items()}
    pool |= {form: example for form, example in by_form.items() if form not in pool}
    forms, texts = list(pool), list(pool.values())
    numbers = group_near_duplicates([example.text for example in texts], options.similarity)
    touched = {number for form, number in zip(forms, numbers, strict=True) if form in by_form}
    pinned = {number for form, number in zip(forms, numbers, strict=True) if form in train_only}
    leaks = [
        current[form]
        for form, number in zip(forms, numbers, strict=True)
        if form in train_only and form in current and number in touched
    ]
    if leaks and not drop_leaks:
        shown = "; ".join(repr(leak.text[:80]) for leak in leaks[:_MOST_SHOWN])
        raise InputError(
            f"{len(leaks)} texts that are for train alone are in the frozen test set or resemble one of its texts "
            f"({shown}); take them out of the corpus, or give --drop-leaks to leave them out"
        )
    parts = [(earlier[form], number) for form, number in zip(forms, numbers, strict=True) if form in earlier]
    stays = {number: part for part, number in sorted(parts, reverse=True)}  # of two, train comes last
    fixed = stays | dict.fromkeys(pinned, TRAIN) | dict.fromkeys(touched, TEST)
    kept = _within_cap(pool, numbers, options.story_cap or 0, by_form, spared)
    thinned = len(texts) - len(kept)
    texts, numbers = [texts[row] for row in kept], [numbers[row] for row in kept]
    split = split_groups(texts, numbers, options.seed, options.fractions, fixed, test_closed=frozen is not None)
    if frozen is None:
        return Placed(split, [], 0, 0, thinned)
    held_out = [example for example in split.test if word_form(example.text) not in by_form]
    relabelled = sum(_is_relabelled(example, current[form]) for form, example in by_form.items() if form in current)
    return Placed(Split(split.train, split.validation, list(frozen)), held_out, len(leaks), relabelled, thinned)


def _is_relabelled(frozen: Example, today: Example) -> bool:
    """Whether a label that the text of both has, or a company in it, is another one today."""
    companies = {one.spans: one.label for one in today.entities} if frozen.text == today.text else {}
    return any(today.labels.get(task, label) != label for task, label in frozen.labels.items()) or any(
        companies.get(one.spans, one.label) != one.label for one in frozen.entities
    )


def _within_cap(
    pool: Mapping[str, Example],
    numbers: Sequence[int],
    cap: int,
    frozen: Collection[str],
    spared: Collection[str],
) -> list[int]:
    """Rows of `pool` that are kept: of the texts of a group that carry the same labels, the first `cap`; 0 keeps all.

    Frozen ones count first, so that a second build leaves out what the first one did. Labels tell reworded news from
    its opposite: "profit rose" and "profit fell" resemble each other and are both of use.
    """
    rows = list(enumerate(pool.items()))
    if not cap:
        return [row for row, _ in rows]
    count: Counter[tuple[int, tuple[tuple[str, str], ...]]] = Counter()
    kept = []
    for row, (form, example) in sorted(rows, key=lambda entry: entry[1][0] not in frozen):
        key = numbers[row], tuple(sorted(example.labels.items()))
        if form in frozen or form not in spared:
            count[key] += 1
            if form not in frozen and count[key] > cap:
                continue
        kept.append(row)
    return sorted(kept)


def _forms_of(frozen: Sequence[Example], known: Collection[str]) -> dict[str, Example]:
    """The frozen texts by story form."""
    found: dict[str, Example] = {}
    for example in frozen:
        form = word_form(example.text)
        if form not in known:
            # A test set from elsewhere may hold raw texts, with URLs and user names.
            text = model_input(example.text)
            form, example = word_form(text), msgspec.structs.replace(example, text=text)
        if form:
            found.setdefault(form, example)
    return found
