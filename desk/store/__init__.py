"""What the desk reads and writes in Postgres: each file beside its named queries."""
