-- What tables and columns mean, in the catalogue: `\d+` and docs/reference/tables.md show it. Runs after each migration
-- to the newest schema.

COMMENT ON TABLE message_key IS 'Every message ever stored, by the hash of its source and id: what makes a second delivery change nothing. Outlives the message.';
COMMENT ON COLUMN message_key.content IS 'What the message said, as 64 bits: tells a repetition from other content under a known id.';

COMMENT ON TABLE message IS 'Messages with their labels. Partitioned by the day of storage, so that a replay of ten years makes one partition.';
COMMENT ON COLUMN message.uid IS 'Hash of source and id.';
COMMENT ON COLUMN message.published_at IS 'Event time.';
COMMENT ON COLUMN message.story IS 'The story it belongs to.';
COMMENT ON COLUMN message.text_key IS 'The text within the story: `text` of `story_text`.';
COMMENT ON COLUMN message.marks IS 'What cleaning had to change.';
COMMENT ON COLUMN message.language IS 'ISO 639-1 code: what the source states, unless the text says otherwise; empty where nobody knows.';
COMMENT ON COLUMN message.entity_sentiments IS 'Sentiment towards each of `entities`, in their order; null where the message names it nowhere, or its model does not tell companies apart: `sentiment` stands for it.';
COMMENT ON COLUMN message.entity_scores IS 'Three scores for each of `entities`, in their order.';
COMMENT ON COLUMN message.sentiment IS 'Null, as all labels, where no live model read the language.';
COMMENT ON COLUMN message.sentiment_scores IS 'A probability for each label, in the order of the taxonomy.';
COMMENT ON COLUMN message.topic_scores IS 'A probability for each label, in the order of the taxonomy.';
COMMENT ON COLUMN message.model IS 'Name of the model that labelled it.';

COMMENT ON TABLE story IS 'A message and what copies it within 72 hours.';
COMMENT ON COLUMN story.first_at IS 'Earliest event time of its messages.';
COMMENT ON COLUMN story.first_uid IS 'With `first_at`: the message that leads the story.';
COMMENT ON COLUMN story.fixed IS 'Assigned by an older version: messages may join it, none of its own is moved.';

COMMENT ON TABLE story_text IS 'The messages of a story that have one text.';
COMMENT ON COLUMN story_text.text IS 'Hash of the normalised text and its figures.';
COMMENT ON COLUMN story_text.form IS 'Hash of the normalised text alone.';
COMMENT ON COLUMN story_text.signature IS 'MinHash signature.';
COMMENT ON COLUMN story_text.stored_on IS 'Day of the last change.';

COMMENT ON TABLE story_band IS 'How a text finds those that it may be a copy of: by its normalised form and its MinHash bands. A row is also the lock of workers that bring such texts at one moment.';
COMMENT ON COLUMN story_band.taken IS 'How often the row was locked.';

COMMENT ON TABLE story_series IS 'The first message of a story in a series, by event time and then uid: where the story is counted.';
COMMENT ON COLUMN story_series.kind IS '`all`, `topic`, `entity` or `source`.';

COMMENT ON COLUMN story_series.sentiment IS 'That of the first message, or `unread`.';

COMMENT ON TABLE trend IS 'Counts of a series by the minute of event time: messages and stories by sentiment, and unread ones.';
COMMENT ON COLUMN trend.kind IS '`all`, `topic`, `entity` or `source`.';
COMMENT ON COLUMN trend.p_negative IS 'Sum of probabilities in millionths: it does not depend on their order.';
COMMENT ON COLUMN trend.p_neutral IS 'As `p_negative`.';
COMMENT ON COLUMN trend.p_positive IS 'As `p_negative`.';
COMMENT ON COLUMN trend.unread IS 'Messages in languages that no live model read; they have no topic.';
COMMENT ON COLUMN trend.unread_stories IS 'Stories whose first message in the series is unread.';
COMMENT ON TABLE trend_hour IS 'Trends that retention has merged into hours.';
COMMENT ON VIEW trend_history IS 'All trends: those by the minute, and those that were merged into hours.';
COMMENT ON TABLE trend_rollup IS 'One row: event time before which minutes may have been merged into hours.';
COMMENT ON TABLE trend_change IS 'Minutes that transactions of workers changed and that were not judged yet.';
COMMENT ON TABLE trend_rolled IS 'Trends added up by the hour for the desk; can be made again from `trend`.';
COMMENT ON TABLE trend_rolled_day IS 'Trends added up by the day for the desk; can be made again from `trend_rolled`.';
COMMENT ON COLUMN trend_rolled_day.hours IS 'How many rows of `trend_rolled` it adds up.';
COMMENT ON TABLE trend_rolling IS 'One row: how far `trend_rolled` goes.';
COMMENT ON TABLE trend_unrolled IS 'Hours of `trend_rolled` in which trends have changed since.';
COMMENT ON TABLE judged_day IS 'How far alerting had judged on each day that retention ran.';
COMMENT ON TABLE dropped_day IS 'What retention dropped: messages of each day of storage, and the first and last event time among them.';

COMMENT ON TABLE source IS 'Sources whose name as written differs from the key that `message` and `trend` know them by.';

COMMENT ON TABLE offset_ledger IS 'The present epoch of each partition: what is committed decides what is read next. Offsets from `first_offset` to `next_offset` = messages + duplicates + dead letters + gaps.';
COMMENT ON COLUMN offset_ledger.next_offset IS 'The first offset that is not committed.';
COMMENT ON COLUMN offset_ledger.end_offset IS 'Offsets below it are known to exist.';
COMMENT ON COLUMN offset_ledger.max_event_time IS 'Highest event time committed, of messages with a time of their own.';
COMMENT ON COLUMN offset_ledger.gaps IS 'Offsets that Kafka no longer held when they were to be read.';
COMMENT ON COLUMN offset_ledger.topic_id IS 'The broker''s id of the topic.';
COMMENT ON TABLE offset_history IS 'Epochs that are over: lives of a log that was emptied, cut or made anew. Epoch 0 is what was counted before there were epochs.';

COMMENT ON TABLE replay IS 'Files that are or were replayed; one under way holds the watermark back.';
COMMENT ON COLUMN replay.seen_at IS 'When its process was last seen alive.';
COMMENT ON TABLE dead_letter IS 'Inputs that could not be processed, with their bytes and the reason.';
COMMENT ON COLUMN dead_letter.id IS 'Hash of origin and content.';
COMMENT ON COLUMN dead_letter.context IS 'How ingest read it, for another try.';

COMMENT ON TABLE detector_checkpoint IS 'The detector as it stood at a moment of event time, mostly a midnight.';
COMMENT ON TABLE alerting_progress IS 'One row: from which and up to which event time trends were judged.';
COMMENT ON COLUMN alerting_progress.stale_from IS 'Trends have changed from there on and were not judged again yet.';
COMMENT ON COLUMN alerting_progress.unjudged IS 'Messages that came too late to be judged.';
COMMENT ON TABLE alert IS 'Surges of one series. Times are event times; `id` follows from series and `opened_at`.';
COMMENT ON COLUMN alert.score IS '-log10 of the share of steps that score so high.';
COMMENT ON COLUMN alert.opened_observed IS 'Figures with which it opened and that decide its incident; null where they are those it has.';
COMMENT ON TABLE alert_history IS 'States that alerts have had.';
COMMENT ON COLUMN alert_history.times IS 'How often the alert came into that state.';
COMMENT ON TABLE incident IS 'Alerts that share their stories: the unit of notification.';
COMMENT ON COLUMN incident.leader IS 'The alert that it is named after, whose figures these are.';
COMMENT ON TABLE incident_history IS 'Changes of incidents that were sent to receivers.';
COMMENT ON TABLE incident_handling IS 'Who has acknowledged or snoozed an incident; the latest row counts.';
COMMENT ON VIEW handled_incident IS 'Incidents with the latest verdict on them and how they are handled.';
COMMENT ON TABLE feedback IS 'Verdicts on incidents, append-only; the latest counts.';
COMMENT ON TABLE outbox IS 'Notifications to be sent to receivers, written in the transaction of the change.';
COMMENT ON COLUMN outbox.dedupe IS 'The same at every try.';
COMMENT ON COLUMN outbox.held IS 'Why it waits until `not_before`.';

COMMENT ON TABLE label IS 'What analysts said, append-only. The text is kept because retention drops messages.';
COMMENT ON COLUMN label.label IS 'Null takes the former word of that analyst back.';
COMMENT ON COLUMN label.final IS 'A verdict on what analysts disagree about: it outranks them all.';
COMMENT ON COLUMN label.entity IS 'The company in the text that the label is of; empty where it is of the text itself.';
COMMENT ON VIEW label_word IS 'The latest word of each analyst on a text, or on a company in it, and the latest verdict on it.';
COMMENT ON TABLE label_lease IS 'What analysts have on the screen: nobody else gets that story meanwhile.';
COMMENT ON TABLE label_step IS 'Labels given at once, which are taken back at once.';

COMMENT ON TABLE model IS 'Registered bundles: of each language at most one is live and one the shadow.';
COMMENT ON COLUMN model.language IS 'What it is for: the first of the languages that its manifest names.';
COMMENT ON COLUMN model.checksum IS 'SHA-256 of the manifest, which vouches for every file.';
COMMENT ON TABLE model_event IS 'Changes of state of models: who, when, why, and the figures of the gates.';
COMMENT ON TABLE worker_model IS 'What each worker runs for a language, and the last bundle of it that it refused.';
COMMENT ON COLUMN worker_model.model IS 'Null where it can use none.';
COMMENT ON TABLE shadow_message IS 'What a shadow said of a sampled message beside the live model. No trend reads it.';
COMMENT ON TABLE training_run IS 'Scheduled trainings: why each began, how it ended, which model came of it.';
COMMENT ON COLUMN training_run.language IS 'Whose model was to be trained.';

COMMENT ON TABLE account IS 'People of the desk.';
COMMENT ON COLUMN account.password_hash IS 'Argon2id; null for who comes by OpenID Connect or a proxy.';
COMMENT ON TABLE desk_session IS 'Browsers that are logged in, by the SHA-256 of their token.';
COMMENT ON TABLE login_link IS 'Links that log in once, by the SHA-256 of their token.';
COMMENT ON TABLE api_token IS 'Programs that use the API, by the SHA-256 of their token.';
COMMENT ON TABLE oidc_login IS 'Logins under way at an identity provider, by the SHA-256 of their state.';
COMMENT ON TABLE audit_event IS 'Who did what on the desk, append-only.';
