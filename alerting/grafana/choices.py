"""Variables that several boards have, and how their values enter a query."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog import builder
from grafana_foundation_sdk.models import dashboard as model

from alerting.grafana.panels import PROMETHEUS
from alerting.grafana.postgres import SOURCE as POSTGRES

Variable = builder.Builder[model.VariableModel]

EVERYTHING = "__all"
ALL = model.VariableOption(text=["All"], value=["$__all"])


def names_of(kind: str, variable: str, label: str) -> Variable:
    """Names of the series of that `kind`."""
    return from_postgres(_all_names(kind), variable, label)


def from_postgres(sql: str, variable: str, label: str) -> Variable:
    """Several values of what `sql` gives, or All, which conditions made by `is_chosen` take as no condition."""
    text = " ".join(sql.split())
    made = dashboard.QueryVariable(variable).label(label).datasource(POSTGRES).query(text)
    made.refresh(model.VariableRefresh.ON_DASHBOARD_LOAD).sort(model.VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(f"'{EVERYTHING}'").current(ALL)


def from_prometheus(metric: str, name: str, variable: str, label: str) -> Variable:
    """Several values of the label `name`, or All."""
    query = f"label_values({metric}, {name})"
    made = dashboard.QueryVariable(variable).label(label).datasource(PROMETHEUS)
    made.query({"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
    made.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(".*").current(ALL)


def of(variable: str, label: str, *values: str) -> Variable:
    """Several of fixed `values`, or All."""
    made = dashboard.CustomVariable(variable).label(label).values(",".join(values))
    everything = model.VariableOption(text="All", value="$__all")
    made.options([everything, *(model.VariableOption(text=value, value=value) for value in values)])
    return made.multi(True).include_all(True).current(ALL)


def is_chosen(column: str, variable: str) -> str:
    """A condition of SQL: `column` is one of the values chosen in a variable that `from_postgres` made."""
    return f"('{EVERYTHING}' IN (${{{variable}:sqlstring}}) OR {column} IN (${{{variable}:sqlstring}}))"


def series_chosen(kind: str, variable: str) -> str:
    """A condition of SQL on `kind` and `name`: the series is one chosen in a variable that `names_of` made.

    All are named one by one, so that the index on kind, name and time serves them too.
    """
    return f"""kind = '{kind}' AND name = ANY(ARRAY({_all_names(kind)} AND {is_chosen("name", variable)}))"""


def chosen_series(kind: str, variable: str) -> str:
    """A FROM item `chosen (kind, name)`: the series chosen in the variable, the series `all` where All is."""
    values = f"${{{variable}:sqlstring}}"
    return f"""(
            SELECT 'all' AS kind, 'all' AS name WHERE '{EVERYTHING}' IN ({values})
            UNION ALL SELECT '{kind}', name FROM unnest(ARRAY[{values}]) AS name WHERE '{EVERYTHING}' NOT IN ({values})
        ) AS chosen"""


def _all_names(kind: str) -> str:
    """A SELECT of `name` that skips from one name to the next in the index, and may be followed by AND."""
    names = f"SELECT min(name) FROM trend_history WHERE kind = '{kind}'"
    return f"""
            WITH RECURSIVE found AS (
                {names.replace("min(name)", "min(name) AS name")}
                UNION ALL
                SELECT ({names} AND name > found.name) FROM found WHERE found.name IS NOT NULL
            )
            SELECT name FROM found WHERE name IS NOT NULL"""
