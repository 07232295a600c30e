#!/bin/sh
# Run by the Postgres image when it makes the database: an account for Grafana that may read what the boards show. The
# rights of newstide_boards are given by `newstide migrate`, once there are tables.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$GRAFANA_DATABASE_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE newstide_boards NOLOGIN;
CREATE ROLE grafana LOGIN PASSWORD :'password' IN ROLE newstide_boards;
SQL
