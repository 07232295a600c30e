"""A board: rows of panels under variables, laid out and numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog import builder
from grafana_foundation_sdk.models import dashboard as model

from alerting.grafana.panels import Built
from alerting.grafana.postgres import TYPE as POSTGRES

SOURCES = {"prometheus": "prometheus", "postgres": POSTGRES}
"""Variables that name data sources -> their types. The one of the name `newstide-VARIABLE` is provisioned."""


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
        """The dashboard; `docs` is where the site of `make docs` is served."""
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
        made.variables([*_sources(), dashboard.ConstantVariable("docs").value(docs), *self.variables])
        for annotation in self.annotations:
            made.annotation(annotation)
        number = 0
        for title, panels in self.rows:
            made.with_row(dashboard.Row(title).id(number := number + 1))
            for panel in panels:
                panel.panel.id_val = (number := number + 1)
                made.with_panel(panel)
        finished = made.build()
        assert finished.templating is not None
        for variable in finished.templating.list_val or []:
            # only variables of the kind `interval` have these, and the SDK writes them in all
            variable.auto = variable.auto_min = variable.auto_count = None
        return finished


def _sources() -> list[builder.Builder[model.VariableModel]]:
    return [
        dashboard.DatasourceVariable(name)
        .label(name.capitalize())
        .type(kind)
        .current(model.VariableOption(text=f"newstide {name}", value=f"newstide-{name}"))
        for name, kind in SOURCES.items()
    ]
