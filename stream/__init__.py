"""Kafka -> classify -> Postgres: every message exactly once in the trends, whatever dies."""
