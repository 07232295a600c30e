-- name: existing
SELECT rolname FROM pg_roles WHERE rolname = ANY(%(names)s)

-- name: revoke
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
REVOKE ALL ON FUNCTION make_message_partition(date) FROM {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON alembic_version TO {role};

-- Ingest, workers and alerting: all of the stream, nothing of people's accounts.
-- name: newstide_writer
GRANT SELECT ON
    alert, alert_history, alerting_progress, dead_letter, detector_checkpoint, dropped_day, feedback, incident,
    incident_handling, incident_history, judged_day, label, label_word, message, message_key, model, model_event,
    offset_history, offset_ledger, outbox, replay, shadow_message, source, story, story_band, story_series, story_text,
    training_run, trend, trend_change, trend_history, trend_hour, trend_rolling, trend_rollup, worker_model
    TO newstide_writer;
GRANT INSERT ON
    alert, alert_history, alerting_progress, dead_letter, detector_checkpoint, feedback, incident, incident_history,
    message, message_key, offset_history, offset_ledger, outbox, replay, shadow_message, source, story, story_band,
    story_series, story_text, trend, trend_change, trend_unrolled, worker_model
    TO newstide_writer;
GRANT UPDATE ON
    alert, alerting_progress, dead_letter, detector_checkpoint, incident, message, offset_history, offset_ledger,
    outbox, replay, story, story_band, story_series, story_text, trend, worker_model
    TO newstide_writer;
GRANT DELETE ON
    alerting_progress, detector_checkpoint, offset_ledger, replay, story, story_series, story_text, trend_change,
    worker_model
    TO newstide_writer;
GRANT EXECUTE ON FUNCTION make_message_partition(date) TO newstide_writer;

-- The desk: reads everything, and writes what people do there.
-- name: newstide_reader
GRANT SELECT ON
    account, alert, alert_history, alerting_progress, api_token, audit_event, dead_letter, desk_session, detector_checkpoint,
    dropped_day, feedback, handled_incident, incident, incident_handling, incident_history, judged_day, label, label_lease,
    label_step, label_word, login_link, message, message_key, model, model_event, offset_history, offset_ledger,
    oidc_login, outbox, replay, shadow_message, source, story, story_band, story_series, story_text, training_run,
    trend, trend_change, trend_history, trend_hour, trend_rolled, trend_rolled_day, trend_rolling, trend_rollup,
    trend_unrolled, worker_model
    TO newstide_reader;
GRANT INSERT ON
    account, api_token, audit_event, desk_session, feedback, incident_handling, label, label_lease, label_step,
    login_link, model_event, oidc_login, trend_rolled, trend_rolled_day
    TO newstide_reader;
GRANT UPDATE ON account, api_token, label_lease, model, trend_rolled_day, trend_rolling TO newstide_reader;
GRANT DELETE ON
    desk_session, label_lease, login_link, oidc_login, trend_rolled, trend_rolled_day, trend_unrolled
    TO newstide_reader;

-- Data sets, training and promotion: reads messages and labels, writes labels and the registry of models.
-- name: newstide_trainer
GRANT SELECT ON
    label, label_word, message, model, model_event, shadow_message, source, story, training_run, worker_model
    TO newstide_trainer;
GRANT INSERT ON label, model, model_event, training_run TO newstide_trainer;
GRANT UPDATE ON model, training_run TO newstide_trainer;

-- Grafana's boards: whoever may edit them may ask anything that this role may, so it has what they show, and nothing else.
-- name: newstide_boards
GRANT SELECT ON
    alert, dead_letter, feedback, incident, label, message, model_event, offset_ledger, outbox, shadow_message, story,
    story_series, training_run, trend_history, worker_model
    TO newstide_boards;
