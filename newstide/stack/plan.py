"""What a stack consists of: the processes that were asked for, as the supervisor starts them."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from core.settings import Settings, variable
from newstide.stack.supervisor import Child

_MAX_LAG_PER_WORKER = 1000


@dataclass(frozen=True)
class ReplayFile:
    """A file to replay: `arguments` are those of `newstide ingest replay`."""

    file: Path
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What runs: workers and alerting always, feeds or push, a replay and the desk where asked for."""

    workers: int
    feeds: Path | None = None
    replay: ReplayFile | None = None
    until_drained: bool = False
    desk_port: int | None = None


def stack_children(settings: Settings, plan: Plan, logs: Path, unpaced_rows: int = 0) -> list[Child]:
    """All processes of `plan` in the order of their start; ingest and the replay come last.

    The replay sends the first `unpaced_rows` of its file at full speed: it has sent them before.
    """
    environment = addresses(settings)
    if plan.replay is not None:
        environment["NEWSTIDE_ALERTING__CLOCK"] = settings.alerting.clock
    children = worker_children(settings, plan.workers, logs)
    judge = command("alerts", "run", *(["--until-drained"] if plan.until_drained else []))
    feeds = {"NEWSTIDE_INGEST__FEEDS": str(plan.feeds)} if plan.feeds is not None else {}  # their pace is its lateness
    watching = {**environment, **feeds, **_rules_of(settings)}
    children.append(Child("alerts", judge, logs / "alerts.log", watching, one_shot=plan.until_drained, stop_order=2))
    if plan.desk_port is not None:
        argv = command("desk", "--port", str(plan.desk_port))
        children.append(Child("desk", argv, logs / "desk.log", environment, essential=False))
    if settings.ingest.push_token is not None or plan.feeds is not None:
        environment["NEWSTIDE_INGEST__PUSH_CONFIRMS"] = settings.ingest.push_confirms
    if plan.feeds is not None:
        argv = command("ingest", "run", "--feeds", str(plan.feeds))
        children.append(Child("ingest", argv, logs / "ingest.log", environment))
    elif settings.ingest.push_token is not None:
        children.append(Child("ingest", command("ingest", "serve"), logs / "ingest.log", environment))
    if plan.replay is not None:
        children.append(_replay_child(plan, plan.replay, logs, environment, unpaced_rows))
    return children


def worker_children(settings: Settings, count: int, logs: Path) -> list[Child]:
    """The worker processes of a stack, to be supervised."""
    return [
        Child(
            name=f"worker-{index}",
            argv=command("worker", "--index", str(index)),
            log=logs / f"worker-{index}.log",
            environment=addresses(settings),
            stop_order=1,
            grace_s=20,
        )
        for index in range(count)
    ]


def retention_child(settings: Settings, logs: Path) -> Child:
    """The daily retention: a process of its own, so that it can neither block nor end the stack."""
    argv = command("retention")
    return Child("retention", argv, logs / "retention.log", addresses(settings), one_shot=True, essential=False)


def command(*arguments: str) -> list[str]:
    """This very newstide with other arguments."""
    return [sys.executable, "-m", "newstide", *arguments]


def addresses(settings: Settings) -> dict[str, str]:
    """Environment that leads a child to the same broker and database."""
    return {
        "NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers or "",
        "NEWSTIDE_DATABASE__URL": settings.database.url or "",
        # Several processes share the cores: a library that starts a thread per core would slow them all down.
        "OMP_NUM_THREADS": "1",
    }


def hand_down(settings: Settings, *sections: str) -> None:
    """Let our children see these `sections` as they are in `settings`, whatever newstide.toml says.

    They stand in our environment from then on, which is the stronger, in the place of any of their settings there.
    """
    for name in sections:
        whole = variable(name)
        for given in [each for each in os.environ if each.upper() == whole or each.upper().startswith(f"{whole}__")]:
            del os.environ[given]
        os.environ[whole] = json.dumps(getattr(settings, name).model_dump(), default=_as_written)


def _as_written(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _rules_of(settings: Settings) -> dict[str, str]:
    """Environment that makes alerting tell whom `settings` name, and nobody else."""
    rules = settings.alerting.rules
    return {
        "NEWSTIDE_ALERTING__WEBHOOK_URL": settings.alerting.webhook_url or "",
        **({"NEWSTIDE_ALERTING__RULES": str(rules)} if rules is not None else {}),
    }


def _replay_child(plan: Plan, replay: ReplayFile, logs: Path, environment: dict[str, str], unpaced_rows: int) -> Child:
    # Partitions read far apart in event time would delay the watermark, and an in-memory broker would fill up.
    pace = ("--max-lag", str(_MAX_LAG_PER_WORKER * plan.workers), "--unpaced-rows", str(unpaced_rows))
    argv = command("ingest", "replay", str(replay.file), *replay.arguments, *pace, "--declared", "--json")
    return Child("replay", argv, logs / "replay.log", environment, argv_again=[*argv, "--resume"], one_shot=True)
