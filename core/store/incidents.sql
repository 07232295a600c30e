-- name: incidents
SELECT id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
       expected, score
FROM incident
WHERE (CAST(:since AS timestamptz) IS NULL OR last_at >= :since)
  AND CASE WHEN CAST(:state AS text) IS NULL THEN state <> 'withdrawn' ELSE state = :state END
  AND (CAST(:kind AS text) IS NULL OR EXISTS (
      SELECT FROM alert WHERE alert.incident = incident.id AND alert.kind = :kind AND alert.name = :name))
ORDER BY opened_at DESC, id
LIMIT :limit

-- name: named
SELECT id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
       expected, score
FROM incident
WHERE id IN (SELECT id FROM incident WHERE id BETWEEN :low AND :high
             UNION SELECT incident FROM alert WHERE id BETWEEN :low AND :high)
LIMIT 2

-- name: alerts_of
-- What was withdrawn is left out, unless nothing else was there.
SELECT alert.id, alert.kind, alert.name, alert.signal, alert.state, alert.opened_at, alert.last_at, alert.closed_at,
       alert.peak_at, alert.window_minutes, alert.observed, alert.expected, alert.score, alert.evidence, alert.incident
FROM alert JOIN incident ON incident.id = alert.incident
WHERE alert.incident = ANY(CAST(:incidents AS uuid[])) AND (alert.state <> 'withdrawn' OR incident.state = 'withdrawn')
ORDER BY alert.opened_at, alert.kind, alert.name, alert.signal

-- name: verdicts
SELECT DISTINCT ON (incident) incident, verdict FROM feedback
WHERE incident = ANY(CAST(:incidents AS uuid[])) ORDER BY incident, id DESC

-- name: feedback
SELECT verdict, analyst, note, at FROM feedback WHERE incident = :incident ORDER BY id DESC

-- name: add_feedback
INSERT INTO feedback (incident, verdict, analyst, note) VALUES (:incident, :verdict, :analyst, :note)

-- name: false_alarms
WITH span AS (
    SELECT judged_until AS until, greatest(since, judged_until - make_interval(weeks => :weeks)) AS since
    FROM alerting_progress
),
found AS (
    SELECT (SELECT verdict FROM feedback WHERE feedback.incident = incident.id ORDER BY feedback.id DESC LIMIT 1)
           AS verdict
    FROM incident, span
    WHERE opened_at > span.since AND opened_at <= span.until AND state <> 'withdrawn' AND kind <> 'outage'
)
SELECT greatest((SELECT extract(epoch FROM until - since) / 604800 FROM span), 1.0 / 7)::float8 AS weeks,
       count(*) AS incidents, count(*) FILTER (WHERE verdict = 'useful') AS useful,
       count(*) FILTER (WHERE verdict = 'false') AS false
FROM found
