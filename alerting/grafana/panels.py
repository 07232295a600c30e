"""Panels that all say what they show, in which unit, and where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as prometheus_model
from grafana_foundation_sdk.models import table as table_model
from grafana_foundation_sdk.models.common import DataSourceRef

from alerting.grafana.postgres import SOURCE as POSTGRES
from alerting.grafana.postgres import Query, QueryBuilder

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus}")
"""The data source that the board's variable `prometheus` names."""

Target = builder.Builder[variants.Dataquery]


@dataclass(frozen=True)
class About:
    """What a reader needs to know of a panel. `read_on` is a page under docs/; the unit is one of Grafana's."""

    title: str
    description: str
    unit: str
    read_on: str
    width: int = 12
    height: int = 8
    at_least: str = "1m"
    """Least width of a bucket."""
    points: int = 500
    """Most buckets."""


@dataclass(frozen=True)
class Built(builder.Builder[model.Panel]):
    """A panel that is finished."""

    panel: model.Panel

    def build(self) -> model.Panel:
        return self.panel


@dataclass(frozen=True)
class Limits:
    """Values from which a figure is shown as a warning and as bad."""

    warning: float
    bad: float


@dataclass(frozen=True)
class Column:
    """How a column of a table is shown: its unit, width in pixels, and the column whose address it links to."""

    name: str
    unit: str | None = None
    width: int | None = None
    link: str | None = None


def over_time(expression: str, legend: str = "", *, ref_id: str = "A") -> prometheus.Dataquery:
    """A query over the board's range."""
    return _prometheus(expression, legend, ref_id).range()


def now(expression: str, legend: str = "", *, ref_id: str = "A") -> prometheus.Dataquery:
    """A query at the end of the board's range alone, a row for each series."""
    return _prometheus(expression, legend, ref_id).instant().format(prometheus_model.PromQueryFormat.TABLE)


def rows(sql: str, *, ref_id: str = "A") -> QueryBuilder:
    """A query for a table or a single figure."""
    return QueryBuilder(sql).ref_id(ref_id)


def series(sql: str, *, ref_id: str = "A") -> QueryBuilder:
    """A query for values over time."""
    return QueryBuilder(sql).as_time_series().ref_id(ref_id)


def lines(
    about: About, *targets: Target, stacked: bool = False, bars: bool = False, most: float | None = None
) -> Built:
    """Values over time; `stacked` fills the areas between them, `most` is the end of the axis."""
    made = (
        timeseries.Panel()
        .legend(common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST).show_legend(True))
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .show_points(common_model.VisibilityMode.NEVER)
        .min(0)
    )
    if stacked:
        made.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL)).fill_opacity(60).line_width(0)
    if bars:
        made.draw_style(common_model.GraphDrawStyle.BARS).fill_opacity(80)
    if most is not None:
        made.max(most)
    return _finish(made.build(), about, targets)


def figure(about: About, *targets: Target, limits: Limits | None = None) -> Built:
    """The latest value, large; coloured by `limits`."""
    made = (
        stat.Panel()
        .graph_mode(common_model.BigValueGraphMode.AREA)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if limits is not None:
        made.thresholds(_thresholds(limits))
    return _finish(made.build(), about, targets)


def listing(about: About, *targets: Target, columns: Sequence[Column] = ()) -> Built:
    """A table; what is said of `columns` overrides the panel's unit."""
    made = table.Panel().filterable(True).cell_height(common_model.TableCellHeight.SM)
    for column in columns:
        made.override_by_name(column.name, [model.DynamicConfigValue(*pair) for pair in _properties(column)])
    panel = made.build()
    assert isinstance(panel.options, table_model.Options)
    panel.options.footer = None  # which Grafana no longer has
    return _finish(panel, about, targets)


def heat(about: About, target: Target, *, least: float, most: float) -> Built:
    """A map of one row for each series, coloured from blue at `least` over pale to red at `most`."""
    colours = (
        heatmap.HeatmapColorOptions()
        .mode(heatmap_model.HeatmapColorMode.SCHEME)
        .scheme("RdBu")
        .reverse(True)
        .min(least)
        .max(most)
        .steps(64)
    )
    made = (
        heatmap.Panel()
        .calculate(False)
        .color(colours)
        .filter_values(heatmap.FilterValueRange().le(-1e9))  # by default what is not above 0 is left out
        .cell_gap(1)
        .cell_values(heatmap.CellValues().unit(about.unit).decimals(1))
        .rows_frame(heatmap.RowsHeatmapOptions().value("surprise"))
        .y_axis(heatmap.YAxisConfig().axis_placement(common_model.AxisPlacement.LEFT).reverse(True))
        .show_legend()
    )
    return _finish(made.build(), about, [target])


def _prometheus(expression: str, legend: str, ref_id: str) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(" ".join(expression.split())).ref_id(ref_id).datasource(PROMETHEUS)
    return made.legend_format(legend or "__auto")


def _finish(panel: model.Panel, about: About, targets: Sequence[Target]) -> Built:
    panel.title, panel.description = about.title, about.description
    panel.grid_pos = model.GridPos(h=about.height, w=about.width)
    panel.targets = [target.build() for target in targets]
    kinds = {isinstance(target, Query) for target in panel.targets}
    if len(kinds) != 1:
        raise ValueError(f"{about.title}: the queries of a panel go to one data source")
    panel.datasource = POSTGRES if kinds == {True} else PROMETHEUS
    panel.interval, panel.max_data_points = about.at_least, about.points
    page = about.read_on.replace(".md", ".html")  # as the site has it
    link = dashboard.DashboardLink("Runbook").type(model.DashboardLinkType.LINK).url(f"${{docs}}/{page}")
    panel.links = [link.target_blank(True).build()]
    panel.field_config = panel.field_config or model.FieldConfigSource()
    panel.field_config.defaults.unit = about.unit
    return Built(panel)


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    steps = {None: "green", limits.warning: "orange", limits.bad: "red"}
    made = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    return made.steps([model.Threshold(value=value, color=colour) for value, colour in steps.items()])


def _properties(column: Column) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if column.unit is not None:
        found.append(("unit", column.unit))
    if column.width is not None:
        found.append(("custom.width", column.width))
    if column.link is not None:
        url = f"${{__data.fields.{column.link}}}"
        found.append(("links", [{"title": "Open", "url": url, "targetBlank": True}]))
    return found
