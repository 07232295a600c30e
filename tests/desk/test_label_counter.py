"""The counter of labels equals the rows, whatever is committed in what order."""

from __future__ import annotations

import threading
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from core.store.labels import Label, add_labels, append_labels
from desk.labelling.counter import LabelCounter

words = st.builds(
    lambda body, task, label, analyst, final, entity: Label(
        body, "wire", task, label, analyst, final=final, entity=entity
    ),
    st.sampled_from(["one text", "another text"]),
    st.sampled_from(["sentiment", "topic"]),
    st.sampled_from([None, "negative", "positive"]),
    st.sampled_from(["ann", "bob"]),
    st.booleans(),
    st.sampled_from(["", "AAPL"]),
)

_Counted = dict[tuple[str, str, bool, str | None], tuple[int, int]]


def recount(engine: Engine) -> _Counted:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT analyst, task, entity <> '', label FROM label")).all()
        current = connection.execute(text("SELECT analyst, task, entity <> '', label FROM label_word")).all()
    given_, counting = Counter(map(tuple, rows)), Counter(map(tuple, current))
    return {key: (given_[key], counting[key]) for key in given_}


def counted(counter: LabelCounter) -> _Counted:
    return {(one.analyst, one.task, one.companies, one.label): (one.given, one.current) for one in counter.read()}


@given(st.lists(st.lists(words, max_size=5), max_size=5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_follow_the_rows(engine: Engine, batches: list[list[Label]]) -> None:
    counter = LabelCounter(engine)
    for batch in batches:
        # As a desk saves them: one word of an analyst for a text and task at a time.
        add_labels(
            engine, list({(one.text, one.task, one.entity, one.analyst, one.final): one for one in batch}.values())
        )
        assert counted(counter) == recount(engine)


def test_a_row_that_is_committed_late_is_counted(engine: Engine) -> None:
    counter = LabelCounter(engine)
    add_labels(engine, [Label("one text", "wire", "sentiment", "negative", "ann")])
    assert counted(counter) == recount(engine)
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with engine.begin() as connection:
            append_labels(connection, [Label("one text", "wire", "sentiment", "positive", "ann")])
            begun.set()
            go_on.wait(30)

    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(30)
    add_labels(engine, [Label("another text", "wire", "topic", "positive", "bob")])
    assert counted(counter) == recount(engine)
    go_on.set()
    thread.join()
    assert counted(counter) == recount(engine)
    assert sum(given_ for given_, _ in recount(engine).values()) == 3
