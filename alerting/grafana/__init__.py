"""Grafana boards as code; `python -m alerting.grafana` writes them. Needs the extra `dev`; no process imports it."""
