"""Tasks and labels: what a model is asked about each message. Read from TOML, `core/taxonomy.toml` by default."""

from __future__ import annotations

from pathlib import Path

import msgspec

from core.errors import SettingsError
from core.toml_file import read_toml

DEFAULT_PATH = Path(__file__).with_name("taxonomy.toml")
MAX_LABELS = 1000


class _Task(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[str]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    tasks: dict[str, _Task]


class Taxonomy(msgspec.Struct, frozen=True):
    """Labels of every task, in the order of its scores."""

    tasks: dict[str, tuple[str, ...]]

    def labels(self, task: str) -> tuple[str, ...]:
        """Labels of `task`. Raises SettingsError for a task that is not in the taxonomy."""
        try:
            return self.tasks[task]
        except KeyError:
            raise SettingsError(f"task {task!r} is not in the taxonomy; it has {', '.join(self.tasks)}") from None


def load_taxonomy(path: Path | None = None) -> Taxonomy:
    """The taxonomy in the TOML file `path`; the one that ships where None.

    Raises SettingsError naming the file and the task for a file that is missing, malformed, or holds a task with
    fewer than two labels, an empty label or a repeated one.
    """
    path = path or DEFAULT_PATH
    try:
        content = msgspec.convert(read_toml(path, "taxonomy", "check the setting `taxonomy`", SettingsError), _File)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f'taxonomy {path}: {error}; each task is a table [tasks.NAME] with labels = ["...", ...]'
        ) from error
    if not content.tasks:
        raise SettingsError(f"taxonomy {path} has no task; add a table [tasks.NAME] with labels")
    for name, task in content.tasks.items():
        check_task(name, task.labels, str(path))
    return Taxonomy({name: tuple(task.labels) for name, task in content.tasks.items()})


def check_task(name: str, labels: list[str], where: str) -> None:
    """Raise SettingsError unless `name` is an identifier and `labels` are 2 or more different names."""
    if not name.isidentifier():
        raise SettingsError(f"{where}: task name {name[:80]!r} is no identifier; use letters, digits and '_'")
    if not 2 <= len(labels) <= MAX_LABELS:
        raise SettingsError(f"{where}: task `{name}` has {len(labels)} labels; 2 to {MAX_LABELS} are accepted")
    if any(not label.strip() or label != label.strip() for label in labels):
        raise SettingsError(f"{where}: task `{name}` has an empty label or one with white space around it; rename it")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise SettingsError(f"{where}: task `{name}` names {', '.join(map(repr, repeated))} more than once")
