"""Labels as Label Studio's JSON: a task for each text, an annotation for each analyst, a choice for each label. Pure.

The labelling interface that reads it has a `Text` named `text`; for each task of the taxonomy, `Choices` of that name;
and a `Taxonomy` named `entities` with the value `$entities`, in which each company has its sentiments. Who said it
stands in the `meta` of each choice, which Label Studio keeps as it is; where that is missing, `completed_by` tells it.
`ground_truth` marks a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from core.errors import InputError
from core.fitting import SENTIMENTS
from core.label_lines import LabelLine, label_line
from core.labelled import ENTITIES, SENTIMENT
from core.store.labels import Label
from core.taxonomy import Taxonomy

TEXT = "text"


def task_of(number: int, labels: Sequence[Label]) -> dict[str, Any]:
    """The task for all `labels` of one text."""
    first = labels[0]
    data: dict[str, Any] = {"text": first.text, "source": first.source}
    if first.uid is not None:
        data["uid"] = str(first.uid)
    if first.story is not None:
        data["story"] = str(first.story)
    companies = list(dict.fromkeys(label.entity for label in labels if label.entity))
    if companies:
        sentiments = [{"value": sentiment} for sentiment in SENTIMENTS]
        data[ENTITIES] = [{"value": company, "children": sentiments} for company in companies]
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
    """A line for each annotation of `tasks`; what was cancelled, and what has another name, is passed over.

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
            analyst, said = _said(annotation, place, taxonomy)
            if said:
                known = {name: data.get(name) for name in ("text", "uid", "source", "story")}
                entry = {**known, **said, "analyst": analyst, "final": bool(annotation.get("ground_truth"))}
                lines.append(label_line(place, number, entry, taxonomy))
    return lines


def _annotation(labels: Sequence[Label]) -> dict[str, Any]:
    first = labels[0]
    meta = {"analyst": first.analyst}
    said: list[tuple[str, str, list[Any]]] = [
        (label.task, "choices", [label.label]) for label in labels if not label.entity
    ]
    companies = [[label.entity, label.label] for label in labels if label.entity]
    if companies:
        said.append((ENTITIES, "taxonomy", companies))
    annotation: dict[str, Any] = {
        "result": [
            {"from_name": name, "to_name": TEXT, "type": kind, "value": {kind: value}, "meta": meta}
            for name, kind, value in said
        ],
        "was_cancelled": False,
        "ground_truth": first.final,
    }
    if first.labelled_at is not None:
        annotation["created_at"] = first.labelled_at.isoformat()
    return annotation


def _said(annotation: Mapping[str, Any], place: str, taxonomy: Taxonomy) -> tuple[str | None, dict[str, Any]]:
    """Who annotated, None if nothing tells, and the fields of a line for what they said."""
    analyst = _person(annotation.get("completed_by"))
    said: dict[str, Any] = {}
    for region in _objects(annotation.get("result", []), place, "result"):
        name, kind = region.get("from_name"), region.get("type")
        value = region.get("value")
        chosen = value.get(kind) if isinstance(value, dict) and isinstance(kind, str) else None
        if name == ENTITIES and kind == "taxonomy":
            said[ENTITIES] = _companies(chosen, place)
        elif name in taxonomy.tasks and kind == "choices":
            if not isinstance(chosen, list) or len(chosen) != 1:
                raise InputError(f"{place}: {name} has the choices {str(chosen)[:80]}; expected exactly one")
            said[name] = chosen[0]
        else:
            continue
        meta = region.get("meta")
        if isinstance(meta, dict) and isinstance(meta.get("analyst"), str):
            analyst = meta["analyst"]
    return analyst, said


def _companies(paths: Any, place: str) -> list[dict[str, Any]]:
    """What a `Taxonomy` of companies and their sentiments has, as a line has it."""
    if not isinstance(paths, list) or not all(isinstance(path, list) and len(path) == 2 for path in paths):
        raise InputError(f"{place}: {ENTITIES} has {str(paths)[:80]}; expected pairs of a company and its sentiment")
    return [{"name": name, SENTIMENT: label} for name, label in paths]


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
