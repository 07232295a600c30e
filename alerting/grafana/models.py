"""The board Models: which model labels, how it compares with its shadow, and what its labels look like."""

from __future__ import annotations

from alerting.grafana.board import Board
from alerting.grafana.choices import chosen_series, names_of, of, series_chosen
from alerting.grafana.panels import About, Built, Column, Limits, figure, lines, listing, over_time, rows, series

_RUNBOOKS = "runbooks/NewstideModel"
_STALE, _REFUSED, _SHADOW = f"{_RUNBOOKS}Stale.md", f"{_RUNBOOKS}Refused.md", "runbooks/NewstideShadowDisagrees.md"
_TASK = 'task=~"$task"'


def board() -> Board:
    made = Board(
        uid="newstide-models",
        title="Models",
        description="Models in use, their shadows, and the labels that they give.",
        refresh="1m",
        since="now-7d",
        variables=[of("task", "Task", "sentiment", "topic"), names_of("topic", "topic", "Topic")],
    )
    made.row("Now", *_now())
    made.row("Models in service", *_in_service())
    made.row("The shadow", *_shadow())
    made.row("Labels", *_given_labels())
    return made


def _now() -> list[Built]:
    return [
        figure(
            About(
                "Models in use for a language",
                "More than one for long means that a worker refuses the live one.",
                "short",
                _REFUSED,
                6,
                4,
            ),
            over_time("max(count by (language) (count by (language, name) (newstide_model_info == 1)))"),
            limits=Limits(2, 3),
        ),
        figure(
            About("Age of the model", "Since the model in use was registered.", "s", _STALE, 6, 4),
            over_time("time() - max(newstide_model_registered_timestamp_seconds)"),
            limits=Limits(60 * 86400, 90 * 86400),
        ),
        figure(
            About("Workers that refuse", "Workers that can't use a model of the registry.", "short", _REFUSED, 6, 4),
            over_time("sum(newstide_model_refused)"),
            limits=Limits(1, 1),
        ),
        figure(
            About(
                "Shadow disagrees",
                "Labels of the shadow that are not the live model's, over an hour.",
                "percentunit",
                _SHADOW,
                6,
                4,
            ),
            over_time(
                f'sum(increase(newstide_shadow_labels_total{{{_TASK},outcome="different"}}[1h])) '
                f"/ sum(increase(newstide_shadow_labels_total{{{_TASK}}}[1h]))"
            ),
            limits=Limits(0.1, 0.2),
        ),
    ]


def _in_service() -> list[Built]:
    return [
        lines(
            About("Workers by model", "How many workers label with each model.", "short", _REFUSED, 8, 8),
            over_time("sum by (language, name) (newstide_model_info)", "{{name}} ({{language}})"),
            over_time("sum by (name) (newstide_shadow_model_info)", "shadow {{name}}", ref_id="B"),
        ),
        lines(
            About("Changes of models", "Models that workers took or refused.", "short", _REFUSED, 8, 8),
            over_time(
                "sum by (role, outcome) (increase(newstide_model_changes_total[$__rate_interval]))",
                "{{role}} {{outcome}}",
            ),
            bars=True,
        ),
        lines(
            About("Time to classify", "One batch, of all workers.", "s", "runbooks/NewstideWorkerLag.md", 8, 8),
            *(
                over_time(
                    f"histogram_quantile({q}, sum by (le) "
                    '(rate(newstide_stage_seconds_bucket{stage="classify"}[$__rate_interval])))',
                    f"p{q * 100:g}",
                    ref_id=ref,
                )
                for ref, q in zip("ABC", (0.5, 0.95, 0.99), strict=True)
            ),
        ),
        listing(
            About("Workers", "What each worker runs, and what it refused and why.", "short", _REFUSED, 12, 7),
            rows(
                "SELECT worker, language, model, shadow, refused, reason, updated_at AS updated "
                "FROM worker_model ORDER BY worker, language"
            ),
            columns=[Column("updated", "dateTimeAsIso", 160)],
        ),
        listing(
            About("History", "Who changed the state of which model, when and why.", "short", _STALE, 12, 7),
            rows(_EVENTS),
            columns=[Column("at", "dateTimeAsIso", 160)],
        ),
    ]


def _shadow() -> list[Built]:
    return [
        lines(
            About(
                "Disagreement by task", "Labels of the shadow that are not the live model's.", "percentunit", _SHADOW, 8
            ),
            over_time(
                "sum by (task) (increase("
                f'newstide_shadow_labels_total{{{_TASK},outcome="different"}}[$__rate_interval]))'
                f" / sum by (task) (increase(newstide_shadow_labels_total{{{_TASK}}}[$__rate_interval]))",
                "{{task}}",
            ),
        ),
        lines(
            About(
                "Sampled messages", "What became of the sample that the shadow was asked to label.", "cps", _SHADOW, 8
            ),
            over_time("sum by (outcome) (rate(newstide_shadow_messages_total[$__rate_interval]))", "{{outcome}}"),
        ),
        listing(
            About("Agreement", "Of labels that the shadow gave in the range.", "short", _SHADOW, 8),
            rows(_AGREEMENT),
            columns=[Column("share", "percentunit")],
        ),
        listing(
            About(
                "Newest differences",
                "Messages that the shadow labels otherwise: those to look at, and to label.",
                "short",
                _SHADOW,
                24,
                10,
            ),
            rows(_DIFFERENCES),
            columns=[Column("stored", "dateTimeAsIso", 160), Column("confidence", "percentunit", 100)],
        ),
    ]


def _given_labels() -> list[Built]:
    return [
        lines(
            About(
                "Shares of topics",
                "Messages by topic: a jump that no news explains is the model.",
                "percentunit",
                _STALE,
            ),
            series(_TOPICS),
            stacked=True,
            most=1,
        ),
        lines(
            About(
                "Negative share, counted and by probability",
                "Far apart, the model is unsure of many: its probabilities say another share than its labels.",
                "percentunit",
                _STALE,
            ),
            series(_BY_PROBABILITY),
        ),
        lines(
            About("Labels of analysts", "What a training can learn from, by task and day.", "short", _STALE),
            series(_LABELS),
            bars=True,
            stacked=True,
        ),
        listing(
            About(
                "Scheduled trainings", "Why each began, how it ended, and the model that came of it.", "short", _STALE
            ),
            rows(_TRAININGS),
            columns=[Column("began", "dateTimeAsIso", 160), Column("ended", "dateTimeAsIso", 160)],
        ),
    ]


_EVENTS = """
    SELECT at, model, from_state AS "from", to_state AS "to", actor, reason
    FROM model_event
    ORDER BY id DESC
    LIMIT 50
"""
_AGREEMENT = """
    SELECT shadow, live, given.key AS task, count(*) AS messages,
           avg((shadow_labels ->> given.key = given.value)::int)::float8 AS share
    FROM shadow_message, jsonb_each_text(live_labels) AS given
    WHERE $__timeFilter(stored_at) AND given.key IN (${task:sqlstring})
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
"""
_DIFFERENCES = """
    SELECT beside.stored_at AS stored, message.source, message.title, beside.live_labels::text AS live,
           beside.shadow_labels::text AS shadow, beside.confidence
    FROM (
        SELECT * FROM shadow_message
        WHERE live_labels <> shadow_labels AND $__timeFilter(stored_at)
        ORDER BY stored_at DESC, uid
        LIMIT 50
    ) AS beside
    LEFT JOIN message
        ON message.uid = beside.uid AND message.stored_on >= (beside.published_at AT TIME ZONE 'UTC')::date
    ORDER BY beside.stored_at DESC, beside.uid
"""
_TOPICS = f"""
    WITH counted AS (
        SELECT $__timeGroup(minute, $__interval) AS bucket, name, sum(negative + neutral + positive) AS messages
        FROM trend_history
        WHERE {series_chosen("topic", "topic")} AND $__timeFilter(minute)
        GROUP BY 1, 2
    )
    SELECT bucket AS "time", name AS metric, messages::float8 / sum(messages) OVER (PARTITION BY bucket) AS value
    FROM counted
    ORDER BY 1, 2
"""
_BY_PROBABILITY = f"""
    SELECT $__timeGroupAlias(minute, $__interval),
           sum(negative)::float8 / nullif(sum(negative + neutral + positive), 0) AS counted,
           sum(p_negative)::float8 / nullif(sum(p_negative + p_neutral + p_positive), 0) AS "by probability"
    FROM trend_history JOIN {chosen_series("topic", "topic")} USING (kind, name)
    WHERE $__timeFilter(minute)
    GROUP BY 1
    ORDER BY 1
"""
_LABELS = """
    SELECT extract(epoch FROM date_trunc('day', labelled_at, 'UTC')) AS "time",
           task || CASE WHEN entity = '' THEN '' ELSE ' of companies' END AS metric, count(*) AS value
    FROM label
    WHERE label IS NOT NULL AND $__timeFilter(labelled_at) AND task IN (${task:sqlstring})
    GROUP BY 1, 2
    ORDER BY 1, 2
"""
_TRAININGS = """
    SELECT began_at AS began, ended_at AS ended, outcome, model, reasons::text AS reasons
    FROM training_run
    ORDER BY id DESC
    LIMIT 30
"""
