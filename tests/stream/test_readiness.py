from __future__ import annotations

from stream.readiness import CommitProgress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_that_could_commit_and_does_not_is_stalled() -> None:
    clock = Clock()
    progress = CommitProgress(60, 120, clock)
    progress.look(5, waiting_for_database=False)
    assert progress() is None
    clock.now = 70
    progress.look(5, waiting_for_database=False)
    assert progress() == "5 records behind, and no commit for 70 s"
    assert progress.stalled() is None
    clock.now = 130
    progress.look(5, waiting_for_database=False)
    assert progress.stalled() == "5 records behind, and none committed for 130 s"
    progress.committed()
    progress.look(5, waiting_for_database=False)
    assert progress.stalled() is None


def test_an_outage_of_others_stalls_nobody_however_long() -> None:
    clock = Clock()
    progress = CommitProgress(60, 120, clock)
    for minute in range(10):
        clock.now = minute * 60
        progress.look(*((5, True) if minute % 2 else (None, False)))
        assert progress() is not None
        assert progress.stalled() is None
    # Once they answer, the worker has its time anew. Between looks nothing is known, so nothing is held against it.
    clock.now += 119
    progress.look(5, waiting_for_database=False)
    assert progress.stalled() is None
    clock.now += 1000
    assert progress.stalled() is None
    progress.look(5, waiting_for_database=False)
    assert progress.stalled() is not None
