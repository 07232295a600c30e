"""Panels that all say what they show, in which unit, and where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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

GREEN, ORANGE, RED = "green", "orange", "red"
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
        made.thresholds(_thresholds([(None, GREEN), (limits.warning, ORANGE), (limits.bad, RED)]))
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


@dataclass
class Board:
    """A board under construction. Rows of panels are added in order."""

    uid: str
    title: str
    description: str
    refresh: str
    since: str
    variables: Sequence[builder.Builder[model.VariableModel]]
    annotations: Sequence[builder.Builder[model.AnnotationQuery]] = ()
    rows: list[tuple[str, Sequence[Built]]] = field(default_factory=list)

    def row(self, title: str, *panels: Built) -> None:
        """Add a row. Raises ValueError unless its panels fill the board's 24 columns line by line."""
        taken = 0
        for panel in panels:
            assert panel.panel.grid_pos is not None
            taken += panel.panel.grid_pos.w
            if taken > 24:
                raise ValueError(f"{self.title}: {panel.panel.title!r} does not fit into its line")
            taken %= 24
        if taken:
            raise ValueError(f"{self.title}: the row {title!r} leaves {24 - taken} columns free")
        self.rows.append((title, panels))

    def build(self, docs: str) -> model.Dashboard:
        """The dashboard; `docs` is the address that docs/ is served at."""
        made = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags(["newstide"])
            .refresh(self.refresh)
            .time(self.since, "now")
            .timezone("utc")
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(
                dashboard.DashboardLink("newstide")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags(["newstide"])
                .keep_time(True)
            )
        )
        for variable in [*_sources(), _constant("docs", docs), *self.variables]:
            made.with_variable(_without_interval(variable))
        for annotation in self.annotations:
            made.annotation(annotation)
        number = 0
        for title, panels in self.rows:
            made.with_row(dashboard.Row(title).id(number := number + 1))
            for panel in panels:
                panel.panel.id_val = (number := number + 1)
                made.with_panel(panel)
        return made.build()


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
    link = dashboard.DashboardLink("Runbook").type(model.DashboardLinkType.LINK).url(f"${{docs}}/{about.read_on}")
    panel.links = [link.target_blank(True).build()]
    panel.field_config = panel.field_config or model.FieldConfigSource()
    panel.field_config.defaults.unit = about.unit
    return Built(panel)


def _thresholds(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    made = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE)
    return made.steps([model.Threshold(value=value, color=colour) for value, colour in steps])


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


@dataclass(frozen=True)
class _Variable(builder.Builder[model.VariableModel]):
    variable: model.VariableModel

    def build(self) -> model.VariableModel:
        return self.variable


def _without_interval(variable: builder.Builder[model.VariableModel]) -> _Variable:
    """The variable without what only those of the kind `interval` have, and the SDK writes in all."""
    made = variable.build()
    made.auto = made.auto_min = made.auto_count = None
    return _Variable(made)


def _sources() -> list[builder.Builder[model.VariableModel]]:
    return [
        dashboard.DatasourceVariable(name)
        .label(name.capitalize())
        .type(kind)
        .current(model.VariableOption(text=f"newstide {name}", value=f"newstide-{name}"))
        for name, kind in (("prometheus", "prometheus"), ("postgres", "grafana-postgresql-datasource"))
    ]


def _constant(name: str, value: str) -> builder.Builder[model.VariableModel]:
    return dashboard.ConstantVariable(name).value(value)
