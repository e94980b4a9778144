"""Results as tables for pandas, R, DuckDB and Excel, and for tools that track benchmarks."""
