"""What a peer tells a Prometheus or a VictoriaMetrics: `/metrics`, and a push after each run.

`table` defines every metric, once; `sampler` reads a peer's state when it is asked; `exporter`
serves, `push` sends, `reporter` ties them to a peer, `linger` waits for the last scrape. Nothing
here runs in the hot path of a transfer.
"""
