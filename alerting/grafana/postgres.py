"""A query of Grafana's PostgreSQL data source, which the SDK has no builder for.

See pkg/tsdb/grafana-postgresql-datasource and packages/grafana-sql of Grafana for the fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.common import DataSourceRef

TYPE = "grafana-postgresql-datasource"
VARIABLE = "postgres"
SOURCE = DataSourceRef(type_val=TYPE, uid=f"${{{VARIABLE}}}")
"""The data source that the board's variable `postgres` names."""

Format = Literal["table", "time_series"]


@dataclass
class Query(variants.Dataquery):
    """SQL with Grafana's macros. A time series has a column `time`, texts that name series, and numbers."""

    sql: str
    format: Format = "table"
    ref_id: str = "A"

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": SOURCE,
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


class QueryBuilder(builder.Builder[Query]):
    """Builds a `Query`. `build` raises ValueError where Grafana would only show an empty panel."""

    def __init__(self, sql: str) -> None:
        self._query = Query("\n".join(line.rstrip() for line in sql.strip().splitlines()))

    def as_time_series(self) -> Self:
        self._query.format = "time_series"
        return self

    def ref_id(self, ref_id: str) -> Self:
        self._query.ref_id = ref_id
        return self

    def build(self) -> Query:
        sql = self._query.sql
        if sql.endswith(";"):
            raise ValueError(f"a query ends without a semicolon: {sql}")
        if self._query.format == "time_series" and not ('AS "time"' in sql or "$__timeGroupAlias(" in sql):
            raise ValueError(f'a time series needs a column "time": {sql}')
        return self._query
