-- Incidents with the latest verdict on them and how they are handled.
CREATE VIEW handled_incident AS
SELECT incident.id, incident.kind, incident.name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes,
       observed, expected, score,
       (SELECT count(*) FROM alert WHERE alert.incident = incident.id AND alert.state <> 'withdrawn') AS alerts,
       said.verdict, coalesce(handled.acknowledged, false) AS acknowledged, handled.snoozed_until,
       handled.account AS handled_by, handled.at AS handled_at
FROM incident
LEFT JOIN LATERAL (
    SELECT verdict FROM feedback WHERE feedback.incident = incident.id ORDER BY feedback.id DESC LIMIT 1
) AS said ON true
LEFT JOIN LATERAL (
    SELECT account, acknowledged, snoozed_until, at
    FROM incident_handling WHERE incident_handling.incident = incident.id ORDER BY incident_handling.id DESC LIMIT 1
) AS handled ON true;
