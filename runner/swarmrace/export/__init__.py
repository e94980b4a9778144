"""Exports results: tables for pandas, R, DuckDB and Excel, and formats of benchmark trackers."""
