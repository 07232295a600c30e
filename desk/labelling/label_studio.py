"""Labels as Label Studio's JSON: a task for each text, an annotation for each analyst, a choice for each label. Pure.

The labelling interface that reads it has a `Text` named `text` and, for each task of the taxonomy, `Choices` of that
name. Who said it stands in the `meta` of each choice, which Label Studio keeps as it is; where that is missing,
`completed_by` tells it. `ground_truth` marks a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from core.errors import InputError
from core.label_lines import LabelLine, label_line
from core.store.labels import Label
from core.taxonomy import Taxonomy

TEXT = "text"


def task_of(number: int, labels: Sequence[Label]) -> dict[str, Any]:
    """The task for all `labels` of one text."""
    first = labels[0]
    data = {"text": first.text, "source": first.source}
    if first.uid is not None:
        data["uid"] = str(first.uid)
    if first.story is not None:
        data["story"] = str(first.story)
    return {
        "id": number,
        "data": data,
        "annotations": [
            _annotation(list(group))
            for _, group in groupby(labels, key=lambda one: (one.analyst, one.final, one.labelled_at))
        ],
        "predictions": [],
    }


def read_tasks(tasks: Iterable[Mapping[str, Any]], where: str, taxonomy: Taxonomy) -> list[LabelLine]:
    """A line for each annotation of `tasks`; what was cancelled, and choices of other names, are passed over.

    Raises InputError naming the task and what is wrong with it.
    """
    lines: list[LabelLine] = []
    for number, task in enumerate(tasks, start=1):
        place = f"{where} task {number}"
        data = task.get("data")
        if not isinstance(data, dict):
            raise InputError(f"{place} has no `data`; expected an object with a text")
        for annotation in _objects(task.get("annotations", []), place, "annotations"):
            if annotation.get("was_cancelled"):
                continue
            analyst, labels = _choices(annotation, place, taxonomy)
            if labels:
                known = {name: data.get(name) for name in ("text", "uid", "source", "story")}
                entry = {**known, **labels, "analyst": analyst, "final": bool(annotation.get("ground_truth"))}
                lines.append(label_line(place, number, entry, taxonomy))
    return lines


def _annotation(labels: Sequence[Label]) -> dict[str, Any]:
    first = labels[0]
    meta = {"analyst": first.analyst}
    annotation: dict[str, Any] = {
        "result": [
            {
                "from_name": label.task,
                "to_name": TEXT,
                "type": "choices",
                "value": {"choices": [label.label]},
                "meta": meta,
            }
            for label in labels
        ],
        "was_cancelled": False,
        "ground_truth": first.final,
    }
    if first.labelled_at is not None:
        annotation["created_at"] = first.labelled_at.isoformat()
    return annotation


def _choices(annotation: Mapping[str, Any], place: str, taxonomy: Taxonomy) -> tuple[str | None, dict[str, Any]]:
    """Who annotated, None if nothing tells, and their label by task."""
    analyst = _person(annotation.get("completed_by"))
    labels: dict[str, Any] = {}
    for region in _objects(annotation.get("result", []), place, "result"):
        task = region.get("from_name")
        if task not in taxonomy.tasks or region.get("type") != "choices":
            continue
        value = region.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or len(choices) != 1:
            raise InputError(f"{place}: {task} has the choices {str(choices)[:80]}; expected exactly one")
        labels[task] = choices[0]
        meta = region.get("meta")
        if isinstance(meta, dict) and isinstance(meta.get("analyst"), str):
            analyst = meta["analyst"]
    return analyst, labels


def _person(completed_by: Any) -> str | None:
    """Label Studio names annotators by number, or with more about them."""
    if isinstance(completed_by, dict):
        found = completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
        return str(found) if found is not None else None
    return f"label-studio:{completed_by}" if isinstance(completed_by, int) else None


def _objects(value: Any, place: str, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{place}: `{name}` is {str(value)[:80]}; expected a list of objects")
    return value
