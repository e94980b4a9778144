"""The program: `codex` and `storage` of the double."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from codex_double.config import Config, Exit, OptionError, parse
from codex_double.personality import PERSONALITIES


async def _run(config: Config) -> int:
    from codex_double.node import Node  # not needed for --help and --version

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    node = Node(config)
    try:
        await node.start()
        await ended.wait()
    except OSError as error:
        print(f"FTL Failed to start the node error={error}", file=sys.stderr, flush=True)
        return 1
    finally:
        await node.stop()
    return 0


def main(program: str | None = None) -> int:
    """Run a node until SIGTERM; return its exit code.

    Args:
        program: `storage` makes it a Logos Storage node unless `DOUBLE_PERSONALITY` says
            something else.
    """
    personality = None
    if program == "storage" and "DOUBLE_PERSONALITY" not in os.environ:
        personality = PERSONALITIES["storage-2026"]
    try:
        config = parse(sys.argv[1:], os.environ, personality)
    except Exit as text:
        print(text, end="")
        return 0
    except OptionError as error:
        print(error, file=sys.stderr)
        return 1
    return asyncio.run(_run(config))


if __name__ == "__main__":
    sys.exit(main())
