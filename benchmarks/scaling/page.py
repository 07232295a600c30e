"""What was measured as Markdown, and what follows from it by arithmetic. Pure but for the two files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench_classifier import PROJECT, in_words

PAGE = PROJECT / "docs" / "scaling.md"
BEGIN = "<!-- Between these lines stands what `python -m benchmarks.scaling --page` writes. -->"
END = "<!-- The end of what is written. -->"
NONE = "Not measured yet: `KAFKA_HOME=... python -m benchmarks.scaling`, then `python -m benchmarks.scaling --page`."

RATES = (1_000, 10_000, 100_000)  # messages/s
STORED = (5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000)
POSTGRES_CORES, KAFKA_CORES, DISK_MB_S = 16, 8, 500  # a large server of today

Figures = dict[str, Any]


def update_page(measured: Path, page: Path = PAGE) -> None:
    """Write the figures in the file `measured` into `page`; that they are missing, where there is no such file."""
    page.write_text(with_figures(page.read_text(encoding="utf-8"), measured), encoding="utf-8")


def with_figures(text: str, measured: Path) -> str:
    """The page `text` with what its two marked lines enclose written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = table(json.loads(measured.read_text(encoding="utf-8"))) if measured.is_file() else NONE
    return f"{before}{BEGIN}\n\n{figures.strip()}\n\n{END}{after}"


def table(result: Figures) -> str:
    """All of it, as Markdown."""
    cells: dict[str, Figures] = result["cells"]
    first, *_ = cells.values()
    matrix = [each for each in cells.values() if not each["history"] and not each["again"]]
    grown = _grown(cells)
    parts = [_setting(result), _matrix(matrix, first), _beside(result, cells, first, grown)]
    parts += [_limits(result, first), _rates(matrix, first), _totals(matrix, first, grown)]
    return "\n\n".join(parts)


def _grown(cells: dict[str, Figures]) -> tuple[Figures, Figures] | None:
    """The cell on a store that had messages, and the same one on an empty store."""
    for each in cells.values():
        if each["history"] and (empty := cells.get(f"{each['workers']} x {each['partitions']}")):
            return each, empty
    return None


def _setting(result: Figures) -> str:
    asked, machine = result["setting"], result["machine"]
    return (
        f"{in_words(machine)}; {result['began'][:10]}; `{result['command']}`. {asked['count']:,} tweets about "
        f"{asked['series']:,} companies, {asked['per_second']:g} to a second of event time, wait in a Kafka of one "
        f"broker; each cell is measured for {asked['seconds']:g} s. Everything shares these "
        f"{machine['cores']} cores: more workers than cores show what workers cost each other, not what they could do."
    )


def _matrix(matrix: Sequence[Figures], first: Figures) -> str:
    rows = []
    for each in matrix:
        cpu = each["cpu_us"]
        rows.append(
            (
                f"{each['workers']} x {each['partitions']}",
                f"{each['rate']:,.0f}",
                f"{each['rate'] / first['rate']:.2f}",
                *(f"{cpu[process]:,.0f}" for process in ("worker", "postgres", "kafka")),
                f"{each['cpu_us_others']:,.0f}",
                f"{each['idle']:.0%}",
                f"{each['sessions'].get('lock', 0):.2f}",
                f"{each['wal_bytes']:,}",
            )
        )
    heads = ("workers x partitions", "messages/s", "to the first", "worker", "Postgres", "Kafka", "others", "idle")
    return _markdown((*heads, "sessions that wait for a lock", "bytes of Postgres' log"), rows) + (
        "\n\nWorker, Postgres, Kafka, others: microseconds of CPU a message. Sessions: how many, on average."
    )


def _beside(result: Figures, cells: dict[str, Figures], first: Figures, grown: tuple[Figures, Figures] | None) -> str:
    alone = result["classifier_alone"]
    lines = [
        f"- The classifier alone reads {alone['rate']:,.0f} messages/s on one thread: the first cell is "
        f"{first['rate'] / alone['rate']:.2f} of it. It takes {alone['cpu_us']:,.0f} us of CPU a message, "
        f"{alone['cpu_us'] / first['cpu_us']['worker']:.0%} of a worker's.",
        f"- A message costs Kafka {first['sent']['kafka_us']:,.0f} us more when it is sent; it has "
        f"{first['sent']['bytes']:,} bytes. A worker takes {first['peak_mb']} MB at most.",
    ]
    lines += [
        f"- The first cell again, at the end: {each['rate'] / first['rate']:.2f} of its first rate."
        for each in cells.values()
        if each["again"]
    ]
    if grown:
        full, empty = grown
        lines.append(
            f"- {full['workers']} workers on a store of {full['history']:,} messages: "
            f"{full['rate'] / empty['rate']:.2f} of their rate on an empty one, and {_dearer(full, empty):.2f} times "
            "Postgres' CPU a message."
        )
    return "\n".join(lines)


def _limits(result: Figures, first: Figures) -> str:
    """What one store and its surroundings can take, the tightest limit first."""
    cpu, rate, cores = first["cpu_us"], first["rate"], result["machine"]["cores"]
    one = _one(first)
    spent = cpu["worker"] + cpu["postgres"] + cpu["kafka"]
    held = first["sessions"].get("serial", 0) + first["sessions"].get("serial, disk", 0)
    sent = cpu["kafka"] + first["sent"]["kafka_us"]
    limits = [
        (one, "one worker", "as measured, with a core to itself"),
        (cores * 1e6 / spent, f"the {cores} cores of this machine", f"{cores} x 1,000,000 / {spent:,.0f} us"),
        (8 * one, "8 partitions, the default", f"8 x {one:,.0f}"),
        (
            POSTGRES_CORES * 1e6 / cpu["postgres"],
            f"a Postgres of {POSTGRES_CORES} cores",
            f"{POSTGRES_CORES} x 1,000,000 / {cpu['postgres']:,.0f} us",
        ),
        (
            DISK_MB_S * 1e6 / first["wal_bytes"],
            f"a disk that takes {DISK_MB_S} MB/s of Postgres' log",
            f"{DISK_MB_S} MB / {first['wal_bytes']:,} bytes",
        ),
        (
            KAFKA_CORES * 1e6 / sent,
            f"a Kafka of {KAFKA_CORES} cores, without replicas",
            f"{KAFKA_CORES} x 1,000,000 / {sent:,.0f} us",
        ),
    ]
    if held:
        what = "transactions one after the other on the rows of `all`"
        limits.append((rate / held, what, f"they are held {held:.1%} of the time at {rate:,.0f} messages/s"))
    rows = [(what, f"{most:,.0f}", why) for most, what, why in sorted(limits)]
    return "What saturates first, from the first cell:\n\n" + _markdown(("limit", "messages/s", "how"), rows)


def _rates(matrix: Sequence[Figures], first: Figures) -> str:
    def cores(rate: int, process: str) -> str:
        return _span((each["cpu_us"][process] * rate / 1e6 for each in matrix), _two)

    rows = []
    for rate in RATES:
        workers = math.ceil(rate / _one(first))
        log = _span((each["wal_bytes"] * rate / 1e6 for each in matrix), _two)
        day = _span((each["store_bytes"] * rate * 86_400 / 1e9 for each in matrix), _two)
        rows.append(
            (f"{rate:,}", f"{workers:,}", *(cores(rate, each) for each in ("worker", "postgres", "kafka")), log, day)
        )
    heads = ("messages/s", "workers = partitions", "cores of workers", "of Postgres", "of Kafka")
    return (
        "Extrapolated to rates: CPU a message times rate, from the cheapest to the dearest cell; workers are the rate "
        "over that of one worker.\n\n" + _markdown((*heads, "MB/s of Postgres' log", "GB stored a day"), rows)
    )


def _totals(matrix: Sequence[Figures], first: Figures, grown: tuple[Figures, Figures] | None) -> str:
    two = max((each["rate"] for each in matrix if each["workers"] == 2), default=None)
    rows = []
    for stored in STORED:
        row = [
            f"{stored / 1e6:g} million",
            _span((each["store_bytes"] * stored / 1e9 for each in matrix), _two),
            _span((each["known_bytes"] * stored / 1e9 for each in matrix), _two),
            f"{stored / _one(first) / 3600:.1f}",
            f"{stored / two / 3600:.1f}" if two else "",
        ]
        rows.append([*row, f"{_factor(stored, *grown):.2f}"] if grown else row)
    heads = ["messages stored", "GB", "of it keys and stories", "hours of one worker", "of two workers here"]
    said = (
        "Extrapolated to stores: bytes a message as in the cells, where many messages share a minute; the fewer do, "
        "the more rows of trends a message has to itself (`--per-second` measures it)."
    )
    if grown:
        heads.append("Postgres' CPU a message, to an empty store")
        said += (
            " The last column goes on from what was measured with the logarithm of the number of messages, as the "
            "depth of an index does: it holds as long as keys and stories fit into memory."
        )
    return f"{said}\n\n{_markdown(heads, rows)}"


def _one(first: Figures) -> float:
    """Messages/s of one worker."""
    return float(first["rate"] / first["workers"])


def _dearer(each: Figures, than: Figures) -> float:
    return float(each["cpu_us"]["postgres"] / than["cpu_us"]["postgres"])


def _factor(stored: int, full: Figures, empty: Figures) -> float:
    """How much dearer a message is for Postgres on `stored` messages than on an empty store: on a line over the
    logarithm, from half of what the cell of the empty store stored to the history of the other one."""
    begin = max(empty["messages"] / 2, 1)
    slope = (_dearer(full, empty) - 1) / math.log(full["history"] / begin)
    return max(1.0, 1 + slope * math.log(stored / begin))


def _span(values: Iterable[float], show: Callable[[float], str]) -> str:
    """The least and the greatest, or the one that both look like."""
    found = sorted(values)
    least, most = show(found[0]), show(found[-1])
    return least if least == most else f"{least} to {most}"


def _two(value: float) -> str:
    """Two significant digits."""
    if value <= 0:
        return "0"
    digits = 1 - math.floor(math.log10(value))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
