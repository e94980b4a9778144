"""A TEST DOUBLE of the Codex (Logos Storage) node. It is not Codex.

It has a node's command line, ports, environment variables, REST interface, metrics and habits, the
ugly ones first, as docs/codex.md lists them, so that swarmrace can be tested without the real
program. Several doubles find and feed each other over real sockets, by a protocol of their own
that no Codex node speaks. **Its speed means nothing**: no figure measured with it says anything
about Codex, and its version string says `double` so that a result can't hide it.
"""

from __future__ import annotations

__version__ = "1"
