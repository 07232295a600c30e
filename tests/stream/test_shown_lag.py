"""A worker shows the lag of what it reads, and of that alone."""

from __future__ import annotations

from core.metrics import WORKER
from stream.progress import ShownLag


def shown(metric: str, partition: int) -> float | None:
    return WORKER.registry.get_sample_value(metric, {"topic": "shown-lag", "partition": str(partition)})


def test_a_partition_that_goes_to_another_worker_takes_its_lag_along() -> None:
    lag = ShownLag()
    lag.update({("shown-lag", 0): 5, ("shown-lag", 1): 3})
    assert (shown("newstide_lag_messages", 0), shown("newstide_lag_messages", 1)) == (5, 3)
    lag.update({("shown-lag", 1): 2, ("shown-lag", 2): 0})
    assert [shown("newstide_lag_messages", partition) for partition in range(3)] == [None, 2, 0]
    lag.update({})
    assert shown("newstide_lag_messages", 1) is None


def test_a_gap_is_an_increase_from_nothing() -> None:
    ShownLag().update({("shown-lag", 7): 0})
    assert shown("newstide_ledger_gap_messages_total", 7) == 0
