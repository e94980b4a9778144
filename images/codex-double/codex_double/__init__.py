"""A TEST DOUBLE of the Codex (Logos Storage) node. It is not Codex.

It has a node's command line, ports, environment variables, REST interface, metrics and habits,
especially the bad ones that docs/codex.md lists, so that swarmrace can be tested without the real
program. Several doubles find each other and exchange blocks over real sockets, with their own
protocol, which no Codex node speaks. **Its speed means nothing**: no figure measured with it says
anything about Codex, and its version string contains `double`, so that no result can hide it.
"""

from __future__ import annotations

__version__ = "1"
