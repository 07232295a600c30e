"""What a scheduled run does, records and survives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from core.bundle import Bundle, SelfTest, write_bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError, RegistryError
from core.settings import DatabaseSettings, Settings, StreamSettings
from core.store.labels import Label
from core.store.labels import add_labels as store_labels
from core.store.models import list_models, move_model
from core.store.training import (
    TrainingLock,
    close_run,
    count_new_labels,
    is_running,
    learned_texts,
    learned_until,
    list_runs,
    open_run,
)
from newstide.commands.schedule_options import schedule_options, show_check
from newstide.scheduled.promotion import promote_run
from newstide.scheduled.schedule import (
    RunPromotion,
    ScheduleCheck,
    ScheduleError,
    ScheduleOptions,
    Steps,
    Work,
    run_schedule,
)
from tests.tiny_bundles import register_tiny, write_tiny
from tests.trainer.watched import SENTIMENTS, TOPICS, random_texts, store_messages, word_bundle
from trainer.data.examples import Example
from trainer.watch.reference import measure_reference
from trainer.watch.schedule import Policy

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("schedule") / "words"
    bare = word_bundle(path, random_texts(2_000, range(540), 1))
    reference = measure_reference(Classifier(bare), random_texts(1_500, range(300), 2))
    manifest = msgspec.structs.replace(bare.manifest, reference=reference)
    return write_bundle(path, manifest, bare.model, bare.tokenizer, "")


@pytest.fixture
def settings(database_url: str, tmp_path: Path, bundle: Bundle) -> Settings:
    return Settings(
        database=DatabaseSettings(url=database_url),
        embedded={"directory": tmp_path},
        stream=StreamSettings(bundle=bundle.path),
    )


class Recorder:
    """Steps that note what they were asked and leave the files that real ones would."""

    def __init__(self, state: str = "shadow", fail: Exception | None = None) -> None:
        self.works: list[Work] = []
        self.promoted: list[tuple[Path, bool]] = []
        self.state = state
        self.fail = fail

    @property
    def steps(self) -> Steps:
        return Steps(self.build, self.train, self.promote_run)

    def build(self, work: Work) -> None:
        work.dataset.mkdir()

    def train(self, work: Work) -> Path:
        assert work.dataset.is_dir()
        self.works.append(work)
        work.weights.mkdir(exist_ok=True)
        if self.fail is not None:
            raise self.fail
        return work.bundle

    def promote_run(self, work: Work, path: Path, promote: bool) -> RunPromotion:
        assert work == self.works[-1]
        self.promoted.append((path, promote))
        return RunPromotion("newstide-7", self.state, ["better by two points"], {"p": 0.01})  # type: ignore[arg-type]


def add_labels(engine: Engine, count: int, first: int = 0, analyst: str = "ada") -> None:
    with engine.begin() as connection:
        for number in range(first, first + count):
            connection.execute(
                text(
                    "INSERT INTO label (text, source, task, label, analyst, story) "
                    "VALUES (:text, 'wire', 'topic', 'Macro', :analyst, md5(:text)::uuid)"
                ),
                {"text": f"text {number}", "analyst": analyst},
            )


def check_once(settings: Settings, recorder: Recorder, **options: Any) -> ScheduleCheck:
    policy = Policy(min_labels=5, rest_hours=options.pop("rest_hours", 0))
    chosen = ScheduleOptions(policy=policy, window=200, **options)
    return run_schedule(settings, chosen, recorder.steps, once=True)


def test_labels_are_counted_by_text_and_task(engine: Engine) -> None:
    add_labels(engine, 3)
    add_labels(engine, 3, analyst="grace")  # a second opinion
    assert count_new_labels(engine, None) == 3
    assert count_new_labels(engine, datetime.now(UTC)) == 0


def test_a_run_from_the_reason_to_the_row(settings: Settings, engine: Engine) -> None:
    recorder = Recorder()
    check = check_once(settings, recorder)
    assert (check.outcome, recorder.works) == ("idle", [])
    assert check.note.startswith("0 of 5 new labels; live model not registered; 0 of 200 stories")

    add_labels(engine, 5)
    check = check_once(settings, recorder)
    assert (check.outcome, check.model) == ("shadow", "newstide-7")
    assert "now shadow; better by two points" in check.note
    work = recorder.works[0]
    assert recorder.promoted == [(work.bundle, False)]
    assert work.name.endswith(f"-{check.run}")
    assert work.weights.parent == work.bundle.parent.parent == settings.embedded.directory / "training"
    assert not work.weights.exists()
    run = list_runs(engine)[0]
    assert (run.id, run.outcome, run.model) == (check.run, "shadow", "newstide-7")
    assert run.reasons == [{"kind": "labels", "text": "5 new labels; 5 were awaited"}]
    assert run.detail["evidence"] == {"p": 0.01}
    assert run.detail["bundle"] == str(work.bundle)
    assert run.ended_at is not None

    # Those labels are learned; a new model needs new ones.
    assert check_once(settings, recorder).outcome == "idle"
    add_labels(engine, 5, first=100)
    assert check_once(settings, recorder, promote=True).outcome == "shadow"
    assert recorder.promoted[-1][1] is True
    assert len(list_runs(engine)) == 2


def test_a_run_follows_the_datasets_of_its_language(settings: Settings, engine: Engine) -> None:
    def build(work: Work) -> None:
        work.dataset.mkdir()
        if work.run != 2:  # which was cut off
            (work.dataset / "dataset.json").touch()

    recorder = Recorder()
    steps = msgspec.structs.replace(recorder.steps, build=build)
    for number in range(4):
        language = "zh" if number == 2 else "en"
        options = ScheduleOptions(Policy(min_labels=0, rest_hours=0), window=200, language=language)
        run_schedule(settings, options, steps, once=True)
    datasets = [work.dataset for work in recorder.works]
    assert [work.following for work in recorder.works] == [(), (datasets[0],), (), (datasets[0],)]


def test_drift_is_a_reason(settings: Settings, engine: Engine, bundle: Bundle) -> None:
    texts = random_texts(250, range(300, 540), 3)
    store_messages(settings, texts, Classifier(bundle).predict(texts), bundle.name)
    recorder = Recorder("refused")
    check = check_once(settings, recorder)
    assert check.outcome == "refused"
    assert [reason.kind for reason in check.reasons] == ["drift"]
    assert check.drift is not None
    assert list_runs(engine)[0].detail["drift"]["shifts"][0]["verdict"] == "large"
    # The drift is still there, but the same texts give the same model.
    assert check_once(settings, recorder).outcome == "idle"


def test_the_age_and_the_training_time_are_those_of_the_live_model(
    settings: Settings, engine: Engine, bundle: Bundle
) -> None:
    add_labels(engine, 9)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO model (name, state, location, checksum, size_bytes, manifest, created_at) "
                "VALUES ('old', 'live', '/nowhere/old', :checksum, 1, '{}', now() + interval '1 second')"
            ),
            {"checksum": "0" * 64},
        )
    recorder = Recorder()
    check = check_once(settings, recorder)
    # Its bundle is gone: that is said, and ends nothing.
    assert check.outcome == "idle"
    assert "0 of 5 new labels" in check.note
    assert "drift can't be measured" in check.note
    with engine.begin() as connection:
        connection.execute(text("UPDATE model SET created_at = now() - interval '100 days'"))
    check = check_once(settings, recorder)
    assert [reason.kind for reason in check.reasons] == ["labels", "age"]


@pytest.mark.parametrize("outcome", ["live", "shadow", "failed"])
def test_labels_given_while_the_live_model_was_trained_are_new(
    settings: Settings, engine: Engine, outcome: str
) -> None:
    """Whether the run made it live or a person did later, also after its hand-over had failed."""

    class Registering(Recorder):
        def promote_run(self, work: Work, path: Path, promote: bool) -> RunPromotion:
            add_labels(engine, 4, first=50)  # the dataset was built before
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "INSERT INTO model (name, state, location, checksum, size_bytes, manifest) "
                        "VALUES (:name, 'live', '/nowhere/new', :checksum, 1, '{}')"
                    ),
                    {"name": work.name, "checksum": "0" * 64},
                )
            if outcome == "failed":
                raise RegistryError("another one is live by now; promote it again")
            return RunPromotion(work.name, outcome)  # type: ignore[arg-type]

    add_labels(engine, 5)
    with nullcontext() if outcome != "failed" else pytest.raises(RegistryError):
        check_once(settings, Registering())
    run = list_runs(engine)[0]
    assert (run.outcome, run.model) == (outcome, list_models(engine)[0].name)
    recorder = Recorder()
    check = check_once(settings, recorder)
    assert (check.outcome, recorder.works) == ("idle", [])
    assert check.note.startswith("4 of 5 new labels; live model 0 days old")
    add_labels(engine, 1, first=60)
    assert check_once(settings, recorder).outcome == "shadow"


def test_a_failed_run_is_recorded_and_rests(settings: Settings, engine: Engine) -> None:
    add_labels(engine, 5)
    recorder = Recorder(fail=BundleError("the network is broken"))
    with pytest.raises(BundleError, match="broken"):
        check_once(settings, recorder, rest_hours=24)
    run = list_runs(engine)[0]
    assert (run.outcome, run.detail["error"]) == ("failed", "BundleError: the network is broken")
    assert check_once(settings, Recorder(), rest_hours=24).outcome == "idle"
    # Once it has rested the same labels are still a reason: nothing learned from them.
    assert check_once(settings, Recorder(), rest_hours=0).outcome == "shadow"


def test_in_the_loop_a_failure_ends_nothing(settings: Settings, engine: Engine) -> None:
    add_labels(engine, 5)
    recorder, stop, looks = Recorder(fail=RuntimeError("out of luck")), threading.Event(), []

    def report(check: ScheduleCheck) -> None:
        looks.append(check)
        recorder.fail = None
        if len(looks) == 3:
            stop.set()

    options = ScheduleOptions(policy=Policy(min_labels=5, rest_hours=0), every_s=0.01, window=200)
    run_schedule(settings, options, recorder.steps, stop=stop, report=report)
    assert [check.outcome for check in looks] == ["failed", "shadow", "idle"]
    assert [run.outcome for run in list_runs(engine)] == ["shadow", "failed"]


def test_a_place_that_can_not_be_written_fails_the_run_and_not_the_schedule(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    add_labels(engine, 5)
    recorder, stop, looks = Recorder(), threading.Event(), []
    blocked = tmp_path / "runs"
    blocked.write_text("no directory")

    def report(check: ScheduleCheck) -> None:
        looks.append(check.outcome)
        if len(looks) == 1:
            blocked.unlink()
        else:
            stop.set()

    options = ScheduleOptions(policy=Policy(min_labels=5, rest_hours=0), every_s=0.01, window=200, directory=blocked)
    run_schedule(settings, options, recorder.steps, stop=stop, report=report)
    assert looks == ["failed", "shadow"]
    assert [run.outcome for run in list_runs(engine)] == ["shadow", "failed"]
    assert list_runs(engine)[1].detail["error"].startswith("NotADirectoryError")


def test_one_at_a_time(settings: Settings, engine: Engine) -> None:
    add_labels(engine, 5)
    is_held = TrainingLock(settings)
    assert is_held.acquire() is None
    assert is_held.acquire() is None
    recorder = Recorder()
    check = check_once(settings, recorder)
    assert (check.outcome, recorder.works) == ("busy", [])
    assert f":{os.getpid()}, connected since" in check.note
    assert list_runs(engine) == []
    is_held.close()
    assert check_once(settings, recorder).outcome == "shadow"


def test_each_language_has_labels_runs_and_a_lock_of_its_own(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    for name, language in (("english", "en"), ("chinese", "zh")):
        write_tiny(tmp_path / name, name, 1, languages=[language])
        register_tiny(settings, engine, tmp_path / name)
        move_model(engine, name, "live", actor="test", reason="test")
    texts = ["Shares of the bank fell sharply after the earnings report"]
    texts += [f"监管部门处罚某银行，第 {number} 次" for number in range(5)]
    labels = [Label(one, "wire", "topic", "Macro", "ada") for one in texts]
    store_labels(engine, labels)
    assert [count_new_labels(engine, None, language) for language in ("en", "zh", "de")] == [1, 5, 0]
    assert learned_texts(engine, texts, "zh") == {1, 2, 3, 4, 5}
    english = TrainingLock(settings)
    assert english.acquire() is None
    recorder = Recorder()
    assert check_once(settings, recorder).outcome == "busy"
    english.close()
    assert check_once(settings, recorder).outcome == "idle"
    done = check_once(settings, recorder, language="zh")
    assert (done.outcome, done.drift and done.drift.model) == ("shadow", "chinese")
    assert [(run.language, run.outcome) for run in list_runs(engine)] == [("zh", "shadow")]
    assert list_runs(engine, language="en") == []
    assert count_new_labels(engine, learned_until(engine, "zh"), "zh") == 0
    assert count_new_labels(engine, learned_until(engine, "en"), "en") == 1
    with pytest.raises(ScheduleError, match="made a model for en"):
        promote_run(recorder.works[-1], tmp_path / "english", True, None)


def test_a_lock_that_is_lost_hands_nothing_over(settings: Settings, engine: Engine) -> None:
    """The database ends the connection while the run trains; another process takes over and trains."""
    add_labels(engine, 5)
    other = Recorder()

    class Robbed(Recorder):
        def train(self, work: Work) -> Path:
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    )
                )
            assert check_once(settings, other).outcome == "shadow"
            return super().train(work)

    robbed = Robbed()
    with pytest.raises(ScheduleError, match="lost its lock"):
        check_once(settings, robbed)
    assert (len(other.promoted), robbed.promoted) == (1, [])
    assert [run.outcome for run in list_runs(engine)] == ["shadow", "interrupted"]


def test_a_run_that_was_killed_is_taken_up_again_but_not_for_ever(settings: Settings, engine: Engine) -> None:
    add_labels(engine, 5)
    abandoned = open_run(engine, [])
    recorder = Recorder()
    assert check_once(settings, recorder, rest_hours=24).outcome == "shadow"
    assert not is_running(engine, abandoned)
    assert [run.outcome for run in list_runs(engine)] == ["shadow", "interrupted"]
    close_run(engine, abandoned, "live", "x", {})  # too late
    assert list_runs(engine)[1].outcome == "interrupted"

    add_labels(engine, 5, first=50)
    for _ in range(3):
        close_run(engine, open_run(engine, []), "interrupted", None, {})
    assert check_once(settings, recorder, rest_hours=24).outcome == "idle"


_SCRIPT = """
import json, sys, time
from pathlib import Path
from core.settings import load_settings
from newstide.scheduled.schedule import RunPromotion, ScheduleOptions, Steps, run_schedule
from trainer.watch.schedule import Policy

def slow(work):
    print("training", flush=True)
    time.sleep(120)
    return work.bundle

print("began", flush=True)
options = ScheduleOptions(policy=Policy(min_labels=5), window=200, every_s=600)
steps = Steps(lambda work: None, slow, lambda work, path, promote: RunPromotion("m", "shadow"))
check = run_schedule(load_settings(), options, steps, report=lambda check: print(check.outcome, flush=True))
print("ended", check.outcome, flush=True)
"""


@pytest.mark.parametrize("labels", [0, 5])
def test_a_signal_ends_the_pause_and_the_training(
    settings: Settings, engine: Engine, bundle: Bundle, tmp_path: Path, labels: int
) -> None:
    add_labels(engine, labels)
    environment = {
        **os.environ,
        "NEWSTIDE_DATABASE__URL": settings.database.url or "",
        "NEWSTIDE_EMBEDDED__DIRECTORY": str(tmp_path),
        "NEWSTIDE_STREAM__BUNDLE": str(bundle.path),
    }
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT], env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        awaited = "training" if labels else "idle"
        assert any(line.strip() == awaited for line in process.stdout)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(30) == 0
    assert time.monotonic() - begun < 20
    assert rest.endswith(f"ended {'interrupted' if labels else 'idle'}\n")
    assert [run.outcome for run in list_runs(engine)] == (["interrupted"] if labels else [])


def test_the_options_of_the_command() -> None:
    seen: list[tuple[ScheduleOptions | None, bool, str]] = []

    @click.command()
    @click.option("--name", default="x")
    @schedule_options
    def train(name: str, schedule: ScheduleOptions | None, once: bool) -> None:
        seen.append((schedule, once, name))
        show_check(ScheduleCheck("idle", "nothing to do"), as_json=name == "json")

    runner = CliRunner()
    assert runner.invoke(train, [], catch_exceptions=False).stdout == "idle: nothing to do\n"
    arguments = ["--schedule", "--once", "--promote", "--min-labels", "50", "--max-age-days", "0", "--every", "5"]
    shown = runner.invoke(train, [*arguments, "--name", "json", "--runs-in", "runs"], catch_exceptions=False)
    assert json.loads(shown.stdout)["outcome"] == "idle"
    assert seen[0] == (None, False, "x")
    schedule, once, _ = seen[1]
    assert schedule == ScheduleOptions(
        policy=Policy(min_labels=50, max_age_days=None), promote=True, every_s=300, directory=Path("runs")
    )
    assert once
    assert "Newly labelled texts" in runner.invoke(train, ["--help"]).stdout
    with pytest.raises(InputError, match="belong to --schedule"):
        runner.invoke(train, ["--promote"], catch_exceptions=False)


def test_through_the_gates(settings: Settings, engine: Engine, bundle: Bundle, tmp_path: Path) -> None:
    """A real hand-over: the model in the settings is registered as live, the new one shadows it or stays behind."""
    taxonomy = tmp_path / "taxonomy.toml"
    taxonomy.write_text(
        f"[tasks.sentiment]\nlabels = {json.dumps(SENTIMENTS)}\n[tasks.topic]\nlabels = {json.dumps(TOPICS)}\n"
    )
    settings = settings.model_copy(update={"taxonomy": taxonomy})
    add_labels(engine, 5)
    texts = random_texts(80, range(300), 9)
    truth = Classifier(bundle).predict(texts)["topic"].argmax(axis=1)
    examples = [Example(t, {"topic": TOPICS[label]}, "test") for t, label in zip(texts, truth, strict=True)]

    def train(work: Work) -> Path:
        new = word_bundle(work.bundle, random_texts(500, range(200), 8), sure=-4.0)  # wrong wherever the other is right
        scores = {task: rows[0].tolist() for task, rows in Classifier(new).predict(["w1 w2"]).items()}
        manifest = msgspec.structs.replace(new.manifest, self_test=[SelfTest("w1 w2", scores)])
        write_bundle(work.bundle, manifest, new.model, new.tokenizer, "")
        return work.bundle

    def steps(test_set: list[Example] | None) -> Steps:
        return Steps(
            lambda work: None, train, lambda work, path, go_live: promote_run(work, path, go_live, examples=test_set)
        )

    options = ScheduleOptions(policy=Policy(min_labels=5, rest_hours=0), window=200, name="next")
    check = run_schedule(settings, options, steps(None), once=True)
    assert check.outcome == "shadow", check.note
    assert check.model == f"next-{datetime.now(UTC):%Y%m%d}-{check.run}"
    assert {row.name: row.state for row in list_models(engine)} == {"words": "live", check.model: "shadow"}
    assert [gate["name"] for gate in list_runs(engine)[0].detail["evidence"]["gates"]]

    add_labels(engine, 5, first=20)
    check = run_schedule(settings, msgspec.structs.replace(options, promote=True), steps(examples), once=True)
    assert check.outcome == "refused"
    assert "improvement: significantly worse on topic" in check.note
    assert {row.name: row.state for row in list_models(engine)}["words"] == "live"
    assert {row.name: row.state for row in list_models(engine)}[check.model or ""] == "candidate"
