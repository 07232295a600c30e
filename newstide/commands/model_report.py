"""The registry of models as `newstide models` shows it: one document, and tables made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from core.bundle import SERVED
from core.store.models import ModelRow, list_models, read_history, rivals
from core.store.shadows import read_agreement
from core.store.worker_models import list_workers
from core.terminal import printable
from core.unseen import SourceScore, mean_scores
from trainer.promote.gates import Gate

_COLOURS = {"live": "green", "shadow": "cyan", "retired": "dim"}


def describe_models(engine: Engine, history: int = 20) -> dict[str, Any]:
    """What stands in the registry: names of `live` models and of shadows by the language that each is for, `models`
    with the figures of their manifests, `workers` heard of in the last minute with what they run for a language and
    what they refused, `agreement` of shadows with live models by task, and the latest `history`."""
    rows = list_models(engine)
    live = [row for row in rows if row.state == "live"]
    shadows = [row for row in rows if row.state == "shadow"]
    pairs = [(shadow.name, rival.name) for shadow in shadows for rival in rivals(shadow.languages, live)]
    return {
        "live": {row.language: row.name for row in live},
        "shadow": {row.language: row.name for row in shadows},
        "models": [_model(row) for row in rows],
        "workers": [_plain(asdict(worker)) for worker in list_workers(engine)],
        "agreement": [
            {"shadow": shadow, "live": rival, **asdict(task)}
            for shadow, rival in pairs
            for task in read_agreement(engine, shadow, rival)
        ],
        "history": [_plain(asdict(event)) for event in read_history(engine, limit=history)],
    }


def show_models(console: Console, report: dict[str, Any]) -> None:
    """Print a report of `describe_models` as tables."""
    if not report["models"]:
        console.print("no model is registered; workers run the bundle of the settings until `newstide promote`")
    else:
        console.print(_models_table(report["models"]))
    if report["workers"]:
        headings = ("worker", "language", "model", "shadow", "refused")
        table = Table(*headings, title="Workers", title_justify="left", box=None)
        for worker in report["workers"]:
            refused = f"{worker['refused']}: {worker['reason']}" if worker["refused"] else ""
            table.add_row(
                worker["worker"],
                worker["language"],
                worker["model"] or "",
                worker["shadow"] or "",
                Text(printable(refused), style="red"),
            )
        console.print(table)
    if report["agreement"]:
        columns = ("shadow", "live", "task", "agreement", "95% interval", "messages")
        table = Table(*columns, title="Agreement", title_justify="left", box=None)
        for task in report["agreement"]:
            interval = f"{task['low']:.3f} to {task['high']:.3f}"
            share = f"{task['share']:.3f}"
            table.add_row(task["shadow"], task["live"], task["task"], share, interval, str(task["messages"]))
        console.print(table)
    for name in sorted(set(report["shadow"].values()) - {task["shadow"] for task in report["agreement"]}):
        console.print(f"{name} is a shadow; no sampled message yet")
    if report["history"]:
        table = Table("when (UTC)", "model", "change", "who", "why", title="History", title_justify="left", box=None)
        for event in report["history"]:
            table.add_row(
                event["at"][:19].replace("T", " "), event["model"], _change(event), event["actor"],
                event["reason"],
            )  # fmt: skip
        console.print(table)


def show_gates(console: Console, gates: Sequence[Gate]) -> None:
    """Print each verdict on a line."""
    for gate in gates:
        verdict = Text("passed", style="green") if gate.passed else Text("failed", style="red")
        console.print(verdict, f"{gate.name}: {gate.summary}", soft_wrap=True)


def _models_table(models: Sequence[dict[str, Any]]) -> Table:
    tasks = list(dict.fromkeys(task for model in models for task in model["figures"]))
    headings = [f"{task} accuracy / macro-F1 / ECE" for task in tasks]
    measured = list(dict.fromkeys(mean["task"] for model in models for mean in model["unseen"]))
    headings += [f"{task} left out: accuracy / negative recall" for task in measured]
    table = Table(
        "model", "languages", "state", "since (UTC)", "MB", *headings, title="Models", title_justify="left", box=None
    )
    for model in models:
        figures = (model["figures"].get(task) for task in tasks)
        colour = _COLOURS.get(model["state"], "default")
        table.add_row(
            model["name"],
            " ".join(model["languages"]),
            Text(model["state"], style=colour),
            model["changed_at"][:16].replace("T", " "),
            f"{model['size_bytes'] / 1e6:.1f}",
            *(f"{f['accuracy']:.3f} / {f['macro_f1']:.3f} / {f['ece']:.3f}" if f else "" for f in figures),
            *(_unseen_cell(model["unseen"], task) for task in measured),
        )
    return table


def _unseen_cell(means: Sequence[dict[str, Any]], task: str) -> str:
    mean = next((mean for mean in means if mean["task"] == task), None)
    if mean is None:
        return ""
    recall = "-" if mean["negative_recall"] is None else f"{mean['negative_recall']:.3f}"
    return f"{mean['accuracy']:.3f} / {recall} ({mean['sources']} sources)"


def _change(event: dict[str, Any]) -> str:
    if event["from_state"] is None:
        return "registered"
    if event["from_state"] == event["to_state"]:
        return f"stays {event['to_state']}"
    forced = " (forced)" if event["evidence"].get("forced") else ""
    return f"{event['from_state']} -> {event['to_state']}{forced}"


def _model(row: ModelRow) -> dict[str, Any]:
    """Figures are those of the variant that the bundle holds; a bundle of another make may have one of its own.
    `unseen` holds the means over sources that were left out."""
    evaluation = row.manifest.get("evaluation") or {}
    variants = [evaluation[SERVED]] if SERVED in evaluation else list(evaluation.values())
    figures = {
        score["task"]: {name: score[name] for name in ("accuracy", "macro_f1", "ece", "support")}
        for score in (variants[-1] if variants else [])
    }
    plain = _plain({name: value for name, value in asdict(row).items() if name != "manifest"})
    unseen = (row.manifest.get("unseen") or {}).get("scores") or []
    means = mean_scores(msgspec.convert(unseen, list[SourceScore]))
    return {
        **plain,
        "languages": list(row.languages),
        "figures": figures,
        "unseen": msgspec.to_builtins(means),
        "backbone": row.manifest.get("backbone"),
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for name, value in row.items()
    }
