"""Alerts and incidents as they stand in Postgres, with their evidence."""
