"""Messages, stories, trends, the offset ledger and dead letters."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(
        "DROP TABLE message, message_key, story_series, story_band, story_text, story, trend, offset_ledger, "
        "replay, dead_letter"
    )
