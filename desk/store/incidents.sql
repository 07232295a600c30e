-- name: incidents
-- With the headline of the first of the stories behind each.
SELECT handled_incident.*,
       (SELECT alert.evidence #>> '{stories,0,headline}' FROM incident JOIN alert ON alert.id = incident.leader
        WHERE incident.id = handled_incident.id) AS headline
FROM handled_incident
WHERE (CAST(:since AS timestamptz) IS NULL OR last_at >= :since)
  AND CASE WHEN CAST(:state AS text) IS NULL THEN state <> 'withdrawn' ELSE state = :state END
  AND (CAST(:before AS timestamptz) IS NULL OR (opened_at, id) < (:before, CAST(:before_id AS uuid)))
ORDER BY opened_at DESC, id DESC
LIMIT :limit

-- name: incident
SELECT handled_incident.*,
       (SELECT alert.evidence #>> '{stories,0,headline}' FROM incident JOIN alert ON alert.id = incident.leader
        WHERE incident.id = handled_incident.id) AS headline
FROM handled_incident
WHERE id = :incident

-- name: alerts
-- The one that the incident is named after first.
SELECT alert.id, alert.kind, alert.name, alert.signal, alert.state, alert.opened_at, alert.last_at, alert.closed_at,
       alert.peak_at, alert.window_minutes, alert.observed, alert.expected, alert.score, alert.evidence
FROM alert JOIN incident ON incident.id = alert.incident
WHERE alert.incident = :incident AND alert.state <> 'withdrawn'
ORDER BY alert.id <> incident.leader, alert.opened_at, alert.kind, alert.name, alert.signal

-- name: history
SELECT change, times, at, recorded_at FROM incident_history WHERE incident = :incident ORDER BY recorded_at, change

-- name: feedback
SELECT verdict, analyst, note, at FROM feedback WHERE incident = :incident ORDER BY id DESC LIMIT 100

-- name: handling
SELECT account, acknowledged, snoozed_until, at
FROM incident_handling WHERE incident = :incident ORDER BY id DESC LIMIT 100

-- name: handle
-- What is not given stays as it was.
INSERT INTO incident_handling (incident, account, acknowledged, snoozed_until)
SELECT incident.id, :account, coalesce(CAST(:acknowledged AS boolean), handled.acknowledged, false),
       coalesce(CAST(:snoozed_until AS timestamptz), handled.snoozed_until)
FROM incident
LEFT JOIN LATERAL (
    SELECT acknowledged, snoozed_until
    FROM incident_handling WHERE incident_handling.incident = incident.id ORDER BY incident_handling.id DESC LIMIT 1
) AS handled ON true
WHERE incident.id = :incident
RETURNING id

-- name: mark
INSERT INTO feedback (incident, verdict, analyst, note)
SELECT id, :verdict, :analyst, :note FROM incident WHERE id = :incident
RETURNING id

-- name: alerts_within
-- Alerts on a series that were open at some time of a span.
SELECT id, incident, signal, state, opened_at, closed_at, peak_at, observed, expected, score
FROM alert
WHERE kind = :kind AND name = :name AND opened_at < :until AND state <> 'withdrawn'
  AND (opened_at >= :since OR state = 'open' OR closed_at >= :since)
ORDER BY opened_at
LIMIT :limit

-- name: pages
SELECT count(*) AS incidents FROM incident
WHERE opened_at > :since AND opened_at <= :until AND state <> 'withdrawn' AND kind <> 'outage'

-- name: swaps
SELECT model, at, actor, reason FROM model_event
WHERE to_state = 'live' AND at >= :since AND at < :until ORDER BY at LIMIT 100
