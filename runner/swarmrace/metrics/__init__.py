"""Metrics for Prometheus and VictoriaMetrics: `/metrics`, and a push after each run.

`table` defines every metric once. `sampler` reads a peer's state on demand, `exporter` serves it,
`push` sends it, `reporter` connects them to a peer, and `linger` waits for the last scrape. Nothing
here runs in the hot path of a transfer.
"""
