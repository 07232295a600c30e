"""The store: Postgres is the system of record. Here are its schema, its connection and what several rooms read."""
