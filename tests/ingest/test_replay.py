from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InputError
from core.records import SCHEMA_HEADER, SCHEMA_VERSION
from core.settings import Settings
from ingest.checkpoint import checkpoint_path
from ingest.cleaning import clean_message
from ingest.mapping import parse_map
from ingest.producer import MessageProducer
from ingest.replay import replay, source_of
from ingest.replay_plan import ReplayOptions
from ingest.window import AckWindow
from tests.ingest.ingest_helpers import Topics

Write = Callable[[str, str | bytes], Path]
TWEETS = Path(__file__).parents[3] / "shared/data/stocknet_tweets_2014_2016/stocknet_tweets.jsonl.gz"


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(
        json.dumps({"id": i, "text": f"message {i} about shares", "ts": 1388534400 + i}).encode() + b"\n"
        for i in range(start, start + count)
    )


MAP = parse_map("id=id,text=text,published_at=ts")


def test_every_line_arrives_in_order_or_as_a_dead_letter(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    bad = [
        b"{nonsense",
        b'{"id": 900, "text": 5}',
        b'{"id": 901}',
        b"[]",
        b'"\xff"',
        b'{"text": "' + b"x" * 10**7 + b'"}',
    ]
    path = write("feed A.jsonl", lines(500) + b"\n".join(bad) + b"\n" + lines(500, start=500))
    summary = replay(settings, producer, path, ReplayOptions(fields=MAP))
    assert (summary.read, summary.produced, summary.dead_letters) == (1_006, 1_000, 6)
    assert summary.finished

    records = topics.records("messages", 1_000)
    assert len(records) == 1_000
    assert sum(summary.end_offsets.values()) == 1_000
    ends: dict[int, int] = {}
    for record in records:
        ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        assert list(record.headers) == [(SCHEMA_HEADER, SCHEMA_VERSION)]
    assert summary.end_offsets == ends

    messages = topics.messages(1_000)
    assert {message.id for message in messages} == {str(i) for i in range(1_000)}
    assert {record.key.decode() for record in records} == {message.id for message in messages}
    assert {message.source for message in messages} == {"feed-a"}
    for partition in ends:
        numbers = [int(record.key) for record in records if record.partition == partition]
        assert numbers == sorted(numbers)

    letters = topics.dead_letters(6)
    assert [letter.value for letter in letters[:5]] == bad[:5]
    assert letters[5].value == bad[5][:900_000]
    assert "10000012 bytes" in letters[5].reason
    assert [letter.origin for letter in letters] == [f"replay:feed A.jsonl:{number}" for number in range(501, 507)]
    assert {(letter.stage, letter.topic) for letter in letters} == {("ingest", settings.topic("messages"))}
    assert "`text` is a number" in letters[1].reason
    assert "no column `text`" in letters[2].reason


def test_csv_and_parquet_and_gzip_give_the_same_messages(
    settings: Settings, producer: MessageProducer, topics: Topics, tmp_path: Path, write: Write
) -> None:
    rows = [{"id": str(i), "text": f"text {i} of the story", "ts": "2014-01-02T03:04:05Z"} for i in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    write("a.csv.gz", gzip.compress(b"id,text,ts\n" + b"".join(",".join(r.values()).encode() + b"\n" for r in rows)))
    write("a.jsonl.gz", gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    for name in ("a.parquet", "a.csv.gz", "a.jsonl.gz"):
        assert replay(settings, producer, tmp_path / name, ReplayOptions(fields=MAP, source="same")).produced == 50
    contents = {(m.id, m.text, m.published_at, m.source, m.language) for m in topics.messages(150)}
    assert len(contents) == 50


def test_a_stopped_replay_resumes_where_kafka_acknowledged(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    path = write("x.jsonl", lines(6_000))
    stop = threading.Event()

    def stop_midway(_share: float, rows: int, _letters: int) -> None:
        if rows > 1_000:
            stop.set()

    first = replay(settings, producer, path, ReplayOptions(fields=MAP), stop=stop, progress=stop_midway)
    assert not first.finished
    assert 0 < first.produced < 6_000
    assert first.produced == first.read
    second = replay(settings, producer, path, ReplayOptions(fields=MAP), resume=True)
    assert second.resumed_after == first.produced
    assert first.produced + second.produced == 6_000
    again = replay(settings, producer, path, ReplayOptions(fields=MAP), resume=True)
    assert again.produced == 0
    with path.open("ab") as file:
        file.write(lines(5, start=6_000))
    grown = replay(settings, producer, path, ReplayOptions(fields=MAP), resume=True)
    assert grown.produced == 5
    messages = topics.messages(6_005)
    assert len(messages) == 6_005
    assert {int(message.id) for message in messages} == set(range(6_005))


def test_resumption_refuses_another_file_and_a_damaged_checkpoint(
    settings: Settings, producer: MessageProducer, write: Write
) -> None:
    path = write("x.jsonl", lines(10))
    replay(settings, producer, path, ReplayOptions(fields=MAP))
    write("x.jsonl", lines(10, start=3))
    with pytest.raises(InputError, match="has changed since"):
        replay(settings, producer, path, ReplayOptions(fields=MAP), resume=True)
    checkpoint_path(settings, path).write_text("nonsense")
    with pytest.raises(InputError, match="can't be read"):
        replay(settings, producer, path, ReplayOptions(fields=MAP), resume=True)
    assert replay(settings, producer, path, ReplayOptions(fields=MAP)).produced == 10


def test_a_multiple_of_real_time_keeps_the_gaps(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    start = datetime(2014, 1, 1, tzinfo=UTC)
    moments = [start, start + timedelta(hours=1), start + timedelta(minutes=30), start + timedelta(hours=2)]
    body = "\n".join(json.dumps({"text": f"m{i}", "ts": t.isoformat()}) for i, t in enumerate(moments))
    fields = parse_map("text=text,published_at=ts")
    summary = replay(settings, producer, write("x.jsonl", body), ReplayOptions(fields=fields), speed=7_200)
    assert summary.produced == 4
    arrivals = {message.text: message.received_at for message in topics.messages(4)}
    assert arrivals["m1"] - arrivals["m0"] >= timedelta(seconds=0.4)
    assert arrivals["m3"] - arrivals["m0"] >= timedelta(seconds=0.9)


def test_rows_that_were_sent_before_take_no_time_again(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    start = datetime(2014, 1, 1, tzinfo=UTC)
    moments = [start, start + timedelta(days=1), start + timedelta(days=2), start + timedelta(days=2, seconds=0.5)]
    body = "\n".join(json.dumps({"text": f"m{i}", "ts": t.isoformat()}) for i, t in enumerate(moments))
    options = ReplayOptions(fields=parse_map("text=text,published_at=ts"))
    summary = replay(settings, producer, write("x.jsonl", body), options, speed=1, unpaced_rows=3)
    assert (summary.produced, summary.finished) == (4, True)


def test_what_is_in_flight_is_bounded_in_number_and_bytes(producer: MessageProducer) -> None:
    window: AckWindow[int] = AckWindow(producer, limit=50, byte_limit=100_000)
    most = 0
    for position in range(200):
        window.send(
            position, clean_message({"id": position, "text": "x" * (10_000 if position > 100 else 10)}, source="a")
        )
        most = max(most, len(window))
        if position > 130:
            assert len(window) <= 10
    assert most < 50
    window.drain()
    assert (window.acknowledged, window.produced, len(window)) == (199, 200, 0)


def test_a_wrong_map_is_refused_before_anything_is_sent(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    path = write("x.jsonl", lines(10))
    with pytest.raises(InputError, match="did you mean `text`"):
        replay(settings, producer, path, ReplayOptions(fields=parse_map("text=tekst")))
    with pytest.raises(InputError, match="does not exist"):
        replay(settings, producer, path.with_name("none.jsonl"))
    assert topics.records("messages", 0) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("Stock Tweets.jsonl.gz", "stock-tweets"),
        ("a.b.csv", "a.b"),
        ("ü.csv", "ü"),
        ("-.csv", "replay"),
        ("快讯 1.csv", "快讯-1"),
        ("_x.tsv", "x"),
    ],
)
def test_a_source_is_named_after_its_file(name: str, source: str) -> None:
    assert source_of(Path(name)) == source


@pytest.mark.skipif(not TWEETS.exists(), reason="the real tweets are not beside this checkout")
def test_real_tweets(settings: Settings, producer: MessageProducer, topics: Topics, tmp_path: Path) -> None:
    path = tmp_path / "tweets.jsonl"
    with gzip.open(TWEETS) as file:
        path.write_bytes(b"".join(line for _, line in zip(range(3_000), file, strict=False)))
    fields = parse_map("id=id,text=text,published_at=ts,entities=tickers")
    summary = replay(settings, producer, path, ReplayOptions(fields=fields, source="tweets", kind="comment"))
    assert (summary.produced, summary.dead_letters) == (3_000, 0)
    messages = topics.messages(3_000)
    assert len({message.uid for message in messages}) == 3_000
    assert all(not message.marks and message.entities for message in messages)
    assert sum(message.language == "en" for message in messages) > 2_500


def test_the_summary_tells_what_was_assumed_and_repeated(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    body = [
        b"1,2023-05-09,Gr\xc3\xb6\xc3\x9fere M\xc3\xbchle \xfcber Plan",
        "2,soon,Die größte Mühle verfügt über überschüssige Körner".encode(),
        b"3,2023-05-09,The quarry",
        b"3,2023-05-09,The quarry",
        b"3,2023-05-09,The quarry again",
        b"4,2999-01-01,The ferry",
        b"5,2023-05-09,too,many",
    ]
    path = write("x.csv", b"id,date,text\n" + b"\n".join(body))
    options = ReplayOptions(fields=parse_map("id=id,text=text,published_at=date"))
    summary = replay(settings, producer, path, options)
    assert (summary.read, summary.produced, summary.dead_letters) == (7, 6, 1)
    assert (summary.duplicates, summary.changed_duplicates) == (1, 1)
    assert summary.marks == {"bytes-replaced": 1, "time-assumed": 1, "time-clamped": 1}
    assert summary.encoding == "utf-8"
    (letter,) = topics.dead_letters(1)
    assert letter.value == body[-1]
    assert letter.context["header"] == "id,date,text"


def test_a_file_of_which_nothing_can_be_read_sends_nothing(
    settings: Settings, producer: MessageProducer, topics: Topics, write: Write
) -> None:
    path = write("x.json", json.dumps({"items": [{"id": 1, "text": "The mill"}]}, indent=1))
    with pytest.raises(InputError, match="jq -c"):
        replay(settings, producer, path)
    assert topics.records("dead-letters", 0) == []
