"""Texts without labels, of which none tells a story that a labelled one tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.text import model_input, word_form
from trainer.data.entities import unlabelled_mentions
from trainer.data.examples import Example


class Unlabelled:
    """Takes in texts of stories that are not those of `labelled` examples, each story once.

    They mention the companies that stand in `names`, by their first word (`trainer.data.entities.names_by_word`), and
    cashtags; none where that is None.
    """

    def __init__(self, labelled: Iterable[Example], names: Mapping[str, Iterable[str]] | None) -> None:
        self._stories = {word_form(example.text) for example in labelled}
        self._names = names

    def examples(self, texts: Iterable[tuple[str, str]]) -> list[Example]:
        """Those of `texts`, each with its source, that tell a new story, as a classifier reads them."""
        found = []
        for text, source in texts:
            shown = model_input(text)
            story = word_form(shown)
            if story and story not in self._stories:
                self._stories.add(story)
                entities = () if self._names is None else unlabelled_mentions(shown, self._names)
                found.append(Example(shown, {}, source, entities=entities))
        return found
