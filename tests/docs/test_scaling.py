"""The page on scaling shows the figures that were measured, and its arithmetic on them is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.scaling.__main__ import MEASURED
from benchmarks.scaling.page import NONE, PAGE, with_figures


def figures(
    rate: float, workers: int, *, history: int = 0, again: bool = False, postgres: float = 200
) -> dict[str, Any]:
    return {
        "workers": workers,
        "partitions": 8,
        "history": history,
        "again": again,
        "rate": rate,
        "messages": 20_000,
        "cpu_us": {"worker": 1000, "postgres": postgres, "kafka": 50, "benchmark": 1},
        "cpu_us_others": 10,
        "idle": 0.25,
        "sessions": {"lock": 0.02, "serial": 0.03, "serial, disk": 0.02, "worker": 0.2},
        "wal_bytes": 5_000,
        "store_bytes": 2_000,
        "known_bytes": 800,
        "peak_mb": 210,
        "sent": {"rate": 30_000, "kafka_us": 30, "bytes": 400},
    }


def test_the_page_shows_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_figures(page, MEASURED), "run `python -m benchmarks.scaling --page`"


def test_what_follows_from_figures_is_their_arithmetic(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    page = PAGE.read_text(encoding="utf-8")
    assert NONE in with_figures(page, file)
    result = {
        "began": "2026-01-31T12:00:00+00:00",
        "machine": {"cpu": "Some CPU", "cores": 2, "flags": ["avx2"]},
        "command": "python -m benchmarks.scaling",
        "setting": {"count": 60_000, "series": 10_000, "seconds": 40, "per_second": 100, "seed": 0},
        "classifier_alone": {"rate": 1_000, "cpu_us": 600, "peak_rss_mb": 150},
        "cells": {
            "1 x 8": figures(500, 1),
            "2 x 8": figures(800, 2, postgres=250),
            "2 x 8, 500000 stored": figures(760, 2, history=500_000, postgres=300),
            "1 x 8, again": figures(505, 1, again=True),
        },
    }
    file.write_text(json.dumps(result))
    shown = with_figures(page, file)
    assert shown.startswith(page.split("<!--")[0])
    assert with_figures(shown, file) == shown
    rows = {row[0]: row[1:] for line in shown.splitlines() if line.startswith("| ")
            for row in [line.strip("| ").split(" | ")]}  # fmt: skip
    assert rows["2 x 8"][:4] == ["800", "1.60", "1,000", "250"]
    assert "2 x 8, 500000 stored" not in rows
    assert "the first cell is 0.50 of it. It takes 600 us of CPU a message, 60% of a worker's" in shown
    assert "first cell again, at the end: 1.01 of its first rate" in shown
    assert "0.95 of their rate on an empty one, and 1.20 times Postgres' CPU" in shown
    # 16 cores / 200 us; held 5% of the time at 500/s; 500 MB / 5,000 bytes; 8 cores / (50 + 30) us
    limits = {"a Postgres of 16 cores": "80,000", "transactions one after the other on the rows of `all`": "10,000",
              "a disk that takes 500 MB/s of Postgres' log": "100,000", "8 partitions, the default": "4,000",
              "a Kafka of 8 cores, without replicas": "100,000", "the 2 cores of this machine": "1,600"}  # fmt: skip
    assert {what: rows[what][0] for what in limits} == limits
    assert rows["10,000"] == ["20", "10", "2.0 to 2.5", "0.50", "50", "1,700"]
    # 100 million: 2,000 and 800 bytes each, at 500 and 800 a second; 1.2 at 500,000 on a line over the logarithm
    assert rows["100 million"] == ["200", "80", "55.6", "34.7", "1.47"]
