"""Incidents: alerts that share their stories, and what analysts said of them."""

from pathlib import Path
from uuid import uuid5

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

_FILL = """
INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes,
                      observed, expected, score)
SELECT incident, id, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed,
       expected, score
FROM alert;
INSERT INTO incident_history (incident, change, times, at, recorded_at)
SELECT alert.incident, CASE past.state WHEN 'open' THEN 'opened' WHEN 'closed' THEN 'resolved' ELSE past.state END,
       past.times, past.at, past.recorded_at
FROM alert_history AS past JOIN alert ON alert.id = past.alert;
ALTER TABLE alert ADD FOREIGN KEY (incident) REFERENCES incident (id) DEFERRABLE INITIALLY DEFERRED;
"""


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    connection = op.get_bind()
    known = connection.execute(text("SELECT id FROM alert")).scalars().all()
    if known:  # each is an incident of its own, under the name that judging it again would give it
        values = [{"alert": alert, "incident": uuid5(alert, "incident")} for alert in known]
        connection.execute(text("UPDATE alert SET incident = :incident WHERE id = :alert"), values)
    op.execute(_FILL)


def downgrade() -> None:
    raise NotImplementedError("restore a backup to go back to an earlier version")
