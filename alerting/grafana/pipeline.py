"""The board Pipeline: from the feeds to the committed trends. In the time of the clock."""

from __future__ import annotations

from alerting.grafana import pipeline_workers
from alerting.grafana.board import Board
from alerting.grafana.choices import from_prometheus
from alerting.grafana.panels import About, Built, lines, over_time
from alerting.grafana.pipeline_ingest import ingest
from alerting.grafana.pipeline_losses import losses

_DOWN = "runbooks/NewstideProcessDown.md"


def board() -> Board:
    made = Board(
        uid="newstide-pipeline",
        title="Pipeline",
        description="Lag, throughput, latency and losses of ingest and workers.",
        refresh="30s",
        since="now-3h",
        variables=[
            from_prometheus('newstide_process_info{process="worker"}', "instance", "worker", "Worker"),
            from_prometheus("newstide_lag_messages", "topic", "topic", "Kafka topic"),
        ],
    )
    made.row("Now", *pipeline_workers.at_present())
    made.row("Lag and throughput", *pipeline_workers.lag())
    made.row("Latency", *pipeline_workers.latency())
    made.row("Losses and repetitions", *losses())
    made.row("Ingest", *ingest())
    made.row("Processes", *_processes())
    return made


def _processes() -> list[Built]:
    return [
        lines(
            About("Up", "1 for each process that answers Prometheus, by kind.", "short", _DOWN, 8, 8, "15s"),
            over_time("sum by (process) (newstide_process_info)", "{{process}}"),
        ),
        lines(
            About("Processor", "Cores in use.", "none", _DOWN, 8, 8, "15s"),
            over_time(
                "rate(process_cpu_seconds_total[$__rate_interval]) "
                "* on (instance) group_left (process) newstide_process_info",
                "{{process}} {{instance}}",
            ),
        ),
        lines(
            About("Memory", "Resident.", "bytes", _DOWN, 8, 8, "15s"),
            over_time(
                "process_resident_memory_bytes * on (instance) group_left (process) newstide_process_info",
                "{{process}} {{instance}}",
            ),
        ),
    ]
