"""Prefect's API server and UI for one machine: closed to other web sites, reliable on SQLite."""
