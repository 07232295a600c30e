"""The supervisor with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from newstide.embedded import process
from newstide.embedded.process import describe_exit
from newstide.stack import supervisor as supervising
from newstide.stack.supervisor import Child, ChildFailed, Supervisor

SLEEP = "import time; time.sleep(600)"
IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PATIENCE_S = 30.0


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(condition: Callable[[], bool], poll: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        poll()
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def running_pid(supervisor: Supervisor, name: str) -> int | None:
    return next(child.pid for child in supervisor.status() if child.name == name)


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    with Supervisor(backoff_s=0.01) as supervisor:
        supervisor.start(Child("worker", python(SLEEP), tmp_path / "worker.log"))
        first = running_pid(supervisor, "worker")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: running_pid(supervisor, "worker") not in (None, first), supervisor.poll)
        [status] = supervisor.status()
        assert (status.state, status.restarts, status.exit_status) == ("running", 1, -signal.SIGKILL)
    [status] = supervisor.status()
    assert (status.state, status.pid) == ("stopped", None)


def test_a_one_shot_that_succeeds_is_finished_and_not_repeated(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    with Supervisor() as supervisor:
        supervisor.start(Child("job", python("print('once')"), log, one_shot=True))
        supervisor.run()
        [status] = supervisor.status()
        assert (status.state, status.restarts, status.exit_status) == ("finished", 0, 0)
    assert log.read_text() == "once\n"


def test_a_one_shot_that_fails_is_repeated(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        f"import pathlib, sys; m = pathlib.Path({str(mark)!r}); sys.exit(0) if m.exists() else (m.touch(), sys.exit(3))"
    )
    with Supervisor(backoff_s=0.01) as supervisor:
        supervisor.start(Child("job", python(code), tmp_path / "job.log", one_shot=True))
        supervisor.run()
        assert [(child.state, child.restarts) for child in supervisor.status()] == [("finished", 1)]


def test_a_service_that_ends_with_zero_is_started_again(tmp_path: Path) -> None:
    with Supervisor(backoff_s=0.01) as supervisor:
        supervisor.start(Child("service", python("pass"), tmp_path / "service.log"))
        wait_for(lambda: supervisor.status()[0].restarts >= 1, supervisor.poll)


def test_crash_after_crash_gives_up_and_quotes_the_log(tmp_path: Path) -> None:
    code = "import sys; print('no such topic', file=sys.stderr); sys.exit(7)"
    log = tmp_path / "worker.log"
    with Supervisor(max_crashes=3, backoff_s=0.01) as supervisor:
        supervisor.start(Child("other", python(SLEEP), tmp_path / "other.log"))
        supervisor.start(Child("worker", python(code), log))
        with pytest.raises(ChildFailed, match=r"(?s)worker ended 3 times .*exit status 7.*no such topic") as caught:
            supervisor.run()
        assert str(log) in str(caught.value)
        assert log.read_text().count("no such topic") == 3
        other = running_pid(supervisor, "other")
    assert other is not None
    assert not runs(other)


def test_kills_never_end_the_others_however_many(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(max_crashes=3, backoff_s=0.0, say=said.append) as supervisor:
        supervisor.start(Child("worker", python(SLEEP), tmp_path / "worker.log"))
        for _ in range(20):
            before = running_pid(supervisor, "worker")
            assert before is not None
            os.kill(before, signal.SIGKILL)
            wait_for(lambda before=before: running_pid(supervisor, "worker") not in (None, before), supervisor.poll)
        assert supervisor.status()[0].restarts == 20
    assert said == ["worker ended (killed by SIGKILL); starting it again"] * 20


def test_crashes_during_an_outage_do_not_count(tmp_path: Path) -> None:
    away = True
    with Supervisor(max_crashes=3, backoff_s=0.0, outage=lambda: away) as supervisor:
        supervisor.start(Child("worker", python("raise SystemExit(1)"), tmp_path / "worker.log"))
        wait_for(lambda: supervisor.status()[0].restarts >= 8, supervisor.poll)
        away = False
        with pytest.raises(ChildFailed, match="worker ended 3 times in a row by itself"):
            supervisor.run()


def test_a_restart_may_have_another_command_line(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    first = python("print('first', flush=True); import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    child = Child("job", first, log, argv_again=python("print('again')"), one_shot=True)
    with Supervisor(backoff_s=0.0) as supervisor:
        supervisor.start(child)
        supervisor.run()
    assert log.read_text() == "first\nagain\n"


def test_what_is_not_essential_is_given_up_quietly(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(max_crashes=2, backoff_s=0.0, say=said.append) as supervisor:
        supervisor.start(
            Child("extra", python("raise SystemExit(1)"), tmp_path / "extra.log", one_shot=True, essential=False)
        )
        wait_for(lambda: supervisor.status()[0].state == "stopped", supervisor.poll)
    assert "extra ended 2 times in a row by itself" in said[-1]


def test_suspended_children_stay_down_until_they_are_started(tmp_path: Path) -> None:
    child = Child("worker", python(SLEEP), tmp_path / "worker.log")
    with Supervisor(backoff_s=0.0) as supervisor:
        supervisor.start(child)
        pid = running_pid(supervisor, "worker")
        supervisor.suspend()
        supervisor.poll()
        assert pid is not None
        assert not runs(pid)
        assert [(status.state, status.pid) for status in supervisor.status()] == [("suspended", None)]
        supervisor.start(child)
        assert [(status.state, status.restarts) for status in supervisor.status()] == [("running", 1)]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with Supervisor(max_crashes=1) as supervisor:
        supervisor.start(Child("worker", ["/no/such/program"], tmp_path / "worker.log"))
        with pytest.raises(ChildFailed, match="/no/such/program can't be started: No such file"):
            supervisor.run()


def test_an_unwritable_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Supervisor() as supervisor, pytest.raises(ChildFailed, match=r"worker can't be started: .*file"):
        supervisor.start(Child("worker", python(SLEEP), tmp_path / "file" / "worker.log"))


@pytest.mark.parametrize("essential", [False, True])
def test_a_launch_that_fails_later_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, essential: bool
) -> None:
    monkeypatch.setattr(supervising, "_RELAUNCH_AFTER_S", 0.0)
    said: list[str] = []
    logs = tmp_path / "logs"
    log = logs / "job.log"
    child = Child("job", python("print('first')"), log, argv_again=python("print('again')"), essential=essential)
    with Supervisor(say=said.append) as supervisor:
        if essential:
            supervisor.start(child)
            supervisor.suspend()
            log.unlink()
            logs.rmdir()
        logs.touch()
        supervisor.start(child)
        supervisor.poll()
        assert [status.state for status in supervisor.status()] == ["waiting"]
        logs.unlink()
        wait_for(lambda: log.exists() and log.read_text() != "", supervisor.poll)
    assert log.read_text().startswith("first\n"), "what never ran has nothing to go on with"
    assert said[0].startswith("job can't be started: ")
    assert said[0].endswith("; trying again")


def test_logs_stay_small_under_processes_that_write_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LOOK_AT_LOGS_EVERY_S", 0.0)
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 1000)
    code = (
        "import pathlib, time\n"
        "print('first ' * 1000, flush=True)\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.02)\n"
        "print('second', flush=True)\n"
        f"{SLEEP}\n"
    )
    service, job = tmp_path / "service.log", tmp_path / "job.log"
    with Supervisor() as supervisor:
        supervisor.start(Child("service", python(code), service))
        supervisor.start(Child("job", python(code), job, one_shot=True))
        wait_for(lambda: all(log.stat().st_size == 6001 for log in (service, job)))
        supervisor.poll()
        (tmp_path / "go").touch()
        wait_for(lambda: all(log.read_text().endswith("second\n") for log in (service, job)), supervisor.poll)
    assert service.read_text() == "second\n"
    assert (tmp_path / "service.log.old").read_text() == "first " * 1000 + "\n"
    assert job.read_text() == "first " * 1000 + "\nsecond\n", "a summary may be read out of it"


def test_children_end_in_the_order_asked_for(tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    with open({str(trail)!r}, 'a') as trail: trail.write(sys.argv[1])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    with Supervisor() as supervisor:
        for name, order in (("c", 3), ("a", 1), ("b", 2)):
            supervisor.start(Child(name, [*python(code), name], tmp_path / name, stop_order=order))
        wait_for(lambda: all((tmp_path / name).read_text() == "up\n" for name in "abc"))
    assert trail.read_text() == "abc"
    assert [child.exit_status for child in supervisor.status()] == [0, 0, 0]


def test_a_deaf_child_and_its_children_are_killed_after_their_grace(tmp_path: Path) -> None:
    nested = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print(p.pid, flush=True); "
    )
    log = tmp_path / "deaf.log"
    with Supervisor() as supervisor:
        supervisor.start(Child("deaf", python(nested + IGNORES_SIGTERM), log, grace_s=0.1))
        wait_for(lambda: log.read_text().endswith("up\n"))
        grandchild = int(log.read_text().split()[0])
        assert runs(grandchild)
    assert supervisor.status()[0].exit_status == -signal.SIGKILL
    wait_for(lambda: not runs(grandchild))


def test_only_the_named_child_stops_and_can_start_again(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        for name in ("a", "b"):
            supervisor.start(Child(name, python(SLEEP), tmp_path / name))
        supervisor.stop("a")
        supervisor.poll()
        assert [child.state for child in supervisor.status()] == ["stopped", "running"]
        with pytest.raises(ValueError, match="'b' runs already"):
            supervisor.start(Child("b", python(SLEEP), tmp_path / "b"))
        supervisor.start(Child("a", python(SLEEP), tmp_path / "a"))
        assert [child.state for child in supervisor.status()] == ["running", "running"]


SCRIPT = """
import sys, time
from pathlib import Path
from newstide.embedded.broker import EmbeddedBroker
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.stack.supervisor import Child, Supervisor

directory = Path(sys.argv[1])
with EmbeddedBroker(directory) as broker, EmbeddedPostgres(directory) as postgres, Supervisor() as supervisor:
    for name in ("a", "b"):
        supervisor.start(Child(name, [sys.executable, "-c", "import time; time.sleep(600)"], directory / name))
    print(broker.pid, postgres.pid, *(child.pid for child in supervisor.status()), flush=True)
    supervisor.run()
    if "raise" in sys.argv:
        raise RuntimeError("on purpose")
print("left in order", flush=True)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all: making a database takes longer than recovering the one that was killed."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.skipif(sys.platform != "linux", reason="dying with the parent is a service of Linux")
@pytest.mark.parametrize("wish", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_behind(home: Path, wish: signal.Signals) -> None:
    with subprocess.Popen([*python(SCRIPT), str(home)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 4
        assert all(runs(pid) for pid in pids)
        time.sleep(0.2)  # lets the loop put its signal handlers in place
        parent.send_signal(wish)
        said = parent.stdout.read()
        assert parent.wait(PATIENCE_S) == (-signal.SIGKILL if wish == signal.SIGKILL else 0)
    assert said == ("" if wish == signal.SIGKILL else "left in order\n")
    wait_for(lambda: not any(runs(pid) for pid in pids))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_is_left_behind_by_an_exception(home: Path) -> None:
    command = [*python(SCRIPT), str(home), "raise"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.2)
        parent.send_signal(signal.SIGTERM)
        said, complaint = parent.communicate(timeout=PATIENCE_S)
    assert said == ""
    assert "on purpose" in complaint
    assert not any(runs(pid) for pid in pids)


def test_exits_are_described() -> None:
    assert describe_exit(1) == "exit status 1"
    assert describe_exit(-9) == "killed by SIGKILL"
    assert describe_exit(-250) == "killed by signal 250"
