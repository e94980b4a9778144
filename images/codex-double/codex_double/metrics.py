"""The metrics page, with the real exporter's habits.

`_total` is appended to a counter's name even if the name already ends with it, and every counter
also has a `_created`.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codex_double.node import Node

_STARTED = time.time()


def text(node: Node) -> str:
    """Return the page."""
    prefix = node.config.personality.program
    counts, discovery = node.exchange.counts, node.discovery
    usage = resource.getrusage(resource.RUSAGE_SELF)
    counters = [
        (f"{prefix}_api_uploads", "", node.uploads),
        (f"{prefix}_api_downloads", "", node.downloads),
        (f"{prefix}_block_exchange_blocks_received", "", counts["blocks_received"]),
        (f"{prefix}_block_exchange_blocks_sent", "", counts["blocks_sent"]),
        (f"{prefix}_block_exchange_want_have_lists_received", "", counts["want_lists_received"]),
        (f"{prefix}_block_exchange_want_have_lists_sent", "", counts["want_lists_sent"]),
        (f"{prefix}_block_exchange_want_block_lists_received", "", counts["want_lists_received"]),
        (f"{prefix}_block_exchange_want_block_lists_sent", "", counts["want_lists_sent"]),
        (f"{prefix}_block_exchange_discovery_requests_total", "", discovery.lookups),
        ("libp2p_network_bytes", '{direction="in"}', counts["in"]),
        ("libp2p_network_bytes", '{direction="out"}', counts["out"]),
        ("dht_transport_rx_bytes", "", discovery.received[0]),
        ("dht_transport_rx_packets", "", discovery.received[1]),
        ("dht_transport_tx_bytes", "", discovery.sent[0]),
        ("dht_transport_tx_packets", "", discovery.sent[1]),
        ("libp2p_successful_dials", "", counts["dials"]),
        ("libp2p_failed_dials", "", counts["failed_dials"]),
        ("presto_server_response_status_count", '{endpoint="",status="200"}', node.answers),
        ("process_cpu_seconds", "", usage.ru_utime + usage.ru_stime),
    ]
    gauges = [
        (f"{prefix}_repostore_blocks", node.store.total_blocks),
        (f"{prefix}_repostore_bytes_used", node.store.used_bytes),
        (f"{prefix}_repostore_bytes_reserved", 0),
        (f"{prefix}_inflight_discovery", node.discovery.waiting),
        ("libp2p_peers", len(node.exchange.connected)),
        ("libp2p_open_streams", sum(node.exchange.connected.values())),
        ("process_open_fds", len(list(Path("/proc/self/fd").iterdir()))),
        ("process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ("process_virtual_memory_bytes", _memory_bytes(0)),
        ("process_resident_memory_bytes", _memory_bytes(1)),
        ("process_start_time_seconds", node.started),
        ("nim_gc_mem_bytes", 0),
    ]
    lines, seen = [], set()
    for name, labels, value in counters:
        if name not in seen:
            lines += [f"# HELP {name} {name}", f"# TYPE {name} counter"]
            seen.add(name)
        lines += [f"{name}_total{labels} {value}", f"{name}_created{labels} {_STARTED}"]
    for name, value in gauges:
        lines += [f"# HELP {name} {name}", f"# TYPE {name} gauge", f"{name} {value}"]
    return "\n".join(lines) + "\n"


def _memory_bytes(field: int) -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[field]) * os.sysconf("SC_PAGE_SIZE")
